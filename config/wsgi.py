"""The entry point of the web server."""

from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


PATIENCE_SECONDS = 5
"""How long a page waits for locks on this program's own database. Commands and the worker wait longer."""


django.setup(set_prefix=False)
from config.connections import limit_kept_connections  # noqa: E402  # needs the settings
from config.handler import Handler  # noqa: E402  # needs the settings
from tvarr_backup.operations.app_database import wait_less  # noqa: E402  # needs the models

wait_less(PATIENCE_SECONDS)
limit_kept_connections()
application = Handler()
