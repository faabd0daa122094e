"""Which row each item of a file meets, where tvarr lets several have one name and source type."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from tvarr_backup.models import PortableRow
from tvarr_backup.portable.envelope import Item
from tvarr_backup.portable.items import item_values
from tvarr_backup.portable.kinds import Identity, Kind
from tvarr_backup.portable.present import Present
from tvarr_backup.portable.references import References


def find_namesakes(items: Sequence[Item]) -> dict[Identity, list[int]]:
    """Return the positions of items that have one name and source type, where several have."""
    counts = Counter(item.identity for item in items)
    places: dict[Identity, list[int]] = defaultdict(list)
    for item in items:
        if counts[item.identity] > 1:
            places[item.identity].append(item.position)
    return dict(places)


def pair(items: Sequence[Item], kind: Kind, present: Present, references: References) -> dict[int, PortableRow]:
    """Return the row that each item meets, by the item's position; an item that meets none is new.

    Where names are unique, all items of a name meet the one row that has it. Elsewhere no two items meet the same row:
    an item meets a row that equals it, first in all members, then in all but the reference; what is left meets in
    order. The time grows in proportion to the number of items and rows.
    """
    groups: dict[Identity, list[Item]] = defaultdict(list)
    for item in items:
        if present.rows_of(item.identity):
            groups[item.identity].append(item)
    met: dict[int, PortableRow] = {}
    for identity, group in groups.items():
        rows = present.rows_of(identity)
        if kind.unique_names:
            met.update((item.position, rows[0]) for item in group)
        elif len(group) == len(rows) == 1:
            met[group[0].position] = rows[0]
        else:
            met.update(_pair_equal_names(group, rows, kind, references))
    return met


def _pair_equal_names(
    items: Sequence[Item], rows: Sequence[PortableRow], kind: Kind, references: References
) -> dict[int, PortableRow]:
    reference = kind.reference.member if kind.reference else None
    values = {row.id: item_values(kind, row, references.exported(row)) for row in rows}
    met: dict[int, PortableRow] = {}
    for left_out in (kind.not_imported, {*kind.not_imported, reference}):
        members = [member.name for member in kind.members if member.name not in left_out]

        def key(of: Any, members: Sequence[str] = tuple(members)) -> Hashable:
            return tuple(_hashable(of[name]) for name in members)

        rest = [item for item in items if item.position not in met]
        free = _without(rows, met.values())
        met.update(_pair_by(key, rest, free, values))
    rest = [item for item in items if item.position not in met]
    met.update((item.position, row) for item, row in zip(rest, _without(rows, met.values()), strict=False))
    return met


def _pair_by(
    key: Callable[[Any], Hashable], items: Iterable[Item], rows: Iterable[PortableRow], values: dict[str, Any]
) -> dict[int, PortableRow]:
    waiting: dict[Hashable, deque[PortableRow]] = defaultdict(deque)
    for row in rows:
        waiting[key(values[row.id])].append(row)
    met = {}
    for item in items:
        if same := waiting.get(key(item.values)):
            met[item.position] = same.popleft()
    return met


def _without(rows: Iterable[PortableRow], met: Iterable[PortableRow]) -> list[PortableRow]:
    gone = {row.id for row in met}
    return [row for row in rows if row.id not in gone]


def _hashable(value: Any) -> Hashable:
    return tuple(value) if isinstance(value, list) else value
