"""The current data, as far as an import needs it, which item of the file is which row, and free names.

tvarr lets several rows have the same name and source type, except where names are unique.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Container, Hashable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from tvarr_backup.fields import is_ulid
from tvarr_backup.lookalikes import appearance_of
from tvarr_backup.models import PortableRow
from tvarr_backup.portable.envelope import Item
from tvarr_backup.portable.items import item_values
from tvarr_backup.portable.kinds import Identity, Kind, identity_of
from tvarr_backup.portable.references import References

_NUMBERED = re.compile(r"(?P<stem>.*\S) \((?P<number>[0-9]{1,9})\)", re.ASCII | re.DOTALL)
_BEGINNING = datetime.min.replace(tzinfo=UTC)


class Present:
    """Live rows with the wanted identities, all taken identities, and names of deleted rows, read with one query."""

    def __init__(self, kind: Kind, wanted: set[Identity]) -> None:
        self.taken: set[Identity] = set()
        """Identities of all live rows."""
        self.names: set[str] = set()
        """Names of all live rows."""
        self.retired: dict[str, PortableRow] = {}
        """Rows marked as deleted by name, where the table's index still counts them."""
        self._rows: dict[Identity, list[PortableRow]] = defaultdict(list)
        self._by_appearance: dict[str, str] = {}
        appearances = {appearance_of(identity.name) for identity in wanted}
        rows = kind.model.all_rows if kind.unique_names else kind.model.objects
        for row in rows.iterator():
            if row.deleted_at is not None:
                self.retired[row.name] = row
                continue
            identity = identity_of(row)
            self.taken.add(identity)
            self.names.add(row.name)
            if identity in wanted and is_ulid(row.id):  # no other row can be written
                self._rows[identity].append(row)
            if (appearance := appearance_of(row.name)) in appearances:
                self._by_appearance[appearance] = row.name
        for same in self._rows.values():
            same.sort(key=lambda row: (row.is_system, row.created_at or _BEGINNING, row.id))

    def rows_of(self, identity: Identity) -> list[PortableRow]:
        """Return the live rows with this identity: user-created ones first, then by age."""
        return self._rows.get(identity, [])

    def name_that_looks_like(self, name: str) -> str | None:
        """Return the different name of a live row that looks like this one; None where this one is taken."""
        other = self._by_appearance.get(appearance_of(name))
        return None if other == name or name in self.names else other


# --- Pairing of items with rows ---------------------------------------------------------------------------------------


def find_namesakes(items: Sequence[Item]) -> dict[Identity, list[int]]:
    """Return the positions of items that share a name and source type."""
    counts = Counter(item.identity for item in items)
    places: dict[Identity, list[int]] = defaultdict(list)
    for item in items:
        if counts[item.identity] > 1:
            places[item.identity].append(item.position)
    return dict(places)


def pair(items: Sequence[Item], kind: Kind, present: Present, references: References) -> dict[int, PortableRow]:
    """Return the row of each item by position; an item without a row is new.

    Where names are unique, all items of a name get its one row. Otherwise each row goes to one item: first to an item that
    equals it, then to one that equals it except for the reference, then in order. The time is proportional to the number of
    items and rows.
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


# --- Free names for items whose own name is taken ---------------------------------------------------------------------


def free_name(name: str, taken: Container[str], limit: int, *, after: int = 0) -> str:
    """Return the first of `Name (1)`, `Name (2)`, ... that is not taken; `Name (4)` continues with `Name (5)`.

    The stem is cut to keep within `limit` characters. Numbers up to `after` are not tried.
    """
    stem, number = _divided(name)
    number = max(number, after)
    while True:
        number += 1
        ending = f" ({number})"
        candidate = stem[: limit - len(ending)].rstrip() + ending
        if candidate not in taken:
            return candidate


def _divided(name: str) -> tuple[str, int]:
    numbered = _NUMBERED.fullmatch(name)
    return (numbered["stem"], int(numbered["number"])) if numbered else (name, 0)


class TakenNames:
    """Taken names, each within its source type."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._names: dict[str, set[str]] = defaultdict(set)
        self._tried: dict[Identity, int] = {}
        """How far the numbers after a name have been tried, so that many copies of one name take no longer each."""

    def __contains__(self, identity: Identity) -> bool:
        return identity.name in self._names[identity.source_type]

    def add(self, identity: Identity) -> None:
        self._names[identity.source_type].add(identity.name)

    def update(self, identities: Iterable[Identity]) -> None:
        for identity in identities:
            self.add(identity)

    def take_free(self, identity: Identity) -> str:
        """Take and return the first free numbered name of this source type."""
        taken = self._names[identity.source_type]
        name = free_name(identity.name, taken, self._limit, after=self._tried.get(identity, 0))
        self._tried[identity] = _divided(name)[1]
        taken.add(name)
        return name


def retired_name(name: str, row_id: str, limit: int) -> str:
    """Return a new name for a row marked as deleted whose name is needed."""
    ending = f" (deleted {row_id})"
    return name[: limit - len(ending)].rstrip() + ending
