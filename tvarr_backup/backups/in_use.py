"""Find the programs that use the files of a database, and keep them out while one of the files is replaced."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvarr_backup.errors import DatabaseInUse, DatabaseUnusable

ENDINGS = ("-wal", "-shm", "-journal")
"""SQLite's own files next to a database, by what their names end in."""

_PATIENCE_SECONDS = 3.0
"""Pages and health checks open the database for a moment, so a user that is gone soon is waited for."""
_ASK_EVERY_SECONDS = 0.1

# It runs in a process of its own: closing a database file drops all POSIX locks that the process has on it. The byte
# ranges are those of SQLite (os_unix.c): pending, reserved and shared bytes of the database, and the locks of -shm.
# A lock is an exclusive one that is taken, so it conflicts with every lock of SQLite's, also with one that is held in
# another container on the same kernel; F_GETLK then says whose it is, and 0 where that process cannot be seen from here.
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


@dataclass(frozen=True)
class Program:
    """A process that has a file open; `name` is empty where the process cannot be seen from here."""

    pid: int
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})" if self.name else "a program that cannot be seen from here"


def programs_using(database: Path, *, but: Container[int] = ()) -> list[Program]:
    """Return the processes that have a file of the database open, as far as /proc shows their descriptors.

    Those of other users and of other containers are often hidden. A file that was deleted while it was open counts by
    the name that it had.
    """
    names = [f"{database}{ending}" for ending in ("", *ENDINGS)]
    files = {(status.st_dev, status.st_ino) for status in map(_status, names) if status is not None}
    deleted = {f"{name} (deleted)" for name in names}
    pids = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208  # hundreds of names
    return [Program(pid, _name_of(pid)) for pid in pids if pid not in but and _has_open(pid, files, deleted)]


def require_unused(database: Path, what_to_do: str) -> None:
    """Raise `DatabaseInUse` where another process has the database open, after a wait of a few seconds."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while users := programs_using(database, but=(os.getpid(),)):
        if time.monotonic() > deadline:
            raise _in_use(database, users, what_to_do)
        time.sleep(_ASK_EVERY_SECONDS)


@contextlib.contextmanager
def locked_out(database: Path, what_to_do: str) -> Iterator[str]:
    """Hold every lock of SQLite's on a file that nobody uses; yield what identifies its content, or "" for no file.

    Raises `DatabaseInUse` where a lock is held or a descriptor is visible, after a wait of a few seconds, and
    `DatabaseUnusable` where the file may not be opened. This process must not have a connection to the database.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        with _guard(database) as (pid, found):
            if "problem" in found:
                raise DatabaseUnusable(
                    f"{database} cannot be opened by the user with uid {os.geteuid()}: {found['problem']}. Nothing was "
                    "changed. Run this as the owner of the file, or as root."
                )
            users = programs_using(database, but=(pid,))
            if "locked_by" in found and found["locked_by"] not in [user.pid for user in users]:
                holder = int(found["locked_by"])
                users.append(Program(holder, _name_of(holder) if holder > 0 else ""))
            if not users:
                yield str(found.get("identity", ""))
                return
        if time.monotonic() > deadline:
            raise _in_use(database, users, what_to_do)
        time.sleep(_ASK_EVERY_SECONDS)


@contextlib.contextmanager
def _guard(database: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the process that holds the locks, which ends with the context or with this process, and its answer."""
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


def _in_use(database: Path, users: list[Program], what_to_do: str) -> DatabaseInUse:
    return DatabaseInUse(f"{database} is in use by {', '.join(map(str, users))}. Nothing was changed. {what_to_do}")


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116  # for every descriptor of every process
    except OSError:
        return None


def _has_open(pid: int, files: Container[tuple[int, int]], deleted: Container[str]) -> bool:
    folder = f"/proc/{pid}/fd"
    try:
        descriptors = os.listdir(folder)  # noqa: PTH208  # as `_status`
    except OSError:  # it has ended, or belongs to another user
        return False
    for name in descriptors:
        status = _status(f"{folder}/{name}")
        if status is None:
            continue
        if (status.st_dev, status.st_ino) in files:
            return True
        if status.st_nlink == 0:
            with contextlib.suppress(OSError):
                if os.readlink(f"{folder}/{name}") in deleted:  # noqa: PTH115  # as `_status`
                    return True
    return False


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
