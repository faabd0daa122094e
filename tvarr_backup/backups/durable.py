"""Write files that appear whole or not at all and survive a power cut."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BufferedReader
from pathlib import Path
from threading import Event

_WRITE_BACK_EVERY_SECONDS = 0.1
_NEW = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
"""Errors of file systems without hard links: exFAT, FAT, SMB and FUSE. ENOTSUP is EOPNOTSUPP on Linux."""


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file, but no symbolic link or pipe. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def create_private(path: Path) -> int:
    """Create an empty file of mode 0600 and return a descriptor for writing. Raises `FileExistsError`."""
    return os.open(path, os.O_WRONLY | _NEW, 0o600)


def write_private(path: Path, data: bytes) -> None:
    """Write a new file of mode 0600 and sync it. Its name is durable only once its folder is synced."""
    with os.fdopen(create_private(path), "wb") as file:
        file.write(data)
        file.flush()
        sync_file(file.fileno())


def sync_file(descriptor: int) -> None:
    """Wait until the content of a file is on disk."""
    os.fsync(descriptor)


@contextlib.contextmanager
def written_early(descriptor: int) -> Iterator[None]:
    """Sync a large file several times a second while it is written, so that the final sync is quick. Raises `OSError`."""
    filled = Event()

    def write_back() -> None:
        while not filled.wait(_WRITE_BACK_EVERY_SECONDS):
            os.fdatasync(descriptor)

    with ThreadPoolExecutor(1, thread_name_prefix="write-back") as thread:
        writing = thread.submit(write_back)
        try:
            yield
        finally:
            filled.set()
        writing.result()


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(temporary: Path, final: Path) -> None:
    """Give a finished file its final name, durably. Raises `FileExistsError` if the name is taken.

    The temporary name stays, except on file systems without hard links: there the file is renamed, under the caller's lock.
    After an error the file does not have the name, unless the disk refuses to undo that as well.
    """
    try:
        os.link(temporary, final, follow_symlinks=False)
    except OSError as problem:
        if problem.errno not in _NO_HARD_LINKS:
            raise
        _rename_new(temporary, final)
    try:
        sync_folder(final.parent)
    except OSError:
        final.unlink()
        raise


def replace(temporary: Path, final: Path) -> None:
    """Replace a file by a finished one, durably. Readers see the old file or the new one."""
    temporary.replace(final)
    sync_folder(final.parent)


def write_whole(
    final: Path,
    data: bytes,
    *,
    temporary: Path | None = None,
    give_name: Callable[[Path, Path], object] = replace,
) -> None:
    """Write a file of mode 0600 durably, whole or not at all, through `temporary` on the same disk."""
    written = temporary or final.with_name(f".{final.name}.new")
    written.unlink(missing_ok=True)
    try:
        write_private(written, data)
        give_name(written, final)
    finally:
        with contextlib.suppress(OSError):
            written.unlink(missing_ok=True)


def _rename_new(temporary: Path, final: Path) -> None:
    if os.path.lexists(final):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final))
    temporary.rename(final)
