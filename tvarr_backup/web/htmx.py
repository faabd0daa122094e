"""Requests as views get them."""

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


class HtmxRequest(HttpRequest):
    """A request that django-htmx's middleware has seen; `htmx` is true where htmx has sent it."""

    htmx: HtmxDetails
