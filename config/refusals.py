"""Error responses outside of views: JSON for the API, pages for everything else."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import DisallowedHost, MiddlewareNotUsed
from django.db import DEFAULT_DB_ALIAS, connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse

from config.logs import HEALTH_PATHS
from tvarr_backup import program
from tvarr_backup.access import lockout
from tvarr_backup.access.origins import explain_origin
from tvarr_backup.access.proxy import sign_in_by_proxy
from tvarr_backup.api.errors import is_api, problem_response
from tvarr_backup.errors import ProxyUserRefused
from tvarr_backup.formatting import format_size
from tvarr_backup.operations.app_database import find_problem, renew_connection
from tvarr_backup.operations.failures import explain_failure
from tvarr_backup.quoting import quoted
from tvarr_backup.transfer.uploads import is_chunked
from tvarr_backup.web.documentation import START, documentation
from tvarr_backup.web.middleware import page_before
from tvarr_backup.web.refusals import sentence_of_failure, status_of


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if not isinstance(exception, DisallowedHost):
        return _refuse(request, 400, "bad_request", "Bad request", "The request is invalid.")
    name = request.META.get("HTTP_HOST", "").rpartition(":")[0] or request.META.get("HTTP_HOST", "")
    sentence = f"This service does not answer to the host name {quoted(name)}. "
    if "_" in name:
        sentence += "It has an underscore (_), which host names must not have. Use another name or the address."
    else:
        sentence += "If it is the name of this service, add it to ALLOWED_HOSTS."
    sentence += " A proxy must forward the Host header of the browser."
    return _refuse(request, 400, "host_not_allowed", "Unknown host name", sentence)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponseBase:  # noqa: ARG001  # Django gives it by name
    return _refuse(request, 403, "permission_denied", "Permission denied", "You do not have permission to do this.")


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponseBase:  # noqa: ARG001  # Django gives it
    if sentence := explain_origin(request):
        return _refuse(request, 403, "wrong_origin", "Unexpected origin", sentence)
    sentence = "Nothing was changed, because the page has expired. Reload the page and try again."
    back = "" if is_api(request) else page_before(request)
    return _refuse(request, 403, "csrf_failed", "Page expired", sentence, back=back)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:  # noqa: ARG001  # Django gives it by name
    return _refuse(request, 404, "not_found", "Page not found", "There is no page at this address.")


def failed(request: HttpRequest) -> HttpResponseBase:
    """500, or 503 if a database is unavailable."""
    explained = explain_failure(sys.exception())
    if explained is None:
        return _refuse(request, 500, "internal_error", "Server error", sentence_of_failure(None))
    status = status_of(explained)
    return _refuse(request, status, explained.code, "Temporarily unavailable", explained.sentence.without_paths())


class Unavailable:
    """503 while this program's own database is unavailable, except for static files, health checks and the documentation."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        problem = None if request.path_info in HEALTH_PATHS else find_problem()
        if problem is None:
            renew_connection()
            return self._get_response(request)
        connections[DEFAULT_DB_ALIAS].close()
        if request.path_info.startswith("/docs/"):
            request.user = AnonymousUser()
            return documentation(request, request.path_info.removeprefix("/docs/") or START)
        sentence = problem.sentence.without_paths()
        if is_api(request):
            response: HttpResponse = problem_response(503, problem.code, sentence)
        else:
            response = HttpResponse(_render_unavailable(sentence), status=503)
        response["Retry-After"] = "30"
        response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001  # `find_problem` logs it once
        return response


def _render_unavailable(sentence: str) -> str:
    context = {"title": "Temporarily unavailable", "sentence": sentence, "program": program.NAME}
    return render_to_string("emergency.html", context)


class LengthRequired:
    """411 for a chunked body that is too long to be read as a form. Only uploads read it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_chunked(request) or request.path_info in ("/backups/upload/", "/api/v1/backups/upload"):
            return self._get_response(request)
        limit = format_size(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        sentence = (
            f"Nothing was changed. The request is chunked, so it must not be longer than {limit}. Send it with "
            "Content-Length. A proxy adds it if it buffers requests (nginx: proxy_request_buffering on)."
        )
        return _refuse(request, 411, "length_required", "Length required", sentence)


class ProxySignIn:
    """Sign in the user whom a trusted proxy names. 403 if that is impossible, except for the sign-in page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        if not settings.PROXY_USER_HEADER:
            raise MiddlewareNotUsed
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        has_credentials = "Authorization" in request.headers or "X-Api-Key" in request.headers
        if not has_credentials and request.path_info not in HEALTH_PATHS and request.path_info != "/sign-in/":
            try:
                sign_in_by_proxy(request)
            except ProxyUserRefused as problem:
                sentence = f"{problem} The page {reverse('sign-in')} is for users with a password."
                return _refuse(request, 403, problem.code, "Sign-in refused", sentence)
        return self._get_response(request)


class MethodNotAllowed:
    """405 with a page, for an address that accepts only forms."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        if response.status_code != 405 or response.content:
            return response
        sentence = "This address only accepts forms from other pages. Nothing was changed."
        page = _refuse(request, 405, "method_not_allowed", "Method not allowed", sentence)
        page["Allow"] = response["Allow"]
        return page


def locked_out(request: HttpRequest, _response: Any, credentials: Any) -> HttpResponseBase:
    seconds = lockout.remaining_seconds((credentials or {}).get("username", ""), request.META.get("REMOTE_ADDR", ""))
    response = _refuse(request, 429, "locked_out", "Sign-in locked", lockout.describe_lockout(seconds))
    response["Retry-After"] = str(seconds)
    return response


def _refuse(
    request: HttpRequest, status: int, code: str, title: str, sentence: str, *, back: str = ""
) -> HttpResponseBase:
    """Respond without the database and the session, which may have failed."""
    if is_api(request):
        return problem_response(status, code, sentence)
    context = {"title": title, "sentence": sentence, "back": back}
    return HttpResponse(render_to_string("refusal.html", context), status=status)
