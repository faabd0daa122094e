"""Error responses outside of views: JSON for the API, pages for everything else."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string

from config.logs import HEALTH_PATHS
from tvarr_backup import program
from tvarr_backup.access import lockout
from tvarr_backup.api.errors import is_api, problem_response
from tvarr_backup.operations.app_database import find_problem, renew_connection
from tvarr_backup.operations.failures import explain_failure
from tvarr_backup.web.middleware import page_before
from tvarr_backup.web.refusals import sentence_of_failure, status_of


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:  # noqa: ARG001  # Django gives it by name
    sentence = "The request is invalid, or its host name is not one of ALLOWED_HOSTS."
    return _refuse(request, 400, "bad_request", "Bad request", sentence)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponseBase:  # noqa: ARG001  # Django gives it by name
    return _refuse(request, 403, "permission_denied", "Permission denied", "You do not have permission to do this.")


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponseBase:  # noqa: ARG001  # Django gives it
    sentence = "Nothing was changed, because the page has expired or the form is from another site. Reload the page and try again."
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
    """503 while this program's own database is unavailable, except for static files and health checks."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        problem = None if request.path_info in HEALTH_PATHS else find_problem()
        if problem is None:
            renew_connection()
            return self._get_response(request)
        connections[DEFAULT_DB_ALIAS].close()
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
