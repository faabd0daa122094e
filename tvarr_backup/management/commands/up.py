"""`up`: prepare, then serve."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """Becomes gunicorn, so that signals and the exit status are its own."""

    help = "Prepare both databases, then serve until stopped."
    requires_system_checks = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Does not return."""
        call_command("prepare")
        host, port = settings.SERVER_HOST, settings.SERVER_PORT
        shown = f"[{host}]" if ":" in host else host
        self.stdout.write(f"Serving http://{shown}:{port}/")
        self.stdout.flush()
        arguments = [sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"{shown}:{port}"]
        arguments += ["--pythonpath", str(settings.BASE_DIR)]  # whatever the working directory is
        arguments += ["--worker-class", "gthread", "--workers", "2", "--threads", "4", "--no-control-socket"]
        os.execv(sys.executable, arguments)  # noqa: S606  # our own interpreter, no shell
