"""Rehearsals as operations: which backup is chosen, what is recorded and reported, and stored identities."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections

from tests.backups.makers import changed, on_small_disk, raising_at
from tests.locations.rebuilding import KEY
from tests.operations.elsewhere import queued
from tests.operations.test_run import do, made, refused
from tvarr_backup.backups.catalogue import find_backup
from tvarr_backup.backups.progress import Phase
from tvarr_backup.errors import (
    BackupNotFound,
    IdentityWrong,
    LocationInvalid,
    OfflineRestoreRequired,
    OperationCancelled,
    OperationRunning,
)
from tvarr_backup.locations.addresses import LocationKind
from tvarr_backup.locations.encryption import new_key
from tvarr_backup.operations import locations
from tvarr_backup.operations.copying import names_being_copied
from tvarr_backup.operations.health import HealthState, Subject, check_health, health_as_data
from tvarr_backup.operations.location_secrets import unseal_options
from tvarr_backup.operations.models import (
    BackupSettings,
    Location,
    Operation,
    OperationKind,
    OperationState,
    Origin,
    Rehearsal,
)
from tvarr_backup.operations.rehearsals import read_identity, rehearsal_folder
from tvarr_backup.operations.run import run_here
from tvarr_backup.operations.track import create_operation

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("attached")]


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, settings: Any) -> Path:
    settings.STORAGE_BASE_DIR = tmp_path / "storage"
    settings.STORAGE_BASE_DIR.mkdir()
    return tmp_path / "storage"


def rehearsed(**arguments: Any) -> Operation:
    return do(OperationKind.REHEARSE, **arguments)


def recorded() -> Rehearsal:
    return Rehearsal.objects.get()


# --- Which backup, and what is recorded ------------------------------------------------------------------------------


def test_the_newest_good_backup_is_rehearsed_and_recorded() -> None:
    made()
    name = made()
    operation = rehearsed()
    assert operation.result is not None
    assert (operation.state, operation.result["filename"]) == ("succeeded", name)
    assert operation.result["items"]["filters"] == 1
    row = recorded()
    assert (row.place, row.filename, row.error_code, row.operation) == ("local", name, "", str(operation.pk))
    assert not rehearsal_folder().exists()


def test_a_rehearsal_of_an_older_backup_is_not_the_last_one_of_the_folder() -> None:
    older = made()
    made()
    assert rehearsed(filename=older).state == "succeeded"
    assert not Rehearsal.objects.exists()


def test_a_failure_is_recorded_with_code_and_facts_until_the_next_success(folder: Path, attached: Path) -> None:
    name = made()
    archive = folder / name
    content = archive.read_bytes()
    archive.write_bytes(content[:-8] + bytes(8))
    operation = do_failing()
    row = recorded()
    assert (row.error_code, row.problem) == (operation.error_code, operation.outcome)
    assert row.problem.facts["filename"] == name
    archive.write_bytes(content)
    rehearsed()
    assert recorded().is_ok


def do_failing() -> Operation:
    with pytest.raises(Exception):  # noqa: B017  # whatever it is, the operation has its code
        rehearsed()
    return Operation.objects.all()[0]


def test_without_a_good_backup_nothing_is_rehearsed() -> None:
    refused(BackupNotFound, OperationKind.REHEARSE)
    assert not Rehearsal.objects.exists()


def test_a_canceled_rehearsal_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    made()
    stop = raising_at(Phase.SAFETY, OperationCancelled("stop"))
    with pytest.raises(OperationCancelled):
        run_here(OperationKind.REHEARSE, origin=Origin.COMMAND, arguments={}, watch=stop)
    assert Operation.objects.all()[0].state == OperationState.CANCELLED
    assert not Rehearsal.objects.exists()
    assert not rehearsal_folder().exists()


def test_a_damaged_live_database_is_found(attached: Path) -> None:
    made()
    connections["tvarr"].close()
    attached.write_bytes(b"")
    refused(OfflineRestoreRequired, OperationKind.REHEARSE)
    assert recorded().error_code == "offline_restore_required"


def test_a_backup_of_an_earlier_version_is_migrated(db: None, settings: Any, folder: Path) -> None:
    """This program's own tables, without its last migration."""
    usual = connections["tvarr"]
    path = settings.STORAGE_BASE_DIR / "ours.db"
    path.touch()
    connection = connections.create_connection("tvarr")
    connection.settings_dict = usual.settings_dict | {"NAME": f"file:{path}?mode=rw"}
    connections["tvarr"] = connection
    try:
        call_command("migrate", "tvarr_backup", "0001", database="tvarr", verbosity=0)
        connection.close()
        changed(path, "PRAGMA journal_mode=WAL")
        name = made()
        call_command("migrate", "tvarr_backup", database="tvarr", verbosity=0)
        connection.close()
        operation = rehearsed(filename=name)
        assert operation.state == "succeeded"
        assert operation.result is not None
        assert find_backup(folder, name).sidecar.table_counts["filters"] == 0
        assert operation.result["rows"]["filters"] > 0  # the built-in ones, which the migration adds
        assert recorded().is_ok
    finally:
        connection.close()
        connections["tvarr"] = usual


