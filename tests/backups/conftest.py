"""A live database of tvarr's and a backup folder."""

from pathlib import Path

import pytest

from tests.backups.makers import tvarrs
from tvarr_backup.backups.folder import prepare_folder, recover


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """tvarr's own database, in WAL mode, which nobody has open."""
    return tvarrs(tmp_path / "live.db")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A backup folder in which somebody has been at work before: its lock and its folder for temporary files are there."""
    made = prepare_folder(tmp_path / "backups")
    recover(made)
    return made
