"""Copying backups to a location, checking copies, and the state of a location."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from tests.operations.test_run import made
from tvarr_backup.backups.catalogue import delete_backup, protect_backup, read_folder
from tvarr_backup.backups.names import BackupName, parse_name
from tvarr_backup.backups.sidecar import BackupKind, decode_sidecar, read_sidecar
from tvarr_backup.errors import (
    BackupFolderUnusable,
    IdentityWrong,
    LocationBusy,
    LocationInvalid,
    LocationNotFound,
    LocationNotReady,
    LocationUnmarked,
    ObjectDamaged,
    ObjectMissing,
    OperationCancelled,
    RecipientInvalid,
    SecretsLost,
    TvarrBackupError,
)
from tvarr_backup.locations.addresses import LocationKind
from tvarr_backup.locations.copies import MARKER, CopyFolder, folder_of
from tvarr_backup.locations.encryption import new_key
from tvarr_backup.locations.stores import open_store
from tvarr_backup.operations import locations
from tvarr_backup.operations.copying import copy_all, names_being_copied, open_address, plan_for
from tvarr_backup.operations.health import HealthState, Subject, check_health
from tvarr_backup.operations.models import (
    BackupSettings,
    Installation,
    Location,
    LocationState,
    Operation,
    OperationKind,
    OperationState,
    Origin,
)
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.run import perform, queue_operation, run_here
from tvarr_backup.operations.track import Tracker, cancel, create_operation

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("attached")]


@pytest.fixture
def nas(tmp_path: Path) -> Path:
    path = tmp_path / "nas"
    path.mkdir()
    return path


@pytest.fixture
def location(nas: Path) -> Location:
    """A tested location."""
    added = locations.add_location("nas", LocationKind.FOLDER, {"path": str(nas)})
    do(OperationKind.TEST_LOCATION, added)
    return added


def do(kind: OperationKind, location: Location, **arguments: Any) -> dict[str, Any]:
    operation = run_here(kind, origin=Origin.COMMAND, arguments={"location": str(location.pk)} | arguments)
    result: dict[str, Any] | None = operation.result
    location.refresh_from_db()
    assert result is not None
    return result


def refused(expected: type[TvarrBackupError], kind: OperationKind, location: Location, **arguments: Any) -> None:
    with pytest.raises(expected):
        do(kind, location, **arguments)
    location.refresh_from_db()


def place(nas: Path) -> Path:
    return nas / folder_of(Installation.load())


def there(nas: Path) -> list[str]:
    return sorted(path.name for path in place(nas).iterdir() if path.name != MARKER)


# --- Copying ---------------------------------------------------------------------------------------------------------


def test_all_backups_are_copied_once(location: Location, nas: Path) -> None:
    names = [made(), made()]
    assert do(OperationKind.COPY, location)["copied"] == names[::-1]
    assert do(OperationKind.COPY, location)["copied"] == []
    assert [backup.filename for backup in read_folder(place(nas)).backups] == names[::-1]
    assert location.state is LocationState.IN_SYNC


def test_a_changed_note_is_copied_too(location: Location, nas: Path, folder: Path) -> None:
    name = made()
    do(OperationKind.COPY, location)
    protect_backup(folder, name, protected=True, note="before the upgrade")
    assert do(OperationKind.COPY, location)["updated"] == [name]
    (copy,) = read_folder(place(nas)).backups
    assert (copy.sidecar.protected, copy.sidecar.note) == (True, "before the upgrade")


def test_a_backup_that_is_deleted_here_stays_there(location: Location, nas: Path, folder: Path) -> None:
    name = made()
    do(OperationKind.COPY, location)
    delete_backup(folder, name)
    assert do(OperationKind.COPY, location)["removed"] == []
    assert name in there(nas)


def test_retention_of_the_location_deletes_copies(location: Location, nas: Path) -> None:
    names = [made(origin=Origin.SCHEDULE) for _number in range(3)]
    do(OperationKind.COPY, location)
    locations.change_location(location, {}, keep=1)
    assert do(OperationKind.COPY, location)["removed"] == names[:2]
    assert [backup.filename for backup in read_folder(place(nas)).backups] == names[2:]


def test_a_copy_that_somebody_deleted_is_made_again(location: Location, nas: Path) -> None:
    name = made()
    do(OperationKind.COPY, location)
    (place(nas) / name).unlink()
    (place(nas) / name.replace(".db.gz", ".meta.json")).unlink()
    result = do(OperationKind.COPY, location)
    assert (result["missing"], result["copied"]) == ([name], [name])


def test_objects_of_others_are_never_touched(location: Location, nas: Path) -> None:
    (nas / "photo.jpg").write_bytes(b"photo")
    (place(nas) / "photo.jpg").write_bytes(b"photo")
    other = nas / folder_of("0" * 26)
    other.mkdir()
    (other / "tvarr-backup-2026-01-01T00-00-00.db.gz").write_bytes(b"unfinished, of another installation")
    made(origin=Origin.SCHEDULE)
    locations.change_location(location, {}, keep=1, max_age="1h")
    do(OperationKind.COPY, location)
    assert [path.read_bytes() for path in (nas / "photo.jpg", place(nas) / "photo.jpg")] == [b"photo"] * 2
    assert len(list(other.iterdir())) == 1


def test_copies_of_which_there_is_no_record_are_recognized(location: Location) -> None:
    """After this program's own database was restored from an older copy."""
    name = made()
    do(OperationKind.COPY, location)
    location.copies.all().delete()
    assert do(OperationKind.COPY, location) | {"copies": 1} == do(OperationKind.COPY, location)
    assert location.copies.get().filename == name


