"""Who may read published backups."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backups.makers import backup, umask
from tvarr_backup.backups.catalogue import protect_backup
from tvarr_backup.backups.sharing import Sharing, set_sharing, share_folder


@pytest.fixture
def shared() -> Iterator[int]:
    """A group of this process's, for which backups can be read."""
    group = next((group for group in os.getgroups() if group != os.getegid()), os.getegid())
    group = 12345 if os.geteuid() == 0 else group
    set_sharing(Sharing(0o640, group))
    yield group
    set_sharing(Sharing())


def modes(folder: Path) -> dict[str, tuple[int, int]]:
    """Mode and group of everything that is not hidden."""
    found = {path.suffix: path.stat() for path in folder.iterdir() if not path.name.startswith(".")}
    return {suffix: (stat.S_IMODE(status.st_mode), status.st_gid) for suffix, status in found.items()}


def test_without_settings_they_are_their_owners_alone(live: Path, folder: Path) -> None:
    before = folder.stat()
    share_folder(folder)
    backup(live, folder)
    assert {mode for mode, _ in modes(folder).values()} == {0o600}
    assert folder.stat().st_mode == before.st_mode


def test_archive_metadata_file_and_folder_get_group_and_mode(live: Path, folder: Path, shared: int) -> None:
    with umask(0o077):
        share_folder(folder)
        made = backup(live, folder)
        protect_backup(folder, made.filename, protected=True)
    assert modes(folder) == {".gz": (0o640, shared), ".json": (0o640, shared)}
    assert (stat.S_IMODE(folder.stat().st_mode) & 0o777, folder.stat().st_gid) == (0o750, shared)
    assert stat.S_IMODE((folder / ".work").stat().st_mode) == 0o700


def test_a_folder_that_may_be_read_by_more_stays_so(folder: Path, shared: int) -> None:
    folder.chmod(0o755)
    share_folder(folder)
    assert (stat.S_IMODE(folder.stat().st_mode), folder.stat().st_gid) == (0o755, shared)


def test_the_folders_mode_follows_that_of_the_files() -> None:
    assert [oct(Sharing(mode).folder_mode) for mode in (0o600, 0o640, 0o660, 0o644)] == [
        *("0o700", "0o750", "0o750", "0o755"),
    ]
