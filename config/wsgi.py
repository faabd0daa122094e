"""The web server's way in."""

from __future__ import annotations

import os

import django
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


class Utf8Request(WSGIRequest):
    """Addresses and forms are UTF-8, whatever charset a request names: Django would take any codec that Python has."""

    @property
    def encoding(self) -> None:
        """Nothing but the default."""
        return None

    @encoding.setter
    def encoding(self, value: str | None) -> None:
        """What the request says goes unheard."""


class Handler(WSGIHandler):
    """Django's, for such requests."""

    request_class = Utf8Request


django.setup(set_prefix=False)
application = Handler()
