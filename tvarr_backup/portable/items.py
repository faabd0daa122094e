"""Rows as items: what an export says of a row, member by member."""

from typing import Any

from django.db import connections
from django.db.models import QuerySet

from tvarr_backup.errors import RowUnreadable
from tvarr_backup.models import PortableRow
from tvarr_backup.portable.kinds import JsonType, Kind, Member
from tvarr_backup.tvarr_database import IS_UTF8


def item_values(kind: Kind, row: PortableRow, reference: str) -> dict[str, Any]:
    """Every member of the kind in order, empty ones included; `reference` is the name or id of what it refers to."""
    return {member.name: _value(kind, member, row, reference) for member in kind.members}


def exported_item(kind: Kind, row: PortableRow, reference: str) -> dict[str, Any]:
    """What goes into the file: as `item_values`, without empty members that may be left out."""
    values = item_values(kind, row, reference)
    for member in kind.members:
        if member.may_be_left_out and not values[member.name]:
            del values[member.name]
    return values


def require_readable(kind: Kind, rows: QuerySet[PortableRow]) -> None:
    """Raise `RowUnreadable` for a list of codecs that is stored as something else.

    tvarr leaves such a list out of its exports, and whoever imports the file then accepts every codec.
    """
    lists = [member.name for member in kind.members if member.type is JsonType.TEXTS]
    if not lists:
        return
    for row_id, name, *values in rows.values_list("id", "name", *lists).iterator():
        for member, value in zip(lists, values, strict=True):
            if isinstance(value, str):
                raise RowUnreadable(
                    f"“{name}” ({row_id}) cannot be exported: its {member} is “{value[:80]}”, which is not a JSON list "
                    "of codec names. Edit the rule first."
                )


def undecodable_rows(kind: Kind, rows: QuerySet[PortableRow]) -> dict[str, str]:
    """Return the names, by id, of the rows that hold a text which is not UTF-8; no file can carry that.

    Their names have U+FFFD in the place of such bytes.
    """
    if connections[rows.db].vendor != "sqlite":
        return {}
    table = kind.model._meta.db_table
    columns = [field.column for field in kind.model._meta.concrete_fields if field.get_internal_type() == "TextField"]
    texts = " || char(10) || ".join(f'coalesce("{table}"."{column}", \'\')' for column in columns)
    is_undecodable = f"(SELECT encoding FROM pragma_encoding) = 'UTF-8' AND NOT {IS_UTF8}(CAST({texts} AS BLOB))"  # noqa: S608  # the same
    return dict(rows.extra(where=[is_undecodable]).values_list("pk", "name"))  # noqa: S610  # our models' names


def sentence_of_undecodable(row_id: str, name: str) -> str:
    """Return why such a row is not in an export."""
    return (
        f"“{name}” ({row_id}) cannot be exported: it contains text that is not UTF-8, shown as \ufffd. It is unchanged. Edit "
        "it, and export it again."
    )


def _value(kind: Kind, member: Member, row: PortableRow, reference: str) -> Any:
    if kind.reference is not None and member.name == kind.reference.member:
        return reference
    value = getattr(row, member.name)
    return member.default if value is None else value
