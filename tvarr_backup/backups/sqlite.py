"""Use SQLite outside Django's connections, which begin transactions, where `VACUUM` does not work.

Only SQLite opens the live database. Closing the file otherwise would drop the locks of this process's connections (POSIX).
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, Self, TypeVar

from tvarr_backup.backups.durable import create_private, written_early
from tvarr_backup.errors import CopyFailed, NoRoom
from tvarr_backup.sqlite_codes import primary_code
from tvarr_backup.sqlite_uri import uri_of

_COPY_CACHE = -500  # negative means KiB; a copy reads each page once, so a larger cache only slows it down
_SECONDS_BETWEEN_CALLS = 0.1
_SPARE_BYTES = 2**20
_DISK_ERRORS = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN)
_Result = TypeVar("_Result")
CopyProgress = Callable[[int, int], None]
"""Called several times a second with the bytes done and in total; may raise to cancel."""


@dataclass(frozen=True)
class Size:
    """The size of a database (`pages`) and how much of it is in use (`used`), in bytes."""

    pages: int
    used: int


_limits: list[Callable[[sqlite3.Connection], None]] = []


def limit_connections(limit: Callable[[sqlite3.Connection], None]) -> None:
    """Limit every connection that this process opens from now on, before its first statement."""
    _limits.append(limit)


def are_connections_limited() -> bool:
    """Whether this process was started to check a file from elsewhere."""
    return bool(_limits)


@contextlib.contextmanager
def open_database(
    path: Path, *, timeout_seconds: float = 20, mode: Literal["rw", "ro"] = "rw"
) -> Iterator[sqlite3.Connection]:
    """Open an existing file without implicit transactions, with `mode=rw` even for reading.

    On a read-only connection, `quick_check` and `integrity_check` miss violated CHECK constraints, and SQLite 3.40 cannot copy
    a table with generated columns.
    """
    with closing(
        sqlite3.connect(
            uri_of(path.absolute(), mode),
            uri=True,
            isolation_level=None,
            timeout=timeout_seconds,
            check_same_thread=False,
        )
    ) as connection:
        try:
            for limit in _limits:
                limit(connection)
            yield connection
        except UnicodeDecodeError as problem:  # Python cannot decode SQLite's message, which quotes the damaged text
            raise sqlite3.DatabaseError("its schema contains invalid text") from problem


def require_readable(path: Path, *, timeout_seconds: float = 20) -> None:
    """Raise SQLite's error if it cannot read a live database.

    A connection that may write would, on closing, write the -wal into such a file and delete it, so little could be salvaged.
    """
    if path.with_name(f"{path.name}-wal").exists():
        with open_database(path, timeout_seconds=timeout_seconds, mode="ro") as connection:
            measure(connection)


def is_of_the_disk(problem: sqlite3.Error) -> bool:
    """Return whether an error is about the disk, not the database."""
    return primary_code(problem) in _DISK_ERRORS


@contextlib.contextmanager
def raising_disk_errors() -> Iterator[None]:
    """Turn SQLite's errors about the disk into `OSError`, because they say nothing about the database."""
    try:
        yield
    except sqlite3.Error as problem:
        code = primary_code(problem)
        if code not in _DISK_ERRORS:
            raise
        raise OSError(
            errno.ENOSPC if code == sqlite3.SQLITE_FULL else errno.EIO, f'SQLite reports "{problem}"'
        ) from problem


def measure(connection: sqlite3.Connection) -> Size:
    """Return the size of a database."""
    (page_size,), (pages,), (free,) = (
        connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_size", "page_count", "freelist_count")
    )
    return Size(pages * page_size, (pages - free) * page_size)


def copy_database(live: Path, target: Path, progress: CopyProgress | None = None) -> Size:
    """Copy one state of a database with `VACUUM INTO`, while other programs write to it.

    `target` must not exist. It gets mode 0600, and is on disk when this returns. Raises `CopyFailed`, `NoRoom`, or what
    `progress` raises; then `target` is removed.
    """
    descriptor, size = create_private(target), None
    try:
        with written_early(descriptor), open_database(live) as connection:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA cache_size={_COPY_CACHE}")
            size = measure(connection)

            def report() -> None:
                if progress is not None:
                    progress(min(target.stat().st_size, size.used), size.used)

            report()  # a short copy may end before it is asked how far it is
            with Statements(connection, lambda: connection.execute("VACUUM INTO ?", (str(target.absolute()),))) as copy:
                copy.result(report)
            return size
    except sqlite3.Error as problem:
        remove_database(target)
        raise _copy_failed(live, target, size, problem) from problem
    except BaseException:
        remove_database(target)
        raise
    finally:
        os.close(descriptor)


def _copy_failed(live: Path, target: Path, size: Size | None, problem: sqlite3.Error) -> NoRoom | CopyFailed:
    """Return the error for a failed copy. SQLite also reports a full disk if a damaged page has a wrong page number."""
    code, reason = primary_code(problem), str(problem) or "SQLite gave no reason"
    if code == sqlite3.SQLITE_FULL:
        room = os.statvfs(target.parent)
        free = room.f_bavail * room.f_frsize
        if size is None or free < size.used + size.used // 8 + _SPARE_BYTES:
            return NoRoom(
                "The disk became full while {live} was copied. The copy was removed. Free some space, then try again.",
                live=live,
            )
        return CopyFailed(
            '{live} could not be copied. SQLite reports "{reason}", but {free:MB} is free and only about {used:MB} is needed. '
            "Either the database is damaged, or a quota is used up. To fix a damaged database, restore a backup.",
            live=live,
            reason=reason,
            free=free,
            used=size.used,
        )
    damage = " It is damaged. To fix it, restore a backup." if code == sqlite3.SQLITE_CORRUPT else ""
    return CopyFailed("{live} could not be copied: {reason}." + damage, live=live, reason=reason)


def remove_database(path: Path) -> None:
    """Delete an unused database and SQLite's files next to it."""
    for ending in ("", "-journal", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


class Statements(Generic[_Result]):
    """SQL statements in another thread, on a connection of their own, which are interrupted at the end of the context."""

    def __init__(self, connection: sqlite3.Connection, work: Callable[[], _Result]) -> None:
        self._connection = connection
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._future = self._pool.submit(work)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while not self._future.done():  # repeatedly, because an interrupt between two statements has no effect
            self._connection.interrupt()
            wait([self._future], _SECONDS_BETWEEN_CALLS / 2)
        self._pool.shutdown()

    def result(self, on_wait: Callable[[], None] | None = None) -> _Result:
        """Wait for the result. `on_wait` is called several times a second and may raise to cancel."""
        while not self._future.done():
            wait([self._future], _SECONDS_BETWEEN_CALLS)
            if on_wait is not None:
                on_wait()
        return self._future.result()