# --- Beside other operations -----------------------------------------------------------------------------------------


def test_it_runs_beside_others_but_not_beside_another_rehearsal() -> None:
    queued(OperationKind.BACKUP)
    first = queued(OperationKind.REHEARSE)
    with pytest.raises(OperationRunning) as problem:
        queued(OperationKind.REHEARSE)
    assert problem.value.operation == str(first.pk)
    assert [one.kind for one in Operation.open_ones()] == ["backup"]
    assert [one.pk for one in locations.queued_operations()] == [first.pk]


def test_cleanup_leaves_alone_what_is_rehearsed() -> None:
    create_operation(
        OperationKind.REHEARSE,
        origin=Origin.COMMAND,
        state=OperationState.RUNNING,
        arguments={"location": "", "filename": "tvarr-backup-2026-01-01T00-00-00.db.gz"},
    )
    assert names_being_copied() == {"tvarr-backup-2026-01-01T00-00-00.db.gz"}


# --- Room ------------------------------------------------------------------------------------------------------------

_SMALL = """
import json, sys
from pathlib import Path
from tvarr_backup.backups.catalogue import find_backup, read_folder
from tvarr_backup.backups.live import inspect_live
from tvarr_backup.backups.progress import no_progress
from tvarr_backup.backups.rehearsal import bring_backup, open_scratch, rehearse, require_room_for_rehearsal
from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.schema import RequiredSchema
disk, live, folder, name = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
required, parent, found = RequiredSchema({}, "tvarr_backup", frozenset()), disk / "rehearsals", []
try:
    require_room_for_rehearsal(
        parent, find_backup(folder, name).sidecar, inspect_live(live, required), read_folder(folder)
    )
except TvarrBackupError as problem:
    found.append(problem.code)
try:
    with open_scratch(parent) as scratch:
        bring_backup(folder, name, scratch, no_progress)
        rehearse(live, scratch, name, required, migrate=None, progress=no_progress)
except TvarrBackupError as problem:
    found.append(problem.code)
print(json.dumps([found, [path.name for path in disk.iterdir()]]))
"""


def test_a_small_disk_is_refused_beforehand_and_left_empty(attached: Path, folder: Path, tmp_path: Path) -> None:
    """Also if the rehearsal is tried all the same, as when another program fills the disk in the meantime."""
    name = made()
    connections["tvarr"].close()
    (tmp_path / "disk").mkdir()
    size = attached.stat().st_size
    for blocks in range(1, 5):
        options = f"size={blocks * size // 4096 * 4096 + 8192}"
        found, left = on_small_disk(_SMALL, tmp_path / "disk", attached, folder, name, options=options)
        assert found == ["no_room", "no_room"], options
        assert left == []


