"""Raw SQLite steps on connections of their own: `VACUUM` works in no transaction, so Django's are of no use here.

The live database is opened by SQLite alone. Opening it any other way in a process that has a connection to it would
drop that connection's locks (POSIX), and with them the safety of every writer in the process.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tvarr_backup.errors import CopyFailed

_LOOK_EVERY_SECONDS = 0.1
Progress = Callable[[int, int], None]
"""Called now and then with bytes done and bytes in all; may raise to cancel."""


@dataclass(frozen=True)
class Size:
    """How much room a database takes (`pages`), and how much of it is in use (`used`); bytes."""

    pages: int
    used: int


@contextlib.contextmanager
def open_database(path: Path, mode: str = "rw") -> Iterator[sqlite3.Connection]:
    """A connection without implicit transactions to a file that exists; `rw` also for reading.

    SQLite 3.40 cannot copy a table with generated columns from a connection that was opened read-only.
    """
    uri = f"file:{quote(str(path))}?mode={mode}"
    with closing(
        sqlite3.connect(uri, uri=True, isolation_level=None, timeout=20, check_same_thread=False)
    ) as connection:
        yield connection


def measure(connection: sqlite3.Connection) -> Size:
    """The size of the database behind the connection."""
    (page_size,), (pages,), (free,) = (
        connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_size", "page_count", "freelist_count")
    )
    return Size(pages * page_size, (pages - free) * page_size)


def copy_database(live: Path, target: Path, progress: Progress | None = None) -> Size:
    """Copy a database into a new file with `VACUUM INTO`: one state of it, and writers go on.

    `target` must not exist; it is made with mode 0600, and is complete and on disk when this returns. When it raises
    (`CopyFailed`, or whatever `progress` raised) neither it nor a journal of it is left.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    try:
        with open_database(live) as connection:
            connection.execute("PRAGMA synchronous=FULL")
            size = measure(connection)
            _run_watched(connection, target, size, progress)
            return size
    except sqlite3.Error as problem:
        remove_database(target)
        raise CopyFailed(f"{live} could not be copied: {str(problem) or 'SQLite gave no reason'}.") from problem
    except BaseException:
        remove_database(target)
        raise


def remove_database(path: Path) -> None:
    """Delete a database that nobody has open, and what SQLite may have left beside it."""
    for ending in ("", "-journal", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _run_watched(connection: sqlite3.Connection, target: Path, size: Size, progress: Progress | None) -> None:
    """Run the one long statement in a thread, tell how far its output has grown, and interrupt it if that raises."""
    failures: list[BaseException] = []

    def vacuum() -> None:
        try:
            connection.execute("VACUUM INTO ?", (str(target.absolute()),))
        except BaseException as problem:  # noqa: BLE001  # raised again below, in the caller's thread
            failures.append(problem)

    worker = threading.Thread(target=vacuum, name="vacuum-into")
    worker.start()
    try:
        while worker.is_alive():
            worker.join(_LOOK_EVERY_SECONDS)
            if progress is not None:
                progress(min(target.stat().st_size, size.used), size.used)
    except BaseException:
        connection.interrupt()
        worker.join()
        raise
    if failures:
        raise failures[0]
