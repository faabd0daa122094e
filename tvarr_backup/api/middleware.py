"""What all of `/api/` has in common before a view is found."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from tvarr_backup.api.errors import is_api


class OptionalSlash:
    """A slash at the end of an API address means nothing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if is_api(request) and request.path_info.endswith("/"):
            request.path_info = request.path_info[:-1]
        return self._get_response(request)
