"""One operation at a time in a backup folder, by a lock of the kernel's: gone with its process, however that ends."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from tvarr_backup.errors import BackupBusy

LOCK_NAME = ".lock"


@contextlib.contextmanager
def backup_lock(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, or raise `BackupBusy` at once.

    It excludes other threads as well as other processes. The file is never deleted: two holders of two files of one
    name would both be sure of themselves. Do not fork while it is held: a child would hold it on.
    """
    descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise BackupBusy(
            "Another backup, check, clean-up or restore is at work in {folder}; try again when it is done.",
            folder=folder,
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)  # which gives the lock back
