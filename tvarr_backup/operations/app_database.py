"""Checks this program's own database (`default`) before Django opens it.

Without it, commands run their operations unrecorded, and the web server shows a page that needs no database.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
from tvarr_backup.backups.schema_table import SchemaTable, read_schema_table
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
"""How long to wait for a locked database."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
"""SQLite's codes when there is no room for its journal files."""

_Files = tuple[int, ...]
_repeats = Repeats()


def require_app_database() -> None:
    """Raise `DatabaseUnusable` with advice unless the database can be read and fits this version. Changes nothing."""
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
    """Raise `DatabaseUnusable` if SQLite finds damage anywhere in the file. Reads all of it."""
    if not conf.is_file(DEFAULT_DB_ALIAS):
        return
    path = conf.database_path(DEFAULT_DB_ALIAS)
    try:
        (found,) = tvarr_database.query_database(path, _quick_check, timeout_seconds=PATIENCE_SECONDS)
    except DatabaseUnusable as problem:
        raise _with_advice(problem, path) from problem
    if found != "ok":
        raise DatabaseUnusable("{path} is damaged. {way_out}", path=path, way_out=_advise_replacement(path))


def require_restorable(path: Path) -> None:
    """Raise `DatabaseUnusable` unless a file that no program uses is an undamaged copy of such a database.

    It may be of an earlier version of this program, but not of a later one, and must not contain code, because ours does not.
    """
    (found,) = tvarr_database.query_database(path, _quick_check, timeout_seconds=PATIENCE_SECONDS)
    if found != "ok":
        raise DatabaseUnusable("{path} is damaged: {found}.", path=path, found=found)
    contained = tvarr_database.query_database(path, _read_schema_table, timeout_seconds=PATIENCE_SECONDS)
    if contained.code or contained.irregular:
        raise DatabaseForeign(
            "{path} contains views, triggers or other code, which this program does not create.", path=path
        )
    tables, applied = tvarr_database.query_database(path, _tables_and_migrations, timeout_seconds=PATIENCE_SECONDS)
    if not applied:
        raise DatabaseForeign("{path} is not the database of this program.", path=path)
    with suppress(DatabaseNotPrepared):
        _require_fitting(path, tables, applied)


def _quick_check(_path: Path, connection: sqlite3.Connection) -> Any:
    return connection.execute("PRAGMA quick_check(1)").fetchone()


def _read_schema_table(_path: Path, connection: sqlite3.Connection) -> SchemaTable:
    return read_schema_table(connection)


def find_problem() -> DatabaseUnusable | None:
    """Return what `require_app_database` raises. Costs one `stat` while a usable file is unchanged.

    SQLite writes to the file only at checkpoints, so even a busy database is not opened for each request.
    """
    if not conf.is_file(DEFAULT_DB_ALIAS):  # requests query the server anyway
        return None
    reserve.release_if_full()
    files = _identity()
    if files and _usable.files == files:
        return None
    try:
        require_app_database()
    except DatabaseUnusable as problem:
        _usable.set_unusable(problem)
        return problem
    _usable.set_usable(files)
    return None


def renew_connection() -> None:
    """Close this thread's connection if the file has been replaced since it was opened."""
    if not conf.is_file(DEFAULT_DB_ALIAS):
        return
    connection = connections[DEFAULT_DB_ALIAS]
    if connection.connection is not None and not connection.in_atomic_block and _opened.file != _identity()[:2]:
        connection.close()


def wait_less(seconds: float) -> None:
    """Set how long new connections of this process wait for locks, if the database is a file."""
    if conf.is_file(DEFAULT_DB_ALIAS):
        _set_options(connections.settings[DEFAULT_DB_ALIAS]["OPTIONS"] | {"timeout": seconds})


@contextmanager
def waiting_less(seconds: float) -> Iterator[None]:
    """Do the same within the context."""
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
    """Device and inode of the file that this thread's connection has open."""

    file: _Files = ()


_opened = _Opened()


@receiver(connection_created)
def _remember_file(connection: BaseDatabaseWrapper, **_: Any) -> None:
    if connection.alias == DEFAULT_DB_ALIAS:
        _opened.file = _identity()[:2]


