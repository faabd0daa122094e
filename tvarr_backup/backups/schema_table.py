"""Check that SQLite wrote the schema table of a database, and list the code in it.

SQLite goes by the SQL of a row and hardly checks its type. A trigger whose type was stored as `Trigger` or as a BLOB still
fires. But SQLite itself writes rows in only one form (https://sqlite.org/schematab.html), so any other form is reported.
The rows are then compared with what SQLite has parsed.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tvarr_backup.quoting import cut, name_some
from tvarr_backup.sentences import Sentence, join

_TABLE, _VIRTUAL_TABLE, _VIEW, _TRIGGER, _INDEX = "table", "virtual table", "view", "trigger", "index"
_BEGINNINGS = {
    "CREATE TABLE ": (_TABLE, _TABLE),
    "CREATE VIRTUAL TABLE ": (_TABLE, _VIRTUAL_TABLE),
    "CREATE INDEX ": (_INDEX, _INDEX),
    "CREATE UNIQUE INDEX ": (_INDEX, _INDEX),
    "CREATE VIEW ": (_VIEW, _VIEW),
    "CREATE TRIGGER ": (_TRIGGER, _TRIGGER),
}
"""For each beginning of a row's SQL: the type of the row, and the kind of object."""
_CODE = (_TRIGGER, _VIEW, _VIRTUAL_TABLE)
_AUTOMATIC_INDEX = "sqlite_autoindex_"
_HAS_TABLE_LIST = sqlite3.sqlite_version_info >= (3, 37)
_KINDS_OF_TABLE_LIST = {"table": _TABLE, "shadow": _TABLE, "view": _VIEW, "virtual": _VIRTUAL_TABLE}
_NAMED = 5
_MOST_OF_TEXT = 61


@dataclass(frozen=True)
class Code:
    """A trigger, a view or a virtual table, which SQLite runs when the database is used. tvarr has none."""

    kind: str
    name: str
    sql: str

    def __str__(self) -> str:
        """Return kind and name, printable and cut, in a form that never changes: metadata files keep it in `accepted_code`."""
        return f"{self.kind} “{_cut(self.name)}”"

    @property
    def identity(self) -> str:
        """A hash of exactly this code."""
        return hashlib.sha256(f"{self.kind}\0{self.name}\0{self.sql}".encode()).hexdigest()


def not_accepted(code: tuple[Code, ...], accepted: bool | Collection[str]) -> tuple[Code, ...]:  # noqa: FBT001  # all, none, or these
    """Return the code that is not accepted; `accepted` is all of it (true), none (false), or identities."""
    if isinstance(accepted, bool):
        return () if accepted else code
    return tuple(item for item in code if item.identity not in accepted)


@dataclass(frozen=True)
class SchemaTable:
    """The code in a schema table, and sentences about rows that SQLite did not write."""

    code: tuple[Code, ...]
    irregular: tuple[str, ...]


@dataclass(frozen=True)
class _SchemaRow:
    number: int
    type: Any
    name: Any
    tbl_name: Any
    rootpage: Any
    sql: Any

    @property
    def kind(self) -> str:
        """What the SQL creates, or "" if SQLite would write it differently."""
        if self.sql is None:
            return _INDEX if str(self.name).startswith(_AUTOMATIC_INDEX) else ""
        found = (kind for start, (_type, kind) in _BEGINNINGS.items() if str(self.sql).startswith(start))
        return next(found, "")

    def problems(self, pages: int) -> Iterator[str]:
        """Yield phrases about what SQLite would write differently."""
        for column in ("type", "name", "tbl_name", "sql"):
            value = getattr(self, column)
            is_text = isinstance(value, str) and "\0" not in value
            if not is_text and not (column == "sql" and value is None):
                yield Sentence("its {column} is not plain text", column=column)
                return
        types = {kind: type_ for type_, kind in _BEGINNINGS.values()}
        if not self.kind or types[self.kind] != self.type:
            yield Sentence(
                'its type is "{type}", but its SQL begins with "{sql}"', type=_cut(self.type), sql=_cut(self.sql)
            )
        if not isinstance(self.rootpage, int):
            yield "its root page is not a number"
        elif self.kind in _CODE and self.rootpage:
            yield Sentence("its root page is {rootpage}, but a {kind} has none", rootpage=self.rootpage, kind=self.kind)
        elif self.kind in (_TABLE, _INDEX) and not 1 < self.rootpage <= pages:
            yield Sentence(
                "its root page is {rootpage}, but the database has {pages} pages", rootpage=self.rootpage, pages=pages
            )


