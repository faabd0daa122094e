"""File locks, which the kernel releases when their process ends, however it ends."""

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
    """Create a file of mode 0600 if it is missing, and lock it. Closing the returned descriptor unlocks it.

    The lock excludes other threads and processes. Do not fork while holding it: a child would keep it. Raises
    `BlockingIOError` if the lock is still held after this time, or `OSError`.
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

    The file is never deleted. Otherwise two processes could each lock a file of this name.
    """
    try:
        descriptor = lock_file(folder / LOCK_NAME)
    except BlockingIOError:
        raise BackupBusy(
            "Another operation is using the backup folder {folder}. Nothing was changed. Try again when it has finished.",
            folder=folder,
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)  # which gives the lock back
