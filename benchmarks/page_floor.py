"""The least that a page of Django can be here, and the least that one of this site can be."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import engines
from django.urls import path

from config.urls import handler400, handler403, handler404, handler500
from config.urls import urlpatterns as _ours

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

_EMPTY = engines["django"].from_string('<!DOCTYPE html>\n<html lang="en"><head><title>Empty</title></head></html>\n')


@login_required
def empty(request: HttpRequest) -> HttpResponse:
    """A template with nothing in it, for somebody who is signed in: all middleware, the session, the user, no more."""
    return HttpResponse(_EMPTY.render({}, request))


@login_required
def frame(request: HttpRequest) -> HttpResponse:
    """The frame that all pages of the site share, with nothing in it."""
    return render(request, "web/base.html")


urlpatterns: list[Any] = [path("floor/empty/", empty), path("floor/frame/", frame), *_ours]
