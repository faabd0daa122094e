"""Requests from htmx, and redirects for them."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails


class HtmxRequest(HttpRequest):
    """A request with the attribute of django-htmx's middleware. `htmx` is true if htmx sent it."""

    htmx: HtmxDetails


def redirect(request: HtmxRequest, address: str) -> HttpResponse:
    """Redirect to an address. htmx loads it as a whole page, not into a part of the present one."""
    return HttpResponseClientRedirect(address) if request.htmx else HttpResponseRedirect(address)
