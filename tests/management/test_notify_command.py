"""The command `notify`: real processes, a real receiver, kills at the worst moment."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.installation import ROOT, Installation
from tests.processes import wait_until
from tests.receivers.web_receiver import Received, Reply, WebReceiver, running_receiver

_PATIENCE_SECONDS = 120


class Running:
    """A process `notify` or `worker`."""

    def __init__(self, installation: Installation, command: str = "notify") -> None:
        self.process = subprocess.Popen(
            installation.command(command), env=installation.variables(), stderr=subprocess.PIPE, text=True
        )

    def end(self) -> str:
        """Stop it, and return what it has logged."""
        self.process.terminate()
        return self.process.communicate(timeout=60)[1]


def with_receiver(installation: Installation, web: WebReceiver, **environment: str) -> Installation:
    installation.environment |= {"TVARR_NOTIFY_URLS": f"webhook+{web.url}/wharf-lantern", "TVARR_NOTIFY_NAME": "attic"}
    installation.environment |= environment
    return installation


def messages(web: WebReceiver) -> list[tuple[str, bool]]:
    found = [json.loads(received.body) for received in web.received if received.body.startswith(b"{")]
    return [(message["event"], message["is_over"]) for message in found]


def wait_for(condition: Callable[[], bool], what: str) -> None:
    wait_until(condition, what, seconds=_PATIENCE_SECONDS)


def rows(installation: Installation, sql: str) -> list[Any]:
    with closing(sqlite3.connect(installation.data / "app.db")) as connection, connection:
        return connection.execute(sql).fetchall()


Start = Callable[..., Running]


@pytest.fixture
def start(prepared: Installation) -> Iterator[Start]:
    """Starts a process, by default `notify`, waits until it runs, and ends it after the test."""
    running: list[Running] = []

    def start(command: str = "notify", file: str = "sender") -> Running:
        running.append(Running(prepared, command))
        pid = f'"pid": {running[-1].process.pid},'
        path = prepared.data / file
        wait_for(lambda: path.is_file() and pid in path.read_text(), f"{command} runs")
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.end()
        elif one.process.stderr:
            one.process.stderr.close()


def test_a_worker_that_is_killed_is_reported_and_so_is_its_return(prepared: Installation, start: Start) -> None:
    with running_receiver() as web:
        with_receiver(prepared, web)
        worker = start("worker", "worker")
        sending = start()
        wait_for(lambda: bool(rows(prepared, "SELECT 1 FROM operations_receiver")), "the receiver is stored")
        worker.process.kill()
        worker.process.wait()
        killed = time.monotonic()
        wait_for(lambda: ("worker_stopped", False) in messages(web), "the message")
        print(f"\nThe dead worker was reported after {time.monotonic() - killed:.0f} s.")  # noqa: T201  # for reading
        start("worker", "worker")
        wait_for(lambda: ("worker_stopped", True) in messages(web), "the end")
        logged = sending.end()
        assert messages(web) == [("worker_stopped", False), ("worker_stopped", True)]
    assert "wharf-lantern" not in logged


def test_a_kill_between_sending_and_recording_repeats_the_message_once(prepared: Installation, start: Start) -> None:
    killed: list[int] = []

    def kill_at_first(_received: Received) -> Reply:
        if not killed:
            killed.append(first.process.pid)
            os.kill(first.process.pid, signal.SIGKILL)
        return Reply()

    with running_receiver(kill_at_first) as web:
        with_receiver(prepared, web)
        _fail_a_verification(prepared)
        first = Running(prepared)
        first.process.communicate(timeout=_PATIENCE_SECONDS)
        assert len(web.received) == 1
        again = start()
        rows(prepared, "UPDATE operations_outboxmessage SET claimed_until = NULL")  # as after two minutes
        sent = "SELECT state, attempts FROM operations_outboxmessage WHERE event = 'verification_failed'"
        wait_for(lambda: rows(prepared, sent) == [("sent", 2)], "the message is sent")
        again.end()
        ids = [json.loads(received.body)["id"] for received in web.received if b"verification_failed" in received.body]
    assert len(ids) == 2
    assert len(set(ids)) == 1


def _fail_a_verification(installation: Installation) -> None:
    """Let an operation end as failed."""
    code = (
        "from tvarr_backup.operations.models import *; from tvarr_backup.operations.track import *; "
        "from tvarr_backup.errors import BackupBroken\n"
        "operation = create_operation(OperationKind.VERIFY, origin=Origin.WEB, state=OperationState.RUNNING)\n"
        "try:\n"
        "    with track(operation):\n"
        "        raise BackupBroken('It is broken.')\n"
        "except BackupBroken:\n"
        "    pass\n"
    )
    installation.ok("shell", "--no-imports", "-c", code)


@pytest.mark.long
def test_a_damaged_own_database_is_reported_and_so_is_its_repair(prepared: Installation, start: Start) -> None:
    with running_receiver() as web:
        with_receiver(prepared, web)
        sending = start()
        wait_for(lambda: bool(rows(prepared, "SELECT 1 FROM operations_receiver")), "the receiver is stored")
        for ending in ("", "-wal", "-shm"):
            if (path := prepared.data / f"app.db{ending}").exists():
                path.rename(prepared.data / f"aside.db{ending}")
        (prepared.data / "app.db").write_bytes(b"no database" * 1000)
        wait_for(lambda: ("own_database", False) in messages(web), "the message")
        for ending in ("-wal", "-shm", ""):
            if (path := prepared.data / f"aside.db{ending}").exists():
                path.rename(prepared.data / f"app.db{ending}")
        wait_for(lambda: ("own_database", True) in messages(web), "the end")
        sending.end()


def test_a_second_one_is_refused(prepared: Installation, start: Start) -> None:
    start()
    assert "already running" in prepared.refused("notify")


_IMPORTED = """
import sys
import django
django.setup()
import {module}
print(sorted({{"apprise", "smtplib", "tvarr_backup.operations.delivery"}} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("config.urls", []),
        ("tvarr_backup.worker", []),
        ("tvarr_backup.sender", ["smtplib", "tvarr_backup.operations.delivery"]),
    ],
)
def test_only_the_sending_process_imports_what_sends_and_nothing_imports_apprise(
    prepared: Installation, module: str, imported: list[str]
) -> None:
    environment = prepared.variables() | {"DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", _IMPORTED.format(module=module)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == str(imported)
