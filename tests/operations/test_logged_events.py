"""The log events of operations: each fact once, with its operation."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, cast

import pytest

from tests.backups.makers import raising_at
from tests.events import told
from tests.factories import UserFactory
from tests.operations.elsewhere import queued
from tests.operations.test_run import spoil
from tvarr_backup.backups.catalogue import find_backup, read_folder
from tvarr_backup.backups.lock import backup_lock
from tvarr_backup.backups.progress import Phase
from tvarr_backup.errors import BackupProtected, InternalError, OperationCancelled, TvarrBackupError
from tvarr_backup.operations import run
from tvarr_backup.operations.actions import change_backup
from tvarr_backup.operations.actors import COMMAND_LINE
from tvarr_backup.operations.kinds import KINDS, KindDescription
from tvarr_backup.operations.models import Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.run import run_here, submit
from tvarr_backup.operations.schedule import change_settings
from tvarr_backup.operations.track import cancel

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("attached")]


@pytest.fixture(autouse=True)
def _listening(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


def do(kind: OperationKind, *, origin: Origin = Origin.WEB, user: Any = None, **arguments: Any) -> Operation:
    return run_here(kind, origin=origin, requested_by=user, arguments=arguments)


def made(folder: Path, **options: Any) -> str:
    do(OperationKind.BACKUP, **options)
    return read_folder(folder).backups[0].filename


def test_a_backup_is_logged_with_its_operation_its_sizes_and_its_seconds(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filename = made(folder, user=UserFactory.create(username="marit"))
    sidecar = find_backup(folder, filename).sidecar
    (event,) = told(caplog, "backup.created")
    assert 0 < event.pop("seconds") < 10
    assert event == {
        "level": "info",
        "event": "backup.created",
        "operation": str(Operation.objects.get().pk),
        "kind": "backup",
        "origin": "web",
        "user": "marit",
        "filename": filename,
        "database_bytes": sidecar.database_size,
        "archive_bytes": sidecar.compressed_size,
    }


def test_an_operation_is_logged_from_its_start_to_its_end(caplog: pytest.LogCaptureFixture) -> None:
    operation = do(OperationKind.PRUNE)
    assert [event["event"] for event in told(caplog)] == ["operation.started", "operation.succeeded"]
    assert {event["operation"] for event in told(caplog)} == {operation.pk}


def test_nothing_of_it_is_left_in_what_is_logged_later(caplog: pytest.LogCaptureFixture) -> None:
    do(OperationKind.PRUNE)
    caplog.clear()
    run.logger.info("backup.changed")
    assert told(caplog) == [{"level": "info", "event": "backup.changed"}]


def test_of_a_command_only_what_it_does_not_print_is_logged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    filename = made(folder, origin=Origin.COMMAND)
    change_backup(COMMAND_LINE, filename, protected=True)
    with pytest.raises(BackupProtected):
        do(OperationKind.DELETE, origin=Origin.COMMAND, filename=filename)
    assert [event["event"] for event in told(caplog)] == ["backup.changed"]


def test_when_debugging_all_of_it(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    made(folder, origin=Origin.COMMAND)
    assert len(told(caplog, "backup.created")) == 1


def test_each_deleted_backup_is_logged_even_if_cleanup_is_interrupted(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(4):
        do(OperationKind.BACKUP, origin=Origin.SCHEDULE)
    oldest = [backup.filename for backup in read_folder(folder).backups][::-1]
    change_settings({"keep": 1})
    with pytest.raises(OperationCancelled):
        run_here(
            OperationKind.PRUNE, origin=Origin.WEB, watch=raising_at(Phase.PRUNE, OperationCancelled("Enough."), call=3)
        )
    removed = told(caplog, "backup.removed")
    assert [(event["filename"], event["reason"]) for event in removed] == [(name, "retention") for name in oldest[:2]]
    assert len(told(caplog, "operation.cancelled")) == 1


def test_a_deletion_is_logged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    filename = made(folder)
    do(OperationKind.DELETE, filename=filename)
    (event,) = told(caplog, "backup.removed")
    assert (event["filename"], event["reason"], event["kind"]) == (filename, "deletion", "delete")


def test_a_verification_is_logged_for_each_backup(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    good, bad = made(folder), made(folder)
    spoil(folder / bad)
    do(OperationKind.VERIFY)
    (verified,), (damaged,) = told(caplog, "backup.verified"), told(caplog, "backup.damaged")
    assert (verified["filename"], damaged["filename"]) == (good, bad)
    assert (damaged["level"], len(damaged["problems"]) > 0) == ("error", True)
    (attention,) = told(caplog, "operation.attention")
    assert bad in attention["sentences"][0]


def test_a_file_that_is_no_backup_is_logged_by_a_verification(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    filename = made(folder)
    (folder / filename).unlink()
    do(OperationKind.VERIFY)
    (event,) = told(caplog, "backup.broken")
    assert filename.startswith(event["filename"].partition(".")[0])
    assert event["reason"]


def test_an_added_backup_is_logged(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    elsewhere = (folder / made(folder)).rename(tmp_path / "from-elsewhere.db.gz")
    do(OperationKind.ADOPT, source=str(elsewhere))
    (event,) = told(caplog, "backup.adopted")
    assert event["filename"] == read_folder(folder).backups[0].filename


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (OperationKind.BACKUP, "backup.failed"),
        (OperationKind.VERIFY, "verification.failed"),
        (OperationKind.PRUNE, "pruning.failed"),
        (OperationKind.DELETE, "deletion.failed"),
        (OperationKind.ADOPT, "adoption.failed"),
        (OperationKind.RESTORE, "restore.failed"),
    ],
)
def test_a_failure_is_logged_by_its_kind_with_the_reason(
    kind: OperationKind, name: str, folder: Path, attached: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filename = made(folder)
    with backup_lock(folder), pytest.raises(TvarrBackupError):
        do(kind, filename=filename, filenames=[filename], source=str(attached))
    (event,) = told(caplog, name)
    operation = Operation.objects.first()
    assert operation is not None
    assert (event["level"], event["code"], event["reason"]) == ("error", operation.error_code, operation.error)


def test_a_fault_is_logged_with_its_traceback_beside_the_failure(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any) -> None:
        raise KeyError("harbour")

    failing = dataclasses.replace(KINDS[OperationKind.PRUNE], handler=fail)
    monkeypatch.setitem(cast("dict[OperationKind, KindDescription]", KINDS), OperationKind.PRUNE, failing)
    with pytest.raises(InternalError):
        do(OperationKind.PRUNE)
    assert "KeyError: 'harbour'" in told(caplog, "operation.fault")[0]["exception"]
    assert len(told(caplog, "pruning.failed")) == 1


def test_who_asks_for_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    operation = submit(OperationKind.BACKUP, requested_by=UserFactory.create(username="marit"), origin=Origin.API)
    (event,) = told(caplog)
    assert event == {
        "level": "info",
        "event": "operation.queued",
        "operation": operation.pk,
        "kind": "backup",
        "origin": "api",
        "user": "marit",
    }


def test_a_canceled_operation_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    operation = queued()
    cancel(operation)
    assert [(event["event"], event["operation"]) for event in told(caplog)] == [("operation.cancelled", operation.pk)]


def test_an_interrupted_operation_is_logged_with_its_user(caplog: pytest.LogCaptureFixture) -> None:
    operation = submit(OperationKind.BACKUP, requested_by=UserFactory.create(username="marit"), origin=Origin.COMMAND)
    Operation.objects.update(state=OperationState.RUNNING, host="elsewhere", heartbeat_at=None)
    (ended,) = reconcile()
    (event,) = told(caplog, "operation.interrupted")
    assert (event["level"], event["operation"], event["user"]) == ("warning", operation.pk, "marit")
    assert event["reason"] == ended.message


def test_a_new_schedule_is_logged_when_it_is_stored(
    caplog: pytest.LogCaptureFixture, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        change_settings({"cron": "0 3 * * *", "keep": 3})
        assert told(caplog) == []
    (event,) = told(caplog)
    assert (event["event"], event["cron"], event["retention"]) == ("schedule.changed", "0 3 * * *", 3)
