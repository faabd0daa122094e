"""The schema of the API, and the page that shows it and lets people try it."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, URLResolver, path
from drf_spectacular.renderers import OpenApiJsonRenderer2, OpenApiYamlRenderer, OpenApiYamlRenderer2
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

from tvarr_backup.api.queries import require_known_parameters


class Schema(SpectacularAPIView):
    """OpenAPI 3.1, as YAML, or as JSON where that is asked for; for everybody who is signed in."""

    permission_classes = (IsAuthenticated,)
    renderer_classes = [OpenApiYamlRenderer, OpenApiYamlRenderer2, OpenApiJsonRenderer2]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """The base puts what its own parameters say into headers."""
        super().initial(request, *args, **kwargs)
        require_known_parameters(request, ())


class Docs(SpectacularSwaggerSplitView):
    """The schema as a page, with assets of our own server."""

    permission_classes = (IsAuthenticated,)
    url_name = "schema"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """With `?script` it is the page's script."""
        super().initial(request, *args, **kwargs)
        require_known_parameters(request, {"script"})


urlpatterns: list[URLPattern | URLResolver] = [
    path("schema", Schema.as_view(), name="schema"),
    path("docs", Docs.as_view(), name="docs"),
]
