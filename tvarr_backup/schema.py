"""What makes a database tvarr's: the same judgement for a live file, for a copy of one, and for a server."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from tvarr_backup.errors import DatabaseForeign

TVARRS_OWN_TABLE = "schema_migrations"
"""Written by tvarr's Go program; where it stands, no table is ever created or changed by us."""

TVARRS_NEWEST = "029"
"""The newest of tvarr's migrations that this program was written for."""

OUR_TABLE = "django_migrations"
"""Written by Django; it says which migrations were applied."""


class State(StrEnum):
    """The states of the file; `empty` is what a creation that was cut short leaves behind."""

    MISSING = "missing"
    EMPTY = "empty"
    OURS = "ours"
    ATTACHED = "attached"


@dataclass(frozen=True)
class RequiredSchema:
    """The schema that this program knows, and what it has seen of tvarr's database.

    `columns` are those of our models, by table. `migrations` are our own, of the app `app_label`. `tvarr_newest` is the
    newest of tvarr's migrations that is known here: `TVARRS_NEWEST`, or a later one that was seen in tvarr's database.
    `last_seen` is the schema that was seen there last; empty where nothing is remembered. `was_ours` says that a
    database of ours was seen there.
    """

    columns: Mapping[str, frozenset[str]]
    app_label: str
    migrations: frozenset[str]
    tvarr_newest: str = TVARRS_NEWEST
    last_seen: str = ""
    was_ours: bool = False


class Tables(Protocol):
    """What a database is asked to tell whose it is."""

    def names(self) -> set[str]:
        """Its tables."""

    def columns(self, table: str) -> set[str]:
        """Of a table; none where there is no such table."""

    def has_migrations(self) -> bool:
        """Whether there is any row in `django_migrations`; asked only where that table is, as the next."""

    def migrations(self, app_label: str) -> set[str]:
        """The names of the migrations of an application that were applied."""


def judge(tables: Tables, required: RequiredSchema, name: Path | str) -> State:
    """Return whose tables these are; `name` begins the sentence of a refusal.

    Versions, columns and further tables make no difference here: only what reads or writes a table needs its columns.
    Raises `DatabaseForeign` (neither tvarr's nor ours).
    """
    found = tables.names()
    if TVARRS_OWN_TABLE in found:
        return State.ATTACHED
    if found <= {"sqlite_sequence"} or (found <= {OUR_TABLE, "sqlite_sequence"} and not tables.has_migrations()):
        return State.EMPTY
    if OUR_TABLE in found:
        if not tables.migrations(required.app_label):
            raise DatabaseForeign(
                "{name} is the database of another Django program, not tvarr's and not ours.", name=name
            )
        return State.OURS
    some = ", ".join(sorted(found)[:5])
    raise DatabaseForeign(
        "{name} is not tvarr's database: it has neither tvarr's nor our tables, but {some}.", name=name, some=some
    )


def missing_columns(tables: Tables, required: RequiredSchema) -> tuple[str, ...]:
    """Return the columns of our models that a database lacks, as `table.column`, and whole tables by their name."""
    missing = []
    for table, columns in sorted(required.columns.items()):
        present = tables.columns(table)
        missing += [f"{table}.{column}" for column in sorted(columns - present)] if present else [table]
    return tuple(missing)


def schema_of(connection: sqlite3.Connection, required: RequiredSchema) -> str:
    """Return the last migration as a sidecar records it: `tvarr 029` or `tvarr-backup 0002_system_rows`; '' for neither.

    Of ours, one that this program does not know counts as the last.
    """
    tables = SqliteTables(connection)
    if TVARRS_OWN_TABLE in tables.names():
        if "version" not in tables.columns(TVARRS_OWN_TABLE):
            return ""
        (newest,) = connection.execute(f"SELECT max(version) FROM {TVARRS_OWN_TABLE}").fetchone()  # noqa: S608  # ours
        return f"tvarr {newest}" if newest else ""
    if OUR_TABLE in tables.names():
        applied = tables.migrations(required.app_label)
        unknown = applied - required.migrations - {""}
        return f"tvarr-backup {max(unknown or applied)}" if applied else ""
    return ""


def is_newer(schema: str, required: RequiredSchema) -> bool:
    """Whether a recorded schema is one that this program does not know yet."""
    program, _, migration = schema.partition(" ")
    if program == "tvarr":
        return migration > required.tvarr_newest
    return program == "tvarr-backup" and migration not in required.migrations


def newest_known(schema: str, required: RequiredSchema) -> str:
    """Return the newest known schema of the program that wrote this one."""
    program, _, _migration = schema.partition(" ")
    newest = max(required.migrations, default="") if program == "tvarr-backup" else required.tvarr_newest
    return f"{program} {newest}"


def is_older(schema: str, required: RequiredSchema) -> bool:
    """Whether a recorded schema is one of ours that later migrations of this program bring up to date."""
    program, _, migration = schema.partition(" ")
    is_known = migration in required.migrations
    return program == "tvarr-backup" and is_known and migration < max(required.migrations)


class SqliteTables:
    """The tables behind an SQLite connection, SQLite's own among them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def names(self) -> set[str]:
        names = "SELECT CAST(name AS TEXT) FROM sqlite_master WHERE type = 'table'"
        return {name for (name,) in self._connection.execute(names)}

    def columns(self, table: str) -> set[str]:
        return {column for (column,) in self._connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}

    def has_migrations(self) -> bool:
        return self._connection.execute("SELECT 1 FROM django_migrations").fetchone() is not None

    def migrations(self, app_label: str) -> set[str]:
        rows = self._connection.execute("SELECT name FROM django_migrations WHERE app = ?", (app_label,))
        return {str(name or "") for (name,) in rows}  # a column may hold anything, whatever its type
