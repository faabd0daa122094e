"""Check a copy of a database that no other program uses: whether it is intact, and which program made it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tvarr_backup import schema
from tvarr_backup.backups.backup_warnings import BackupWarning, BackupWarningCode
from tvarr_backup.backups.configuration import read_packed
from tvarr_backup.backups.schema_table import Code, read_schema_table
from tvarr_backup.backups.sidecar import CheckLevel
from tvarr_backup.backups.sqlite import (
    Statements,
    are_connections_limited,
    open_database,
    raising_disk_errors,
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
class CheckOutcome:
    """One check of a backup. If it did not pass, `detail` is a sentence."""

    name: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True)
class Examined:
    """Result of checking a copy; counts are of live rows.

    `warnings` (broken references) and `facts` (differences from the known schema) do not make a copy damaged. `newer` means
    that a later version of this program or of tvarr wrote it. `code` are triggers, views and virtual tables; tvarr has none.
    `irregular` are sentences about schema rows that SQLite did not write: a file from elsewhere is refused for these.
    `configuration` are the packed rows that users edit, or "" if they cannot be kept.
    """

    checks: tuple[CheckOutcome, ...]
    warnings: tuple[BackupWarning, ...]
    facts: tuple[BackupWarning, ...]
    schema: str
    newer: bool
    code: tuple[Code, ...]
    table_counts: Mapping[str, int]
    irregular: tuple[str, ...] = ()
    configuration: str = ""

    @property
    def problems(self) -> tuple[str, ...]:
        """The problems that were found."""
        return problems_in(self.checks)


def problems_in(checks: Iterable[CheckOutcome]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(check.detail for check in checks if not check.passed))


@contextlib.contextmanager
def examining_here(path: Path, required: RequiredSchema, level: CheckLevel) -> Iterator[Statements[Examined]]:
    """Check a copy in another thread, which is interrupted at the end of the context."""
    with contextlib.ExitStack() as stack:
        with raising_disk_errors():
            connection = stack.enter_context(open_database(path))
        yield stack.enter_context(Statements(connection, lambda: _examine(connection, required, level)))


def examine(
    path: Path, required: RequiredSchema, level: CheckLevel, on_wait: Callable[[], None] | None = None
) -> Examined:
    """Check a copy and count its rows. `on_wait` is called several times a second and may raise to cancel.

    A quick check covers the structure, a full one also every index. Only a checksum notices a changed value. No code in the
    copy runs. Raises `OSError` if the disk cannot be read.
    """
    with examining_here(path, required, level) as examination:
        return examination.result(on_wait)


def examine_here(path: Path, required: RequiredSchema, level: CheckLevel) -> Examined:
    """Do what `examine` does, in this thread and without interruption."""
    with raising_disk_errors(), open_database(path) as connection:
        return _examine(connection, required, level)


def _examine(connection: sqlite3.Connection, required: RequiredSchema, level: CheckLevel) -> Examined:
    connection.text_factory = lambda raw: raw.decode(errors="replace")  # damaged files may contain invalid text
    found = _Checks(connection, required, level)
    # Each check runs separately, because a damaged file may pass some and not others.
    checks = {"structure": found.damage, "tables": found.tables, "references": found.references, "rows": found.rows}
    with raising_disk_errors():
        for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "query_only=ON"):
            connection.execute(f"PRAGMA {pragma}")
        outcomes = tuple(_run_check(name, check) for name, check in checks.items())
        is_safe = not problems_in(outcomes) and not found.irregular
        configuration = read_packed(connection, required.configuration_columns) if is_safe else ""
    return Examined(
        outcomes,
        tuple(found.warnings),
        tuple(_facts(found, required)),
        found.schema,
        found.newer,
        found.code,
        found.table_counts,
        found.irregular,
        configuration,
    )


def _run_check(name: str, check: Callable[[], Iterable[str]]) -> CheckOutcome:
    try:
        with raising_disk_errors():
            found = list(check())
    except UnicodeDecodeError:  # Python cannot decode SQLite's message, which quotes the damaged text
        found = [Sentence("SQLite cannot read it: a name or a statement in it is not valid text.")]
    except sqlite3.DatabaseError as problem:
        code = primary_code(problem)
        if code == sqlite3.SQLITE_INTERRUPT or (code == sqlite3.SQLITE_TOOBIG and are_connections_limited()):
            raise
        if code == sqlite3.SQLITE_NOTADB:
            found = [Sentence("It is not an SQLite database.")]
        else:
            found = [Sentence("SQLite cannot read it: {problem}.", problem=problem)]
    return CheckOutcome(name, passed=not found, detail=join(found))


class _Checks:
    """The checks, each of which returns sentences about problems; the attributes keep what else they find."""

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
        try:
            if schema.judge_sqlite(self._connection, self._required, "It") is schema.DatabaseState.EMPTY:
                yield Sentence("It has no tables.")
        except DatabaseUnusable as problem:
            yield problem.sentence
        self.schema = schema.schema_of(self._connection, self._required)
        self.newer = schema.is_newer(self.schema, self._required)
        if self.schema and not schema.is_older(self.schema, self._required):  # our migrations add what is missing
            self.missing = schema.missing_columns(self._connection, self._required)

    def references(self) -> Iterable[str]:
        """Add warnings only, because the live database had the same broken references."""
        found = Counter((row[0], row[2]) for row in self._connection.execute("PRAGMA foreign_key_check"))
        for (table, parent), number in sorted(found.items()):
            self.warnings.append(
                BackupWarning(BackupWarningCode.BROKEN_REFERENCES, table=table, referenced_table=parent, count=number)
            )
        return ()

    def rows(self) -> Iterable[str]:
        self.table_counts |= _counts(self._connection)
        return ()


def _facts(found: _Checks, required: RequiredSchema) -> Iterator[BackupWarning]:
    """Yield the differences from the schema that this program knows. None of them is damage."""
    if found.newer:
        newest = schema.newest_known(found.schema, required)
        yield BackupWarning(BackupWarningCode.NEWER_SCHEMA, schema=found.schema, newest_known=newest)
    if found.missing:
        yield BackupWarning(BackupWarningCode.MISSING_COLUMNS, schema=found.schema, names=found.missing)
    if found.code:
        yield BackupWarning(BackupWarningCode.CODE, names=tuple(map(str, found.code)))
    for sentence in found.irregular:
        yield BackupWarning(BackupWarningCode.IRREGULAR_SCHEMA, text=sentence)


def live_rows(database: Path, *, timeout_seconds: float = 20) -> dict[str, int]:
    """Count the live rows of each table, except tables that are too damaged. Raises `sqlite3.Error`."""
    require_readable(database, timeout_seconds=timeout_seconds)
    with open_database(database, timeout_seconds=timeout_seconds) as connection:
        return _counts(connection, leave_out_damaged=True)


def _counts(connection: sqlite3.Connection, *, leave_out_damaged: bool = False) -> dict[str, int]:
    """Count the live rows of each table except SQLite's and the migrations' own."""
    counts = {}
    for table in [name for (name,) in connection.execute(_COUNTED)]:
        try:
            counts[table] = _count(connection, table)
        except sqlite3.DatabaseError as problem:
            if not leave_out_damaged or primary_code(problem) != sqlite3.SQLITE_CORRUPT:
                raise
    return counts


def _count(connection: sqlite3.Connection, table: str) -> int:
    """Count all rows and subtract the deleted ones: SQLite counts 100,000 live rows in 2 ms, but all rows in 0.01 ms."""
    columns = connection.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()
    quoted = table.replace('"', '""')
    count = f'SELECT count(*) FROM "{quoted}"'  # noqa: S608  # quoted
    if ("deleted_at",) in columns:
        count = f"SELECT ({count}) - ({count} WHERE deleted_at IS NOT NULL)"
    (number,) = connection.execute(count).fetchone()
    return int(number)