def read_schema_table(connection: sqlite3.Connection) -> SchemaTable:
    """Read the schema table and compare it with what SQLite has parsed, on a connection that decodes any text."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    table = connection.execute("SELECT type, name, tbl_name, rootpage, sql FROM sqlite_master ORDER BY rowid")
    rows = [_SchemaRow(number, *row) for number, row in enumerate(table, start=1)]
    irregular = [sentence for row in rows for sentence in _describe_problems(row, pages)]
    irregular += _find_repeated(rows)
    code = [row for row in rows if row.kind in _CODE]
    if not irregular:
        irregular += _find_hidden(connection, rows, is_plain=not code)
    found = tuple(Code(row.kind, str(row.name), str(row.sql)) for row in sorted(code, key=lambda row: str(row.name)))
    return SchemaTable(found, tuple(irregular))


def _describe_problems(row: _SchemaRow, pages: int) -> Iterator[str]:
    for problem in row.problems(pages):
        yield Sentence(
            'Row {number} of its schema table ("{name}") was not written by SQLite: {problem}.',
            number=row.number,
            name=_cut(row.name),
            problem=problem,
        )


def _find_repeated(rows: list[_SchemaRow]) -> Iterator[str]:
    """Yield sentences about repeated names and root pages. Only triggers may have the name of another object."""
    names = Counter((row.kind == _TRIGGER, str(row.name).lower()) for row in rows)
    roots = Counter(row.rootpage for row in rows if row.rootpage)
    for (_, name), number in names.items():
        if number > 1:
            yield Sentence('The name "{name}" is in its schema table {number} times.', name=_cut(name), number=number)
    for root, number in roots.items():
        if number > 1:
            yield Sentence(
                "The root page {root} is in its schema table {number} times.", root=_cut(root), number=number
            )


def _find_hidden(connection: sqlite3.Connection, rows: list[_SchemaRow], *, is_plain: bool) -> Iterator[str]:
    """Yield differences between the rows and what SQLite has parsed. Tables can be listed only without views (`is_plain`)."""
    triggers = {str(row.name) for row in rows if row.kind == _TRIGGER}
    for row in rows:
        is_trigger = _is_trigger(connection, str(row.name))
        if is_trigger != (str(row.name) in triggers):
            yield Sentence(
                'SQLite {has} a trigger "{name}", unlike its schema table.',
                has="has" if is_trigger else "does not have",
                name=_cut(row.name),
            )
    if not is_plain or not _HAS_TABLE_LIST:
        return
    parsed = {
        (str(name).lower(), _KINDS_OF_TABLE_LIST.get(kind, kind))
        for schema, name, kind in connection.execute("SELECT schema, name, type FROM pragma_table_list")
        if schema == "main" and name not in ("sqlite_schema", "sqlite_master")
    }
    listed = {(str(row.name).lower(), row.kind) for row in rows if row.kind in (_TABLE, _VIEW, _VIRTUAL_TABLE)}
    for name, kind in sorted(parsed ^ listed):
        has = "has" if (name, kind) in parsed else "does not have"
        yield Sentence(
            'SQLite {has} the {kind} "{name}", unlike its schema table.', has=has, kind=kind, name=_cut(name)
        )


def _is_trigger(connection: sqlite3.Connection, name: str) -> bool:
    """Return whether SQLite knows the trigger: it then asks the authorizer, which refuses, whether to drop it."""
    found = False

    def refuse(action: int, *_: object) -> int:
        nonlocal found
        found = found or action == sqlite3.SQLITE_DROP_TRIGGER
        return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_DROP_TRIGGER else sqlite3.SQLITE_OK

    quoted = name.replace('"', '""')
    connection.set_authorizer(refuse)
    try:
        connection.execute(f'EXPLAIN DROP TRIGGER IF EXISTS main."{quoted}"')
    except sqlite3.DatabaseError:
        if not found:
            raise
    finally:
        connection.set_authorizer(None)
    return found


def join_some(sentences: tuple[str, ...]) -> Sentence:
    """Join the first few sentences and count the others."""
    others = len(sentences) - _NAMED
    return join([*sentences[:_NAMED], *([Sentence("And {others} more.", others=others)] if others > 0 else [])])


def name_code(code: Sequence[Code]) -> str:
    """Name the first few pieces of code and count the others."""
    return name_some([f'{item.kind} "{_cut(item.name)}"' for item in code], _NAMED)


def _cut(value: object) -> str:
    text = f"x'{value.hex()}'" if isinstance(value, bytes) else "NULL" if value is None else str(value)
    printable = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return cut(printable, _MOST_OF_TEXT)
