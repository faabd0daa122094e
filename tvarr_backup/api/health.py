"""Health checks, metrics and the status badge: `/healthz`, `/readyz`, `/metrics` and `/status.svg`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from csp.decorators import csp_replace
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tvarr_backup import program
from tvarr_backup.access.models import ApiToken
from tvarr_backup.access.scopes import Scope
from tvarr_backup.api import badge
from tvarr_backup.api.authentication import TokenInAddress
from tvarr_backup.api.metrics import CONTENT_TYPE, metrics
from tvarr_backup.api.status import VIEW_HEALTH, describe_health
from tvarr_backup.api.views import StrictView
from tvarr_backup.errors import DatabaseUnusable
from tvarr_backup.operations.app_database import require_app_database
from tvarr_backup.operations.health import HealthState, check_health


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
    required_permissions: Mapping[str, Sequence[str]] = VIEW_HEALTH

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
        status = HTTPStatus.SERVICE_UNAVAILABLE if health.state is HealthState.FAILING else HTTPStatus.OK
        return Response(describe_health(health), status)


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


class _Image(_Plain):
    media_type = badge.CONTENT_TYPE
    format = "svg"


@method_decorator(csp_replace(badge.POLICY), name="dispatch")
class Badge(_HealthView):
    """The worst state of all checks as an image, also with a token in the address.

    Other answers than 200 would be hidden by programs that show images. Only while no token can be checked, the
    answer is 503 with an image that says so.
    """

    authentication_classes = [TokenInAddress, *APIView.authentication_classes]
    renderer_classes = [_Image]
    parameters = {"get": {"token"}}

    def perform_authentication(self, request: Request) -> None:
        """Check the permissions of the user of a token that can do nothing else, because it has none itself."""
        super().perform_authentication(request)
        if isinstance(request.auth, ApiToken) and request.auth.scope == Scope.BADGE:
            request.user = request.auth.user

    def get(self, _request: Request) -> Response:
        return Response(badge.render_badge(check_health()), content_type=badge.CONTENT_TYPE)

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        if response.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
            return response
        self.request.accepted_renderer = _Image()
        self.request.accepted_media_type = badge.CONTENT_TYPE
        return Response(badge.render_badge(None), response.status_code, content_type=badge.CONTENT_TYPE)


urlpatterns: list[URLPattern] = [
    path("healthz", Alive.as_view(), name="healthz"),
    path("readyz", Ready.as_view(), name="readyz"),
    path("metrics", Metrics.as_view(), name="metrics"),
    path("status.svg", Badge.as_view(), name="status-badge"),
]
