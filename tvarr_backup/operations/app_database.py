"""Whether this program's own database (`default`) can be used, found out without opening it through Django.

Operations need it only to be recorded. Commands go on without it, and the web server shows one page that needs nothing.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import structlog
from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.dispatch import receiver

from tvarr_backup import conf, schema, tvarr_database
from tvarr_backup.errors import (
    DatabaseForeign,
    DatabaseMissing,
    DatabaseNewer,
    DatabaseNotPrepared,
    DatabaseUnusable,
)
from tvarr_backup.operations import reserve
from tvarr_backup.repeats import Repeats
from tvarr_backup.sentences import Advice, Sentence
from tvarr_backup.sqlite_codes import primary_code

logger = structlog.stdlib.get_logger(__name__)

PATIENCE_SECONDS = 2.0
"""For so long a database that others have locked is waited for."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
"""What SQLite reports where the files beside a database find no room."""

_Files = tuple[int, ...]
_repeats = Repeats()


def require_app_database() -> None:
    """Raise `DatabaseUnusable` unless the database answers and fits this version; the sentence says what to do.

    Nothing is created or changed, and others' locks are waited for `PATIENCE_SECONDS`. A server is only asked for an
    answer.
    """
    if not conf.is_file(DEFAULT_DB_ALIAS):
        _require_server()
        return
    path = conf.database_path(DEFAULT_DB_ALIAS)
    reserve.release_if_full()
    try:
        tables, applied = tvarr_database.query_cached(path, _tables_and_migrations, timeout_seconds=PATIENCE_SECONDS)
    except DatabaseUnusable as problem:
        raise _with_advice(problem, path) from problem
    _require_fitting(path, tables, applied)


def require_undamaged() -> None:
    """Raise `DatabaseUnusable` where SQLite finds damage anywhere in the file; reads all of it."""
    if not conf.is_file(DEFAULT_DB_ALIAS):
        return
    path = conf.database_path(DEFAULT_DB_ALIAS)
    try:
        (found,) = tvarr_database.query_database(
            path,
            lambda _, connection: connection.execute("PRAGMA quick_check(1)").fetchone(),
            timeout_seconds=PATIENCE_SECONDS,
        )
    except DatabaseUnusable as problem:
        raise _with_advice(problem, path) from problem
    if found != "ok":
        raise DatabaseUnusable("{path} is damaged. {way_out}", path=path, way_out=_start_anew(path))


def find_problem() -> DatabaseUnusable | None:
    """Return what `require_app_database` raises. Costs one look at the file while that stays as it is and was usable.

    SQLite writes the file itself only at checkpoints, so a busy database is not asked again for each request.
    """
    if not conf.is_file(DEFAULT_DB_ALIAS):  # each request asks the server anyway, and finds out
        return None
    reserve.release_if_full()
    files = _identity()
    if files and _usable.files == files:
        return None
    try:
        require_app_database()
    except DatabaseUnusable as problem:
        _usable.lost(problem)
        return problem
    _usable.found(files)
    return None


def renew_connection() -> None:
    """Close this thread's connection where another file has taken the place of the one that it has open."""
    if not conf.is_file(DEFAULT_DB_ALIAS):
        return
    connection = connections[DEFAULT_DB_ALIAS]
    if connection.connection is not None and not connection.in_atomic_block and _opened.file != _identity()[:2]:
        connection.close()


def wait_less(seconds: float) -> None:
    """Let new connections of this process wait so long for others' locks from now on, where the database is a file."""
    if conf.is_file(DEFAULT_DB_ALIAS):
        _set_options(connections.settings[DEFAULT_DB_ALIAS]["OPTIONS"] | {"timeout": seconds})


@contextmanager
def waiting_less(seconds: float) -> Iterator[None]:
    """The same for a while."""
    before = connections.settings[DEFAULT_DB_ALIAS]["OPTIONS"]
    wait_less(seconds)
    try:
        yield
    finally:
        if conf.is_file(DEFAULT_DB_ALIAS):
            _set_options(before)


def _set_options(options: dict[str, Any]) -> None:
    connections.settings[DEFAULT_DB_ALIAS]["OPTIONS"] = options
    connections[DEFAULT_DB_ALIAS].close()


class _Opened(threading.local):
    """Device and number of the file that this thread's connection has open."""

    file: _Files = ()


_opened = _Opened()


@receiver(connection_created)
def _remember_file(connection: BaseDatabaseWrapper, **_: Any) -> None:
    if connection.alias == DEFAULT_DB_ALIAS:
        _opened.file = _identity()[:2]


