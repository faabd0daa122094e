"""Whether the service lives, and whether all is well: `/healthz`, `/readyz` and `/metrics`, outside of `/api/v1`."""

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
    """Whether this process answers: for everybody, and without a look at any database."""

    schema = None
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, _request: Request) -> Response:
        return Response({"status": "alive"})


class _LooksAtAll(StrictView):
    """For whoever may look at backups and operations. Who that is cannot be told without our own database."""

    schema = None
    required_permissions: Mapping[str, Sequence[str]] = {"get": ("operations.view_backup", "operations.view_operation")}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        try:
            require_app_database()
        except DatabaseUnusable as problem:
            raise type(problem)(
                "Not ready: this program's own database does not answer, and without it nobody can be told more here. "
                f"`{program.NAME} status` on the machine says more."
            ) from problem
        super().initial(request, *args, **kwargs)


class Ready(_LooksAtAll):
    """Every check with its outcome: 200, or 503 where one of them is sick."""

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


class Metrics(_LooksAtAll):
    """The same in numbers, for Prometheus."""

    renderer_classes = [_Plain]

    def get(self, _request: Request) -> Response:
        return Response(metrics(), content_type=CONTENT_TYPE)


urlpatterns: list[URLPattern] = [
    path("healthz", Alive.as_view(), name="healthz"),
    path("readyz", Ready.as_view(), name="readyz"),
    path("metrics", Metrics.as_view(), name="metrics"),
]
