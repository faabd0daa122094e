"""What web processes do not load."""

import subprocess
import sys
from typing import Any

from tests.installation import ROOT

_IMPORT_ALL = """
import importlib, pkgutil, sys
import config.wsgi
for package in ("web", "api", "admin"):
    module = importlib.import_module(f"tvarr_backup.{package}")
    for found in pkgutil.walk_packages(module.__path__, f"tvarr_backup.{package}."):
        importlib.import_module(found.name)
sending = {f"tvarr_backup.receivers.{name}" for name in ("apprise_program", "apprise_receiver", "mail", "send", "web_requests", "webhook")}
print(*sorted(({"apprise", "smtplib"} | sending) & set(sys.modules)))
"""


def test_web_processes_do_not_load_what_sends_messages(prepared: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL],
        cwd=ROOT,
        env=prepared.variables() | {"DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr
