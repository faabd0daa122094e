"""A downloaded file brings its metadata to another installation, where it is still a file from elsewhere."""

from __future__ import annotations

import gzip
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.backups.makers import NOW, backup, packed, required, settled, tvarrs, tvarrs_new_backup, tvarrs_old_backup
from tests.backups.test_archive_header import downloaded, with_field
from tvarr_backup.backups.adopt import adopt_backup
from tvarr_backup.backups.catalogue import Backup, read_folder
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.restore_journal import find_safety_backup
from tvarr_backup.backups.retention import Policy, expired
from tvarr_backup.backups.sidecar import BackupKind, CheckLevel, Sidecar, encode_sidecar
from tvarr_backup.backups.verify import verify_backup
from tvarr_backup.errors import BackupPresent, NothingToUndo, UploadRefused

END = datetime(2999, 1, 1, tzinfo=UTC)


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """The backup folder of the first installation."""
    return prepare_folder(tmp_path / "first")


@pytest.fixture
def made(live: Path, first: Path) -> Backup:
    return backup(live, first, now=NOW, note="last good one")


def file_of(first: Path, made: Backup, **changes: Any) -> Path:
    """The downloaded file, of which these members of the metadata are changed."""
    target = first.with_name("downloaded.db.gz")
    target.write_bytes(downloaded((first / made.filename).read_bytes(), made.sidecar.with_changes(**changes)))
    return target


def file_with(first: Path, made: Backup, metadata: bytes) -> Path:
    """The archive with these bytes as the metadata in its header."""
    target = first.with_name("forged.db.gz")
    field = b"tb" + len(metadata).to_bytes(2, "little") + metadata
    target.write_bytes(with_field((first / made.filename).read_bytes(), field))
    return target


def add(source: Path, folder: Path, **changes: Any) -> Sidecar:
    return adopt_backup(source, folder, required(), **changes).sidecar


@pytest.mark.parametrize("protected", [True, False])
def test_note_version_date_and_protection_come_back(first: Path, folder: Path, made: Backup, protected: bool) -> None:
    there = add(file_of(first, made, protected=protected, tvarr_version="0.0.30"), folder)
    assert (there.note, there.tvarr_version, there.protected) == ("last good one", "0.0.30", protected)
    assert (there.created_at, there.created_at_source) == (made.sidecar.created_at, "metadata")
    assert (there.table_counts, there.schema) == (made.sidecar.table_counts, made.sidecar.schema)
    assert there.checksum == made.sidecar.checksum


@pytest.mark.parametrize("kind", [BackupKind.MANUAL, BackupKind.SCHEDULED, BackupKind.PRE_RESTORE])
def test_the_kind_is_only_displayed(first: Path, folder: Path, made: Backup, kind: BackupKind) -> None:
    there = add(file_of(first, made, kind=kind, protected=True, protected_until=END), folder)
    assert (there.original_kind, there.kind, there.imported) == (kind, BackupKind.UPLOADED, True)
    assert there.is_from_elsewhere
    assert there.checked is not None
    assert there.checked.level is CheckLevel.FULL
    assert there.is_protected(NOW)
    assert not there.is_protected(datetime(2999, 1, 2, tzinfo=UTC))


def test_an_uploaded_safety_backup_is_never_the_target_of_undo(first: Path, folder: Path, made: Backup) -> None:
    add(file_of(first, made, kind=BackupKind.PRE_RESTORE), folder)
    with pytest.raises(NothingToUndo):
        find_safety_backup(folder)


def test_the_kind_survives_two_moves(first: Path, folder: Path, made: Backup) -> None:
    add(file_of(first, made), folder)
    (second,) = read_folder(folder).backups
    third = prepare_folder(first.with_name("third"))
    assert add(file_of(folder, second), third).original_kind is BackupKind.MANUAL


def test_a_metadata_file_counts_more(first: Path, folder: Path, made: Backup) -> None:
    source, meta = file_of(first, made), first.with_name("meta")
    meta.write_bytes(encode_sidecar(made.sidecar.with_changes(note="newer")))
    assert add(source, folder, sidecar=meta).note == "newer"


def test_a_metadata_file_of_another_backup_is_refused(first: Path, folder: Path, made: Backup) -> None:
    source, meta = file_of(first, made), first.with_name("meta")
    meta.write_bytes(encode_sidecar(made.sidecar.with_changes(checksum="sha256:" + "0" * 64)))
    with pytest.raises(UploadRefused):
        add(source, folder, sidecar=meta)


