"""What all of `/api/` has in common before a view is found."""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponseBase

from tvarr_backup.api.errors import answer, is_api

_UTF_8 = {"utf-8", "utf8"}


class Entrance:
    """A slash at the end of an API address means nothing; a body has a length and is UTF-8.

    Addresses of pages with a NUL are refused.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_api(request):
            if "\0" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
                raise SuspiciousOperation("There is a NUL in the address.")  # SQLite finds nothing, PostgreSQL fails
            return self._get_response(request)
        request.path_info = request.path_info.removesuffix("/")
        return _refusal_of_body(request) or self._get_response(request)


def _refusal_of_body(request: HttpRequest) -> HttpResponseBase | None:
    """What Django would misread: it takes a body in chunks for none, and decodes addresses, too, by the body's charset."""
    if "Transfer-Encoding" in request.headers:
        return answer(411, "length_required", "A body in chunks is not taken; say its length in Content-Length.")
    if (request.content_params or {}).get("charset", "utf-8").lower() not in _UTF_8:
        return answer(415, "unsupported_media_type", "The body's charset is not taken here; allowed is utf-8.")
    return None
