"""Folders that a process holds by a lock of the kernel's; one that nobody holds is left over, and may be removed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tvarr_backup.backups.lock import LOCK_NAME

_ATTEMPTS = 100


@contextlib.contextmanager
def held_folder(parent: Path) -> Iterator[Path]:
    """A new folder of mode 0700 in `parent`, held until the end and then removed with all that is in it.

    `parent` is made where it is missing, and removed where it is empty at the end. The lock is a file in the folder: on
    network disks folders themselves cannot be locked. Do not fork meanwhile: a child would hold the folder on. Raises
    `OSError`.
    """
    path, lock = _hold_new(parent)
    try:
        yield path
    finally:
        _remove_held(path, lock)  # what stays is removed by the next clean-up
        _remove_empty(parent)


def remove_abandoned(parent: Path) -> list[str]:
    """Remove what nobody holds in `parent`, and `parent` itself where nothing stays; the names of what was removed."""
    removed = []
    for path in sorted(parent.iterdir()):
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
        else:
            _remove_abandoned(path)
        if not os.path.lexists(path):
            removed.append(path.name)
    _remove_empty(parent)
    return removed


def _hold_new(parent: Path) -> tuple[Path, int]:
    """A clean-up may come between any two steps: then it is tried again."""
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            with contextlib.suppress(FileExistsError):
                parent.mkdir(mode=0o700)
            if not stat.S_ISDIR(parent.lstat().st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(parent))
            path = Path(tempfile.mkdtemp(dir=parent))
            lock = _hold(path)
            if _is_there(path, lock):
                return path, lock
            os.close(lock)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(parent))


def _hold(path: Path) -> int:
    """A descriptor that holds the folder. Raises `BlockingIOError` where somebody else does."""
    lock = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise
    return lock


def _remove_abandoned(path: Path) -> None:
    try:
        lock = _hold(path)
    except (BlockingIOError, FileNotFoundError):  # held, or just removed by its holder
        return
    except OSError:  # what lies in the lock's place is none, so nobody holds it
        shutil.rmtree(path, ignore_errors=True)
    else:
        _remove_held(path, lock)


def _is_there(path: Path, lock: int) -> bool:
    try:
        return os.path.samestat((path / LOCK_NAME).lstat(), os.fstat(lock))
    except FileNotFoundError:
        return False


def _remove_held(path: Path, lock: int) -> None:
    """Remove a folder and let go of it; what cannot be removed stays."""
    shutil.rmtree(path, ignore_errors=True)
    os.close(lock)
    if path.exists():  # on a network disk, where a file that is open leaves a name behind
        shutil.rmtree(path, ignore_errors=True)


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
