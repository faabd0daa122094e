"""Tells by looking what lies at the path of the `tvarr` database, and changes nothing there."""

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from django.apps import apps
from django.db import connections

from tvarr_backup.errors import DatabaseForeign, DatabaseIncomplete, DatabaseNewer, DatabaseUnusable
from tvarr_backup.models import Filter

T = TypeVar("T")

APP_LABEL = Filter._meta.app_label
TVARRS_OWN_TABLE = "schema_migrations"
"""Written by tvarr's Go program; where it stands, no table is ever created or changed by us."""


class State(StrEnum):
    """The states of the file; `empty` is what a creation that was cut short leaves behind."""

    MISSING = "missing"
    EMPTY = "empty"
    OURS = "ours"
    ATTACHED = "attached"


def inspect(path: Path) -> State:
    """Look at the file through SQLite alone, and leave no trace beside it.

    Raises `DatabaseForeign` (no SQLite, or another program's tables), `DatabaseIncomplete` (naming the first table or
    column that we need and do not find in a database of tvarr's), `DatabaseNewer` (migrated by a later version of this
    program) or `DatabaseUnusable` (cannot be read).

    The file is never opened in any other way: closing such a file would drop the locks of every SQLite connection that
    this process has to it (POSIX).
    """
    try:
        if not path.exists():
            return State.MISSING
        if not path.is_file():
            raise DatabaseForeign(f"{path} is not a file; the path of an SQLite database is needed.")
        if not os.access(path, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return _look(path, _judge)
    except OSError as problem:
        raise DatabaseUnusable(f"{path} cannot be read: {problem.strerror}.") from problem
    except sqlite3.DatabaseError as problem:
        if problem.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise DatabaseForeign(f"{path} is not an SQLite database.") from problem
        raise DatabaseUnusable(f"{path} cannot be read: {problem}.") from problem


def is_tvarrs_own(path: Path) -> bool:
    """Whether tvarr's Go program made the file, whatever its state; `False` where there is none or it is no database."""
    try:
        return path.is_file() and _look(path, lambda _path, connection: TVARRS_OWN_TABLE in _tables(connection))
    except (OSError, sqlite3.DatabaseError):
        return False


def is_attached(alias: str) -> bool:
    """Whether the database that Django is connected to is tvarr's own."""
    return TVARRS_OWN_TABLE in connections[alias].introspection.table_names()


def create_empty(path: Path) -> None:
    """Create an empty database in WAL mode, readable by its owner alone (it will hold providers' passwords)."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _look(path: Path, judge: Callable[[Path, sqlite3.Connection], T]) -> T:
    """Judge the file, as immutable where it is at rest: reading a WAL database would leave a -wal and a -shm beside it.

    Should a writer come in this very moment and spoil what is read, the second look, under SQLite's locks, counts.
    """
    uri = f"file:{quote(str(path))}?mode=ro"
    written_at = path.stat().st_mtime_ns
    if _is_at_rest(path):
        try:
            with _connect(uri + "&immutable=1") as connection:
                return judge(path, connection)
        except sqlite3.DatabaseError:
            if _is_at_rest(path) and path.stat().st_mtime_ns == written_at:
                raise
    with _connect(uri) as connection:
        return judge(path, connection)


def _is_at_rest(path: Path) -> bool:
    return not any(path.with_name(path.name + ending).exists() for ending in ("-wal", "-journal"))


def _connect(uri: str) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(uri, uri=True, timeout=20))


def _judge(path: Path, connection: sqlite3.Connection) -> State:
    tables = _tables(connection)
    if not tables:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        if pages == 0 and path.stat().st_size > 0:  # SQLite takes a few bytes of anything for an empty database
            raise DatabaseForeign(f"{path} is not an SQLite database.")
        return State.EMPTY
    if TVARRS_OWN_TABLE in tables:
        _require_columns(path, connection)
        return State.ATTACHED
    if tables <= {"django_migrations", "sqlite_sequence"} and _is_empty(connection, "django_migrations"):
        return State.EMPTY
    if "django_migrations" in tables:
        _require_known_migrations(path, connection)
        return State.OURS
    found = ", ".join(sorted(tables)[:5])
    raise DatabaseForeign(f"{path} is not tvarr's database: it has neither tvarr's nor our tables, but {found}.")


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _is_empty(connection: sqlite3.Connection, table: str) -> bool:
    return connection.execute(f'SELECT 1 FROM "{table}"').fetchone() is None  # noqa: S608  # a name of ours


def _require_columns(path: Path, connection: sqlite3.Connection) -> None:
    """Every column that the models need; further ones, and any order, are fine."""
    for model in apps.get_app_config(APP_LABEL).get_models():
        table = model._meta.db_table
        present = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
        if not present:
            raise DatabaseIncomplete(f"{path} is not a database of a tvarr that we know: the table {table} is missing.")
        for field in model._meta.concrete_fields:
            if field.column not in present:
                raise DatabaseIncomplete(
                    f"{path} is not a database of a tvarr that we know: the column {table}.{field.column} is missing. "
                    "Start the current tvarr on it once, so that it brings its tables up to date."
                )


def _require_known_migrations(path: Path, connection: sqlite3.Connection) -> None:
    applied = {name for (name,) in connection.execute("SELECT name FROM django_migrations WHERE app = ?", (APP_LABEL,))}
    if not applied:
        raise DatabaseForeign(f"{path} is the database of another Django program, not tvarr's and not ours.")
    unknown = sorted(applied - known_migrations())
    if unknown:
        raise DatabaseNewer(
            f"{path} was migrated by a newer version of this program (it has {unknown[0]}); update tvarr-backup first."
        )


def known_migrations() -> frozenset[str]:
    """The names of the migrations of tvarr's tables that this program has."""
    folder = Path(__file__).with_name("migrations")
    return frozenset(file.stem for file in folder.glob("[0-9]*.py"))
