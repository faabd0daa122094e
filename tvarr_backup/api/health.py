"""Health checks and metrics: `/healthz`, `/readyz` and `/metrics`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.urls import URLPattern, path
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from tvarr_backup import program
from tvarr_backup.api.metrics import CONTENT_TYPE, metrics
from tvarr_backup.api.views import StrictView
from tvarr_backup.errors import DatabaseUnusable
from tvarr_backup.operations.app_database import require_app_database
from tvarr_backup.operations.health import HealthState, check_health, health_as_data


class Alive(StrictView):
    """Answer while the web server runs. It needs no user and reads no database."""

    schema = None
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, _request: Request) -> Response:
        return Response({"status": "alive"})


class _HealthView(StrictView):
    """A view that requires permissions, and therefore our own database."""

    schema = None
    required_permissions: Mapping[str, Sequence[str]] = {"get": ("operations.view_backup", "operations.view_operation")}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        try:
            require_app_database()
        except DatabaseUnusable as problem:
            raise type(problem)(
                "Not ready: this program's own database cannot be used, so permissions cannot be checked. Run `{program} status` "
                "on the server for details.",
                program=program.NAME,
            ) from problem
        super().initial(request, *args, **kwargs)


class Ready(_HealthView):
    """All checks: 200, or 503 if one is failing."""

    def get(self, _request: Request) -> Response:
        health = check_health()
        data = health_as_data(health)
        for check in data["checks"]:
            check["message"] = check["message"].without_paths()
        return Response(data, HTTPStatus.SERVICE_UNAVAILABLE if health.state is HealthState.FAILING else HTTPStatus.OK)


class _Plain(BaseRenderer):
    media_type = "text/plain"
    format = "txt"

    def render(self, data: Any, *_args: Any, **_kwargs: Any) -> Any:
        return data


class Metrics(_HealthView):
    """The checks as numbers, for Prometheus."""

    renderer_classes = [_Plain]

    def get(self, _request: Request) -> Response:
        return Response(metrics(), content_type=CONTENT_TYPE)


urlpatterns: list[URLPattern] = [
    path("healthz", Alive.as_view(), name="healthz"),
    path("readyz", Ready.as_view(), name="readyz"),
    path("metrics", Metrics.as_view(), name="metrics"),
]
