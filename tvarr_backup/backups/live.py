"""Inspect, replace and check the live database during a restore, only through SQLite and under its locks.

Nothing but SQLite may open the live file. A plain `open` and `close` in a process with a connection to it silently drops
that connection's locks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tvarr_backup import program, schema
from tvarr_backup.backups.durable import create_private
from tvarr_backup.backups.in_use import require_unused
from tvarr_backup.backups.progress import Phase, Progress
from tvarr_backup.backups.sqlite import Statements, measure, open_database, remove_database, require_readable
from tvarr_backup.errors import (
    DatabaseBusy,
    DatabaseForeign,
    DatabaseInUse,
    DatabaseMissing,
    DatabaseUnusable,
    NoRoom,
    OfflineRestoreRequired,
    RestoreFailed,
    TvarrBackupError,
)
from tvarr_backup.permissions import why_unwritable
from tvarr_backup.schema import RequiredSchema
from tvarr_backup.sentences import NOTHING, Advice, Sentence
from tvarr_backup.sqlite_codes import primary_code

LOCK_SECONDS = 30.0
"""How long to wait for the lock of the live database. SQLite's online backup would wait forever."""

_SECONDS_BETWEEN_ATTEMPTS = 0.002
_PAGES_A_STEP = 1000
_CHECKPOINTS = 10
_CHECKPOINT_WAITS_SECONDS = 0.05
_BETWEEN_CHECKPOINTS_SECONDS = 0.15
_EMPTYING_SECONDS = 2.0
_ANOTHER_CHECKPOINT = -1
"""The number of frames that SQLite immediately reports while another connection runs a checkpoint."""
_A_MOMENT_SECONDS = 0.3
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


@dataclass(frozen=True)
class Live:
    """The properties of the live database that a restore needs. `used` is in bytes; `schema` is empty if unreadable.

    `restore_id` is the `user_version`, which neither tvarr nor we use for anything else. It says which content is live. In an
    offline restore, `page_size` is 0 and `encoding` is empty.
    """

    restore_id: int
    page_size: int
    encoding: str
    used: int
    schema: str
    is_wal: bool = True


