"""Private answers: browsers and proxies do not store pages, and HTTPS cookies are sent over HTTPS only."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import patch_cache_control


class Private:
    """Applies to every answer except static files, which are served before this.

    gunicorn decides whether a request came by HTTPS (`FORWARDED_ALLOW_IPS`). Browsers would drop `Secure` cookies of a plain
    address. HSTS is the proxy's header.
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
