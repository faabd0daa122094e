"""The address by which SQLite opens a database file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from tvarr_backup.permissions import is_mounted_read_only


def uri_of(path: Path, mode: Literal["rw", "ro"]) -> str:
    """Return the URI of a file that must exist, an absolute path.

    In WAL mode SQLite reads a file only with a -shm next to it, which cannot be created on a disk that is mounted
    read-only. There nobody can change the file, so SQLite may read it without (`immutable`), unless there are changes
    in a -wal, which it would not see then.
    """
    uri = f"file:{quote(str(path))}?mode={mode}"
    return f"{uri}&immutable=1" if _is_immutable(path) else uri


def _is_immutable(path: Path) -> bool:
    try:
        return is_mounted_read_only(path) and not _has_changes(Path(f"{path}-wal"))
    except OSError:  # SQLite says what is wrong
        return False


def _has_changes(wal: Path) -> bool:
    return os.path.lexists(wal) and wal.stat().st_size > 0
