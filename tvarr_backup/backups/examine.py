"""Looks at a copy of a database that nobody else has, and says whether it is whole and whose it is."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tvarr_backup import schema
from tvarr_backup.backups.backup_warnings import BackupWarning, BackupWarningCode
from tvarr_backup.backups.schema_table import Code, read_schema_table
from tvarr_backup.backups.sidecar import CheckLevel
from tvarr_backup.backups.sqlite import (
    Statements,
    are_connections_limited,
    disk_errors_told,
    open_database,
    require_readable,
)
from tvarr_backup.errors import DatabaseUnusable
from tvarr_backup.schema import RequiredSchema
from tvarr_backup.sentences import Sentence, join
from tvarr_backup.sqlite_codes import primary_code

_NAMED_PROBLEMS = 10
_COUNTED = """
    SELECT CAST(name AS TEXT) FROM sqlite_master
    WHERE type = 'table' AND rootpage > 0 AND name NOT LIKE 'sqlite#_%' ESCAPE '#'
        AND name NOT IN ('django_migrations', 'schema_migrations')
    ORDER BY name
"""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what, whether it is well, and a sentence where it is not."""

    name: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True)
class Examined:
    """The state of a copy; counts are of live rows.

    `warnings` are about references to rows that do not exist. `facts` say how its schema differs from the one that this
    program knows: neither makes a copy damaged. `newer` says that a later version of this program or of tvarr wrote it.
    `code` is what SQLite runs when others use the database: triggers, views and virtual tables, which tvarr has none of.
    `irregular` are sentences about rows of its schema table that SQLite has not written: in a file from elsewhere, nobody
    can accept them.
    """

    checks: tuple[Check, ...]
    warnings: tuple[BackupWarning, ...]
    facts: tuple[BackupWarning, ...]
    schema: str
    newer: bool
    code: tuple[Code, ...]
    table_counts: Mapping[str, int]
    irregular: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """The sentences of the checks that were not passed."""
        return tuple(dict.fromkeys(check.detail for check in self.checks if not check.passed))


class Examination:
    """A look at a copy, in a thread of its own; a context manager, which interrupts what has not ended."""

    def __init__(self, path: Path, required: RequiredSchema, level: CheckLevel) -> None:
        self._opened = open_database(path)
        self._arguments = (required, level)

    def __enter__(self) -> Statements[Examined]:
        with disk_errors_told():
            connection = self._opened.__enter__()
        self._statements = Statements(connection, lambda: _examine(connection, *self._arguments))
        return self._statements

    def __exit__(self, *failure: object) -> None:
        self._statements.__exit__(*failure)
        self._opened.__exit__(None, None, None)


def examine(
    path: Path, required: RequiredSchema, level: CheckLevel, look: Callable[[], None] | None = None
) -> Examined:
    """Check a copy and count its rows; `look` is called several times a second and may raise to cancel.

    Quick looks at the structure of the file; full also holds every index against its table. Neither can see a changed
    value in a row: only a checksum can. What refers to a row that is not there is a warning, because the live database
    was so when it was copied. Nothing in the copy is executed or changed. A disk that cannot be read is no finding, but
    an `OSError`, as far as SQLite tells the two apart.
    """
    with Examination(path, required, level) as examination:
        return examination.result(look)


def examine_here(path: Path, required: RequiredSchema, level: CheckLevel) -> Examined:
    """The same in this thread, which nobody can interrupt."""
    with disk_errors_told(), open_database(path) as connection:
        return _examine(connection, required, level)


def _examine(connection: sqlite3.Connection, required: RequiredSchema, level: CheckLevel) -> Examined:
    """A file that is damaged in one place may answer some questions and not others: each is asked by itself."""
    connection.text_factory = lambda raw: raw.decode(errors="replace")  # a damaged file holds half letters, too
    look = _Look(connection, required, level)
    questions = {"structure": look.damage, "tables": look.tables, "references": look.references, "rows": look.rows}
    with disk_errors_told():
        for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "query_only=ON"):
            connection.execute(f"PRAGMA {pragma}")
        checks = tuple(_check(name, ask) for name, ask in questions.items())
    newest = schema.newest_known(look.schema, required) if look.newer else ""
    facts = schema_facts(look.schema, look.missing, [str(code) for code in look.code], newer_than=newest)
    irregular = [BackupWarning(BackupWarningCode.IRREGULAR_SCHEMA, text=sentence) for sentence in look.irregular]
    return Examined(
        checks,
        tuple(look.warnings),
        (*facts, *irregular),
        look.schema,
        look.newer,
        look.code,
        look.table_counts,
        look.irregular,
    )


