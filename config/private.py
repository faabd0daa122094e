"""Keep pages out of caches, and cookies of HTTPS requests on HTTPS."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import patch_cache_control


class Private:
    """Middleware for all responses except static files.

    gunicorn decides whether a request came by HTTPS (`FORWARDED_ALLOW_IPS`). On a plain HTTP address, browsers would drop
    `Secure` cookies. HSTS is the proxy's job.
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
