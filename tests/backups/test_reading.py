"""Reading the configuration of backups that do not have it in their metadata file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backups.makers import backup, changed, required, settled, tvarrs_new_backup, tvarrs_old_backup
from tests.backups.test_configuration import FILTER, without_it
from tvarr_backup.backups.catalogue import configuration_of, find_backup
from tvarr_backup.backups.progress import Phase
from tvarr_backup.backups.reading import read_configuration_of
from tvarr_backup.errors import ArchiveDamaged, BackupNotFound, OperationCancelled
from tvarr_backup.packed_rows import unpack


def read(folder: Path, filename: str, tmp_path: Path) -> str:
    return read_configuration_of(folder, filename, required(), scratch=tmp_path / "scratch")


def test_an_older_backup_gets_it(live: Path, folder: Path, tmp_path: Path) -> None:
    made = backup(changed(live, FILTER.format(1, "Harbour")), folder)
    before = configuration_of(folder, made.filename)
    without_it(folder, made.filename)
    assert read(folder, made.filename, tmp_path) == before
    assert configuration_of(folder, made.filename) == before
    assert find_backup(folder, made.filename).sidecar.checked == made.sidecar.checked


def test_progress_is_shown_and_may_cancel(live: Path, folder: Path, tmp_path: Path) -> None:
    made = backup(live, folder)
    without_it(folder, made.filename)
    seen: list[Phase] = []

    def progress(phase: Phase, _done: int, _total: int) -> None:
        seen.append(phase)
        if phase is Phase.CHECK:
            raise OperationCancelled("Canceled.")

    with pytest.raises(OperationCancelled):
        read_configuration_of(folder, made.filename, required(), scratch=tmp_path, progress=progress)
    assert set(seen) == {Phase.UNPACK, Phase.CHECK}
    assert configuration_of(folder, made.filename) == ""
    assert not [path for path in (folder / ".work").iterdir() if path.is_file()]


def test_an_archive_of_tvarr_is_read_and_left_as_it_is(live: Path, folder: Path, tmp_path: Path) -> None:
    name = tvarrs_new_backup(folder, settled(changed(live, FILTER.format(1, "Harbour")))).name
    before = (folder / name).read_bytes()
    assert "Harbour" in str(unpack(read(folder, name, tmp_path))["filters"].rows)
    assert (folder / name).read_bytes() == before
    assert configuration_of(folder, name) == ""


def test_an_older_archive_of_tvarr_keeps_it_in_its_metadata_file(live: Path, folder: Path, tmp_path: Path) -> None:
    name = tvarrs_old_backup(folder, settled(changed(live, FILTER.format(1, "Harbour")))).name
    assert "Harbour" in str(unpack(read(folder, name, tmp_path))["filters"].rows)
    assert configuration_of(folder, name) != ""


def test_a_damaged_archive_is_refused(live: Path, folder: Path, tmp_path: Path) -> None:
    made = backup(live, folder)
    path = folder / made.filename
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(ArchiveDamaged):
        read(folder, made.filename, tmp_path)


def test_one_that_does_not_exist_is_not_found(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupNotFound):
        read(folder, "tvarr-backup-2020-01-01T00-00-00.db.gz", tmp_path)


def test_a_database_without_the_tables_has_none_to_read(live: Path, folder: Path, tmp_path: Path) -> None:
    tables = ("filters", "data_mapping_rules", "client_detection_rules")
    made = backup(changed(live, *(f"DROP TABLE {table}" for table in tables)), folder)
    without_it(folder, made.filename)
    assert list(unpack(read(folder, made.filename, tmp_path))) == ["encoding_profiles"]
