"""Keep pages out of caches, cookies of HTTPS requests on HTTPS, and all cookies below the base path."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
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
        for cookie in response.cookies.values():
            cookie["path"] = settings.SESSION_COOKIE_PATH  # Django has no setting for that of messages
            cookie["secure"] = cookie["secure"] or request.is_secure()
        return response
