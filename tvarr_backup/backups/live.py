"""The live database while a restore works on it: looked at, replaced and checked through SQLite, under its locks."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tvarr_backup import program, schema
from tvarr_backup.backups.progress import Phase, Progress
from tvarr_backup.backups.sqlite import Statements, measure, open_database, primary_code
from tvarr_backup.errors import (
    DatabaseBusy,
    DatabaseForeign,
    DatabaseMissing,
    DatabaseUnusable,
    NoRoom,
    RestoreFailed,
    RestoreRefused,
    TvarrBackupError,
)
from tvarr_backup.schema import RequiredSchema

LOCK_SECONDS = 30.0
"""For so long the live database's lock is waited for; SQLite's own copying would wait for ever."""

_LOOK_FOR_LOCK_EVERY_SECONDS = 0.002
_PAGES_A_STEP = 1000
_CHECKPOINTS = 10
_CHECKPOINT_WAITS_SECONDS = 0.05
_BETWEEN_CHECKPOINTS_SECONDS = 0.15
_EMPTYING_SECONDS = 2.0
_ANOTHER_CHECKPOINT = -1
"""SQLite's count of frames where another connection is at a checkpoint; it answers so at once."""
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


@dataclass(frozen=True)
class Live:
    """What a restore needs to know of the live database; `used` are bytes, `schema` is as sidecars record it.

    `mark` tells which content is live: it is the `user_version`, which serves neither tvarr nor us.
    """

    mark: int
    page_size: int
    encoding: str
    used: int
    schema: str


