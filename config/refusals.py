"""What is answered where no view has: as JSON to programs, as a page to people."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string

from tvarr_backup.access import lockout
from tvarr_backup.api.errors import answer, is_api
from tvarr_backup.web.middleware import page_before
from tvarr_backup.web.refusals import CANNOT_BE_USED, sentence_of_failure


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:  # noqa: ARG001  # Django gives it by name
    """400: a host that is not allowed, or a request that makes no sense."""
    sentence = "The request makes no sense, or names a host that is not one of ALLOWED_HOSTS."
    return _refuse(request, 400, "bad_request", "Bad request", sentence)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponseBase:  # noqa: ARG001  # Django gives it by name
    """403."""
    return _refuse(request, 403, "permission_denied", "Not allowed", "You are not allowed to do this.")


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponseBase:  # noqa: ARG001  # Django gives it
    """403: a form that was not filled in on one of our pages, or on one that is too old."""
    sentence = "This form was not sent by a page of this site, or the page was too old; load it again and repeat it."
    back = "" if is_api(request) else page_before(request)
    return _refuse(request, 403, "csrf_failed", "Nothing was done", sentence, back=back)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:  # noqa: ARG001  # Django gives it by name
    """404: no such address."""
    return _refuse(request, 404, "not_found", "Not found", "There is nothing at this address.")


def failed(request: HttpRequest) -> HttpResponseBase:
    """500: our fault; 503 where a database cannot be used just now. The log has it."""
    problem = sys.exception()
    sentence = sentence_of_failure(problem)
    if isinstance(problem, CANNOT_BE_USED):
        return _refuse(request, 503, "database_unusable", "Not now", sentence)
    return _refuse(request, 500, "internal_error", "Our fault", sentence)


class OtherMethods:
    """405 with a page: an address that only takes forms, typed or loaded again."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        if response.status_code != 405 or response.content:
            return response
        sentence = "There is nothing to see at this address: it only takes what the form of another page sends."
        page = _refuse(request, 405, "method_not_allowed", "Nothing was done", sentence)
        page["Allow"] = response["Allow"]
        return page


def locked_out(request: HttpRequest, _response: Any, credentials: Any) -> HttpResponseBase:
    """429 on the page to sign in: too many wrong passwords."""
    seconds = lockout.seconds_closed((credentials or {}).get("username", ""), request.META.get("REMOTE_ADDR", ""))
    response = _refuse(request, 429, "locked_out", "Closed for now", lockout.sentence(seconds))
    response["Retry-After"] = str(seconds)
    return response


def _refuse(
    request: HttpRequest, status: int, code: str, title: str, sentence: str, *, back: str = ""
) -> HttpResponseBase:
    """The page needs neither database nor session: it is shown when those fail, too."""
    if is_api(request):
        return answer(status, code, sentence)
    shown = {"title": title, "sentence": sentence, "back": back}
    return HttpResponse(render_to_string("refusal.html", shown), status=status)