@pytest.fixture
def unrecorded(location: Location, folder: Path) -> list[str]:
    """Three encrypted copies, oldest first, of which there is no record. The first two backups are not here any more."""
    locations.change_location(location, {}, recipient=new_key().recipient, is_key_saved=True)
    do(OperationKind.TEST_LOCATION, location)
    names = [made(origin=Origin.SCHEDULE) for _number in range(3)]
    do(OperationKind.COPY, location)
    protect_backup(folder, names[1], protected=True, note="dredging")
    do(OperationKind.COPY, location)
    location.copies.all().delete()
    for name in names[:2]:
        protect_backup(folder, name, protected=False)
        delete_backup(folder, name)
    locations.change_location(location, {}, keep=1)
    return names


def test_encrypted_copies_of_which_there_is_no_record_are_recognized(
    location: Location, unrecorded: list[str], nas: Path
) -> None:
    """After a rebuild with settings that are older than the copies."""
    assert do(OperationKind.COPY, location)["removed"] == unrecorded[:1]
    assert f"{unrecorded[0]}.age" not in there(nas)
    protected = decode_sidecar(location.copies.get(filename=unrecorded[1]).sidecar.encode())
    assert (protected.protected, protected.note, protected.kind) == (True, "dredging", BackupKind.SCHEDULED)


def test_encrypted_copies_of_another_secret_key_are_left_alone(
    location: Location, unrecorded: list[str], nas: Path, settings: Any
) -> None:
    settings.SECRET_KEY = "of another installation"
    assert do(OperationKind.COPY, location)["removed"] == []
    assert f"{unrecorded[0]}.age" in there(nas)


@pytest.mark.parametrize("changes", [{"record": ""}, {"record": "gAAAA"}, {"checksum": f"sha256:{'0' * 64}"}])
def test_encrypted_copies_whose_record_is_not_theirs_are_left_alone(
    location: Location, unrecorded: list[str], nas: Path, changes: dict[str, str]
) -> None:
    path = place(nas) / cast(BackupName, parse_name(unrecorded[0])).sidecar
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert do(OperationKind.COPY, location)["removed"] == []
    assert f"{unrecorded[0]}.age" in there(nas)


def test_an_emptied_location_is_not_filled_again_unasked(location: Location, nas: Path) -> None:
    made()
    do(OperationKind.COPY, location)
    for path in place(nas).iterdir():
        path.unlink()
    refused(LocationUnmarked, OperationKind.COPY, location)
    assert (location.state, location.error_code, there(nas)) == (LocationState.FAILING, "location_unmarked", [])
    assert len(do(OperationKind.COPY, location, accept_empty=True)["copied"]) == 1
    assert location.state is LocationState.IN_SYNC


def test_a_test_does_not_accept_an_emptied_location(location: Location, nas: Path) -> None:
    """An unmounted disk leaves an empty folder, which must not be filled because a user tests the location."""
    (place(nas) / MARKER).unlink()
    refused(LocationUnmarked, OperationKind.TEST_LOCATION, location)
    refused(LocationUnmarked, OperationKind.COPY, location)


def test_a_disk_that_is_not_mounted_deletes_nothing_here(location: Location, nas: Path, folder: Path) -> None:
    name = made()
    do(OperationKind.COPY, location)
    nas.rename(nas.with_name("unplugged"))
    refused(LocationUnmarked, OperationKind.COPY, location)
    assert not nas.exists()
    assert [backup.filename for backup in read_folder(folder).backups] == [name]
    nas.with_name("unplugged").rename(nas)
    assert do(OperationKind.COPY, location)["copies"] == 1