def _check(name: str, ask: Callable[[], Iterable[str]]) -> Check:
    try:
        with disk_errors_told():
            found = list(ask())
    except UnicodeDecodeError:  # Python's, for a sentence of SQLite's that quotes half a letter
        found = [Sentence("SQLite cannot read it: a name or a statement in it is no text.")]
    except sqlite3.DatabaseError as problem:
        code = primary_code(problem)
        if code == sqlite3.SQLITE_INTERRUPT or (code == sqlite3.SQLITE_TOOBIG and are_connections_limited()):
            raise
        if code == sqlite3.SQLITE_NOTADB:
            found = [Sentence("It is no SQLite database.")]
        else:
            found = [Sentence("SQLite cannot read it: {problem}.", problem=problem)]
    return Check(name, passed=not found, detail=join(found))


class _Look:
    """The questions, each giving sentences of what is wrong, and what else they find out."""

    def __init__(self, connection: sqlite3.Connection, required: RequiredSchema, level: CheckLevel) -> None:
        self._connection, self._required, self._level = connection, required, level
        self.warnings: list[BackupWarning] = []
        self.code: tuple[Code, ...] = ()
        self.irregular: tuple[str, ...] = ()
        self.missing: tuple[str, ...] = ()
        self.table_counts: dict[str, int] = {}
        self.schema = ""
        self.newer = False

    def damage(self) -> Iterator[str]:
        (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
        if pages < 2:
            yield Sentence("It is an empty database.")
            return
        pragma = "quick_check" if self._level is CheckLevel.QUICK else "integrity_check"
        found = [line for (line,) in self._connection.execute(f"PRAGMA {pragma}({_NAMED_PROBLEMS})")]
        if found != ["ok"]:
            yield Sentence("SQLite finds it damaged: {found}.", found=join(found, "; "))

    def tables(self) -> Iterator[str]:
        contained = read_schema_table(self._connection)
        self.code, self.irregular = contained.code, contained.irregular
        tables = schema.SqliteTables(self._connection)
        try:
            if schema.judge(tables, self._required, "It") is schema.State.EMPTY:
                yield Sentence("It has no tables.")
        except DatabaseUnusable as problem:
            yield problem.sentence
        self.schema = schema.schema_of(self._connection, self._required)
        self.newer = schema.is_newer(self.schema, self._required)
        if self.schema and not schema.is_older(self.schema, self._required):  # our migrations add what is missing
            self.missing = schema.missing_columns(tables, self._required)

    def references(self) -> Iterable[str]:
        """Warnings only: the live database was so when it was copied."""
        found = Counter((row[0], row[2]) for row in self._connection.execute("PRAGMA foreign_key_check"))
        for (table, parent), number in sorted(found.items()):
            self.warnings.append(
                BackupWarning(BackupWarningCode.BROKEN_REFERENCES, table=table, referenced_table=parent, count=number)
            )
        return ()

    def rows(self) -> Iterable[str]:
        self.table_counts |= _counts(self._connection)
        return ()


def schema_facts(
    found: str, missing: Sequence[str], code: Sequence[str], *, newer_than: str
) -> tuple[BackupWarning, ...]:
    """Say how a schema differs from the one that this program knows; nothing of it is damage."""
    facts = []
    if newer_than:
        facts.append(BackupWarning(BackupWarningCode.NEWER_SCHEMA, schema=found, newest_known=newer_than))
    if missing:
        facts.append(BackupWarning(BackupWarningCode.MISSING_COLUMNS, schema=found, names=tuple(missing)))
    if code:
        facts.append(BackupWarning(BackupWarningCode.CODE, names=tuple(code)))
    return tuple(facts)


def live_rows(database: Path, *, timeout_seconds: float = 20) -> dict[str, int]:
    """How many rows each table has now, without those that tvarr has marked as deleted.

    A table that is too damaged to be counted is left out. Raises `sqlite3.Error`.
    """
    require_readable(database, timeout_seconds=timeout_seconds)
    with open_database(database, timeout_seconds=timeout_seconds) as connection:
        return _counts(connection, leave_out_damaged=True)


def _counts(connection: sqlite3.Connection, *, leave_out_damaged: bool = False) -> dict[str, int]:
    """Rows of each table but SQLite's and the migrations' own ones."""
    counts = {}
    for table in [name for (name,) in connection.execute(_COUNTED)]:
        try:
            counts[table] = _count(connection, table)
        except sqlite3.DatabaseError as problem:
            if not leave_out_damaged or primary_code(problem) != sqlite3.SQLITE_CORRUPT:
                raise
    return counts


def _count(connection: sqlite3.Connection, table: str) -> int:
    """All rows without those marked as deleted: of 100,000, SQLite counts these in 2 ms, and the two others in 0.01."""
    columns = connection.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()
    quoted = table.replace('"', '""')
    count = f'SELECT count(*) FROM "{quoted}"'  # noqa: S608  # quoted
    if ("deleted_at",) in columns:
        count = f"SELECT ({count}) - ({count} WHERE deleted_at IS NOT NULL)"
    (number,) = connection.execute(count).fetchone()
    return int(number)
