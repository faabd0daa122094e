"""The URI with which SQLite opens a database file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from tvarr_backup.permissions import is_mounted_read_only


def uri_of(path: Path, mode: Literal["rw", "ro"]) -> str:
    """Return the URI of an existing file, given by its absolute path.

    On a read-only disk, SQLite cannot create the -shm that it needs in WAL mode. Nobody can change the file there, so it is
    opened as `immutable`, unless there is a -wal with changes, which SQLite would then ignore.
    """
    uri = f"file:{quote(str(path))}?mode={mode}"
    return f"{uri}&immutable=1" if _is_immutable(path) else uri


def _is_immutable(path: Path) -> bool:
    try:
        return is_mounted_read_only(path) and not _has_changes(Path(f"{path}-wal"))
    except OSError:  # SQLite will report the problem
        return False


def _has_changes(wal: Path) -> bool:
    return os.path.lexists(wal) and wal.stat().st_size > 0