def test_a_damaged_backup_is_a_warning_and_the_others_are_copied(location: Location, folder: Path) -> None:
    damaged, good = made(), made()
    content = bytearray((folder / damaged).read_bytes())
    content[-20] ^= 1
    (folder / damaged).write_bytes(content)
    assert do(OperationKind.COPY, location)["copied"] == [good]
    operation = Operation.objects.filter(kind=OperationKind.COPY)[0]
    assert operation.state == OperationState.ATTENTION
    assert damaged in operation.message


def test_an_encrypted_location_holds_no_plain_text(location: Location, nas: Path) -> None:
    locations.change_location(location, {}, recipient=new_key().recipient, is_key_saved=True)
    made(note="before the upgrade")
    do(OperationKind.COPY, location)
    for path in place(nas).iterdir():
        assert b"before the upgrade" not in path.read_bytes()
        assert b"CREATE TABLE" not in path.read_bytes()


def test_cleanup_leaves_alone_what_is_being_copied(location: Location) -> None:
    name = made(origin=Origin.SCHEDULE)
    create_operation(
        OperationKind.COPY,
        origin=Origin.SCHEDULE,
        state=OperationState.RUNNING,
        arguments={"location": str(location.pk), "filename": name},
    )
    assert names_being_copied() == {name}
    made(origin=Origin.SCHEDULE)
    BackupSettings(pk=1, keep=1).save()
    result = run_here(OperationKind.PRUNE, origin=Origin.COMMAND).result
    assert result == {"removed": []}


def test_a_backup_that_is_deleted_in_the_meantime_is_left_out(location: Location, nas: Path, folder: Path) -> None:
    gone, name = made(), made()
    plan = plan_for(location, list(read_folder(folder).backups), datetime.now(UTC))
    delete_backup(folder, gone)
    operation = create_operation(
        OperationKind.COPY,
        origin=Origin.COMMAND,
        state=OperationState.RUNNING,
        arguments={"location": str(location.pk)},
    )
    with open_store(open_address(location)) as store:
        copies = CopyFolder(store, Installation.load())
        assert copy_all(location, copies, folder, plan, Tracker(operation)) == [name]
    assert [backup.filename for backup in read_folder(place(nas)).backups] == [name]


# --- Checks ----------------------------------------------------------------------------------------------------------


def test_the_copy_whose_check_is_oldest_is_checked(location: Location) -> None:
    names = [made(), made()]
    do(OperationKind.COPY, location)
    checked = [do(OperationKind.CHECK_COPY, location)["checked"] for _number in range(4)]
    assert sorted(checked[:2]) == sorted([name] for name in names)
    assert checked[2:] == checked[:2]


def test_a_damaged_copy_fails_its_check_and_is_replaced(location: Location, nas: Path) -> None:
    name = made()
    do(OperationKind.COPY, location)
    path = place(nas) / name
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    refused(ObjectDamaged, OperationKind.CHECK_COPY, location)
    assert location.state is LocationState.FAILING
    assert do(OperationKind.COPY, location)["copied"] == [name]
    assert do(OperationKind.CHECK_COPY, location)["checked"] == [name]


def test_a_location_without_copies_has_nothing_to_check(location: Location) -> None:
    assert do(OperationKind.CHECK_COPY, location)["checked"] == []


# --- The state of a location -----------------------------------------------------------------------------------------


def test_a_new_location_must_be_tested_first(nas: Path) -> None:
    added = locations.add_location("nas", LocationKind.FOLDER, {"path": str(nas)})
    assert added.state is LocationState.UNTESTED
    with pytest.raises(LocationNotReady):
        locations.require_ready(added)


def test_an_encrypted_location_waits_for_its_key(nas: Path) -> None:
    added = locations.add_location("nas", LocationKind.FOLDER, {"path": str(nas)})
    key = locations.new_key_for(added)
    do(OperationKind.TEST_LOCATION, added)
    assert (added.state, added.recipient) == (LocationState.KEY_UNSAVED, key.recipient)
    with pytest.raises(IdentityWrong):
        locations.confirm_key(added, new_key().identity)
    assert locations.confirm_key(added, f"# a file\n{key.identity}\n").is_ready


