"""What all pages have in common: compressed, and for whom is no longer signed in, the way back."""

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
    """Pages only: archives are compressed already, and a part of a file must stay the part that was asked for.

    Django adds a few random bytes, so that the length tells nothing of the secrets in a page.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.streaming or not response.get("Content-Type", "").startswith("text/html"):
            return response
        return super().process_response(request, response)


class SignedOut:
    """Whoever must sign in first comes back to the page where they were, not to an address that only takes forms.

    htmx would put the page to sign in into the middle of the page that asks: it is told to load it as a whole.
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
    """The page of ours that a request was sent from, as a path; the first page where that is not known."""
    address = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(address, {request.get_host()}, require_https=request.is_secure()):
        return reverse("home")
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path or "/"
