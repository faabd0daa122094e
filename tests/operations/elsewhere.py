"""Other processes that work on the databases of the tests."""

import os
import subprocess
import sys
from urllib.parse import quote

from django.conf import settings
from django.db import connections

from tests.installation import ROOT
from tvarr_backup import conf
from tvarr_backup.operations.kinds import KINDS
from tvarr_backup.operations.models import Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.track import create_operation

_PRELUDE = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell turns off for what it runs in the background
import django
django.setup()
from tvarr_backup.backups.progress import Phase
from tvarr_backup.errors import *
from tvarr_backup.operations.models import *
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.track import *
def say(text):
    print(text, flush=True)
def wait_for_start():
    say("ready")
    sys.stdin.readline()
"""

WORKER = """
operation = begin(sys.argv[1])
stop_on_sigterm()
with track(operation) as tracker:
    for done in range(6000):
        tracker.progress(Phase.COPY, done, 6000)
        if done == 0:
            say("working")
        time.sleep(0.01)
"""
"""Begins the operation that it is given and works on it for a minute."""


def start(script: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Begin a script in another process."""
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": _address("default"),
        "TVARR_DATABASE_DSN": _address("tvarr"),
        "TVARR_BACKUP_DIRECTORY": str(settings.BACKUP_DIRECTORY),
        **variables,
    }
    return subprocess.Popen(
        [sys.executable, "-c", _PRELUDE + script, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _address(alias: str) -> str:
    """Return the address of a test database for another process."""
    if conf.is_file(alias):
        return str(conf.database_path(alias))
    entry = connections[alias].settings_dict
    return f"postgresql://{entry['USER']}@{quote(entry['HOST'], safe='')}/{entry['NAME']}"


def heard(process: subprocess.Popen[str], line: str) -> None:
    """Wait for a line of its output."""
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said == f"{line}\n", said + (process.communicate()[1] if not said else "")


def outputs_at_once(script: str, *arguments: str, processes: int) -> list[str]:
    """What several processes print that reach the line `wait_for_start()` and go on from there together."""
    running = [start(script, *arguments) for _ in range(processes)]
    for process in running:
        heard(process, "ready")
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0] * processes, ended
    return [output.strip() for output, _errors in ended]


def working_elsewhere(operation: Operation) -> subprocess.Popen[str]:
    """Another process that has begun a queued operation and works on it."""
    process = start(WORKER, str(operation.pk))
    heard(process, "working")
    return process


def kill(process: subprocess.Popen[str]) -> None:
    """End a process the hard way."""
    process.kill()
    process.communicate()


def queued(kind: OperationKind = OperationKind.BACKUP) -> Operation:
    """A new operation that waits."""
    return create_operation(kind, origin=Origin.WEB, state=OperationState.QUEUED, arguments=_arguments(kind))


def running(kind: OperationKind = OperationKind.BACKUP) -> Operation:
    """A new operation of this process."""
    return create_operation(kind, origin=Origin.COMMAND, state=OperationState.RUNNING, arguments=_arguments(kind))


def _arguments(kind: OperationKind) -> dict[str, str]:
    return {"location": "0" * 26} if KINDS[kind].has_location else {}
