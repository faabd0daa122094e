"""Requests that htmx may have sent."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails


class HtmxRequest(HttpRequest):
    """A request that django-htmx's middleware has seen; `htmx` is true where htmx has sent it."""

    htmx: HtmxDetails


def redirect(request: HtmxRequest, address: str) -> HttpResponse:
    """Lead to an address. htmx loads it as a page, instead of following into the part that it has asked for."""
    return HttpResponseClientRedirect(address) if request.htmx else HttpResponseRedirect(address)
