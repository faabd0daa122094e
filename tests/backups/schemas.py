"""Randomly changed schema tables, and what SQLite makes of them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

PLAIN = (
    "CREATE TABLE schema_migrations (version TEXT NOT NULL, description TEXT, applied_at datetime)",
    "INSERT INTO schema_migrations VALUES ('029', 'x', '2026-01-01')",
    "CREATE TABLE filters (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, expression TEXT)",
    "CREATE INDEX idx_filters ON filters (name)",
    "CREATE UNIQUE INDEX idx_both ON filters (name, expression) WHERE expression IS NOT NULL",
    "CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, a)",
    "CREATE TABLE keyed (a TEXT PRIMARY KEY, b) WITHOUT ROWID",
    "CREATE TABLE computed (a INTEGER, b AS (a + 1), c TEXT AS (hex(a)) STORED, CHECK (a >= 0))",
    "INSERT INTO filters VALUES ('1', 'n', 'e')",
    "INSERT INTO counted (a) VALUES (1)",
    "INSERT INTO computed (a) VALUES (1)",
)
CODE = (
    "CREATE TRIGGER thief AFTER INSERT ON filters BEGIN DELETE FROM filters; END",
    "CREATE TRIGGER keyed_too BEFORE UPDATE OF b ON keyed BEGIN DELETE FROM filters; END",
    "CREATE VIEW seen AS SELECT * FROM filters",
    "CREATE VIRTUAL TABLE searched USING fts5(a)",
    "CREATE VIRTUAL TABLE boxes USING rtree(id, a, b)",
)
_WORDS = ("table", "index", "view", "trigger")
_KEYWORDS = ("TABLE", "INDEX", "VIEW", "TRIGGER", "VIRTUAL TABLE", "UNIQUE INDEX", "TEMP TRIGGER", "TEMP VIEW")


def mutated(path: Path, random: Random) -> Path:
    """A database with some code or none, whose schema table was changed a few times; it may be unreadable after that."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("synchronous=OFF", "journal_mode=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        for statement in (*PLAIN, *random.sample(CODE, random.choice((0, 0, 1, 1, 2)))):
            connection.execute(statement)
        connection.execute("PRAGMA writable_schema=ON")
        for _ in range(random.choice((0, 1, 1, 1, 2, 3))):
            with contextlib.suppress(sqlite3.Error, UnicodeError):
                _mutate(connection, random)
    if random.random() < 0.15:
        _spoil(path, random)
    return path


def _mutate(connection: sqlite3.Connection, random: Random) -> None:
    rows = connection.execute("SELECT rowid, type, name, sql FROM sqlite_master").fetchall()
    rowid, type_, name, sql = random.choice(rows)
    row = f"rowid = {rowid}"
    match random.randrange(8):
        case 0:
            _set(connection, "type", _word(random, type_ if random.random() < 0.6 else random.choice(_WORDS)), row)
        case 1:
            _set(connection, "rootpage", _rootpage(random, len(rows)), row)
        case 2:
            _set(connection, "sql", _statement(random, sql), row)
        case 3:
            _set(
                connection,
                random.choice(("name", "tbl_name")),
                _word(random, random.choice((name, *_names(rows)))),
                row,
            )
        case 4:
            connection.execute(
                f"INSERT INTO sqlite_master SELECT type, name, tbl_name, rootpage, sql FROM sqlite_master WHERE {row}"
            )
        case 5:
            connection.execute(f"DELETE FROM sqlite_master WHERE {row}")
        case 6:
            _insert(connection, random, len(rows))
        case 7:
            _set(connection, "type", _word(random, random.choice(_WORDS)), row)
            _set(connection, "rootpage", _rootpage(random, len(rows)), row)


def _set(connection: sqlite3.Connection, column: str, value: str, row: str) -> None:
    connection.execute(f"UPDATE sqlite_master SET {column} = {value} WHERE {row}")


def _insert(connection: sqlite3.Connection, random: Random, pages: int) -> None:
    """A row for code that SQLite would not have written there."""
    sql = random.choice(CODE)
    name = sql.split()[3 if "VIRTUAL" in sql else 2]
    table = random.choice((name, "filters", "keyed"))
    connection.execute(
        f"INSERT INTO sqlite_master VALUES ({_word(random, random.choice(_WORDS))}, {_word(random, name)}, '{table}', "
        f"{_rootpage(random, pages)}, {_statement(random, sql)})"
    )