@pytest.mark.parametrize(
    "metadata",
    [
        b"",
        b"{",
        b"[]",
        b"\xff" * 65_531,
        b"[" * 65_531,
        b'{"format": 2}',
        b'{"format": 1}',
    ],
)
def test_metadata_that_cannot_be_read_is_refused(first: Path, folder: Path, made: Backup, metadata: bytes) -> None:
    with pytest.raises(UploadRefused):
        add(file_with(first, made, metadata), folder)
    assert read_folder(folder).backups == ()


@pytest.mark.parametrize(
    "change",
    [
        {"note": 5},
        {"protected": "yes"},
        {"table_counts": [1]},
        {"kind": "root"},
        {"original_kind": "root"},
        {"created_at": "soon"},
        {"checksum": "sha256:" + "0" * 64},
        {"checksum": "md5"},
        {"database_size": 4096},
        {"note": "\ud800"},
    ],
)
def test_metadata_of_wrong_types_or_of_another_archive_is_refused(
    first: Path, folder: Path, made: Backup, change: dict[str, Any]
) -> None:
    members = json.loads(encode_sidecar(made.sidecar)) | change
    with pytest.raises(UploadRefused):
        add(file_with(first, made, json.dumps(members).encode()), folder)
    assert read_folder(folder).backups == ()


def test_control_characters_in_its_note_are_removed(first: Path, folder: Path, made: Backup) -> None:
    assert add(file_of(first, made, note="red \x1b[31m\nalert\u202e"), folder).note == "red [31malert"


def test_an_archive_that_was_changed_is_refused(live: Path, first: Path, folder: Path, made: Backup) -> None:
    other = backup(tvarrs(live.with_name("other.db"), "DELETE FROM filters"), first)
    with pytest.raises(UploadRefused):
        add(file_of(first, Backup(other.filename, made.sidecar)), folder)


class TestPresent:
    """Content that a usable backup has already is not added again."""

    def present(self, source: Path, folder: Path, existing: str, **changes: Any) -> None:
        before = read_folder(folder)
        with pytest.raises(BackupPresent) as problem:
            add(source, folder, **changes)
        assert (problem.value.code, problem.value.facts["existing"]) == ("backup_present", existing)
        assert read_folder(folder) == before

    @pytest.mark.parametrize("form", ["downloaded", "stored", "packed again", "database"])
    def test_it_is_refused_with_the_name_of_the_backup(self, first: Path, made: Backup, form: str) -> None:
        database = first.with_name("unpacked.db")
        database.write_bytes(gzip.decompress((first / made.filename).read_bytes()))
        source = {
            "downloaded": lambda: file_of(first, made),
            "stored": lambda: Path(shutil.copy(first / made.filename, first.with_name("copy.db.gz"))),
            "packed again": lambda: packed(first.with_name("again.db.gz"), database),
            "database": lambda: database,
        }[form]()
        self.present(source, first, made.filename)

    def test_a_damaged_backup_can_be_replaced(self, first: Path, made: Backup) -> None:
        source = file_of(first, made)
        with (first / made.filename).open("r+b") as file:
            file.seek(100)
            file.write(bytes(8))
        assert verify_backup(first, made.filename, required()).problems
        assert add(source, first).checksum == made.sidecar.checksum

    def test_an_archive_of_tvarrs_in_the_folder_can_be_added_once(self, folder: Path, tmp_path: Path) -> None:
        archive = tvarrs_new_backup(folder, settled(tvarrs(tmp_path / "copy.db")))
        added = adopt_backup(archive, folder, required())
        self.present(archive, folder, added.filename)

    def test_an_older_archive_of_tvarrs_in_the_folder_is_a_backup(self, folder: Path, tmp_path: Path) -> None:
        archive = tvarrs_old_backup(folder, settled(tvarrs(tmp_path / "copy.db")))
        self.present(archive, folder, archive.name)


def test_retention_never_deletes_an_unprotected_upload(first: Path, folder: Path, made: Backup) -> None:
    add(file_of(first, made, kind=BackupKind.SCHEDULED, protected=False), folder)
    assert expired(read_folder(folder).backups, Policy(keep=0), datetime.now(UTC)) == []
