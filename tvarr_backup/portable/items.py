"""Rows as items: what an export says of a row, member by member."""

from typing import Any

from django.db.models import QuerySet

from tvarr_backup.errors import RowUnreadable
from tvarr_backup.models import PortableRow
from tvarr_backup.portable.kinds import JsonType, Kind, Member


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


def _value(kind: Kind, member: Member, row: PortableRow, reference: str) -> Any:
    if kind.reference is not None and member.name == kind.reference.member:
        return reference
    value = getattr(row, member.name)
    return member.default if value is None else value