def test_the_key_of_encrypted_copies_cannot_be_replaced(location: Location) -> None:
    locations.change_location(location, {}, recipient=new_key().recipient, is_key_saved=True)
    made()
    do(OperationKind.COPY, location)
    with pytest.raises(LocationInvalid):
        locations.new_key_for(location)


@pytest.mark.parametrize("recipient", ["", new_key().recipient], ids=["none", "another"])
def test_the_recipient_of_encrypted_copies_cannot_be_changed(location: Location, recipient: str) -> None:
    locations.change_location(location, {}, recipient=new_key().recipient, is_key_saved=True)
    made()
    do(OperationKind.COPY, location)
    with pytest.raises(LocationInvalid):
        locations.change_location(location, {}, recipient=recipient)


def test_an_error_that_is_not_the_locations_delays_the_next_attempt_too(location: Location, folder: Path) -> None:
    made()
    folder.rename(folder.with_name("gone"))
    folder.write_text("a file in place of the backup folder")
    refused(BackupFolderUnusable, OperationKind.COPY, location)
    assert (location.state, location.error_code) == (LocationState.FAILING, "backup_folder_unusable")
    assert due() == []


def test_a_copy_that_a_user_cancels_is_not_started_again_immediately(location: Location) -> None:
    made()
    operation = create_operation(
        OperationKind.COPY, origin=Origin.WEB, state=OperationState.RUNNING, arguments={"location": str(location.pk)}
    )
    cancel(operation)
    with pytest.raises(OperationCancelled):
        perform(operation)
    location.refresh_from_db()
    assert location.failing_since is None
    assert due() == []


def test_failures_delay_the_next_attempt_more_and_more(location: Location, nas: Path) -> None:
    nas.rename(nas.with_name("unplugged"))
    delays = []
    for _number in range(4):
        refused(LocationUnmarked, OperationKind.COPY, location)
        assert location.next_attempt_at is not None
        delays.append(round((location.next_attempt_at - datetime.now(UTC)).total_seconds() / 60))
    assert (delays, location.failures) == ([1, 2, 4, 8], 4)


def test_a_test_explains_what_is_wrong(nas: Path) -> None:
    added = locations.add_location("nas", LocationKind.FOLDER, {"path": str(nas / "missing")})
    refused(ObjectMissing, OperationKind.TEST_LOCATION, added)
    assert (added.state, added.error_code) == (LocationState.FAILING, "object_missing")
    changed = locations.change_location(added, {"path": str(nas)})
    assert changed.state is LocationState.UNTESTED


@pytest.mark.parametrize("name", ["", "NAS", "my nas", "-nas", "nas\n", "n" * 51, "näs"])
def test_a_name_must_fit_into_addresses(name: str, nas: Path) -> None:
    with pytest.raises(LocationInvalid):
        locations.add_location(name, LocationKind.FOLDER, {"path": str(nas)})
    assert not Location.objects.exists()


def test_two_locations_cannot_have_one_name(location: Location, nas: Path) -> None:
    with pytest.raises(LocationInvalid):
        locations.add_location(location.name, LocationKind.FOLDER, {"path": str(nas)})


def test_an_invalid_recipient_is_refused(nas: Path) -> None:
    with pytest.raises(RecipientInvalid):
        locations.add_location("nas", LocationKind.FOLDER, {"path": str(nas)}, recipient="age1harbour")


# --- Credentials -----------------------------------------------------------------------------------------------------

_SFTP = {"host": "nas.example.com", "user": "me", "path": "/backups"}


def test_credentials_are_stored_encrypted() -> None:
    added = locations.add_location("nas", LocationKind.SFTP, _SFTP | {"password": "s3cret-word"})
    stored = Location.objects.filter(pk=added.pk).values().get()
    assert "s3cret" not in str(stored)
    assert open_address(added).secrets == {"password": "s3cret-word"}


def test_an_empty_secret_keeps_the_stored_one() -> None:
    added = locations.add_location("nas", LocationKind.SFTP, _SFTP | {"password": "s3cret-word"})
    locations.change_location(added, {"port": "2222", "password": ""})
    assert open_address(added).secrets == {"password": "s3cret-word"}


def test_another_secret_key_asks_for_the_credentials_again(settings: Any) -> None:
    added = locations.add_location("nas", LocationKind.SFTP, _SFTP | {"password": "s3cret-word"})
    settings.SECRET_KEY = "another key, because the first one was lost"
    refused(SecretsLost, OperationKind.TEST_LOCATION, added)
    assert added.error_code == "secrets_lost"
    locations.change_location(added, {"password": "s3cret-word"})
    assert open_address(added).secrets == {"password": "s3cret-word"}


