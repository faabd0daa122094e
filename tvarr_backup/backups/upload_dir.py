"""Folders for uploads in progress. The receiving process locks its folder; unlocked ones are leftovers."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tvarr_backup.backups.lock import LOCK_NAME, lock_file

_ATTEMPTS = 100


@contextlib.contextmanager
def open_upload_dir(parent: Path) -> Iterator[Path]:
    """Create a locked folder of mode 0700 in `parent`, and remove it with its content at the end. Do not fork meanwhile.

    `parent` is created if it is missing, and removed if it is empty at the end. The lock is a file in the folder, because
    folders cannot be locked on network disks. Raises `OSError`.
    """
    path, lock = _create_locked(parent)
    try:
        yield path
    finally:
        _remove_locked(path, lock)  # the next operation removes anything that stays
        _remove_empty(parent)


def remove_abandoned(parent: Path) -> list[str]:
    """Remove everything in `parent` that is not locked, then `parent` itself if it is empty. Return the names removed."""
    removed = []
    for path in sorted(parent.iterdir()):
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
        else:
            _remove_unless_locked(path)
        if not os.path.lexists(path):
            removed.append(path.name)
    _remove_empty(parent)
    return removed


def _create_locked(parent: Path) -> tuple[Path, int]:
    """Create a folder and lock it. Another process may remove it between any two steps, so all of them are repeated."""
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            with contextlib.suppress(FileExistsError):
                parent.mkdir(mode=0o700)
            if not stat.S_ISDIR(parent.lstat().st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(parent))
            path = Path(tempfile.mkdtemp(dir=parent))
            lock = lock_file(path / LOCK_NAME)
            if _has_lock(path, lock):
                return path, lock
            os.close(lock)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(parent))


def _remove_unless_locked(path: Path) -> None:
    try:
        lock = lock_file(path / LOCK_NAME)
    except (BlockingIOError, FileNotFoundError):  # locked, or just removed by its owner
        return
    except OSError:  # the lock is not a file, so no process holds it
        shutil.rmtree(path, ignore_errors=True)
    else:
        _remove_locked(path, lock)


def _has_lock(path: Path, lock: int) -> bool:
    """Return whether the lock is still the one in the folder."""
    try:
        return os.path.samestat((path / LOCK_NAME).lstat(), os.fstat(lock))
    except FileNotFoundError:
        return False


def _remove_locked(path: Path, lock: int) -> None:
    """Remove a folder and unlock it. Errors are ignored."""
    shutil.rmtree(path, ignore_errors=True)
    os.close(lock)
    if path.exists():  # on network disks, deleting an open file leaves another name behind
        shutil.rmtree(path, ignore_errors=True)


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
