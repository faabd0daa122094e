"""The task of the queue: stored with its operation, and performed once."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django_q.models import OrmQ

from tests.factories import UserFactory
from tests.installation import Installation
from tests.processes import family, none_is_left, wait_until
from tvarr_backup.backups.catalogue import read_folder
from tvarr_backup.backups.lock import backup_lock
from tvarr_backup.errors import OperationRunning
from tvarr_backup.operations.models import Operation, OperationKind, Origin
from tvarr_backup.operations.run import submit
from tvarr_backup.operations.track import cancel
from tvarr_backup.tasks import run_operation


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    return tmp_path / "backups"


def submitted(**arguments: Any) -> Operation:
    return submit(OperationKind.BACKUP, requested_by=None, origin=Origin.WEB, arguments=arguments)


@pytest.mark.django_db
def test_an_operation_and_its_task_are_stored_together(folder: Path) -> None:
    user = UserFactory.create()
    operation = submit(OperationKind.BACKUP, requested_by=user, origin=Origin.WEB, arguments={"note": "Hafen"})
    row, task = Operation.objects.get(), OrmQ.objects.get()
    assert operation == row
    assert (row.state, row.requested_by, row.arguments) == ("queued", user, {"note": "Hafen"})
    assert (task.func(), task.args()) == ("tvarr_backup.tasks.run_operation", (row.pk,))


@pytest.mark.sqlite  # by its trigger
@pytest.mark.django_db
def test_if_the_queue_refuses_neither_is_stored(folder: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON django_q_ormq BEGIN SELECT RAISE(ABORT, 'no queue today'); END"
        )
    with pytest.raises(DatabaseError, match="no queue today"):
        submitted()
    assert Operation.objects.count() == 0


@pytest.mark.django_db
def test_a_second_operation_is_not_queued(folder: Path) -> None:
    submitted()
    with pytest.raises(OperationRunning):
        submitted()
    assert (Operation.objects.count(), OrmQ.objects.count()) == (1, 1)


@pytest.mark.django_db
def test_the_task_of_a_canceled_operation_does_nothing(folder: Path) -> None:
    operation = cancel(submitted())
    run_operation(operation.pk)
    assert Operation.objects.get().state == "cancelled"
    assert not folder.exists()


@pytest.mark.django_db
def test_the_task_does_the_work(folder: Path, attached: Path) -> None:
    run_operation(submitted(note="Hafen").pk)
    (backup,) = read_folder(folder).backups
    assert (Operation.objects.get().state, backup.sidecar.note) == ("succeeded", "Hafen")


@pytest.mark.django_db
def test_a_task_that_is_delivered_twice_is_done_once(
    folder: Path, attached: Path, caplog: pytest.LogCaptureFixture
) -> None:
    operation = submitted()
    run_operation(operation.pk)
    once = Operation.objects.values().get()
    caplog.clear()
    run_operation(operation.pk)
    assert len(read_folder(folder).backups) == 1
    assert (Operation.objects.values().get(), caplog.records) == (once, [])


@pytest.mark.django_db
def test_a_task_without_its_operation_does_nothing(folder: Path) -> None:
    run_operation("01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert not folder.exists()


@pytest.mark.django_db
def test_a_failure_is_in_the_row_only(folder: Path, attached: Path) -> None:
    operation = submitted()
    folder.mkdir(exist_ok=True)
    with backup_lock(folder):
        run_operation(operation.pk)
    row = Operation.objects.get()
    assert (row.state, row.error_code) == ("failed", "backup_busy")


# --- With a real worker ----------------------------------------------------------------------------------------------

_SUBMIT = """
from tvarr_backup.operations.models import *
from tvarr_backup.operations.run import submit
print(submit(OperationKind.BACKUP, requested_by=None, origin=Origin.WEB, arguments={"note": "Hafen"}).pk)
"""


@pytest.fixture
def worker(prepared: Installation) -> Iterator[subprocess.Popen[bytes]]:
    with (prepared.data.parent / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            prepared.command("worker"), env=prepared.variables(), stdout=log, stderr=log, start_new_session=True
        )
    yield process
    processes = family(process.pid)
    process.terminate()
    process.wait(timeout=30)
    none_is_left(processes)


def test_a_real_worker_makes_the_backup(prepared: Installation, worker: subprocess.Popen[bytes]) -> None:
    name = prepared.ok("shell", "--no-imports", "-c", _SUBMIT).split()[-1]

    def look(query: str) -> Any:
        with closing(sqlite3.connect(prepared.data / "app.db")) as database:
            return database.execute(query).fetchall()

    state = f"SELECT state, error FROM operations_operation WHERE id = '{name}'"
    wait_until(lambda: look(state)[0][0] not in ("queued", "running"), "the operation ends", seconds=40)
    assert look(state) == [("succeeded", "")]
    wait_until(lambda: not look("SELECT id FROM django_q_ormq"), "its task leaves the queue")
    (backup,) = read_folder(prepared.data / "backups").backups
    assert backup.sidecar.note == "Hafen"
