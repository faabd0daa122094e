"""What each kind of operation does, on a real database and in a real folder."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.backups.makers import raising_at
from tests.operations.elsewhere import queued
from tvarr_backup.backups.catalogue import find_backup, protect_backup, read_folder
from tvarr_backup.backups.lock import backup_lock
from tvarr_backup.backups.progress import Phase
from tvarr_backup.errors import (
    BackupBusy,
    BackupNotFound,
    BackupProtected,
    InternalError,
    OperationCancelled,
    OperationForeign,
    OperationRunning,
    PreconditionFailed,
    TvarrBackupError,
    UploadRefused,
)
from tvarr_backup.operations import track
from tvarr_backup.operations.models import BackupSettings, Operation, OperationKind, Origin
from tvarr_backup.operations.report import backup_as_data
from tvarr_backup.operations.run import perform, run_here
from tvarr_backup.operations.track import begin, cancel

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("attached")]


def do(kind: OperationKind, *, origin: Origin = Origin.COMMAND, **arguments: Any) -> Operation:
    return run_here(kind, origin=origin, arguments=arguments)


def made(*, origin: Origin = Origin.COMMAND, note: str = "") -> str:
    """The file name of a new backup."""
    result = do(OperationKind.BACKUP, origin=origin, note=note).result
    assert result is not None
    return str(result["backup"]["filename"])


def filenames(folder: Path) -> list[str]:
    return [backup.filename for backup in read_folder(folder).backups]


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def refused(expected: type[TvarrBackupError], kind: OperationKind, **arguments: Any) -> Operation:
    """An operation that must fail in this way, as it is stored."""
    with pytest.raises(expected) as failure:
        do(kind, **arguments)
    operation = Operation.objects.all()[0]
    assert (operation.state, operation.error_code, operation.error) == ("failed", expected.code, str(failure.value))
    return operation


def test_an_operation_for_another_database_is_not_done_on_this_one(folder: Path) -> None:
    operation = queued()
    Operation.objects.update(database="/elsewhere/tvarr.db")
    begun = begin(operation.pk)
    assert begun is not None
    with pytest.raises(OperationForeign, match=r"The operation was started for /elsewhere/tvarr\.db,"):
        perform(begun)
    assert (begun.state, begun.error_code, filenames(folder)) == ("failed", "operation_foreign", [])


# --- Backup ----------------------------------------------------------------------------------------------------------


def test_a_backup_is_made_and_described(folder: Path) -> None:
    operation = do(OperationKind.BACKUP, note="before the harbour fair")
    (backup,) = read_folder(folder).backups
    assert (operation.state, operation.message) == ("succeeded", "")
    assert operation.result is not None
    assert operation.result.pop("free_bytes") > 0
    assert operation.result == {"backup": backup_as_data(backup), "removed": []}
    assert (backup.sidecar.kind, backup.sidecar.note) == ("manual", "before the harbour fair")
    assert operation.percent is not None


def test_what_the_schedule_asks_for_is_a_scheduled_backup(folder: Path) -> None:
    assert find_backup(folder, made(origin=Origin.SCHEDULE)).sidecar.kind == "scheduled"
    assert find_backup(folder, made(origin=Origin.WEB)).sidecar.kind == "manual"


def test_the_description_has_tvarrs_members_and_ours(folder: Path) -> None:
    data = backup_as_data(find_backup(folder, made()))
    assert set(data) == {
        *("filename", "created_at", "file_size", "checksum", "tvarr_version", "database_size", "compressed_size"),
        *("table_counts", "protected", "imported", "kind", "note", "state", "checked", "seq", "schema"),
        *("protected_until", "database_checksum", "sqlite_version", "app_version", "restored_from"),
        *("created_at_source", "newest_row_at", "wal_missing"),
        *("accepted_code", "original_kind"),
    }
    assert (data["state"], data["checked"]["level"]) == ("checked", "quick")
    assert data["file_size"] == data["compressed_size"] == (folder / data["filename"]).stat().st_size
    assert data["created_at"].endswith("Z")


def test_a_folder_with_a_new_name_is_another_one(folder: Path, settings: Any) -> None:
    before = do(OperationKind.BACKUP)
    Operation.objects.update(arguments=before.arguments | {"disk": str(folder)})
    settings.BACKUP_DIRECTORY = folder.parent / "other"
    assert do(OperationKind.BACKUP, origin=Origin.SCHEDULE).state == "succeeded"


def test_of_operations_that_have_ended_the_newest_five_thousand_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track, "KEPT", 3)
    kept = [do(OperationKind.PRUNE).pk for _ in range(5)][2:]
    assert sorted(Operation.objects.values_list("pk", flat=True)) == kept


def test_the_clean_up_after_a_backup_goes_by_the_settings(folder: Path) -> None:
    BackupSettings(pk=1, keep=2).save()
    names = [made(origin=Origin.SCHEDULE) for _ in range(2)]
    operation = do(OperationKind.BACKUP, origin=Origin.SCHEDULE)
    assert operation.state == "succeeded"
    assert operation.result is not None
    assert operation.result["removed"] == names[:1]
    assert filenames(folder) == [operation.result["backup"]["filename"], names[1]]


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (BackupBusy("Busy."), "The backup is complete, but cleanup failed: Busy."),
        (OperationCancelled("Enough."), "The backup is complete, but cleanup failed: Enough."),
        (RuntimeError("odd"), "The backup is complete, but cleanup failed. The log has the reason."),
    ],
)
def test_a_clean_up_that_fails_takes_nothing_from_the_backup(folder: Path, failure: Exception, words: str) -> None:
    BackupSettings(pk=1, keep=1).save()
    old = made(origin=Origin.SCHEDULE)
    operation = run_here(OperationKind.BACKUP, origin=Origin.SCHEDULE, watch=raising_at(Phase.PRUNE, failure))
    assert (operation.state, operation.message) == ("attention", words)
    assert operation.result is not None
    assert operation.result["removed"] == []
    assert filenames(folder) == [operation.result["backup"]["filename"], old]


def test_a_backup_that_is_cancelled_leaves_nothing(folder: Path) -> None:
    def watch(phase: Phase, _done: int, _total: int) -> None:
        if phase is Phase.COPY:
            cancel(Operation.objects.get())

    with pytest.raises(OperationCancelled):
        run_here(OperationKind.BACKUP, origin=Origin.COMMAND, watch=watch)
    assert Operation.objects.get().state == "cancelled"
    assert read_folder(folder).backups == ()
    assert list((folder / ".work").iterdir()) == []


@pytest.mark.parametrize("phase", [Phase.COPY, Phase.PACK, Phase.PUBLISH])
def test_a_backup_that_breaks_off_leaves_nothing(folder: Path, phase: Phase) -> None:
    with pytest.raises(InternalError):
        run_here(OperationKind.BACKUP, origin=Origin.COMMAND, watch=raising_at(phase, RuntimeError("odd")))
    assert (Operation.objects.get().state, Operation.objects.get().result) == ("failed", None)
    assert read_folder(folder).backups == ()
    assert list((folder / ".work").iterdir()) == []


def test_while_somebody_else_holds_the_folder_a_backup_fails_in_words(folder: Path) -> None:
    with backup_lock(folder):
        refused(BackupBusy, OperationKind.BACKUP)


def test_while_another_operation_is_open_nothing_is_begun() -> None:
    waiting = queued(OperationKind.VERIFY)
    with pytest.raises(OperationRunning):
        do(OperationKind.BACKUP)
    assert list(Operation.objects.all()) == [waiting]


# --- Verify ----------------------------------------------------------------------------------------------------------


def verified(operation: Operation) -> list[tuple[str, bool]]:
    """Each backup that was checked, and whether it passed everything."""
    assert operation.result is not None
    found = operation.result["verified"]
    for one in found:
        assert all(set(check) == {"name", "passed", "detail"} for check in one["checks"])
        assert bool(one["problems"]) != all(check["passed"] for check in one["checks"])
    return [(one["backup"]["filename"], not one["problems"]) for one in found]


def test_one_backup_is_checked_and_keeps_the_result(folder: Path) -> None:
    name = made()
    operation = do(OperationKind.VERIFY, filenames=[name])
    assert (operation.state, operation.message, verified(operation)) == ("succeeded", "", [(name, True)])
    checked = find_backup(folder, name).sidecar.checked
    assert checked is not None
    assert checked.level == "full"


def test_damage_needs_attention(folder: Path) -> None:
    name = made()
    spoil(folder / name)
    operation = do(OperationKind.VERIFY, filenames=[name])
    assert (operation.state, verified(operation)) == ("attention", [(name, False)])
    assert operation.message.startswith(f"{name}: ")
    assert backup_as_data(find_backup(folder, name))["state"] == "damaged"


def test_all_are_checked_whatever_is_wrong_with_some(folder: Path) -> None:
    names = [made() for _ in range(3)]
    spoil(folder / names[1])
    (folder / "tvarr-backup-2026-03-01T10-30-00.db.gz").write_bytes(b"no sidecar")
    operation = do(OperationKind.VERIFY)
    assert operation.state == "attention"
    assert verified(operation) == [(names[2], True), (names[1], False), (names[0], True)]
    assert "tvarr-backup-2026-03-01T10-30-00.db.gz: its metadata file" in operation.message
    assert operation.result is not None
    assert [one["filename"] for one in operation.result["broken"]] == ["tvarr-backup-2026-03-01T10-30-00.db.gz"]


def test_among_several_one_that_is_gone_stops_none_of_the_others() -> None:
    names = [made(), "tvarr-backup-2026-03-01T10-30-00.db.gz", made()]
    operation = do(OperationKind.VERIFY, filenames=names)
    assert (operation.state, verified(operation)) == ("attention", [(names[0], True), (names[2], True)])
    assert operation.message.startswith(f"{names[1]} could not be verified: There is no backup")


def test_checking_what_is_not_there_fails() -> None:
    refused(BackupNotFound, OperationKind.VERIFY, filenames=["tvarr-backup-2026-03-01T10-30-00.db.gz"])


def test_a_check_of_many_that_is_cancelled_keeps_what_it_found(folder: Path) -> None:
    names = [made() for _ in range(2)]

    def watch(_phase: Phase, _done: int, _total: int) -> None:
        checked = find_backup(folder, names[1]).sidecar.checked
        if checked is not None and checked.level == "full":  # the newest comes first, and is done
            raise OperationCancelled("Enough.")

    with pytest.raises(OperationCancelled):
        run_here(OperationKind.VERIFY, origin=Origin.COMMAND, watch=watch)
    operation = Operation.objects.all()[0]
    assert (operation.state, operation.message) == ("cancelled", "Enough.")
    assert verified(operation) == [(names[1], True)]


# --- Prune, delete, adopt --------------------------------------------------------------------------------------------


def test_a_clean_up_removes_what_the_settings_say(folder: Path) -> None:
    names = [made(origin=Origin.SCHEDULE) for _ in range(3)]
    manual = made()
    BackupSettings(pk=1, keep=1).save()
    operation = do(OperationKind.PRUNE)
    assert (operation.state, operation.result) == ("succeeded", {"removed": names[:2]})
    assert filenames(folder) == [manual, names[2]]


def test_a_backup_is_deleted_unless_it_is_protected(folder: Path) -> None:
    kept, gone = made(), made()
    protect_backup(folder, kept, protected=True)
    assert do(OperationKind.DELETE, filename=gone).result == {"removed": [gone]}
    refused(BackupProtected, OperationKind.DELETE, filename=kept)
    assert filenames(folder) == [kept]


def test_one_that_has_changed_since_it_was_seen_is_not_deleted(folder: Path) -> None:
    name = made()
    refused(PreconditionFailed, OperationKind.DELETE, filename=name, only_if=["other"])
    mark = find_backup(folder, name).etag
    assert do(OperationKind.DELETE, filename=name, only_if=[mark]).result == {"removed": [name]}


def test_what_was_received_is_called_as_its_sender_called_it(folder: Path, tmp_path: Path) -> None:
    name = made(note="theirs")
    sent = (folder / name).rename(tmp_path / "file")
    described = (folder / name.replace(".db.gz", ".meta.json")).rename(tmp_path / "meta")
    do(OperationKind.ADOPT, source=str(sent), filename=name, sidecar=str(described))
    (backup,) = read_folder(folder).backups
    assert (backup.filename, backup.sidecar.note) == (name, "theirs")


def test_a_copy_of_a_database_is_taken_in(folder: Path, attached: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(attached)) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    operation = do(OperationKind.ADOPT, source=str(copy), note="from the old machine")
    (backup,) = read_folder(folder).backups
    assert operation.result == {"backup": backup_as_data(backup)}
    assert (backup.sidecar.imported, backup.sidecar.protected, backup.sidecar.note) == (
        True,
        True,
        "from the old machine",
    )
    assert backup.sidecar.kind == "uploaded"
    assert backup.sidecar.created_at <= datetime.now(UTC)


def test_what_is_no_backup_is_refused_in_words(folder: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.db.gz"
    picture.write_bytes(b"\x89PNG and so on")
    assert "an image" in refused(UploadRefused, OperationKind.ADOPT, source=str(picture)).error
    assert read_folder(folder).backups == ()
