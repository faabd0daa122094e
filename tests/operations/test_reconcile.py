"""What a crash left open is ended; what lives is left alone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_q.models import OrmQ

from tests.operations import elsewhere
from tests.operations.elsewhere import running
from tvarr_backup.backups.lock import backup_lock
from tvarr_backup.operations.models import Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.process import start_of, this_process
from tvarr_backup.operations.reconcile import _end, reconcile
from tvarr_backup.operations.run import submit

pytestmark = pytest.mark.django_db(transaction=True, databases=["default"])


def submitted() -> Operation:
    return submit(OperationKind.BACKUP, requested_by=None, origin=Origin.WEB)


def stored(operation: Operation) -> Operation:
    return Operation.objects.get(pk=operation.pk)


def change(operation: Operation, **columns: Any) -> None:
    Operation.objects.filter(pk=operation.pk).update(**columns)


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


@pytest.fixture
def killed(folder: Path) -> Operation:
    """An operation whose process was killed in the middle, with its task and a temporary file left."""
    operation = submitted()
    process = elsewhere.working_elsewhere(operation)
    (folder / ".work").mkdir(exist_ok=True)
    (folder / ".work" / "copy.db").write_bytes(b"half")
    elsewhere.kill(process)
    return operation


# --- Running ---------------------------------------------------------------------------------------------------------


def test_what_a_killed_process_left_is_ended_and_cleaned_up(killed: Operation, folder: Path) -> None:
    assert stored(killed).state == "running"
    (changed,) = reconcile()
    row = stored(killed)
    assert (changed.pk, changed.state, row.state) == (killed.pk, "interrupted", "interrupted")
    assert row.message == (
        'The process ended during the phase "copy". Unfinished files were removed. Listed backups are complete.'
    )
    assert row.finished_at is not None
    assert list((folder / ".work").iterdir()) == []


def test_it_is_done_once(killed: Operation) -> None:
    assert len(reconcile()) == 1
    ended = stored(killed)
    assert reconcile() == []
    assert stored(killed).finished_at == ended.finished_at


def test_several_processes_that_do_it_at_once_end_it_once(killed: Operation) -> None:
    script = "wait_for_start()\nsay(len(reconcile()))"
    answers = elsewhere.outputs_at_once(script, processes=3)
    assert sorted(answers) == ["0", "0", "1"]
    assert stored(killed).state == "interrupted"


def test_afterwards_the_next_one_may_start(killed: Operation) -> None:
    following = submitted()
    assert (stored(killed).state, following.state) == ("interrupted", "queued")


def test_a_zombie_is_gone(killed: Operation) -> None:
    pid = os.fork()
    if pid == 0:
        signal.pause()
    started = start_of(pid)
    assert started is not None
    change(killed, pid=pid, process_started=started)
    assert reconcile() == []
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert [operation.state for operation in reconcile()] == ["interrupted"]
    os.waitpid(pid, 0)


def test_what_lives_is_left_alone() -> None:
    operation = submitted()
    process = elsewhere.working_elsewhere(operation)
    assert reconcile() == []
    assert stored(operation).state == "running"
    elsewhere.kill(process)


def test_a_process_of_the_same_number_is_not_the_same_process() -> None:
    operation = running()
    assert reconcile() == []
    change(operation, process_started=this_process().process_started - 1)
    assert [ended.state for ended in reconcile()] == ["interrupted"]


@pytest.mark.parametrize(
    ("columns", "silent", "lost"),
    [
        ({}, 299, False),
        ({}, 301, True),
        ({"host": "lighthouse"}, 59, False),
        ({"host": "lighthouse"}, 61, True),
        ({"host": "lighthouse"}, -61, True),
        ({"host": "lighthouse", "pid": 2**22 + 1}, 59, False),
        ({"boot": "00000000-0000-0000-0000-000000000000"}, 9, False),
        ({"boot": "00000000-0000-0000-0000-000000000000"}, 11, True),
        ({"boot": "00000000-0000-0000-0000-000000000000"}, -11, True),
        ({"pid": 2**22 + 1}, 0, True),
        ({"pid": None, "process_started": None}, 0, True),
        ({"host": "lighthouse", "heartbeat_at": None}, 0, True),
    ],
)
def test_how_long_a_silence_is_believed(columns: dict[str, Any], silent: int, lost: bool) -> None:
    operation = running()
    change(operation, **({"heartbeat_at": ago(silent)} | columns))
    assert bool(reconcile()) == lost
    assert stored(operation).state == ("interrupted" if lost else "running")


def test_while_somebody_holds_the_folder_nothing_is_ended(killed: Operation, folder: Path) -> None:
    with backup_lock(folder):
        assert reconcile() == []
    assert stored(killed).state == "running"
    assert len(reconcile()) == 1


@pytest.mark.parametrize(
    "columns",
    [
        {"state": OperationState.SUCCEEDED},
        {"state": OperationState.ATTENTION, "message": "Read this."},
        {"heartbeat_at": datetime(2026, 3, 1, tzinfo=UTC)},
        {"pid": 4711},
    ],
)
def test_an_operation_that_has_changed_in_the_meantime_is_left_alone(columns: dict[str, Any], folder: Path) -> None:
    seen = running()
    change(seen, **columns)
    before = Operation.objects.values().get()
    assert not _end(seen)
    assert Operation.objects.values().get() == before


def test_an_operation_is_ended_even_if_the_folder_is_gone(killed: Operation, folder: Path, settings: Any) -> None:
    settings.BACKUP_DIRECTORY = folder / "missing" / "backups"
    (changed,) = reconcile()
    assert "Unfinished files could not be removed: The backup folder" in changed.message


def test_with_nothing_open_it_asks_one_question_and_touches_no_file(folder: Path) -> None:
    change(running(), state=OperationState.SUCCEEDED)
    with CaptureQueriesContext(connection) as queries:
        assert reconcile() == []
    assert len(queries) == 1
    assert list(folder.iterdir()) == []


# --- Queued ----------------------------------------------------------------------------------------------------------


def test_what_waits_is_left_alone() -> None:
    operation = submitted()
    OrmQ.objects.all().delete()
    change(operation, created_at=ago(3600))
    assert reconcile() == []
    assert stored(operation).state == "queued"


# --- Processes -------------------------------------------------------------------------------------------------------


@pytest.fixture
def sleeper() -> Iterator[int]:
    pid = os.fork()
    if pid == 0:
        signal.pause()
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_the_start_of_a_process_is_its_own(sleeper: int) -> None:
    assert start_of(os.getpid()) == this_process().process_started
    time.sleep(0.05)
    assert start_of(sleeper) == start_of(sleeper) != this_process().process_started
    assert start_of(2**22 + 1) is None