def test_a_host_key_must_be_the_one_that_was_offered() -> None:
    added = locations.add_location("nas", LocationKind.SFTP, _SFTP | {"password": "s3cret-word"})
    Location.objects.update(offered_host_key="ssh-ed25519 AAAA")
    added.refresh_from_db()
    with pytest.raises(LocationInvalid):
        locations.confirm_host_key(added, "ssh-ed25519 BBBB")
    assert locations.confirm_host_key(added, "ssh-ed25519 AAAA").options["host_key"] == "ssh-ed25519 AAAA"


# --- Operations ------------------------------------------------------------------------------------------------------


def test_only_one_operation_of_a_location_is_open(location: Location) -> None:
    arguments = {"location": str(location.pk)}
    queue_operation(OperationKind.COPY, requested_by=None, origin=Origin.WEB, arguments=arguments)
    with pytest.raises(LocationBusy):
        queue_operation(OperationKind.CHECK_COPY, requested_by=None, origin=Origin.WEB, arguments=arguments)
    with pytest.raises(LocationBusy):
        locations.remove_location(location)


def test_a_copy_is_not_shown_as_what_keeps_others_waiting(location: Location) -> None:
    arguments = {"location": str(location.pk)}
    queue_operation(OperationKind.COPY, requested_by=None, origin=Origin.WEB, arguments=arguments)
    Operation.objects.update(created_at=datetime.now(UTC) - timedelta(hours=3))
    assert check_health().checks[Subject.QUEUE].state is HealthState.OK


def test_a_copy_blocks_no_backup(location: Location) -> None:
    arguments = {"location": str(location.pk)}
    queue_operation(OperationKind.COPY, requested_by=None, origin=Origin.WEB, arguments=arguments)
    assert made()


def test_a_removed_location_ends_its_queued_operation(location: Location) -> None:
    pk = str(location.pk)
    locations.remove_location(location)
    with pytest.raises(LocationNotFound):
        run_here(OperationKind.COPY, origin=Origin.COMMAND, arguments={"location": pk})


def test_a_copy_whose_process_died_is_ended_without_touching_the_backup_folder(
    location: Location, folder: Path
) -> None:
    operation = create_operation(
        OperationKind.COPY,
        origin=Origin.SCHEDULE,
        state=OperationState.RUNNING,
        arguments={"location": str(location.pk)},
    )
    Operation.objects.filter(pk=operation.pk).update(pid=2**22 - 1, process_started=1)
    (folder / ".work").mkdir(exist_ok=True)
    (folder / ".work" / "left").write_bytes(b"of a backup that is being made")
    assert [ended.pk for ended in reconcile()] == [operation.pk]
    assert (folder / ".work" / "left").exists()
    location.refresh_from_db()
    assert location.next_attempt_at is not None  # so that a copy that kills its process is not started all the time


def due() -> list[str]:
    Operation.objects.filter(state=OperationState.QUEUED).delete()
    locations.request_due()
    return [operation.kind for operation in Operation.objects.filter(state=OperationState.QUEUED)]


def test_copies_are_due_after_a_backup(location: Location) -> None:
    do(OperationKind.COPY, location)
    assert due() == []
    made()
    assert due() == ["copy"]


def test_a_failing_location_waits_for_its_next_attempt(location: Location) -> None:
    made()
    now = datetime.now(UTC)
    Location.objects.update(failing_since=now, next_attempt_at=now + timedelta(minutes=5))
    assert due() == []
    Location.objects.update(next_attempt_at=now - timedelta(minutes=5))
    assert due() == ["copy"]


def test_a_clock_that_was_wrong_does_not_delay_copies(location: Location) -> None:
    made()
    Location.objects.update(failing_since=datetime.now(UTC), next_attempt_at=datetime.now(UTC) + timedelta(days=900))
    assert due() == ["copy"]


def test_a_paused_location_is_never_due(location: Location) -> None:
    made()
    locations.change_location(location, {}, is_enabled=False)
    assert due() == []


def test_an_untested_location_is_never_due(nas: Path) -> None:
    made()
    locations.add_location("nas", LocationKind.FOLDER, {"path": str(nas)})
    assert due() == []


def test_the_metadata_there_has_the_configuration(location: Location, nas: Path, folder: Path) -> None:
    name = made()
    do(OperationKind.COPY, location)
    meta = name.replace(".db.gz", ".meta.json")
    assert read_sidecar(place(nas) / meta) == read_sidecar(folder / meta)
