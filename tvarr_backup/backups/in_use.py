"""Which programs have a file open, by the descriptors that Linux shows and the locks of SQLite."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_PROC = Path("/proc")
_FLOCK = struct.Struct("hhqqi")  # Linux's `struct flock`: type, whence, start, length, pid


@dataclass(frozen=True)
class Program:
    """A running program; `pid` is 0 where it runs in another container."""

    name: str
    pid: int

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})" if self.pid else self.name


def find_users(paths: Iterable[Path], *, but: Container[int] = ()) -> Iterator[Program]:
    """Yield the programs that have one of these files open, this one first, without those with a pid in `but`.

    The files are not opened. The descriptors of other users' programs are visible to root only, and those of other
    containers to nobody. A file that was deleted while a program had it open counts by its old name.
    """
    files, deleted = set(), set()
    for path in paths:
        deleted.add(f"{path} (deleted)")
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            files.add((status.st_dev, status.st_ino))
    processes = {int(process.name) for process in _PROC.iterdir() if process.name.isdecimal()}
    for pid in (os.getpid(), *sorted(processes - {os.getpid()})):
        if pid not in but and _has_open(_PROC / str(pid), files, deleted):
            yield program_with(pid)


def program_with(pid: int) -> Program:
    """Return a program by its number; 0 stands for one in another container."""
    try:
        return Program((_PROC / str(pid) / "comm").read_text().strip(), pid)
    except OSError:
        return Program("another program", pid)


def find_locker(file: IO[bytes]) -> Program | None:
    """Return the program that holds a lock on an open file, as SQLite does while it uses a database, if any.

    This process must not have locked the file: closing it would drop those locks.
    """
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(file, fcntl.F_GETLK, asked))
    except OSError:
        return None
    return None if kind == fcntl.F_UNLCK else program_with(max(0, pid))


def _has_open(process: Path, files: set[tuple[int, int]], deleted: set[str]) -> bool:
    try:
        descriptors = os.listdir(process / "fd")  # noqa: PTH208  # thousands of them
    except OSError:  # another user's program, or one that has just ended
        return False
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            status = os.stat(f"{process}/fd/{descriptor}")  # noqa: PTH116
            if (status.st_dev, status.st_ino) in files:
                return True
            if not status.st_nlink and os.readlink(f"{process}/fd/{descriptor}") in deleted:  # noqa: PTH115
                return True
    return False
