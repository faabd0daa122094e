"""Stored rows of tables, packed into text.

Each backup has its configuration (the rows that users edit) in its metadata file in this form, so that comparing it needs no
unpacking. `portable/states.py` gives the rows a meaning.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

MOST_PACKED = 2**19
"""Characters of packed rows. Larger ones are left out."""
MOST_UNPACKED_BYTES = 2**24


class Table(NamedTuple):
    """The live rows of a table, each with a value for each column.

    A text is decoded with `surrogateescape`, so that no byte is lost. A blob is `{"blob": BASE64}`.
    """

    columns: list[str]
    rows: list[list[Any]]


Tables = Mapping[str, Table]


def pack(tables: Tables) -> str:
    """Return the rows as text, or "" if they are too large."""
    value = {name: {"columns": table.columns, "rows": table.rows} for name, table in tables.items()}
    packed = base64.b64encode(zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 9)).decode()
    return packed if len(packed) <= MOST_PACKED else ""


def unpack(packed: str) -> dict[str, Table]:
    """Return the rows in a packed text. Raises `ValueError` if it is not one, or is too large."""
    try:
        value = json.loads(_decompress(base64.b64decode(packed, validate=True)))
        return {str(name): _checked(table["columns"], table["rows"]) for name, table in value.items()}
    except (zlib.error, ValueError, RecursionError, TypeError, KeyError, AttributeError) as problem:
        raise ValueError("This is not a packed configuration.") from problem


def _decompress(raw: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    found = unpacking.decompress(raw, MOST_UNPACKED_BYTES)
    if not unpacking.eof:
        raise ValueError("It is incomplete or too large.")
    return found


def _checked(columns: Any, rows: Any) -> Table:
    is_valid = (
        isinstance(columns, list)
        and all(isinstance(name, str) for name in columns)
        and isinstance(rows, list)
        and all(isinstance(row, list) and len(row) == len(columns) for row in rows)
        and all(_is_stored(value) for row in rows for value in row)
    )
    if not is_valid:
        raise ValueError("The rows do not fit the columns.")
    return Table(columns, rows)


def _is_stored(value: Any) -> bool:
    if isinstance(value, dict):
        return isinstance(value.get("blob"), str)
    return value is None or isinstance(value, str | int | float)
