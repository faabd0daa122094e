"""No logic reads a sentence: with every sentence reworded, the program does what it did."""

from __future__ import annotations

import faulthandler
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reworded import LEFT_OUT
from tvarr_backup.program import ROOT

TESTS = Path(__file__).parent
PACKAGES = {
    "backups": (
        "test_restore.py",
        "test_adopt.py",
        "test_verify.py",
        "test_catalogue.py",
        "test_offline.py",
        "test_rehearsal.py",
    ),
    "locations": ("test_copies.py", "test_folder.py"),
    "receivers": ("test_mail.py", "test_webhook.py", "test_apprise.py"),
    "matches": ("test_preview.py", "test_proxies.py", "test_rows.py"),
    "operations": (
        "test_run.py",
        "test_track.py",
        "test_reconcile.py",
        "test_health.py",
        "test_schedule.py",
        "test_copying.py",
        "test_alerts.py",
        "test_watch.py",
        "test_receivers.py",
        "test_rehearsals.py",
    ),
    "portable": ("test_plan.py", "test_apply.py", "test_envelope.py", "test_export.py"),
    "api": (
        "test_backups.py",
        "test_operations.py",
        "test_uploads.py",
        "test_portable.py",
        "test_errors.py",
        "test_locations.py",
        "test_receivers.py",
        "test_rehearsals.py",
        "test_matches.py",
    ),
    "web": (
        "test_backups.py",
        "test_restore.py",
        "test_operations.py",
        "test_upload.py",
        "test_imports.py",
        "test_locations.py",
        "test_receivers.py",
        "test_expressions.py",
        "test_import_matches.py",
    ),
}
"""The files in which what users do is tested, by package."""


@pytest.mark.long
@pytest.mark.parametrize("package", PACKAGES)
def test_with_other_words_everything_is_done_as_before(package: str) -> None:
    files = [str(TESTS / package / name) for name in PACKAGES[package]]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.reworded",
        "-m",
        "not long and not wording",
        "-n",
        "0",
        "-q",
        *files,
    ]
    faulthandler.cancel_dump_traceback_later()  # each test of the inner run has its own limit
    # It is no process of the run that started it.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=3600, check=False)
    assert done.returncode == 0, f"Logic reads a sentence, or a test needs the mark `wording`:\n{done.stdout[-20_000:]}"
    passed = re.search(r"([0-9]+) passed", done.stdout)
    assert passed is not None, done.stdout
    assert int(passed[1]) > 2 * done.stdout.count(LEFT_OUT), "Most of what is done must still be tested."
