"""`manage.py check` finds, by id, what would keep the service from working."""

from pathlib import Path

import pytest

from tests.installation import Installation


def test_nothing_is_wrong_before_the_first_preparation(installation: Installation) -> None:
    assert "no issues" in installation.ok("check")
    assert not installation.data.exists()


def test_nothing_is_wrong_with_tvarrs_own_database(installation: Installation, tvarr_own: Path) -> None:
    installation.environment["TVARR_DATABASE_DSN"] = str(tvarr_own)
    assert "no issues" in installation.ok("check")


@pytest.mark.parametrize("command", ["check", "prepare", "up"])
@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_storage_folder_that_may_not_be_written_is_refused(
    command: str, below: str, installation: Installation
) -> None:
    installation.data.mkdir(mode=0o500)
    installation.heeds_modes = True
    folder = installation.data / below
    found = installation.refused(command, TVARR_STORAGE_BASE_DIR=str(folder))
    assert f"TVARR_STORAGE_BASE_DIR is {str(folder)!r}" in found
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
    assert f"(tvarr_backup.E001) TVARR_STORAGE_BASE_DIR is '{closed}/deeper'" in installation.refused("check")


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
