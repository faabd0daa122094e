"""Settings archives: when they are saved, where they are copied to, and what is accepted as one."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.backups.makers import member, query, tar_of
from tests.events import told
from tests.operations.test_copying import do, location, nas, place
from tests.operations.test_run import made
from tvarr_backup.backups.catalogue import read_folder
from tvarr_backup.backups.folder import WORK_NAME
from tvarr_backup.backups.names import parse_name, settings_moment, settings_name
from tvarr_backup.backups.settings_archive import (
    DATABASE,
    SECRET_KEY,
    KeySource,
    describe_settings,
    pack_settings,
    unpack_settings,
)
from tvarr_backup.errors import ArchiveDamaged, TvarrBackupError
from tvarr_backup.locations.addresses import LocationKind
from tvarr_backup.locations.copies import MARKER
from tvarr_backup.locations.encryption import decrypt, new_key
from tvarr_backup.operations import locations
from tvarr_backup.operations.models import Installation, Location, Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.settings_backup import KEPT, is_copy_due, list_archives, save, save_daily, save_if_due
from tvarr_backup.operations.track import create_operation

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite, pytest.mark.usefixtures("attached")]
__all__ = ["location", "nas"]

KEY = new_key()
NOW = datetime(2026, 6, 15, 12, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _key_in_a_file(settings: Any) -> None:
    settings.SET_VARIABLES = frozenset()


def unpacked(archive: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "unpacked"
    folder.mkdir()
    unpack_settings(archive, folder)
    return folder


# --- In the backup folder --------------------------------------------------------------------------------------------


def test_an_archive_has_the_database_and_the_key(folder: Path, tmp_path: Path, settings: Any) -> None:
    archive = folder / save(folder, NOW)
    content = unpacked(archive, tmp_path)
    assert query(content / DATABASE, "SELECT count(*) FROM django_migrations") > 0
    assert (content / SECRET_KEY).read_text().strip() == settings.SECRET_KEY
    assert archive.stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("app_database")
def test_an_archive_knows_that_it_is_copied(folder: Path, nas: Path, tmp_path: Path) -> None:
    """So a rebuilt installation deletes it when it is too old."""
    locations.add_location("nas", LocationKind.FOLDER, {"path": str(nas)}, recipient=KEY.recipient)
    Location.objects.update(settings_copies=["an older one"])
    archive = folder / save(folder, NOW)
    content = unpacked(archive, tmp_path)
    assert json.loads(query(content / DATABASE, "SELECT settings_copies FROM operations_location")) == [
        "an older one",
        archive.name,
    ]


def test_a_key_of_the_environment_is_left_out(folder: Path, tmp_path: Path, settings: Any) -> None:
    settings.SET_VARIABLES = frozenset({"SECRET_KEY"})
    archive = folder / save(folder, NOW)
    content = tmp_path / "unpacked"
    content.mkdir()
    assert unpack_settings(archive, content).secret_key is KeySource.ENVIRONMENT
    assert not (content / SECRET_KEY).exists()


@pytest.mark.usefixtures("app_database")
def test_no_worker_of_a_rebuilt_installation_finds_an_open_operation(folder: Path, tmp_path: Path) -> None:
    create_operation(OperationKind.RESTORE, origin=Origin.WEB, state=OperationState.QUEUED)
    content = unpacked(folder / save(folder, NOW), tmp_path)
    assert query(content / DATABASE, "SELECT state FROM operations_operation") == "interrupted"
    assert Operation.objects.get().state == OperationState.QUEUED


def test_it_says_which_installation_it_is_of(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "unpacked").mkdir()
    metadata = unpack_settings(folder / save(folder, NOW), tmp_path / "unpacked")
    assert (metadata.installation, metadata.created_at) == (Installation.load().lower(), NOW)


def test_it_is_neither_a_backup_nor_another_file(folder: Path) -> None:
    save(folder, NOW)
    listing = read_folder(folder)
    assert (listing.backups, listing.broken, listing.foreign) == ((), (), ())


def test_it_is_saved_once_a_day(folder: Path) -> None:
    save_daily()
    save_daily()
    (name,) = list_archives(folder)
    (folder / name).rename(folder / settings_name(datetime.now(UTC) - timedelta(hours=25)))
    save_daily()
    assert len(list_archives(folder)) == 2


def test_the_newest_seven_are_kept(folder: Path) -> None:
    names = [save(folder, NOW + timedelta(days=day)) for day in range(KEPT + 2)]
    assert list_archives(folder) == names[::-1][:KEPT]


def test_an_archive_of_the_future_does_not_lead_to_more_than_one(folder: Path) -> None:
    (folder / settings_name(datetime.now(UTC) + timedelta(days=400))).touch()
    assert save_if_due() == save_if_due()


def test_without_a_backup_folder_nothing_is_saved(folder: Path) -> None:
    folder.rmdir()
    assert save_if_due() == ""
    assert not folder.exists()


def test_a_folder_that_cannot_be_used_is_logged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / WORK_NAME).write_text("not a folder")
    save_daily()
    (event,) = told(caplog)
    assert (event["event"], event["level"], event["code"]) == (
        "settings.unsaved",
        "warning",
        "backup_folder_unusable",
    )
    assert list_archives(folder) == []


# --- Names -----------------------------------------------------------------------------------------------------------


def test_a_name_is_read_back() -> None:
    name = settings_name(NOW)
    assert name == "tvarr-backup-settings-2026-06-15T12-30-00.tar.gz"
    assert (settings_moment(name), parse_name(name)) == (NOW, None)


@pytest.mark.parametrize(
    "name", ["", "tvarr-backup-settings-.tar.gz", "tvarr-backup-settings-2026-13-15T12-30-00.tar.gz", "a.tar.gz"]
)
def test_other_names_are_no_archives(name: str) -> None:
    assert settings_moment(name) is None


# --- In a location ---------------------------------------------------------------------------------------------------


@pytest.fixture
def encrypted(location: Location) -> Location:
    locations.change_location(location, {}, recipient=KEY.recipient, is_key_saved=True)
    do(OperationKind.TEST_LOCATION, location)
    return location


def there(nas: Path) -> list[str]:
    return sorted(path.name for path in place(nas).glob("*settings*"))


def test_an_encrypted_location_gets_a_copy(encrypted: Location, nas: Path, folder: Path, tmp_path: Path) -> None:
    made()
    do(OperationKind.COPY, encrypted)
    (name,) = list_archives(folder)
    assert (there(nas), encrypted.settings_copies) == ([f"{name}.age"], [name])
    with (tmp_path / "archive").open("wb") as output:
        decrypt([(place(nas) / f"{name}.age").read_bytes()], KEY.identity, output)
    assert (tmp_path / "archive").read_bytes() == (folder / name).read_bytes()


def test_the_copy_knows_the_location(encrypted: Location, folder: Path, tmp_path: Path) -> None:
    """Otherwise nothing would be copied after a rebuild."""
    old = save(folder, datetime.now(UTC) - timedelta(hours=1))
    made()
    do(OperationKind.COPY, encrypted)
    assert list_archives(folder)[1:] == [old]
    assert encrypted.settings_copies == list_archives(folder)[:1]


def test_a_location_without_encryption_gets_none(location: Location, nas: Path, folder: Path) -> None:
    made()
    save(folder, NOW)
    do(OperationKind.COPY, location)
    assert (there(nas), is_copy_due(location)) == ([], False)


def test_a_new_archive_makes_a_copy_due(encrypted: Location, folder: Path) -> None:
    made()
    do(OperationKind.COPY, encrypted)
    assert not is_copy_due(encrypted)
    save(folder, datetime.now(UTC) + timedelta(seconds=5))
    assert is_copy_due(encrypted)


def test_only_recorded_copies_are_deleted(encrypted: Location, nas: Path, folder: Path) -> None:
    made()
    foreign = place(nas) / f"{settings_name(NOW)}.age"
    foreign.write_bytes(b"of another program")
    own = [settings_name(NOW + timedelta(days=day)) for day in range(1, KEPT + 3)]
    for name in own:
        (place(nas) / f"{name}.age").write_bytes(b"own")
    Location.objects.filter(pk=encrypted.pk).update(settings_copies=own)
    do(OperationKind.COPY, encrypted)
    (newest,) = list_archives(folder)
    assert encrypted.settings_copies == [newest, *own[::-1][: KEPT - 1]]
    assert there(nas) == sorted([foreign.name, *(f"{name}.age" for name in encrypted.settings_copies)])


def test_a_copy_that_somebody_deleted_is_made_again(encrypted: Location, nas: Path) -> None:
    made()
    do(OperationKind.COPY, encrypted)
    (name,) = there(nas)
    (place(nas) / name).unlink()
    do(OperationKind.COPY, encrypted)
    assert there(nas) == [name]


def test_a_failing_copy_is_a_failure_of_the_location(encrypted: Location, nas: Path) -> None:
    made()
    do(OperationKind.COPY, encrypted)
    (name,) = there(nas)
    (place(nas) / name).unlink()
    (place(nas) / name).symlink_to("/missing")
    with pytest.raises(TvarrBackupError):
        do(OperationKind.COPY, encrypted)
    encrypted.refresh_from_db()
    assert (encrypted.failing_since is not None, encrypted.settings_copies) == (True, [name.removesuffix(".age")])


def test_backups_are_copied_also_if_no_archive_can_be_made(encrypted: Location, nas: Path, folder: Path) -> None:
    name = made()
    shutil.rmtree(folder / WORK_NAME)
    (folder / WORK_NAME).write_text("not a folder")
    assert do(OperationKind.COPY, encrypted)["copied"] == [name]
    assert Operation.objects.filter(kind=OperationKind.COPY)[0].state == OperationState.ATTENTION
    assert there(nas) == []


def test_the_marker_is_still_there(encrypted: Location, nas: Path) -> None:
    made()
    do(OperationKind.COPY, encrypted)
    assert (place(nas) / MARKER).exists()


# --- What is accepted as an archive ----------------------------------------------------------------------------------


def archive_of(tmp_path: Path, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], object]) -> Path:
    """Write an archive, with its members changed."""
    database, archive = tmp_path / "database", tmp_path / "archive.tar.gz"
    database.write_bytes(b"SQLite format 3\0" + bytes(4080))
    metadata = describe_settings(
        database, created_at=NOW, app_version="1", installation="0" * 26, secret_key=KeySource.ARCHIVE
    )
    pack_settings(database, "secret", metadata, archive)
    with tarfile.open(archive) as tar:
        members = [(one, content.read() if (content := tar.extractfile(one)) else b"") for one in tar]
    change(members)
    archive.write_bytes(gzip.compress(tar_of(*members)))
    return archive


def link(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    header = tarfile.TarInfo(SECRET_KEY)
    header.type, header.linkname = tarfile.SYMTYPE, "/etc/passwd"
    members[2] = (header, b"")


def changed_metadata(**changes: Any) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], object]:
    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        members[0] = member("metadata.json", json.dumps(json.loads(members[0][1]) | changes).encode())

    return change


BAD: dict[str, Callable[[list[tuple[tarfile.TarInfo, bytes]]], object]] = {
    "a link": link,
    "another name": lambda members: members.__setitem__(2, member("../secret-key", b"x")),
    "an absolute name": lambda members: members.__setitem__(1, member("/tmp/app.db", members[1][1])),
    "one more member": lambda members: members.append(member("more", b"x")),
    "a member twice": lambda members: members.append(members[2]),
    "another order": lambda members: members.reverse(),
    "no key": lambda members: members.pop(),
    "a huge key": lambda members: members.__setitem__(2, member(SECRET_KEY, b"x" * 20_000)),
    "a changed database": lambda members: members.__setitem__(1, member(DATABASE, members[1][1][::-1])),
    "a shorter database": lambda members: members.__setitem__(1, member(DATABASE, members[1][1][:-1])),
    "no metadata": lambda members: members.pop(0),
    "another format": changed_metadata(format="other"),
    "a later version": changed_metadata(version=2),
    "a wrong date": changed_metadata(created_at="soon"),
    "an unknown source of the key": changed_metadata(secret_key="elsewhere"),
}


@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_damage(name: str, tmp_path: Path) -> None:
    archive = archive_of(tmp_path, BAD[name])
    with pytest.raises(ArchiveDamaged):
        unpacked(archive, tmp_path)


def test_the_archive_itself_is_accepted(tmp_path: Path) -> None:
    assert (unpacked(archive_of(tmp_path, lambda _members: None), tmp_path) / SECRET_KEY).read_text() == "secret\n"


def test_a_cut_archive_is_damage(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, lambda _members: None)
    archive.write_bytes(archive.read_bytes()[:-40])
    with pytest.raises(ArchiveDamaged):
        unpacked(archive, tmp_path)


def test_any_tar_program_unpacks_it(folder: Path) -> None:
    content = gzip.decompress((folder / save(folder, NOW)).read_bytes())
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert tar.getnames() == ["metadata.json", DATABASE, SECRET_KEY]
