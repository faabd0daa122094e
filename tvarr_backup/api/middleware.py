"""Checks of requests before a view is found."""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponseBase

from tvarr_backup.api.errors import is_api, problem_response

_UTF_8 = {"utf-8", "utf8"}


class RequestChecks:
    """Ignore a slash at the end of an API address, and refuse bodies that Django would misread.

    Addresses of pages that contain NUL are refused too.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_api(request):
            if "\0" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
                raise SuspiciousOperation("The address contains NUL.")  # SQLite finds nothing, PostgreSQL fails
            return self._get_response(request)
        request.path_info = request.path_info.removesuffix("/")
        return _refuse_body(request) or self._get_response(request)


def _refuse_body(request: HttpRequest) -> HttpResponseBase | None:
    """Refuse another charset, with which Django would decode addresses too."""
    if (request.content_params or {}).get("charset", "utf-8").lower() not in _UTF_8:
        return problem_response(415, "unsupported_media_type", "Expected a body in the charset utf-8.")
    return None
