"""Forms that a browser sends from another address than this service knows as its own."""

from __future__ import annotations

from typing import Any, NoReturn

from django.http import HttpRequest
from django.middleware.csrf import CsrfViewMiddleware

from tvarr_backup.quoting import cut
from tvarr_backup.texts import escape_hidden


def explain_origin(request: HttpRequest) -> str:
    """Return why Django refuses the origin of a form, with both addresses and the settings that help, or "" if it does not."""
    origin = escape_hidden(cut(request.headers.get("Origin", "")))
    check: Any = CsrfViewMiddleware(_unused)
    if not origin or check._origin_verified(request):  # noqa: SLF001  # otherwise only Django's sentence says so
        return ""
    return (
        f"Nothing was changed, because the form was sent from {origin}, and this service expects "
        f"{request.scheme}://{request.get_host()}. If both are addresses of this service, set CSRF_TRUSTED_ORIGINS={origin}. Or let "
        "the proxy forward the Host header with its port and send X-Forwarded-Proto, and add its address to FORWARDED_ALLOW_IPS."
    )


def _unused(_request: HttpRequest) -> NoReturn:
    raise AssertionError
