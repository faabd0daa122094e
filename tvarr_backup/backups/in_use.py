"""Find programs that use a file, by their open descriptors in `/proc` and SQLite's locks, and keep them out of a database."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tvarr_backup.errors import DatabaseInUse, DatabaseUnusable

_PROC = Path("/proc")
_FLOCK = struct.Struct("hhqqi")  # Linux's `struct flock`: type, whence, start, length, pid


@dataclass(frozen=True)
class RunningProgram:
    """A running program; `pid` is 0 if it runs in another container."""

    name: str
    pid: int

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})" if self.pid else self.name


def find_users(paths: Iterable[Path], *, but: Container[int] = ()) -> Iterator[RunningProgram]:
    """Yield the programs that have one of these files open, this one first, except pids in `but`.

    Descriptors of other users' programs are visible to root only, those in other containers to nobody. The files are not
    opened. A file that was deleted while open is recognized by its old name.
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


def program_with(pid: int) -> RunningProgram:
    """Return the program with this pid; 0 stands for one in another container."""
    try:
        return RunningProgram((_PROC / str(pid) / "comm").read_text().strip(), pid)
    except OSError:
        return RunningProgram("another program", pid)


def find_locker(file: IO[bytes]) -> RunningProgram | None:
    """Return the program that holds a lock on an open file, if any. Closing the file would drop this process's own lock."""
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(file, fcntl.F_GETLK, asked))
    except OSError:
        return None
    return None if kind == fcntl.F_UNLCK else program_with(max(0, pid))


def _has_open(process: Path, files: set[tuple[int, int]], deleted: set[str]) -> bool:
    try:
        descriptors = os.listdir(process / "fd")  # noqa: PTH208  # thousands of them
    except OSError:  # the program belongs to another user, or has just ended
        return False
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            status = os.stat(f"{process}/fd/{descriptor}")  # noqa: PTH116
            if (status.st_dev, status.st_ino) in files:
                return True
            if not status.st_nlink and os.readlink(f"{process}/fd/{descriptor}") in deleted:  # noqa: PTH115
                return True
    return False


# --- Keeping other programs out --------------------------------------------------------------------------------------

ENDINGS = ("-wal", "-shm", "-journal")
"""Endings of SQLite's own files next to a database."""

_PATIENCE_SECONDS = 3.0
"""How long to wait, because pages and health checks open the database for a moment."""
_ASK_EVERY_SECONDS = 0.1

# A separate process, because closing a database file drops all POSIX locks that a process has on it. The byte ranges are
# SQLite's (os_unix.c): pending, reserved and shared bytes of the database, and the locks of -shm. Exclusive locks conflict
# with all of SQLite's locks, also in other containers. F_GETLK gives pid 0 for a process that cannot be seen from here.
_GUARD = """
import fcntl, hashlib, json, os, struct, sys
LOCK = "hhqqi"
def answer(**found):
    print(json.dumps(found), flush=True)
    sys.stdin.read()
    sys.exit()
def lock(path, start, length):
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    wanted = struct.pack(LOCK, fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLK, wanted)
    except (BlockingIOError, PermissionError):
        found = fcntl.fcntl(descriptor, fcntl.F_GETLK, wanted)
        answer(locked_by=struct.unpack(LOCK, found)[4])
    return descriptor
def identity(descriptor):
    digest = hashlib.sha256()
    try:
        while block := os.read(descriptor, 2**20):
            digest.update(block)
    except OSError:
        status = os.fstat(descriptor)
        return f"unreadable:{status.st_size}:{status.st_mtime_ns}"
    return "sha256:" + digest.hexdigest()
database = sys.argv[1]
try:
    descriptor = lock(database, 0x40000000, 512)
    if os.path.isfile(database + "-shm"):
        lock(database + "-shm", 120, 9)
except OSError as problem:
    answer(problem=problem.strerror)
answer(identity=identity(descriptor))
"""


def require_unused(database: Path, what_to_do: str, *, patience_seconds: float = _PATIENCE_SECONDS) -> None:
    """Raise `DatabaseInUse` if another process still has the database open after this time."""
    deadline = time.monotonic() + patience_seconds
    while users := list(find_users(_paths(database), but=(os.getpid(),))):
        if time.monotonic() > deadline:
            raise _in_use(database, users, what_to_do)
        time.sleep(_ASK_EVERY_SECONDS)


@contextlib.contextmanager
def locked_out(database: Path, what_to_do: str) -> Iterator[str]:
    """Hold all of SQLite's locks on an unused database file; yield a hash of its content, or "" if there is no file.

    A program in another container that has the file open without a lock cannot be seen, so the user confirms that tvarr is
    stopped. Raises `DatabaseInUse` if the file is still locked or open after a few seconds, and `DatabaseUnusable` if it
    cannot be opened. This process must not have a connection to the database.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        with _guard(database) as (pid, found):
            if "problem" in found:
                raise DatabaseUnusable(
                    "The user with uid {user} cannot open {database}: {reason}. Nothing was changed. Run this as the owner of "
                    "the file, or as root.",
                    database=database,
                    user=os.geteuid(),
                    reason=found["problem"],
                )
            users = list(find_users(_paths(database), but=(pid,)))
            if "locked_by" in found and found["locked_by"] not in [user.pid for user in users]:
                users.append(program_with(max(0, int(found["locked_by"]))))
            if not users:
                yield str(found.get("identity", ""))
                return
        if time.monotonic() > deadline:
            raise _in_use(database, users, what_to_do)
        time.sleep(_ASK_EVERY_SECONDS)


@contextlib.contextmanager
def _guard(database: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the pid of the process that holds the locks, and its answer. It ends with the context or with this process."""
    if not os.path.lexists(database):
        yield 0, {}
        return
    command = [sys.executable, "-I", "-S", "-c", _GUARD, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # our own program
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.pid, json.loads(process.stdout.readline() or '{"problem": "the check of its locks failed"}')
        finally:
            process.stdin.close()


def _in_use(database: Path, users: list[RunningProgram], what_to_do: str) -> DatabaseInUse:
    return DatabaseInUse(
        "{database} is in use by {users}. Nothing was changed. {what_to_do}",
        database=database,
        users=", ".join(map(str, users)),
        what_to_do=what_to_do,
    )


def _paths(database: Path) -> list[Path]:
    return [Path(f"{database}{ending}") for ending in ("", *ENDINGS)]
