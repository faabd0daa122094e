"""Log requests at `debug`, and bind the user and the origin to all log lines of a request."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog
from django.core.signals import request_finished
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponseBase
from django.utils.functional import SimpleLazyObject, empty
from structlog.contextvars import bind_contextvars, clear_contextvars

from config.logs import HEALTH_PATHS
from tvarr_backup.api.errors import is_api
from tvarr_backup.operations.models import Origin

logger = structlog.stdlib.get_logger(__name__)


class RequestLog:
    """Values stay bound until the response is closed, because a stream is read after the view has returned."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.monotonic()
        clear_contextvars()
        bind_contextvars(origin=str(Origin.API if is_api(request) else Origin.WEB), user=lambda: _get_username(request))
        response = self._get_response(request)
        if request.path_info not in HEALTH_PATHS:
            logger.debug(
                "request.answered",
                method=request.method,
                path=request.path_info,
                status=response.status_code,
                seconds=round(time.monotonic() - started, 3),
            )
        return response


@receiver(request_finished)
def _clear(**_: Any) -> None:
    clear_contextvars()


def _get_username(request: HttpRequest) -> str | None:
    """Return the user's name if it was loaded already. The query for it may be what has just failed."""
    user: Any = getattr(request, "user", None)
    if user is None or (isinstance(user, SimpleLazyObject) and user.__dict__["_wrapped"] is empty):
        return None
    return user.get_username() or None
