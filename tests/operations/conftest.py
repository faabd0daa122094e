"""Fixtures of the tests of operations."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tvarr_backup.operations.track import stop_flag


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    """A backup folder of the test's own."""
    folder = tmp_path / "backups"
    folder.mkdir(mode=0o700)
    settings.BACKUP_DIRECTORY = folder
    return folder


@pytest.fixture(autouse=True)
def _not_told_to_stop() -> Iterator[None]:
    yield
    stop_flag.is_set = False
