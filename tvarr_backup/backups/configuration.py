"""Read the configuration of a database: all live rows of the tables that users edit, as they are stored."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from tvarr_backup.backups.sqlite import are_connections_limited, open_database, raising_disk_errors
from tvarr_backup.packed_rows import MOST_UNPACKED_BYTES, Table, pack
from tvarr_backup.sqlite_codes import primary_code


def read_configuration(connection: sqlite3.Connection, tables: Mapping[str, Collection[str]]) -> dict[str, Table]:
    """Return the rows of these tables, with those of the given columns that exist. A missing table is left out.

    Raises `OverflowError` if the rows are too large to be kept, or `sqlite3.Error`.
    """
    usual, connection.text_factory = connection.text_factory, _decode
    try:
        budget = _Budget(MOST_UNPACKED_BYTES)
        return dict(_read_tables(connection, tables, budget.spend))
    finally:
        connection.text_factory = usual


def read_packed(connection: sqlite3.Connection, tables: Mapping[str, Collection[str]]) -> str:
    """Return what `pack` returns for these tables, or "" if they cannot be read. Raises SQLite's error at a limit."""
    try:
        return pack(read_configuration(connection, tables))
    except OverflowError:
        return ""
    except sqlite3.DatabaseError as problem:
        code = primary_code(problem)
        if code == sqlite3.SQLITE_INTERRUPT or (code == sqlite3.SQLITE_TOOBIG and are_connections_limited()):
            raise
        return ""


def read_packed_file(database: Path, tables: Mapping[str, Collection[str]]) -> str:
    """Do what `read_packed` does, for a copy that no other program uses. Raises `OSError` if the disk cannot be read."""
    with raising_disk_errors(), open_database(database) as connection:
        for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "query_only=ON"):
            connection.execute(f"PRAGMA {pragma}")
        return read_packed(connection, tables)


class _Budget:
    def __init__(self, size_bytes: int) -> None:
        self._left = size_bytes

    def spend(self, size_bytes: int) -> None:
        self._left -= size_bytes
        if self._left < 0:
            raise OverflowError("The configuration is too large.")


def _read_tables(
    connection: sqlite3.Connection, tables: Mapping[str, Collection[str]], spend: Callable[[int], None]
) -> Iterator[tuple[str, Table]]:
    for name, wanted in sorted(tables.items()):
        found = connection.execute("SELECT name FROM pragma_table_info(?)", (name,))
        present = {column for (column,) in found}
        columns = sorted(present.intersection(wanted))
        if not columns:
            continue
        names = ", ".join(map(_quote, columns))
        live = " WHERE deleted_at IS NULL" if "deleted_at" in present else ""
        rows = []
        for row in connection.execute(f"SELECT {names} FROM {_quote(name)}{live}"):  # noqa: S608  # quoted
            values = [_encode(value) for value in row]
            spend(sum(_size(value) for value in values))
            rows.append(values)
        yield name, Table(columns, rows)


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _decode(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")


def _encode(value: Any) -> Any:
    return {"blob": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(value["blob"]) if isinstance(value, dict) else 8
