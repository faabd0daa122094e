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


PATIENCE_SECONDS = 5
"""For so long a page waits for others' locks on this program's own database; commands and the worker wait longer."""


django.setup(set_prefix=False)
from config.connections import keep_few  # noqa: E402  # needs the settings
from tvarr_backup.operations.app_database import wait_less  # noqa: E402  # needs the models

wait_less(PATIENCE_SECONDS)
keep_few()
application = Handler()
