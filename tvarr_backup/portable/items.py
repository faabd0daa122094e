"""Conversion of rows to the items of an export."""

from typing import Any

from django.db import connections
from django.db.models import QuerySet

from tvarr_backup.models import PortableRow
from tvarr_backup.portable.kinds import JsonType, Kind, Member
from tvarr_backup.quoting import quoted
from tvarr_backup.sentences import Sentence
from tvarr_backup.tvarr_database import IS_CODEC_LIST, IS_UTF8


def item_values(kind: Kind, row: PortableRow, reference: str) -> dict[str, Any]:
    """Return the value of each member of the kind, in order. `reference` is the name or id of the row's target."""
    return {member.name: _value(kind, member, row, reference) for member in kind.members}


def exported_item(kind: Kind, row: PortableRow, reference: str) -> dict[str, Any]:
    """Return an item as it is exported: `item_values` without empty members that may be left out."""
    return without_empty(kind, item_values(kind, row, reference))


def without_empty(kind: Kind, values: dict[str, Any]) -> dict[str, Any]:
    """Remove the empty members that may be left out."""
    for member in kind.members:
        if member.may_be_left_out and not values[member.name]:
            del values[member.name]
    return values


def unreadable_rows(kind: Kind, rows: QuerySet[PortableRow]) -> list[PortableRow]:
    """Return the rows that cannot be exported without a change, because a column has a value of another type."""
    return list(_filter_readable(kind, rows, readable=False))


def readable_rows(kind: Kind, rows: QuerySet[PortableRow]) -> QuerySet[PortableRow]:
    return _filter_readable(kind, rows, readable=True)


def describe_unreadable(row: PortableRow) -> Sentence:
    sentence = "{name} ({id}) cannot be exported. {found} Edit it, then export it again."
    return Sentence(sentence, name=quoted(row.name), id=row.pk, found=" ".join(row.unreadable_sentences.values()))


def _filter_readable(kind: Kind, rows: QuerySet[PortableRow], *, readable: bool) -> QuerySet[PortableRow]:
    if connections[rows.db].vendor == "sqlite":
        condition = _unreadable_in_sql(kind)
        return rows.extra(where=[f"NOT ({condition})" if readable else condition])  # noqa: S610  # our models' names
    lists = [member.name for member in kind.members if member.type is JsonType.TEXTS]
    found = [
        row_id for row_id, *values in rows.values_list("id", *lists) if any(isinstance(value, str) for value in values)
    ]
    return rows.exclude(pk__in=found) if readable else rows.filter(pk__in=found)


def _unreadable_in_sql(kind: Kind) -> str:
    """Return the condition for unreadable rows. It has no table names, so it also works in a subquery."""
    by_type: dict[JsonType, list[str]] = {each: [] for each in JsonType}
    for member in kind.members:
        if kind.reference is None or member.name != kind.reference.member or member.name == kind.reference.column:
            by_type[member.type].append(f'"{member.name}"')
    texts = " || char(10) || ".join(f"coalesce({column}, '')" for column in by_type[JsonType.TEXT])
    numbers = [*by_type[JsonType.INTEGER], *by_type[JsonType.FLAG]]
    conditions = [
        f"((SELECT encoding FROM pragma_encoding) = 'UTF-8' AND NOT {IS_UTF8}(CAST({texts} AS BLOB)))",  # noqa: S608  # our models' names
        *(f"typeof({column}) NOT IN ('integer', 'null')" for column in numbers),
        *(f"NOT {IS_CODEC_LIST}(CAST({column} AS BLOB))" for column in by_type[JsonType.TEXTS]),
    ]
    return " OR ".join(conditions)


def _value(kind: Kind, member: Member, row: PortableRow, reference: str) -> Any:
    if kind.reference is not None and member.name == kind.reference.member:
        return reference
    value = getattr(row, member.name)
    return member.default if value is None or value == "" else value  # an import reads a missing value as the default