class _Usable:
    """The file as it was when it was last usable, and the problem that was last logged."""

    files: _Files = ()
    logged: object = None

    def set_usable(self, files: _Files) -> None:
        self.files = files
        if self.logged:
            self.logged = None
            logger.info("appdb.usable")

    def set_unusable(self, problem: DatabaseUnusable) -> None:
        self.files = ()
        if self.logged != problem.identity:
            self.logged = problem.identity
            logger.error("appdb.unusable", code=problem.code, reason=str(problem))


_usable = _Usable()


def _identity() -> _Files:
    """Return device, inode, size and modification time of the file; empty if it is missing or on a server."""
    if not conf.is_file(DEFAULT_DB_ALIAS):
        return ()
    try:
        status = os.stat(conf.database_path(DEFAULT_DB_ALIAS))  # noqa: PTH116  # faster, and called for every request
    except OSError:
        return ()
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


# --- The file --------------------------------------------------------------------------------------------------------


def _tables_and_migrations(
    _path: Path, connection: sqlite3.Connection
) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    """Return the tables, after reading from each, and the applied migrations as pairs of app and name."""
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
            "DATABASE_URL names tvarr's own database, {path}. Set TVARR_DATABASE_DSN to it, and DATABASE_URL to another.",
            path=path,
        )
    if not tables <= {"sqlite_sequence", schema.OUR_TABLE} and not any(app in _own_apps() for app, _ in applied):
        raise DatabaseForeign(
            "DATABASE_URL names {path}, which is the database of another program. Set it to another file.", path=path
        )
    newer = sorted(name for app, name in applied - conf.known_migrations(DEFAULT_DB_ALIAS) if app in _own_apps())
    if newer:
        raise DatabaseNewer(
            "{path} was migrated by a newer version of tvarr-backup (it has {migration}). Install that version again.",
            path=path,
            migration=newer[0],
        )
    if not applied >= conf.known_migrations(DEFAULT_DB_ALIAS):
        raise DatabaseNotPrepared(
            "{path} is not up to date with this version of tvarr-backup. Run {advice}.",
            path=path,
            advice=Advice.PREPARE,
        )


@cache
def _own_apps() -> frozenset[str]:
    """Return the labels of this program's apps."""
    return frozenset(one.label for one in apps.get_app_configs() if one.name.startswith("tvarr_backup."))


def _with_advice(problem: DatabaseUnusable, path: Path) -> DatabaseUnusable:
    """Return the same failure with advice."""
    cause = problem.__cause__
    code = primary_code(cause) if isinstance(cause, sqlite3.Error) else None
    if isinstance(problem, DatabaseMissing):
        advice = Sentence("Put it back if it was lost, or {advice}", advice=Advice.NEW_DATABASE)
    elif code in _DAMAGED:
        advice = _advise_replacement(path)
    elif code in _NO_ROOM and reserve.is_disk_full():
        advice = Sentence("Its disk is full. {advice}", advice=Advice.FREE_SPACE)
    else:
        return problem
    return type(problem)("{problem} {advice}", problem=problem, advice=advice)


def _advise_replacement(path: Path) -> Sentence:
    return Sentence(
        "Put back a copy of it. Or stop tvarr-backup, move {name}, {name}-wal and {name}-shm to another folder, and "
        "{advice}",
        name=path.name,
        advice=Advice.NEW_DATABASE,
    )


# --- The server ------------------------------------------------------------------------------------------------------


def _require_server() -> None:
    sentence = "This program's own database does not answer"
    try:
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute("SELECT 1")
        ready = conf.is_up_to_date(DEFAULT_DB_ALIAS)
    except Error as problem:
        # The server's message may name hosts and users, so it is only logged.
        reason = f"{sentence}: {conf.in_a_line(problem)}"
        if _repeats.is_due(reason):
            logger.warning("database.unusable", reason=reason)
        raise DatabaseUnusable("{sentence}. The log has the reason.", sentence=sentence) from problem
    if not ready:
        raise DatabaseNotPrepared(
            "This program's own database is not up to date with this version of tvarr-backup. Run {advice}.",
            advice=Advice.PREPARE,
        )