def look_at_live(live: Path, required: RequiredSchema) -> Live:
    """Raise why there can be no restore into this file, where that is so: `DatabaseUnusable`, `DatabaseBusy` or
    `RestoreRefused`.
    """
    if not live.exists():
        raise DatabaseMissing(f"There is no database at {live} to restore into; run `{program.NAME} prepare` first.")
    try:
        with open_database(live, timeout_seconds=LOCK_SECONDS) as connection:
            size = measure(connection)
            if not size.pages:
                raise DatabaseUnusable(
                    f"{live} is an empty file. Start tvarr once, or run `{program.NAME} prepare`, so that it becomes a database; "
                    "then restore into that."
                )
            (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
            if journal != "wal":
                raise RestoreRefused(
                    f"{live} has journal mode {journal}, and only in WAL mode can a restore keep every commit that others "
                    "make meanwhile. tvarr sets that mode when it starts; set it with `PRAGMA journal_mode=WAL`."
                )
            (page_size,) = connection.execute("PRAGMA page_size").fetchone()
            (encoding,) = connection.execute("PRAGMA encoding").fetchone()
            mark = _require_writable(connection)
            return Live(mark, page_size, encoding, size.used, schema.schema_of(connection, required))
    except sqlite3.Error as problem:
        raise _unusable(live, problem) from problem


def _require_writable(connection: sqlite3.Connection) -> int:
    """The mark; raises where the file may not be written, which SQLite tells at the first change only.

    Nobody is waited for: whoever writes shows that it can be done, and with several that write at full speed SQLite's own
    waiting may take longer than all of the restore.
    """
    connection.execute("PRAGMA busy_timeout=0")
    (mark,) = connection.execute("PRAGMA user_version").fetchone()
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA user_version={mark:d}")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError as problem:
        if primary_code(problem) not in _BUSY:
            raise
    return int(mark)


def _unusable(live: Path, problem: sqlite3.Error) -> TvarrBackupError:
    code = primary_code(problem)
    if code in _BUSY:
        return DatabaseBusy(f"{live} is locked by another program; nothing was changed. Try again when it is done.")
    if code == sqlite3.SQLITE_NOTADB:
        return DatabaseForeign(f"{live} is not an SQLite database. {_MAKE_A_NEW_ONE}")
    if code == sqlite3.SQLITE_READONLY:
        return DatabaseUnusable(f"{live} may not be written.")
    if code == sqlite3.SQLITE_CORRUPT:
        return DatabaseUnusable(f"{live} is so damaged that SQLite cannot even begin ({problem}). {_MAKE_A_NEW_ONE}")
    return DatabaseUnusable(f"{live} cannot be used: {problem}.")


_MAKE_A_NEW_ONE = (
    "Stop every program that uses it, move it away with the files -wal and -shm beside it, start tvarr once or run "
    f"`{program.NAME} prepare --create` for a new one, and restore into that."
)


def mark_in(database: Path) -> int:
    """The mark of a copy."""
    with open_database(database) as connection:
        (mark,) = connection.execute("PRAGMA user_version").fetchone()
        return int(mark)


def holds(live: Path, mark: int) -> bool | None:
    """Whether the live database has the mark, and with it the new content, for good; `None` where nobody can tell now.

    Reading is not enough. A commit that broke off may lie whole in the journal and not be counted yet, so that whoever
    opens the database next finds it; and one that is counted need not be on disk. A commit of our own writes over the
    one and syncs the other.
    """
    try:
        with open_database(live, timeout_seconds=LOCK_SECONDS) as connection:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("BEGIN IMMEDIATE")
            (found,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute(f"PRAGMA user_version={found:d}")
            connection.execute("COMMIT")
            return int(found) == mark
    except sqlite3.Error:
        return None


def copy_into(staged: Path, live: Path, on_lock: Callable[[], None], progress: Progress) -> None:
    """SQLite's online backup, from the staged file into the live one; its return means committed and on disk.

    `on_lock` is called once nobody else can commit any more. What this raises does not tell whether it has happened:
    the mark does.
    """
    with open_database(staged) as source, open_database(live) as target:
        target.execute("PRAGMA synchronous=FULL")
        _empty_journal(target)
        target.execute("PRAGMA busy_timeout=0")  # so that a gap between two commits of others is not slept through
        (page_size,) = source.execute("PRAGMA page_size").fetchone()
        (pages,) = source.execute("PRAGMA page_count").fetchone()
        deadline = time.monotonic() + LOCK_SECONDS
        locked = False

        def look(code: int, remaining: int, total: int) -> None:
            nonlocal locked
            if code in _BUSY:
                if time.monotonic() > deadline:
                    raise DatabaseBusy(
                        f"{live} was locked by another program for {LOCK_SECONDS:.0f} s; nothing was restored, your data is "
                        "unchanged."
                    )
            elif code == sqlite3.SQLITE_OK and not locked:
                locked = True
                on_lock()
            elif code != sqlite3.SQLITE_OK:  # done, and committed; or a failure, which SQLite is about to raise
                return
            progress(Phase.REPLACE, (total - remaining) * page_size, total * page_size)

        source.backup(
            target,
            pages=max(1, min(_PAGES_A_STEP, pages - 1)),
            progress=look,
            sleep=_LOOK_FOR_LOCK_EVERY_SECONDS,
        )


def _empty_journal(connection: sqlite3.Connection) -> None:
    """Where it can be had soon: behind very many commits to a few pages every look for another page takes long.

    So they make the time for which nobody else can commit ten times as long. What fails here fails again where it counts.
    """
    connection.execute(f"PRAGMA busy_timeout={1000 * _CHECKPOINT_WAITS_SECONDS:.0f}")
    deadline = time.monotonic() + _EMPTYING_SECONDS
    with contextlib.suppress(sqlite3.Error):
        while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] and time.monotonic() < deadline:
            time.sleep(_CHECKPOINT_WAITS_SECONDS)


def not_replaced(live: Path, problem: sqlite3.Error) -> TvarrBackupError:
    """What SQLite's refusal to replace the content means to a person."""
    if primary_code(problem) == sqlite3.SQLITE_FULL:
        return NoRoom(f"The disk of {live} became full; nothing was restored, your data is unchanged.")
    return RestoreFailed(f"SQLite could not replace the content of {live}: {problem}. Your data is unchanged.")


def checkpoint(live: Path) -> list[str]:
    """Write the new content from SQLite's journal into the file: a bounded number of tries, and no harm if none works.

    While a try waits for a reader nobody can commit, so it waits for a moment only, and others come in between.
    """
    tries, deadline = 0, time.monotonic() + LOCK_SECONDS
    try:
        with open_database(live, timeout_seconds=_CHECKPOINT_WAITS_SECONDS) as connection:
            while tries < _CHECKPOINTS and time.monotonic() < deadline:
                (busy, frames, _done) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if not busy:
                    return []
                tries += frames != _ANOTHER_CHECKPOINT
                time.sleep(_BETWEEN_CHECKPOINTS_SECONDS)
    except sqlite3.Error as problem:
        return [
            f"The journal beside the database could not be emptied: {problem}. Until there is room, nothing can be written."
        ]
    return ["A reader still uses the old content, so the journal beside the database stays large until it ends."]


def problems_of(live: Path, mark: int, progress: Progress, beside: Callable[[], None] | None = None) -> list[str]:
    """Look at the live database afresh; others may be writing to it already, so its rows are not counted.

    `beside` is done meanwhile.
    """
    progress(Phase.CHECK, 0, 0)
    try:
        with open_database(live) as connection:
            if connection.execute("PRAGMA user_version").fetchone() != (mark,):
                return ["It does not hold the content that was put into it."]
            lines = Statements(connection, lambda: connection.execute("PRAGMA integrity_check(10)").fetchall())
            with lines:
                if beside is not None:
                    beside()
                found = [line for (line,) in lines.result(lambda: progress(Phase.CHECK, 0, 0))]
            return [] if found == ["ok"] else found
    except sqlite3.Error as problem:
        return [f"It cannot be read: {problem}."]
