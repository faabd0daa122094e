"""Rows as they are stored, with every column, also those that only a newer tvarr has.

A stored row is a dict of values by column that JSON can hold. On SQLite a text is its bytes, decoded with `surrogateescape`, and a
blob is `{"blob": BASE64}`. On a server each value is its text. A row that is written back has the same bytes.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connections, router

from tvarr_backup.models import PortableRow
from tvarr_backup.portable.kinds import KINDS

StoredRow = Mapping[str, Any]
_BATCH = 500
_TABLES = frozenset(kind.model._meta.db_table for kind in KINDS.values())


def find_columns(model: type[PortableRow]) -> tuple[str, ...]:
    """Return the columns of a table that can be written: all but computed ones."""
    connection = connections[router.db_for_write(model)]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name FROM pragma_table_info(%s)", [model._meta.db_table])
        else:
            cursor.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND is_generated = 'NEVER' "
                "AND table_schema = ANY (current_schemas(false)) ORDER BY ordinal_position",
                [model._meta.db_table],
            )
        return tuple(name for (name,) in cursor.fetchall())


def read_rows(model: type[PortableRow], ids: Iterable[str], columns: Collection[str]) -> dict[str, StoredRow]:
    """Return the rows with these ids, also those marked as deleted, by id."""
    connection = connections[router.db_for_write(model)]
    quote, is_sqlite = connection.ops.quote_name, connection.vendor == "sqlite"
    if is_sqlite:
        selected = ", ".join(_select_exactly(quote(name)) for name in columns)
    else:
        selected = ", ".join(f"{quote(name)}::text" for name in columns)
    found: dict[str, StoredRow] = {}
    with connection.cursor() as cursor:
        for batch in _batches(ids):
            marks = ", ".join(["%s"] * len(batch))
            cursor.execute(
                f"SELECT {quote('id')}, {selected} FROM {quote(model._meta.db_table)} WHERE {quote('id')} IN ({marks})",  # noqa: S608
                batch,
            )
            for row_id, *values in cursor.fetchall():
                stored = map(_decode, values[::2], values[1::2]) if is_sqlite else values
                found[str(row_id)] = dict(zip(columns, stored, strict=True))
    return found


def read_live_rows(
    model: type[PortableRow], columns: Sequence[str], ids: Collection[str] | None = None
) -> list[list[Any]]:
    """Return the values of these columns for all rows that are not marked as deleted, or for those with these ids.

    Unlike in `read_rows`, values of a server keep their type, and times are ISO text.
    """
    batches = [[]] if ids is None else list(_batches(ids))
    return [row for batch in batches for row in _read_live_batch(model, columns, batch)]


def _read_live_batch(model: type[PortableRow], columns: Sequence[str], ids: list[str]) -> list[list[Any]]:
    """Return the rows with these ids, or all without any."""
    connection = connections[router.db_for_write(model)]
    quote, is_sqlite = connection.ops.quote_name, connection.vendor == "sqlite"
    selected = ", ".join(_select_exactly(quote(name)) if is_sqlite else quote(name) for name in columns)
    conditions = [f"{quote('deleted_at')} IS NULL"] if "deleted_at" in columns else []
    conditions += [f"{quote('id')} IN ({', '.join(['%s'] * len(ids))})"] if ids else []
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {selected} FROM {quote(model._meta.db_table)}{where}", ids)  # noqa: S608
        if is_sqlite:
            return [list(map(_decode, row[::2], row[1::2])) for row in cursor.fetchall()]
        return [[_as_text(value) for value in row] for row in cursor.fetchall()]


def _select_exactly(column: str) -> str:
    """Return the SQL for the type and the exact value of a quoted column on SQLite."""
    return f"typeof({column}), CASE typeof({column}) WHEN 'text' THEN CAST({column} AS BLOB) ELSE {column} END"


def _as_text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def insert_row(model: type[PortableRow], row: StoredRow) -> None:
    """Insert a row with all its columns. Raises `DatabaseError`."""
    connection = connections[router.db_for_write(model)]
    quote = connection.ops.quote_name
    names, marks, values = _assign(row, is_sqlite=connection.vendor == "sqlite")
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {quote(model._meta.db_table)} ({', '.join(map(quote, names))}) VALUES ({', '.join(marks)})",  # noqa: S608
            values,
        )


def update_row(model: type[PortableRow], row_id: str, row: StoredRow) -> None:
    """Set all these columns of the row with this id. Raises `DatabaseError`."""
    connection = connections[router.db_for_write(model)]
    quote = connection.ops.quote_name
    names, marks, values = _assign(row, is_sqlite=connection.vendor == "sqlite")
    assigned = ", ".join(f"{quote(name)} = {mark}" for name, mark in zip(names, marks, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {quote(model._meta.db_table)} SET {assigned} WHERE {quote('id')} = %s",  # noqa: S608
            [*values, row_id],
        )


def delete_rows(model: type[PortableRow], ids: Iterable[str]) -> None:
    """Delete rows. Raises `DatabaseError`."""
    connection = connections[router.db_for_write(model)]
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        for batch in _batches(ids):
            marks = ", ".join(["%s"] * len(batch))
            cursor.execute(f"DELETE FROM {quote(model._meta.db_table)} WHERE {quote('id')} IN ({marks})", batch)  # noqa: S608


def find_referring(model: type[PortableRow], ids: Collection[str]) -> dict[str, set[tuple[str, str]]]:
    """Return each row with a foreign key to one of these rows, by the id of that row: its table, and its id if it is of a kind.

    The keys are read from the database, because tvarr has tables that we do not know.
    """
    connection = connections[router.db_for_write(model)]
    quote, introspection = connection.ops.quote_name, connection.introspection
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    with connection.cursor() as cursor:
        referring = [
            (table, column)
            for table in introspection.table_names(cursor)
            for column, (_, target) in introspection.get_relations(cursor, table).items()
            if target == model._meta.db_table
        ]
        for table, column in referring:
            user = quote("id") if table in _TABLES else "''"
            for batch in _batches(ids):
                marks = ", ".join(["%s"] * len(batch))
                cursor.execute(
                    f"SELECT {quote(column)}, {user} FROM {quote(table)} WHERE {quote(column)} IN ({marks})",  # noqa: S608
                    batch,
                )
                for row_id, user_id in cursor.fetchall():
                    found[str(row_id)].add((table, str(user_id)))
    return found


def find_ids_by_name(model: type[PortableRow], names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the name and id of all rows with these names, also those marked as deleted."""
    for batch in _batches(names):
        yield from model.all_rows.filter(name__in=batch).values_list("name", "id")


def _decode(stored_type: str, value: Any) -> Any:
    if stored_type == "text":
        return bytes(value).decode(errors="surrogateescape")
    return {"blob": base64.b64encode(value).decode()} if stored_type == "blob" else value


def _assign(row: StoredRow, *, is_sqlite: bool) -> tuple[list[str], list[str], list[Any]]:
    """Return the columns, placeholders and parameters that write a row."""
    marks, values = [], []
    for value in row.values():
        is_text = is_sqlite and isinstance(value, str)
        marks.append("CAST(%s AS TEXT)" if is_text else "%s")
        if is_text:
            values.append(value.encode(errors="surrogateescape"))
        else:
            values.append(base64.b64decode(value["blob"]) if isinstance(value, dict) else value)
    return list(row), marks, values


def _batches(values: Iterable[str]) -> Iterator[list[str]]:
    listed = list(values)
    return (listed[start : start + _BATCH] for start in range(0, len(listed), _BATCH))