class _Usable:
    """The state of the file when it was last found usable, and whether the log knows that it is not."""

    files: _Files = ()
    known: object = None

    def found(self, files: _Files) -> None:
        self.files = files
        if self.known:
            self.known = None
            logger.info("appdb.usable")

    def lost(self, problem: DatabaseUnusable) -> None:
        self.files = ()
        if self.known != problem.identity:
            self.known = problem.identity
            logger.error("appdb.unusable", code=problem.code, reason=str(problem))


_usable = _Usable()


def _identity() -> _Files:
    """Device, number, size and time of change of the file; empty where there is none, or the database is on a server."""
    if not conf.is_file(DEFAULT_DB_ALIAS):
        return ()
    try:
        status = os.stat(conf.database_path(DEFAULT_DB_ALIAS))  # noqa: PTH116  # for every request
    except OSError:
        return ()
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


# --- The file --------------------------------------------------------------------------------------------------------


def _tables_and_migrations(
    _path: Path, connection: sqlite3.Connection
) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    """The tables, of which each is read from, and the migrations that were applied, as pairs of application and name."""
    tables = frozenset(schema.table_names(connection))
    for table in tables:
        quoted = table.replace('"', '""')
        connection.execute(f'SELECT 1 FROM "{quoted}" NOT INDEXED LIMIT 1').fetchone()  # noqa: S608  # quoted
    if schema.OUR_TABLE not in tables:
        return tables, frozenset()
    return tables, frozenset(connection.execute(f"SELECT app, name FROM {schema.OUR_TABLE}"))  # noqa: S608  # ours


def _require_fitting(path: Path, tables: frozenset[str], applied: frozenset[tuple[str, str]]) -> None:
    if schema.TVARRS_OWN_TABLE in tables:
        raise DatabaseForeign(
            "DATABASE_URL names tvarr's own database, {path}. Name a file of this program's own there, and tvarr's in "
            "TVARR_DATABASE_DSN.",
            path=path,
        )
    if not tables <= {"sqlite_sequence", schema.OUR_TABLE} and not any(app in _own_apps() for app, _ in applied):
        raise DatabaseForeign(
            "DATABASE_URL names {path}, which is the database of another program. Name a file of this program's own there.",
            path=path,
        )
    newer = sorted(name for app, name in applied - conf.known_migrations(DEFAULT_DB_ALIAS) if app in _own_apps())
    if newer:
        raise DatabaseNewer(
            "{path} was migrated by a newer version of this program (it has {migration}). Install that version again.",
            path=path,
            migration=newer[0],
        )
    if not applied >= conf.known_migrations(DEFAULT_DB_ALIAS):
        raise DatabaseNotPrepared(
            "{path} is not up to date with this version of the program. Run {advice}.",
            path=path,
            advice=Advice.PREPARE,
        )


@cache
def _own_apps() -> frozenset[str]:
    """The labels of this program's applications in this database."""
    return frozenset(one.label for one in apps.get_app_configs() if one.name.startswith("tvarr_backup."))


def _with_advice(problem: DatabaseUnusable, path: Path) -> DatabaseUnusable:
    """The same failure with what to do about it."""
    cause = problem.__cause__
    code = primary_code(cause) if isinstance(cause, sqlite3.Error) else None
    if isinstance(problem, DatabaseMissing):
        advice = Sentence("Put it back if it was lost, or {advice}", advice=Advice.NEW_DATABASE)
    elif code in _DAMAGED:
        advice = _start_anew(path)
    elif code in _NO_ROOM and reserve.is_disk_full():
        advice = Sentence("The disk that holds it is full. {advice}", advice=Advice.FREE_SPACE)
    else:
        return problem
    return type(problem)("{problem} {advice}", problem=problem, advice=advice)


def _start_anew(path: Path) -> Sentence:
    return Sentence(
        "Put back a copy of it; or stop the program, move {name}, {name}-wal and {name}-shm to another folder, "
        "and {advice}",
        name=path.name,
        advice=Advice.NEW_DATABASE,
    )


# --- The server ------------------------------------------------------------------------------------------------------


def _require_server() -> None:
    sentence = Sentence("This program's own database does not answer")
    try:
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute("SELECT 1")
        ready = conf.is_up_to_date(DEFAULT_DB_ALIAS)
    except Error as problem:
        # What a server says may name hosts and users, which not everybody who sees this may know.
        reason = f"{sentence}: {conf.in_a_line(problem)}"
        if _repeats.is_due(reason):
            logger.warning("database.unusable", reason=reason)
        raise DatabaseUnusable("{sentence}; the log says why.", sentence=sentence) from problem
    if not ready:
        raise DatabaseNotPrepared(
            "This program's own database is not up to date with this version. Run {advice}.", advice=Advice.PREPARE
        )
