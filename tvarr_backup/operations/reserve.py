"""A file that keeps a little room on the disk of this program's own database.

On a full disk nobody could sign in, and nothing could be recorded, so nothing could be deleted either. The file gives its
room up then, and is made again when there is room enough.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import structlog
from django.db import DEFAULT_DB_ALIAS

from tvarr_backup import conf
from tvarr_backup.backups.folder import free_bytes

logger = structlog.stdlib.get_logger(__name__)

RESERVE_BYTES = 4 * 2**20
"""As large as SQLite's journal usually grows (1000 pages): enough to sign in and to delete dozens of backups."""

FULL_BYTES = 2**20
"""With less than this free, a disk counts as full."""

ROOMY_BYTES = 8 * RESERVE_BYTES
"""With less than this free, the file is not made: others need the room more."""


def keep() -> None:
    """Make the file where it is missing and there is room enough. A failure leaves none behind."""
    path = _path()
    if path is None or _size(path) == RESERVE_BYTES or _free() < ROOMY_BYTES:
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(RESERVE_BYTES))  # a file system that compresses would keep no room for zeros
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return
    logger.info("reserve.made", path=str(path), bytes=RESERVE_BYTES)


def release_if_full() -> None:
    """Give the room up where the disk is full; costs one look at the disk."""
    if is_disk_full():
        release()


def release() -> bool:
    """Give the room up, because a write has failed for want of it; whether there was any."""
    path = _path()
    try:
        if path is None:
            return False
        path.unlink()
    except OSError:
        return False
    logger.warning("reserve.released", path=str(path), bytes=RESERVE_BYTES, reason="The disk is full; free some space.")
    return True


def is_disk_full() -> bool:
    """Whether next to nothing is free on the disk of this program's own database; never for one on a server."""
    return _path() is not None and _free() < FULL_BYTES


def is_missing() -> bool:
    """Whether the file was given up, and there is no room to make it again."""
    path = _path()
    return path is not None and _size(path) is None and _free() < ROOMY_BYTES


def _path() -> Path | None:
    """Next to the database; `None` where that is on a server."""
    if not conf.is_file(DEFAULT_DB_ALIAS):
        return None
    path = conf.database_path(DEFAULT_DB_ALIAS).resolve()
    return path.with_name(f"{path.name}.reserve")


def _free() -> int:
    """Bytes; a disk that cannot be asked counts as one with room."""
    try:
        return free_bytes(conf.database_path(DEFAULT_DB_ALIAS).resolve().parent)
    except OSError:
        return ROOMY_BYTES


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
