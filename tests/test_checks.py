"""The system checks."""

import sqlite3
from pathlib import Path

import pytest

from tests.installation import ROOT, Installation
from tvarr_backup.checks import check_sqlite, has_wal_reset_bug


def test_a_new_installation_has_no_problem(installation: Installation) -> None:
    installation.ok("check", "--fail-level", "WARNING")
    assert not installation.data.exists()


def test_tvarrs_own_database_is_no_problem(installation: Installation, tvarr_own: Path) -> None:
    installation.environment["TVARR_DATABASE_DSN"] = str(tvarr_own)
    installation.ok("check", "--fail-level", "WARNING")


def test_backups_on_the_disk_of_the_database_are_mentioned(prepared: Installation) -> None:
    prepared.ok("backup", "create")
    done = prepared.run("check", "--fail-level", "WARNING")
    assert (done.returncode, "(tvarr_backup.I001) The backups in " in done.stderr) == (0, True)
    other = "/dev/shm" if Path("/dev/shm").stat().st_dev != prepared.data.stat().st_dev else "/proc"
    assert "I001" not in prepared.run("check", TVARR_BACKUP_DIRECTORY=other).stderr


def test_a_backup_folder_that_cannot_be_written_to_is_refused(installation: Installation) -> None:
    closed = installation.data.with_name("closed")
    closed.mkdir(mode=0o500)
    installation.heeds_modes = True
    found = installation.refused("check", TVARR_BACKUP_DIRECTORY=str(closed / "backups"))
    assert f"(tvarr_backup.E003) TVARR_BACKUP_DIRECTORY names {closed}/backups, but {closed} is not a folder" in found


def test_a_backup_folder_that_is_served_to_everyone_is_refused(installation: Installation) -> None:
    found = installation.refused("check", TVARR_BACKUP_DIRECTORY=str(ROOT / "static" / "backups"))
    assert "(tvarr_backup.E004) TVARR_BACKUP_DIRECTORY names " in found


@pytest.mark.parametrize(
    ("version", "has_it"),
    [
        ((3, 6, 23), False), ((3, 7, 0), True), ((3, 40, 1), True), ((3, 44, 5), True), ((3, 44, 6), False),
        ((3, 45, 0), True), ((3, 50, 6), True), ((3, 50, 7), False), ((3, 51, 2), True), ((3, 51, 3), False),
        ((3, 54, 1), False),
    ],
)  # fmt: skip
def test_versions_of_sqlite_that_can_lose_commits_are_known(version: tuple[int, ...], has_it: bool) -> None:
    assert has_wal_reset_bug(version) is has_it


def test_such_a_version_is_mentioned(installation: Installation) -> None:
    printed = installation.run("check", "--fail-level", "WARNING").stderr
    assert ("I002" in printed) == has_wal_reset_bug(sqlite3.sqlite_version_info)


def test_an_sqlite_that_cannot_copy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 26, 0))
    assert [found.id for found in check_sqlite()] == ["tvarr_backup.E005"]


@pytest.mark.parametrize("command", ["check", "prepare"])
@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_storage_folder_that_cannot_be_written_to_is_refused(
    command: str, below: str, installation: Installation
) -> None:
    installation.data.mkdir(mode=0o500)
    installation.heeds_modes = True
    folder = installation.data / below
    found = installation.refused(command, TVARR_STORAGE_BASE_DIR=str(folder))
    assert f"TVARR_STORAGE_BASE_DIR names {folder}" in found
    assert ("tvarr_backup.E001" in found) == (command == "check")
    assert list(installation.data.iterdir()) == []


def test_a_storage_folder_out_of_reach_is_refused(installation: Installation) -> None:
    closed = installation.data
    closed.mkdir(mode=0)
    installation.heeds_modes = True
    installation.environment |= {
        "TVARR_STORAGE_BASE_DIR": str(closed / "deeper"),
        "DATABASE_URL": str(closed.with_name("app.db")),
        "TVARR_DATABASE_DSN": str(closed.with_name("tvarr.db")),
        "SECRET_KEY": "only for this test",
    }
    assert f"(tvarr_backup.E001) TVARR_STORAGE_BASE_DIR names {closed}/deeper" in installation.refused("check")


def test_one_file_under_two_names_is_one_file(installation: Installation, tvarr_own: Path) -> None:
    link = tvarr_own.with_name("link.db")
    link.symlink_to(tvarr_own)
    before = tvarr_own.read_bytes()
    for command in ("check", "prepare", "up"):
        found = installation.refused(command, TVARR_DATABASE_DSN=str(tvarr_own), DATABASE_URL=f"sqlite:///{link}")
        assert "DATABASE_URL and TVARR_DATABASE_DSN are the same file" in found
    assert tvarr_own.read_bytes() == before


def test_a_foreign_database_is_refused(installation: Installation) -> None:
    foreign = installation.data.with_name("diary.txt")
    foreign.write_text("Dear diary")
    found = installation.refused("check", TVARR_DATABASE_DSN=str(foreign))
    assert f"(tvarr_backup.E002) TVARR_DATABASE_DSN: {foreign} is not an SQLite database." in found


@pytest.mark.parametrize(("content", "what"), [(None, "does not exist"), (b"", "is empty")])
def test_a_named_database_without_content_is_refused(
    content: bytes | None, what: str, installation: Installation
) -> None:
    named = installation.data.with_name("tvarr.db")
    if content is not None:
        named.write_bytes(content)
    found = installation.refused("check", TVARR_DATABASE_DSN=str(named))
    assert f"(tvarr_backup.E002) TVARR_DATABASE_DSN names {named}, which {what}." in found
