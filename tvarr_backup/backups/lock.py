"""Locks of the kernel's on files: gone with the process that holds them, however it ends."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from tvarr_backup.errors import BackupBusy

LOCK_NAME = ".lock"
_SECONDS_BETWEEN_ATTEMPTS = 0.1


def lock_file(path: Path, *, patience_seconds: float = 0.0) -> int:
    """Create a file of mode 0600 where it is missing, and lock it. Closing the descriptor returned unlocks it.

    It excludes other threads as well as other processes. Raises `BlockingIOError` where another one holds the lock after
    so many seconds, or `OSError`. Do not fork while it is held: a child would keep it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience_seconds
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
            else:
                return descriptor
    except BaseException:
        os.close(descriptor)
        raise


@contextlib.contextmanager
def backup_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a backup folder, which allows one operation at a time, or raise `BackupBusy` immediately.

    The file is never deleted: two processes that lock two files of one name would both be sure of themselves.
    """
    try:
        descriptor = lock_file(folder / LOCK_NAME)
    except BlockingIOError:
        raise BackupBusy(
            "Another backup, check, clean-up or restore is at work in {folder}; try again when it is done.",
            folder=folder,
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)  # which gives the lock back
