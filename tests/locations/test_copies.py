"""Copies in a location: what is written, listed, fetched, checked and deleted, and what a failure leaves."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backups.makers import backup, query, tvarrs
from tvarr_backup.backups.catalogue import Backup, find_backup
from tvarr_backup.backups.sidecar import Sidecar, read_sidecar
from tvarr_backup.errors import (
    IdentityRequired,
    IdentityWrong,
    LocationUnmarked,
    ObjectDamaged,
    ObjectExists,
    ObjectMissing,
)
from tvarr_backup.locations.addresses import parse_url
from tvarr_backup.locations.copies import MARKER, Copy, CopyFolder, list_installations, sort_listing
from tvarr_backup.locations.encryption import new_key
from tvarr_backup.locations.stores import BytesSource, Entry, Store, open_store

ID = "01kxq3v7e8r9t0y1z2a3b4c5d6"
KEY = new_key()


class Place:
    """A location in a folder, with a backup to copy."""

    def __init__(self, root: Path) -> None:
        self.root = root / "nas"
        self.root.mkdir()
        self.backups = root / "backups"
        self.backups.mkdir()
        self.backup = backup(tvarrs(root / "live.db"), self.backups, note="before the upgrade")
        self.store: Store = open_store(parse_url(f"folder:{self.root}"))
        self.copies = CopyFolder(self.store, ID)
        self.copies.mark()

    @property
    def archive(self) -> Path:
        return self.backups / self.backup.filename

    @property
    def sidecar(self) -> Sidecar:
        return read_sidecar(self.backups / self.backup.name.sidecar)

    def write(self, *recipients: str) -> Copy:
        self.copies.write_copy(self.archive, self.sidecar, recipients)
        (copy,) = self.copies.read_listing().copies
        return copy

    def names(self) -> list[str]:
        return sorted(path.name for path in (self.root / self.copies.folder).iterdir() if path.name != MARKER)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    with made.store:
        yield made


@pytest.fixture(params=[(), (KEY.recipient,)], ids=["plain", "encrypted"])
def recipients(request: pytest.FixtureRequest) -> tuple[str, ...]:
    found: tuple[str, ...] = request.param
    return found


def test_a_copy_can_be_fetched_with_its_metadata(place: Place, recipients: tuple[str, ...], tmp_path: Path) -> None:
    copy = place.write(*recipients)
    (tmp_path / "new").mkdir()
    archive, sidecar = place.copies.fetch_copy(copy, tmp_path / "new", identity=KEY.identity)
    assert archive.read_bytes() == place.archive.read_bytes()
    assert sidecar == place.sidecar
    assert [path.name for path in (tmp_path / "new").iterdir()] == [place.backup.filename]


def test_a_plain_copy_is_what_a_backup_folder_has(place: Place) -> None:
    place.write()
    folder = place.root / place.copies.folder
    assert find_backup(folder, place.backup.filename) == Backup(place.backup.filename, place.backup.sidecar)


def test_an_encrypted_copy_shows_only_its_date_and_size(place: Place) -> None:
    place.write(KEY.recipient)
    name = place.backup.filename
    assert place.names() == sorted([f"{name}.age", place.backup.name.sidecar])
    described = json.loads((place.root / place.copies.folder / place.backup.name.sidecar).read_text())
    assert sorted(described) == [
        "archive_size",
        "checksum",
        "copy",
        "created_at",
        "record",
        "sealed",
        "size",
        "version",
    ]
    content = (place.root / place.copies.folder / f"{name}.age").read_bytes()
    assert described["checksum"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    for secret in (b"before the upgrade", place.sidecar.checksum.encode(), b"filters"):
        assert all(secret not in path.read_bytes() for path in (place.root / place.copies.folder).iterdir())


def test_an_encrypted_copy_needs_its_identity(place: Place, tmp_path: Path) -> None:
    copy = place.write(KEY.recipient)
    with pytest.raises(IdentityRequired):
        place.copies.fetch_copy(copy, tmp_path)
    with pytest.raises(IdentityWrong):
        place.copies.fetch_copy(copy, tmp_path, identity=new_key().identity)
    assert not list(tmp_path.glob("tvarr-backup-*"))


def test_writing_again_changes_nothing(place: Place, recipients: tuple[str, ...]) -> None:
    place.write(*recipients)
    before = {path: path.read_bytes() for path in place.root.rglob("*") if path.is_file()}
    place.write(*recipients)
    assert {path: path.read_bytes() for path in place.root.rglob("*") if path.is_file()} == before


def test_a_copy_of_another_backup_with_the_name_is_not_replaced(
    place: Place, recipients: tuple[str, ...], tmp_path: Path
) -> None:
    place.write(*recipients)
    (tmp_path / "other").mkdir()
    other = backup(tvarrs(tmp_path / "other.db", "DELETE FROM filters"), tmp_path / "other")
    archive = (tmp_path / "other" / other.filename).rename(tmp_path / "other" / place.backup.filename)
    sidecar = read_sidecar(tmp_path / "other" / other.name.sidecar)
    with pytest.raises(ObjectExists):
        place.copies.write_copy(archive, sidecar, recipients)
    place.copies.check_copy(*_copy_and_checksum(place))


def _copy_and_checksum(place: Place) -> tuple[Copy, str]:
    (copy,) = place.copies.read_listing().copies
    return copy, place.copies.read_metadata(copy.filename).checksum


class Stop(Exception):
    pass


def test_a_copy_that_is_stopped_is_not_listed(place: Place, recipients: tuple[str, ...]) -> None:
    def stop(_done: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        place.copies.write_copy(place.archive, place.sidecar, recipients, stop)
    assert place.copies.read_listing().copies == ()
    place.write(*recipients)


def test_an_archive_without_metadata_is_not_a_copy_and_is_written_again(
    place: Place, recipients: tuple[str, ...], tmp_path: Path
) -> None:
    copy = place.write(*recipients)
    (place.root / place.copies.folder / copy.name.sidecar).unlink()
    listing = place.copies.read_listing()
    assert (listing.copies, listing.unfinished) == ((), (copy.archive,))
    archive, _sidecar = place.copies.fetch_copy(place.write(*recipients), tmp_path, identity=KEY.identity)
    assert archive.read_bytes() == place.archive.read_bytes()


def test_what_interruptions_left_is_deleted_and_nothing_else(place: Place) -> None:
    copy = place.write()
    folder = place.root / place.copies.folder
    lonely = "tvarr-backup-2026-01-01T00-00-00.db.gz.age"
    for name in (lonely, "tvarr-backup-2026-01-02T00-00-00.meta.json", "photo.jpg"):
        (folder / name).write_bytes(b"x")
    place.copies.delete_unfinished(place.copies.read_listing())
    assert place.names() == sorted([copy.archive, copy.name.sidecar, "photo.jpg"])


def test_a_deleted_copy_leaves_nothing(place: Place, recipients: tuple[str, ...]) -> None:
    place.copies.delete_copy(place.write(*recipients))
    assert place.names() == []


@pytest.mark.parametrize("change", ["cut", "bit"])
def test_a_damaged_copy_is_noticed(place: Place, recipients: tuple[str, ...], change: str, tmp_path: Path) -> None:
    copy = place.write(*recipients)
    path = place.root / place.copies.folder / copy.archive
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content if change == "bit" else content[:-100])
    with pytest.raises(ObjectDamaged):
        place.copies.check_copy(*_copy_and_checksum(place))
    with pytest.raises(ObjectDamaged):
        place.copies.fetch_copy(copy, tmp_path, identity=KEY.identity)
    assert not list(tmp_path.glob("tvarr-backup-*"))


def test_a_backup_that_is_damaged_here_is_not_copied(place: Place, recipients: tuple[str, ...]) -> None:
    sidecar = place.sidecar
    content = bytearray(place.archive.read_bytes())
    content[len(content) // 2] ^= 1
    place.archive.chmod(0o600)
    place.archive.write_bytes(content)
    with pytest.raises(ObjectDamaged):
        place.copies.write_copy(place.archive, sidecar, recipients)
    assert place.copies.read_listing().copies == ()


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"copy": "other", "version": 1}', b"\xff", b"x" * 5_000_000])
def test_damaged_metadata_is_an_error(place: Place, content: bytes, tmp_path: Path) -> None:
    copy = place.write(KEY.recipient)
    (place.root / place.copies.folder / copy.name.sidecar).write_bytes(content)
    with pytest.raises(ObjectDamaged):
        place.copies.fetch_copy(copy, tmp_path, identity=KEY.identity)


def test_a_copy_that_somebody_deletes_while_it_is_fetched_is_missing(place: Place, tmp_path: Path) -> None:
    copy = place.write()
    (place.root / place.copies.folder / copy.archive).unlink()
    with pytest.raises(ObjectMissing):
        place.copies.fetch_copy(copy, tmp_path)
    assert not list(tmp_path.glob("tvarr-backup-*"))


# --- The folder ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"installation": "another"}'])
def test_a_location_without_our_marker_is_not_taken_for_an_empty_one(place: Place, content: bytes | None) -> None:
    marker = place.root / place.copies.folder / MARKER
    marker.unlink()
    if content is not None:
        marker.write_bytes(content)
    with pytest.raises(LocationUnmarked):
        place.copies.require_marker()
    place.copies.mark()
    place.copies.require_marker()


def test_a_folder_whose_disk_is_not_mounted_is_an_error(place: Place) -> None:
    place.root.rename(place.root.with_name("elsewhere"))
    with pytest.raises(ObjectMissing):
        place.copies.read_listing()
    with pytest.raises(LocationUnmarked):
        place.copies.require_marker()


def test_trying_a_location_leaves_nothing(place: Place) -> None:
    place.copies.try_out()
    assert place.names() == []


def test_installations_are_listed_by_their_newest_copy(place: Place) -> None:
    place.write()
    other = CopyFolder(place.store, ID[::-1])
    other.mark()
    place.store.write("photos/a.jpg", BytesSource(b"x"))
    (found,) = list_installations(place.store)
    assert (found.identifier, found.copies, found.newest_at) == (ID, 1, place.backup.name.moment)


def test_a_listing_of_any_objects_is_sorted() -> None:
    first, second = "tvarr-backup-2026-01-01T00-00-00", "tvarr-backup-2026-01-02T00-00-00"
    names = [
        f"{first}.db.gz",
        f"{first}.meta.json",
        f"{second}.db.gz.age",
        f"{second}.meta.json",
        "tvarr-backup-2026-01-03T00-00-00.tar.gz",
        "tvarr-backup-2026-13-03T00-00-00.db.gz",
        MARKER,
    ]
    listing = sort_listing([Entry(name, 1) for name in names])
    assert listing.copies == (
        Copy(f"{second}.db.gz", 1, is_encrypted=True),
        Copy(f"{first}.db.gz", 1, is_encrypted=False),
    )
    assert listing.unfinished == ()
    assert listing.foreign == tuple(names[4:6])


def test_a_database_that_was_fetched_has_the_rows(place: Place, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    archive, _sidecar = place.copies.fetch_copy(place.write(KEY.recipient), tmp_path / "new", identity=KEY.identity)
    (tmp_path / "restored.db").write_bytes(gzip.decompress(archive.read_bytes()))
    question = "SELECT count(*) FROM filters"
    assert query(tmp_path / "restored.db", question) == query(tmp_path / "live.db", question)


@pytest.mark.parametrize("kind", ["s3", "sftp", "webdav"])
def test_servers_hold_copies_as_folders_do(
    place: Place, kind: str, recipients: tuple[str, ...], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "new").mkdir()
    with request.getfixturevalue(f"{kind}_place").open() as store:
        copies = CopyFolder(store, ID)
        copies.mark()
        copies.try_out()
        copies.write_copy(place.archive, place.sidecar, recipients)
        (copy,) = copies.read_listing().copies
        archive, sidecar = copies.fetch_copy(copy, tmp_path / "new", identity=KEY.identity)
        assert (archive.read_bytes(), sidecar) == (place.archive.read_bytes(), place.sidecar)
        copies.delete_copy(copy)
        assert copies.read_listing().copies == ()
