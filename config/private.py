"""Pages are not stored by browsers or proxies, and cookies of an HTTPS address are sent over HTTPS only."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import patch_cache_control


class Private:
    """Every answer but static files, which are served before this, is about the user who asks.

    Whether a request came by HTTPS is gunicorn's to say (`FORWARDED_ALLOW_IPS`). At a plain address cookies cannot be
    `Secure`, because browsers would drop them there. HSTS is the proxy's header.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        patch_cache_control(response, no_store=True)
        if request.is_secure():
            for cookie in response.cookies.values():
                cookie["secure"] = True
        return response
