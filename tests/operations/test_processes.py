"""Operations among real processes: what only one may do, what a signal leaves, and a database that is locked."""

from __future__ import annotations

import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django_q.models import OrmQ, Schedule

from tests.events import told
from tests.operations import elsewhere
from tests.operations.elsewhere import queued, running
from tvarr_backup import conf
from tvarr_backup.backups.progress import Phase
from tvarr_backup.operations.models import BackupSettings, Operation, OperationState
from tvarr_backup.operations.schedule import schedule_as_data
from tvarr_backup.operations.track import cancel, track

pytestmark = pytest.mark.django_db(transaction=True, databases=["default"])


def stored(operation: Operation) -> Operation:
    return Operation.objects.get(pk=operation.pk)


@contextmanager
def locked_elsewhere(seconds: float) -> Iterator[None]:
    """Somebody else writes into `default`, for so long, and we wait only a tenth of a second each time."""
    held = threading.Event()

    def hold() -> None:
        with closing(sqlite3.connect(conf.database_path("default"), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            held.set()
            time.sleep(seconds)
            other.execute("ROLLBACK")

    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 100")
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    yield
    thread.join()
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 20000")


def test_of_many_that_ask_at_once_one_gets_it() -> None:
    script = """
wait_for_start()
try:
    create_operation(OperationKind.BACKUP, origin=Origin.COMMAND, state=OperationState.QUEUED)
    say("created")
except OperationRunning as refusal:
    say(f"{refusal.code}")
"""
    answers = elsewhere.outputs_at_once(script, processes=4)
    assert sorted(answers) == ["created"] + ["operation_running"] * 3
    assert Operation.objects.count() == 1


def test_of_two_processes_that_begin_at_once_exactly_one_does() -> None:
    for _ in range(3):
        operation = queued()
        script = "wait_for_start()\nsay(begin(sys.argv[1]) and begin(sys.argv[1]) is None)"
        answers = elsewhere.outputs_at_once(script, operation.pk, processes=2)
        assert sorted(answers) == ["None", "True"]
        Operation.objects.update(state=OperationState.SUCCEEDED)


def test_of_workers_that_look_at_the_schedule_at_once_one_asks_for_a_backup() -> None:
    script = "from tvarr_backup.operations.schedule import request_due\nwait_for_start()\nrequest_due()\nsay('looked')"
    elsewhere.outputs_at_once(script, processes=3)
    assert Schedule.objects.count() == 1
    for number in range(1, 4):
        Schedule.objects.update(next_run=datetime.now(UTC) - timedelta(minutes=1))
        elsewhere.outputs_at_once(script, processes=2)
        assert Operation.objects.filter(state=OperationState.QUEUED).count() == 1
        assert OrmQ.objects.count() == number
        Operation.objects.update(state=OperationState.SUCCEEDED)
    assert Operation.objects.count() == 3


@pytest.mark.sqlite
def test_a_locked_database_is_no_reason_to_throw_the_work_away(caplog: pytest.LogCaptureFixture) -> None:
    operation = running()
    with locked_elsewhere(0.7), track(operation) as tracker:
        tracker.progress(Phase.COPY, 10, 100)
        (event,) = told(caplog, "operation.progress_unwritten")
        assert (event["operation"], event["reason"]) == (operation.pk, "database is locked")
    assert (stored(operation).state, stored(operation).done_bytes) == ("succeeded", 10)


@pytest.mark.parametrize(
    ("number", "state"), [(signal.SIGTERM, "interrupted"), (signal.SIGINT, "interrupted"), (signal.SIGKILL, "running")]
)
def test_a_signal_ends_the_work_of_a_real_process(number: signal.Signals, state: str) -> None:
    operation = queued()
    process = elsewhere.working_elsewhere(operation)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert stored(operation).state == state


def test_a_real_process_is_cancelled_within_seconds() -> None:
    operation = queued()
    process = elsewhere.working_elsewhere(operation)
    asked = time.monotonic()
    cancel(operation)
    process.communicate(timeout=30)
    assert stored(operation).state == "cancelled"
    assert time.monotonic() - asked < 10


_CHANGE = """
from tvarr_backup.operations.schedule import change_settings
wait_for_start()
change_settings({sys.argv[1]: sys.argv[2]})
"""


def test_of_two_processes_that_change_different_things_at_once_both_succeed() -> None:
    processes = [elsewhere.start(_CHANGE, *change) for change in (("cron", "0 3 * * *"), ("time_zone", "Asia/Tokyo"))]
    for process in processes:
        elsewhere.heard(process, "ready")
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert (BackupSettings.load().cron, BackupSettings.load().time_zone) == ("0 3 * * *", "Asia/Tokyo")
    assert Schedule.objects.get().next_run == datetime.fromisoformat(schedule_as_data()["next_runs"][0])
