"""`up` in a cell: the part before its programs run, or all of it as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from django.conf import settings

from tests.installation import _HEED_MODES, ROOT
from tests.matrix.apart import heeds_modes
from tests.matrix.entrances import Done, command
from tests.ups import free_port
from tvarr_backup.management.commands import up


class _Recorder:
    """Replaces the supervisor, which would not return."""

    def __init__(self, programs: Any, *_others: Any, **_options: Any) -> None:
        _started.extend(list(program.command) for program in programs)

    def run(self) -> None:
        """Return at once."""


_started: list[list[str]] = []


def start_up_without_waiting() -> tuple[Done, list[list[str]]]:
    """Return what `up` prints before it serves, and the commands of its programs."""
    _started.clear()
    with patch.object(up, "Supervisor", _Recorder):
        done = command("up")
    return done, list(_started)


@contextmanager
def running_up() -> Iterator[int]:
    """Run a real `up`, and yield the port of its web server. Raises `AssertionError` with its log if it fails."""
    port = free_port()
    variables = os.environ | {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "TVARR_BACKUP_DIRECTORY": str(settings.BACKUP_DIRECTORY),
        "TVARR_BACKUP_SCHEDULE_ENABLED": "false",
        "TVARR_SERVER_PORT": str(port),
    }
    prefix = _HEED_MODES if os.geteuid() == 0 and heeds_modes() else ()
    process = subprocess.Popen(
        [*prefix, sys.executable, str(ROOT / "manage.py"), "up"],
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while status_of(port, "/healthz") != 200:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise AssertionError(process.communicate()[1][-1000:])
            time.sleep(0.1)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def status_of(port: int, path: str) -> int:
    """Return the status of an answer; 0 if there is none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as answer:
        return answer.code
    except (urllib.error.URLError, OSError):
        return 0
