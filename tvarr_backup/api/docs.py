"""The schema of the API, and the page that shows it and lets people try it."""

from __future__ import annotations

from drf_spectacular.renderers import OpenApiJsonRenderer2, OpenApiYamlRenderer, OpenApiYamlRenderer2
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from tvarr_backup.api.views import StrictView


class Schema(StrictView, SpectacularAPIView):
    """OpenAPI 3.1, as YAML, or as JSON where that is asked for; for everybody who is signed in."""

    renderer_classes = [OpenApiYamlRenderer, OpenApiYamlRenderer2, OpenApiJsonRenderer2]


class Docs(StrictView, SpectacularSwaggerSplitView):
    """The schema as a page, with assets of our own server; with `?script` it is the page's script."""

    parameters = {"get": {"script"}}
    url_name = "schema"
