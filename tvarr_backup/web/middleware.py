"""Middleware for pages: compression, and the way back after a new sign-in."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect

from tvarr_backup.web.htmx import HtmxRequest


class Compressed(GZipMiddleware):
    """Compress pages only. Archives are compressed already, and a range of a file must stay as it is.

    Django adds random bytes, so that the length reveals no secret in a page.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.streaming or not response.get("Content-Type", "").startswith("text/html"):
            return response
        return super().process_response(request, response)


class SignedOut:
    """Lead users back to their page after a new sign-in, not to an address that only accepts forms.

    htmx gets a redirect that loads the sign-in page as a whole, not into a part of the present page.
    """

    def __init__(self, get_response: Callable[[HtmxRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HtmxRequest) -> HttpResponse:
        response = self._get_response(request)
        if not response.get("Location", "").startswith(f"{reverse('sign-in')}?next="):
            return response
        address = redirect_to_login(page_before(request)).url + ("&unsent=1" if request.method == "POST" else "")
        if request.htmx:
            return HttpResponseClientRedirect(address)
        if request.method == "POST":
            response["Location"] = address
        return response


def page_before(request: HttpRequest) -> str:
    """Return the path of our page that a request came from, or of the start page."""
    address = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(address, {request.get_host()}, require_https=request.is_secure()):
        return reverse("home")
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path or "/"
