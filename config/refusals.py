"""What is answered where no view has: as JSON to programs, as a page to people."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.views import defaults

from tvarr_backup.api.errors import answer, is_api


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """400: a host that is not allowed, or a request that makes no sense."""
    if is_api(request):
        return answer(400, "bad_request", "The request makes no sense, or names a host that is not allowed.")
    return defaults.bad_request(request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """403."""
    if is_api(request):
        return answer(403, "permission_denied", "You are not allowed to do this.")
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """404: no such address."""
    if is_api(request):
        return answer(404, "not_found", "There is nothing at this address.")
    return defaults.page_not_found(request, exception)


def failed(request: HttpRequest) -> HttpResponseBase:
    """500: our fault; the log has it."""
    if is_api(request):
        return answer(500, "internal_error", "Something failed that should not; the log of the service says what.")
    return defaults.server_error(request)