def inspect_live(live: Path, required: RequiredSchema, filename: str = "NAME") -> Live:
    """Return the properties that a restore needs, or raise why no restore is possible while tvarr runs.

    Raises `OfflineRestoreRequired` (SQLite cannot write the file; its command names `filename`), `DatabaseInUse` (open in
    another program in rollback-journal mode), `DatabaseBusy` or `DatabaseUnusable`. Nothing is changed.
    """
    _require_content(live, filename)
    try:
        require_readable(live, timeout_seconds=LOCK_SECONDS)
        with open_database(live, timeout_seconds=LOCK_SECONDS) as connection:
            size = measure(connection)
            if not size.pages:
                raise offline_required(live, "is empty", filename, is_readable=False)
            (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
            (page_size,) = connection.execute("PRAGMA page_size").fetchone()
            (encoding,) = connection.execute("PRAGMA encoding").fetchone()
            restore_id = _require_writable(connection)
            found = Live(
                restore_id,
                page_size,
                encoding,
                max(0, size.used),
                _schema_of(live, connection, required),
                journal == "wal",
            )
    except sqlite3.Error as problem:
        raise _unusable(live, problem, filename) from problem
    if not found.is_wal:
        require_unused(live, _IN_ROLLBACK_MODE)
    return found


def why_not_restorable(live: Path, *, is_wal: bool) -> Sentence:
    """Return why no backup can be restored into a readable live database, or "". Writes nothing and waits for no lock."""
    unwritable = why_unwritable(live)
    if unwritable:
        return Sentence("{unwritable}.", unwritable=unwritable)
    try:
        if not is_wal:
            require_unused(live, _IN_ROLLBACK_MODE, patience_seconds=_A_MOMENT_SECONDS)
    except DatabaseInUse as problem:
        return problem.sentence
    return NOTHING


_IN_ROLLBACK_MODE = Sentence(
    "It is in rollback-journal mode, where a restore would lose what other programs write in the meantime. Stop them, then "
    "try again. The restore then switches the database to WAL mode, as tvarr does when it starts."
)


def _require_content(live: Path, filename: str) -> None:
    """Raise if the file cannot be written or has no content, which SQLite would take for an empty database."""
    if not live.parent.is_dir():
        raise DatabaseMissing(
            "{live} does not exist, nor does its folder. Nothing was changed. Mount its disk or create the folder, then try "
            "again.",
            live=live,
        )
    unwritable = why_unwritable(live)
    if unwritable:  # not even an offline restore would help
        raise DatabaseUnusable("{unwritable}. Nothing was changed.", unwritable=unwritable)
    if not live.exists():
        raise offline_required(live, "does not exist", filename, is_readable=False)
    if not live.is_file():
        raise DatabaseForeign(
            "{live} is not a file. Nothing was changed. TVARR_DATABASE_DSN must name a database file.", live=live
        )
    if not live.stat().st_size:
        raise offline_required(live, "is empty", filename, is_readable=False)


def _schema_of(live: Path, connection: sqlite3.Connection, required: RequiredSchema) -> str:
    """Return the schema, or "" if its table is damaged, which a restore fixes. Raises `DatabaseForeign`."""
    try:
        schema.judge_sqlite(connection, required, live)
        return schema.schema_of(connection, required)
    except sqlite3.Error as problem:
        if primary_code(problem) in _BUSY:
            raise
        return ""


def switch_to_wal(live: Path, filename: str) -> None:
    """Switch an unused database to WAL mode, as tvarr does when it starts. Raises what `inspect_live` raises.

    In rollback-journal mode, the first step of SQLite's online backup takes the exclusive lock. Then the safety copy cannot
    be taken again under that lock, so commits would be lost, and nobody can read in the meantime (0.45 s for 100 MB). The
    switch takes 5 ms.
    """
    require_shared_memory(live, filename)
    try:
        with open_database(live, timeout_seconds=LOCK_SECONDS) as connection:
            (journal,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            _require_writable(connection)
    except sqlite3.Error as problem:
        raise _unusable(live, problem, filename) from problem
    if journal != "wal":
        raise offline_required(live, _NO_WAL, filename, is_readable=True)


def require_shared_memory(live: Path, filename: str) -> None:
    """Require that WAL mode is possible next to the live database. Raises `OfflineRestoreRequired` or `DatabaseUnusable`."""
    try:
        if not has_shared_memory(live.with_name(f"{live.name}.wal-probe")):
            raise offline_required(live, _NO_WAL, filename, is_readable=True)
    except OSError as problem:
        raise DatabaseUnusable(
            "No file can be created next to {live}: {reason}. Nothing was changed. SQLite needs such files to write.",
            live=live,
            reason=problem.strerror,
        ) from problem


def has_shared_memory(probe: Path) -> bool:
    """Try WAL mode with a temporary database, because without shared memory SQLite may damage the header of a real one."""
    remove_database(probe)
    try:
        os.close(create_private(probe))
        return becomes_wal(probe)
    finally:
        remove_database(probe)


def becomes_wal(database: Path) -> bool:
    """Switch an unused database to WAL mode and write to it. Return whether it worked; a full disk raises `OSError`."""
    try:
        with open_database(database) as connection:
            connection.execute("PRAGMA synchronous=FULL")
            (journal,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute(f"PRAGMA user_version={version:d}")
            return bool(journal == "wal")
    except sqlite3.Error as problem:
        if primary_code(problem) == sqlite3.SQLITE_FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from problem
        return False


_NO_WAL = "is in rollback-journal mode and cannot be switched to WAL mode, because its file system has no shared memory"


def offline_required(live: Path, damage: str, filename: str, *, is_readable: bool) -> OfflineRestoreRequired:
    """Return the error for a file that SQLite cannot write, with the command for an offline restore."""
    return OfflineRestoreRequired(
        "{live} {damage}, so an offline restore is needed. Nothing was changed. Stop tvarr (it may run in another container), "
        "then run `{program} backup restore {filename} --yes --offline`. The current files are set aside and kept.",
        damage,
        is_readable=is_readable,
        live=live,
        program=program.NAME,
        filename=filename,
    )


def _require_writable(connection: sqlite3.Connection) -> int:
    """Return the restore id; raise if the file cannot be written, which SQLite reports only at the first change.

    A lock is not waited for. It shows that another program can write, and with several writers SQLite might wait for longer
    than the restore takes.
    """
    connection.execute("PRAGMA busy_timeout=0")
    (restore_id,) = connection.execute("PRAGMA user_version").fetchone()
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA user_version={restore_id:d}")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError as problem:
        if primary_code(problem) not in _BUSY:
            raise
    return int(restore_id)


def _unusable(live: Path, problem: sqlite3.Error, filename: str) -> TvarrBackupError:
    """Return the error for SQLite's error: a lock, a permission, a full disk, or damage."""
    code = primary_code(problem)
    if code in _BUSY:
        return DatabaseBusy(
            "Another program has locked {live}. Nothing was changed. Try again when it has finished.", live=live
        )
    unwritable = why_unwritable(live)
    if unwritable:
        return DatabaseUnusable("{unwritable}. Nothing was changed.", unwritable=unwritable)
    if code == sqlite3.SQLITE_FULL or not shutil.disk_usage(live.parent).free:
        return NoRoom("The disk of {live} is full. Nothing was changed. {advice}", live=live, advice=Advice.FREE_SPACE)
    if code in (sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT):
        return DatabaseUnusable(
            "{live} cannot be used now: {problem}. Nothing was changed. Try again.", live=live, problem=problem
        )
    damage = Sentence(_DAMAGES.get(code or 0, "cannot be used ({problem})"), problem=problem)
    return offline_required(
        live, damage, filename, is_readable=code not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
    )


_DAMAGES = {
    sqlite3.SQLITE_NOTADB: "is not an SQLite database, or its header is damaged",
    sqlite3.SQLITE_CORRUPT: "is so damaged that SQLite cannot write it ({problem})",
    sqlite3.SQLITE_READONLY: "is so damaged that SQLite cannot write it ({problem})",
    sqlite3.SQLITE_CANTOPEN: "or a file next to it cannot be opened ({problem})",
}


def read_restore_id(database: Path) -> int:
    """Return the restore id of a copy."""
    with open_database(database) as connection:
        (restore_id,) = connection.execute("PRAGMA user_version").fetchone()
        return int(restore_id)


def holds(live: Path, restore_id: int) -> bool | None:
    """Return whether the live database durably has this restore id, and so the new content; `None` if that is unknown now.

    Reading is not enough. An interrupted commit may be complete in the journal without being counted yet, and the next
    program to open the database would find it. A commit that is counted may not be on disk. A commit of our own overwrites
    the first and syncs the second.
    """
    try:
        with open_database(live, timeout_seconds=LOCK_SECONDS) as connection:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("BEGIN IMMEDIATE")
            (found,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute(f"PRAGMA user_version={found:d}")
            connection.execute("COMMIT")
            return int(found) == restore_id
    except sqlite3.Error:
        return None


def copy_into(staged: Path, live: Path, on_lock: Callable[[], None], progress: Progress) -> None:
    """Copy the staged database into the live one with SQLite's online backup, committed and on disk at the end.

    `on_lock` is called once no other program can commit. After an exception, only the restore id says whether the copy
    happened.
    """
    with open_database(staged) as source, open_database(live) as target:
        target.execute("PRAGMA synchronous=FULL")
        _empty_journal(target)
        target.execute("PRAGMA busy_timeout=0")  # so as not to sleep through a gap between two commits of others
        (page_size,) = source.execute("PRAGMA page_size").fetchone()
        (pages,) = source.execute("PRAGMA page_count").fetchone()
        deadline = time.monotonic() + LOCK_SECONDS
        locked = False

        def report(code: int, remaining: int, total: int) -> None:
            nonlocal locked
            if code in _BUSY:
                if time.monotonic() > deadline:
                    raise DatabaseBusy(
                        "Another program locked {live} for {seconds:.0f} s. Nothing was restored. Your data is unchanged. Try "
                        "again when it has finished.",
                        live=live,
                        seconds=LOCK_SECONDS,
                    )
            elif code == sqlite3.SQLITE_OK and not locked:
                locked = True
                on_lock()
            elif code != sqlite3.SQLITE_OK:  # committed, or an error that SQLite is about to raise
                return
            progress(Phase.REPLACE, (total - remaining) * page_size, total * page_size)

        source.backup(
            target,
            pages=max(1, min(_PAGES_A_STEP, pages - 1)),
            progress=report,
            sleep=_SECONDS_BETWEEN_ATTEMPTS,
        )


def _empty_journal(connection: sqlite3.Connection) -> None:
    """Try to empty a long journal, which would block other writers ten times as long. Errors occur again in the copy."""
    connection.execute(f"PRAGMA busy_timeout={1000 * _CHECKPOINT_WAITS_SECONDS:.0f}")
    deadline = time.monotonic() + _EMPTYING_SECONDS
    with contextlib.suppress(sqlite3.Error):
        while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] and time.monotonic() < deadline:
            time.sleep(_CHECKPOINT_WAITS_SECONDS)


def not_replaced(live: Path, problem: sqlite3.Error) -> TvarrBackupError:
    """Return the error for a replacement that SQLite refused."""
    if primary_code(problem) == sqlite3.SQLITE_FULL:
        return NoRoom(
            "The disk of {live} became full. Nothing was restored. Your data is unchanged. Free some space, then try again.",
            live=live,
        )
    return RestoreFailed(
        "SQLite could not replace the content of {live}: {problem}. Your data is unchanged.", live=live, problem=problem
    )


def checkpoint(live: Path) -> list[Sentence]:
    """Try to move the new data from SQLite's journal into the file. Return sentences about problems.

    Nobody can commit while a checkpoint waits for a reader, so each attempt waits only for a moment.
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
            Sentence(
                "The journal next to the database could not be emptied: {problem}. Nothing can be written until there is room.",
                problem=problem,
            )
        ]
    return [
        Sentence(
            "Another program still reads the old data. The journal next to the database stays large until it has finished."
        )
    ]


def problems_of(live: Path, restore_id: int, progress: Progress, beside: Callable[[], None] | None = None) -> list[str]:
    """Return problems of the live database, to which others may be writing. `beside` is called during the check."""
    progress(Phase.CHECK, 0, 0)
    try:
        with open_database(live) as connection:
            if connection.execute("PRAGMA user_version").fetchone() != (restore_id,):
                return [Sentence("It does not contain the restored data.")]
            lines = Statements(connection, lambda: connection.execute("PRAGMA integrity_check(10)").fetchall())
            with lines:
                if beside is not None:
                    beside()
                found = [line for (line,) in lines.result(lambda: progress(Phase.CHECK, 0, 0))]
            return [] if found == ["ok"] else found
    except sqlite3.Error as problem:
        return [Sentence("It cannot be read: {problem}.", problem=problem)]
