"""The least that a page can be: one that shows nothing, to somebody who is signed in."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

from config.urls import handler400, handler403, handler404, handler500
from config.urls import urlpatterns as _ours

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]


@login_required
def empty(request: HttpRequest) -> HttpResponse:
    """The frame of the site, with nothing in it."""
    return render(request, "web/base.html")


urlpatterns: list[Any] = [path("floor/empty/", empty), *_ours]
