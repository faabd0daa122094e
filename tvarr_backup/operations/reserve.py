"""A file that reserves space on the disk of this program's own database.

It is deleted when the disk is full, so that users can still sign in and delete backups, and created again later.
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
"""A disk with less free space counts as full."""

ROOMY_BYTES = 8 * RESERVE_BYTES
"""With less free space, the file is not created."""


def keep() -> None:
    """Create the file if it is missing and there is enough space. A failure leaves no file behind."""
    path = _path()
    if path is None or _size(path) == RESERVE_BYTES or _free() < ROOMY_BYTES:
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(RESERVE_BYTES))  # a compressing file system would reserve no space for zeros
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return
    logger.info("reserve.made", path=str(path), bytes=RESERVE_BYTES)


def release_if_full() -> None:
    """Delete the file if the disk is full."""
    if is_disk_full():
        release()


def release() -> bool:
    """Delete the file. Return whether there was one."""
    path = _path()
    try:
        if path is None:
            return False
        path.unlink()
    except OSError:
        return False
    logger.warning("reserve.released", path=str(path), bytes=RESERVE_BYTES, reason="The disk is full. Free some space.")
    return True


def is_disk_full() -> bool:
    """Return whether the disk of this program's own database is full; never for a server."""
    return _path() is not None and _free() < FULL_BYTES


def is_missing() -> bool:
    """Return whether the file is missing and there is no space to create it."""
    path = _path()
    return path is not None and _size(path) is None and _free() < ROOMY_BYTES


def _path() -> Path | None:
    """Return the path next to the database; `None` for a server."""
    if not conf.is_file(DEFAULT_DB_ALIAS):
        return None
    path = conf.database_path(DEFAULT_DB_ALIAS).resolve()
    return path.with_name(f"{path.name}.reserve")


def _free() -> int:
    """Return the free bytes; if they are unknown, enough."""
    try:
        return free_bytes(conf.database_path(DEFAULT_DB_ALIAS).resolve().parent)
    except OSError:
        return ROOMY_BYTES


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
