"""Files that appear whole or not at all, and stay after a power cut."""

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
"""How file systems without hard links answer: exFAT and FAT, SMB and FUSE (ENOTSUP is EOPNOTSUPP on Linux)."""


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file, never through a link in its last part, and without waiting for a pipe. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is no regular file", str(path))
    return os.fdopen(descriptor, "rb")


def create_private(path: Path) -> int:
    """A descriptor of a new, empty file of mode 0600, to be written; `FileExistsError` where the name is taken."""
    return os.open(path, os.O_WRONLY | _NEW, 0o600)


def write_private(path: Path, data: bytes) -> None:
    """A new file of mode 0600 with this content, on disk; its name is durable only once its folder is synced."""
    with os.fdopen(create_private(path), "wb") as file:
        file.write(data)
        file.flush()
        sync_file(file.fileno())


def sync_file(descriptor: int) -> None:
    """Wait until what was written to the file is on disk."""
    os.fsync(descriptor)


@contextlib.contextmanager
def written_early(descriptor: int) -> Iterator[None]:
    """Write a large file back while it is being filled, so that the sync at its end, which is still needed, takes little.

    Raises what the disk refuses meanwhile.
    """
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
    """Wait until the names in a folder are on disk as they are now."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(temporary: Path, final: Path) -> None:
    """Give a finished file its name, durably. Raises `FileExistsError` where the name is taken.

    The temporary name stays, except where there are no hard links: there the file is renamed, under the caller's lock.
    When this raises, the file does not have the name, unless the disk refuses to undo that as well.
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
    """Put a finished file in the place of another, durably: a reader sees the old one or the new one."""
    temporary.replace(final)
    sync_folder(final.parent)


def write_whole(
    final: Path,
    data: bytes,
    *,
    temporary: Path | None = None,
    give_name: Callable[[Path, Path], object] = replace,
) -> None:
    """Write a private file durably, whole or not at all; with `give_name=publish` a name that is taken is refused.

    The content is written to `temporary` first, which must be on the same disk, and is next to `final` by default.
    """
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
