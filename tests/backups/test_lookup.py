"""The ways to name a backup: its file name, a part of it, its place among all, or its number."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backups.makers import NOW, backup
from tvarr_backup.backups.lookup import find_name, is_number
from tvarr_backup.errors import BackupAmbiguous, BackupNotFound

OLD, NEW = "tvarr-backup-2026-06-15T12-30-00.db.gz", "tvarr-backup-2026-06-15T12-30-00.123.db.gz"
BROKEN = "tvarr-backup-2025-01-01T00-00-00.db.gz"


@pytest.fixture
def two(live: Path, folder: Path) -> Path:
    """A folder with two good backups and a broken one."""
    assert [backup(live, folder, now=NOW).filename for _ in range(2)] == [OLD, NEW]
    (folder / BROKEN).write_bytes(b"half")
    return folder


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("latest", NEW),
        ("latest~0", NEW),
        ("latest~1", OLD),
        (NEW[:35], NEW),
        ("tvarr-backup-2025", BROKEN),
        (OLD, OLD),
    ],
)
def test_a_backup_has_several_names(two: Path, wanted: str, found: str) -> None:
    assert find_name(two, wanted) == found


@pytest.mark.parametrize(("number", "found"), [("1", NEW), ("2", OLD), ("02", OLD)])
def test_a_number_is_that_of_the_list_where_numbers_are_accepted(two: Path, number: str, found: str) -> None:
    assert find_name(two, number, accept_numbers=True) == found
    with pytest.raises(BackupNotFound):
        find_name(two, number)


@pytest.mark.parametrize(
    "wanted",
    ["latest~2", "0", "3", "9" * 5000, "tvarr-backup-2024", "x", "", "Latest", "latest~", "latest~-1", "²", "../x"],
)
def test_what_names_no_backup_is_not_found(two: Path, wanted: str) -> None:
    with pytest.raises(BackupNotFound):
        find_name(two, wanted, accept_numbers=True)


@pytest.mark.parametrize("start", ["", "t", "tvarr-backup-"])
def test_a_start_that_every_name_has_names_none_even_if_there_is_only_one(live: Path, folder: Path, start: str) -> None:
    backup(live, folder)
    with pytest.raises(BackupNotFound):
        find_name(folder, start)


def test_a_start_of_several_names_is_ambiguous_and_some_of_them_are_listed(two: Path) -> None:
    with pytest.raises(BackupAmbiguous) as refused:
        find_name(two, "tvarr-backup-2026")
    assert refused.value.facts["names"] == f"{NEW}, {OLD}"


def test_a_whole_name_is_not_looked_for(tmp_path: Path) -> None:
    assert find_name(tmp_path / "missing", OLD) == OLD


def test_without_backups_there_is_no_latest_one(tmp_path: Path) -> None:
    with pytest.raises(BackupNotFound):
        find_name(tmp_path / "missing", "latest")


@pytest.mark.parametrize(
    ("wanted", "expected"), [("1", True), ("34", True), ("latest", False), ("", False), ("²", False)]
)
def test_numbers_are_recognized(wanted: str, expected: bool) -> None:
    assert is_number(wanted) is expected
