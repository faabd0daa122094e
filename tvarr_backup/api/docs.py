"""The OpenAPI document, and a page to read and try it."""

from __future__ import annotations

from drf_spectacular.renderers import OpenApiJsonRenderer2, OpenApiYamlRenderer, OpenApiYamlRenderer2
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from tvarr_backup.api.views import StrictView


class Schema(StrictView, SpectacularAPIView):
    """OpenAPI 3.1 for every user, as YAML, or as JSON with `Accept: application/json`."""

    renderer_classes = [OpenApiYamlRenderer, OpenApiYamlRenderer2, OpenApiJsonRenderer2]


class Docs(StrictView, SpectacularSwaggerSplitView):
    """The page of the OpenAPI document, or with `?script` its script. All assets come from this server."""

    parameters = {"get": {"script"}}
    url_name = "schema"