# --- Health ----------------------------------------------------------------------------------------------------------


def check() -> Any:
    return check_health().checks[Subject.REHEARSAL]


def store(**columns: Any) -> None:
    values = {
        "place": Rehearsal.LOCAL,
        "filename": "tvarr-backup-2026-01-01T00-00-00.db.gz",
        "ended_at": datetime.now(UTC),
        "seconds": 12.3,
        "operation": "0" * 26,
    }
    Rehearsal.objects.create(**values | columns)


def test_health_knows_the_last_rehearsal() -> None:
    assert check().state is HealthState.OK
    store()
    found = check()
    assert (found.state, found.message.facts["part_0"].facts["seconds"]) == (HealthState.OK, 12.3)
    (data,) = health_as_data(check_health())["last_rehearsals"]
    assert (data["location"], data["seconds"], data["error_code"]) == (None, 12.3, "")


def test_a_failed_rehearsal_is_a_warning() -> None:
    store(error_code="restore_refused", error="It is damaged.")
    assert check().state is HealthState.WARNING


def test_an_old_rehearsal_is_a_warning_while_others_are_expected() -> None:
    store(ended_at=datetime.now(UTC) - timedelta(days=16))
    assert check().state is HealthState.WARNING
    BackupSettings.load(rehearsal_interval="none").save()
    assert check().state is HealthState.OK


def test_health_says_that_a_restore_switches_the_journal_mode(attached: Path) -> None:
    connections["tvarr"].close()
    changed(attached, "PRAGMA journal_mode=DELETE")
    found = check_health()
    assert found.checks[Subject.RESTORE].state is HealthState.OK
    assert len(found.observation.restore_notes) == 1


# --- Identities ------------------------------------------------------------------------------------------------------


@pytest.fixture
def encrypted(tmp_path: Path) -> Location:
    """A location with an encrypted copy."""
    path = tmp_path / "nas"
    path.mkdir()
    made()
    added = locations.add_location(
        "nas", LocationKind.FOLDER, {"path": str(path)}, recipient=KEY.recipient, is_key_saved=True
    )
    for kind in (OperationKind.TEST_LOCATION, OperationKind.COPY):
        do(kind, location=str(added.pk))
    added.refresh_from_db()
    return added


def test_a_stored_identity_is_encrypted_and_rehearses_copies(encrypted: Location) -> None:
    locations.store_identity(encrypted, f"# recovery key\n{KEY.identity}\n")
    stored = Location.objects.get()
    assert KEY.identity not in stored.sealed_identity
    assert KEY.identity in read_identity(stored)
    assert rehearsed(location=str(stored.pk)).state == "succeeded"
    assert (recorded().location, recorded().is_ok) == (stored, True)


def test_only_the_right_identity_is_stored(encrypted: Location) -> None:
    with pytest.raises(IdentityWrong):
        locations.store_identity(encrypted, new_key().identity)
    assert Location.objects.get().sealed_identity == ""


def test_a_location_without_encryption_needs_no_identity(tmp_path: Path) -> None:
    added = locations.add_location("nas", LocationKind.FOLDER, {"path": str(tmp_path)})
    with pytest.raises(LocationInvalid):
        locations.store_identity(added, KEY.identity)


def test_an_identity_is_forgotten(encrypted: Location) -> None:
    locations.store_identity(encrypted, KEY.identity)
    locations.forget_identity(encrypted)
    assert unseal_options(Location.objects.get().sealed_identity) == {}


def test_another_recipient_needs_another_identity(encrypted: Location) -> None:
    locations.store_identity(encrypted, KEY.identity)
    encrypted.copies.all().delete()
    locations.change_location(encrypted, {}, recipient=new_key().recipient)
    assert Location.objects.get().sealed_identity == ""


def test_the_result_of_a_removed_location_is_removed(encrypted: Location) -> None:
    store(place=str(encrypted.pk), location=encrypted)
    locations.remove_location(encrypted)
    assert not Rehearsal.objects.exists()