def _names(rows: list[tuple[int, str, str, str]]) -> list[str]:
    return [str(name) for _, _, name, _ in rows] + ["sqlite_sequence", "sqlite_x", "sqlite_stat1", "thief", "seen"]


def _word(random: Random, word: str) -> str:
    """An SQL expression for a word, in one of the ways of writing it that SQLite takes for the same."""
    text = (
        "".join(random.choice((letter, letter.upper())) for letter in str(word)) if random.random() < 0.4 else str(word)
    )
    quoted = "'" + text.replace("'", "''") + "'"
    return random.choice(
        (
            quoted,
            quoted,
            quoted,
            f"CAST({quoted} AS BLOB)",
            f"{quoted} || char(0)",
            f"{quoted} || char(0) || 'table'",
            f"' ' || {quoted}",
            f"{quoted} || ' '",
            "''",
            "NULL",
            "7",
        )
    )


def _rootpage(random: Random, pages: int) -> str:
    page = random.randrange(1, pages + 4)
    return random.choice(
        ("0", "0", "1", "2", str(page), str(page), f"'{page}'", "'x'", "NULL", "-1", "99999999", "2.5", "x'32'")
    )


def _statement(random: Random, sql: str | None) -> str:
    """An SQL expression for a statement, often one that begins in an unusual way."""
    text = sql if sql and isinstance(sql, str) else random.choice(CODE)
    keyword = random.choice(_KEYWORDS)
    text = random.choice(
        (
            text,
            text.lower(),
            text.replace("CREATE ", "CREATE/**/", 1),
            text.replace("CREATE ", "CREATE\t", 1),
            text.replace("CREATE ", "CREATE TEMP ", 1),
            f" {text}",
            f"/* x */ {text}",
            f"-- x\n{text}",
            f";{text}",
            f"\ufeff{text}",
            f"{text}; {random.choice(CODE)}",
            f"{text} /* {random.choice(CODE)} */",
            f"CREATE {keyword} {' '.join(text.split()[2:])}",
            random.choice(CODE),
            random.choice(PLAIN),
            "CREATE TABLE other AS SELECT 1",
            "",
        )
    )
    quoted = "'" + text.replace("'", "''") + "'"
    return random.choice(
        (quoted, quoted, quoted, quoted, f"CAST({quoted} AS BLOB)", f"{quoted} || char(0) || 'x'", "NULL")
    )


def _spoil(path: Path, random: Random) -> None:
    """Another letter in a word of the schema table, as an editor for bytes puts it there."""
    raw = bytearray(path.read_bytes())
    word = random.choice((b"table", b"trigger", b"view", b"index", b"CREATE TABLE", b"CREATE TRIGGER", b"CREATE VIEW"))
    at = raw.find(word)
    if at >= 0:
        raw[at + random.randrange(len(word))] ^= random.choice((0x20, 0x01, 0xFF))
    path.write_bytes(raw)


def code_in(path: Path) -> Iterator[str]:
    """What a program would run that uses this database, by what SQLite has parsed; without a look at the schema table's text.

    Triggers show in the programs of SQLite that change a table (`Program`), whatever they are called.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        tables = connection.execute("SELECT name, type FROM pragma_table_list WHERE schema = 'main'").fetchall()
        for name, kind in tables:
            if kind in ("view", "virtual"):
                yield f"the {kind} {name!r}"
            elif not name.lower().startswith("sqlite_"):
                yield from _triggers(connection, name)


def _triggers(connection: sqlite3.Connection, name: str) -> Iterator[str]:
    table = '"' + name.replace('"', '""') + '"'
    columns = connection.execute("SELECT name, hidden FROM pragma_table_xinfo(?)", (name,)).fetchall()
    changes = ", ".join('"' + column.replace('"', '""') + '" = NULL' for column, hidden in columns if not hidden)
    for statement in (f"INSERT INTO {table} DEFAULT VALUES", f"UPDATE {table} SET {changes}", f"DELETE FROM {table}"):
        if any(opcode == "Program" for _, opcode, *_ in connection.execute(f"EXPLAIN {statement}")):
            yield f"a trigger at {statement[:40]!r}"
