"""Files that get their name once they are complete, also on disks without hard links."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backups.makers import refusing_links
from tvarr_backup.backups.durable import publish


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    path = tmp_path / "temporary"
    path.write_text("new")
    return path


def test_a_published_file_keeps_its_temporary_name(temporary: Path) -> None:
    publish(temporary, temporary.with_name("final"))
    assert temporary.samefile(temporary.with_name("final"))


@pytest.mark.parametrize("code", [1, 38, 95], ids=["EPERM", "ENOSYS", "EOPNOTSUPP"])
def test_without_hard_links_it_is_renamed(temporary: Path, code: int) -> None:
    with refusing_links(code):
        publish(temporary, temporary.with_name("final"))
    assert temporary.with_name("final").read_text() == "new"
    assert not temporary.exists()


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("what", ["file", "dangling link"])
def test_a_name_that_is_taken_is_never_replaced(temporary: Path, code: int, what: str) -> None:
    final = temporary.with_name("final")
    final.symlink_to("nowhere") if what == "dangling link" else final.write_text("old")
    with refusing_links(code), pytest.raises(FileExistsError):
        publish(temporary, final)
    assert temporary.read_text() == "new"
    assert final.is_symlink() or final.read_text() == "old"


def test_another_refusal_is_not_taken_for_missing_hard_links(temporary: Path) -> None:
    with refusing_links(28), pytest.raises(OSError, match="No space left"):
        publish(temporary, temporary.with_name("final"))
    assert [path.name for path in temporary.parent.iterdir()] == ["temporary"]
