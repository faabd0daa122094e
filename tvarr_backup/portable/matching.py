"""Matching of a file's items with the current rows, and free names for copies."""

from __future__ import annotations

import re
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Container, Hashable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from tvarr_backup.fields import is_ulid
from tvarr_backup.lookalikes import normalize_appearance
from tvarr_backup.models import PortableRow
from tvarr_backup.portable.envelope import Item
from tvarr_backup.portable.items import item_values
from tvarr_backup.portable.kinds import Identity, Kind, identity_of
from tvarr_backup.portable.references import References

_NUMBERED = re.compile(r"(?P<stem>.*\S) \((?P<number>[0-9]{1,9})\)", re.ASCII | re.DOTALL)
_BEGINNING = datetime.min.replace(tzinfo=UTC)


class CurrentRows:
    """Live rows with the wanted identities, all taken identities, and names of deleted rows, read with one query."""

    def __init__(self, kind: Kind, wanted: set[Identity]) -> None:
        self.taken: set[Identity] = set()
        """Identities of all live rows."""
        self.names: set[str] = set()
        """Names of all live rows."""
        self.deleted: dict[str, PortableRow] = {}
        """Rows marked as deleted, by name. Only of kinds with unique names, because the index includes them."""
        self._rows: dict[Identity, list[PortableRow]] = defaultdict(list)
        self._by_appearance: dict[str, str] = {}
        appearances = {normalize_appearance(identity.name) for identity in wanted}
        rows = kind.model.all_rows if kind.unique_names else kind.model.objects
        for row in rows.iterator():
            if row.deleted_at is not None:
                self.deleted[row.name] = row
                continue
            identity = identity_of(row)
            self.taken.add(identity)
            self.names.add(row.name)
            if identity in wanted and is_ulid(row.id):  # a row with an invalid key cannot be written
                self._rows[identity].append(row)
            if (appearance := normalize_appearance(row.name)) in appearances:
                self._by_appearance[appearance] = row.name
        for same in self._rows.values():
            same.sort(key=lambda row: (row.is_system, row.created_at or _BEGINNING, row.id))

    def rows_of(self, identity: Identity) -> list[PortableRow]:
        """Return the live rows with this identity: user-created ones first, then by age."""
        return self._rows.get(identity, [])

    def find_similar_name(self, name: str) -> str | None:
        """Return a live row's name that differs but looks the same; None if there is a row with this very name."""
        other = self._by_appearance.get(normalize_appearance(name))
        return None if other == name or name in self.names else other


# --- Matching of items and rows ---------------------------------------------------------------------------------------


def find_namesakes(items: Sequence[Item]) -> dict[Identity, list[int]]:
    """Return the positions of items that share a name and source type."""
    counts = Counter(item.identity for item in items)
    positions: dict[Identity, list[int]] = defaultdict(list)
    for item in items:
        if counts[item.identity] > 1:
            positions[item.identity].append(item.position)
    return dict(positions)


def match_items(
    items: Sequence[Item], kind: Kind, current: CurrentRows, references: References
) -> dict[int, PortableRow]:
    """Return the row of each item by position; an item without a row is new. The time is linear.

    If names are unique, all items of a name get its row. Otherwise each row is for one item: first for an equal one, then for
    one that differs only in the reference, then in order.
    """
    groups: dict[Identity, list[Item]] = defaultdict(list)
    for item in items:
        if current.rows_of(item.identity):
            groups[item.identity].append(item)
    matches: dict[int, PortableRow] = {}
    for identity, group in groups.items():
        rows = current.rows_of(identity)
        if kind.unique_names:
            matches.update((item.position, rows[0]) for item in group)
        elif len(group) == len(rows) == 1:
            matches[group[0].position] = rows[0]
        else:
            matches.update(_match_equal_names(group, rows, kind, references))
    return matches


def _match_equal_names(
    items: Sequence[Item], rows: Sequence[PortableRow], kind: Kind, references: References
) -> dict[int, PortableRow]:
    reference = kind.reference.member if kind.reference else None
    values = {row.id: item_values(kind, row, references.exported(row)) for row in rows}
    matches: dict[int, PortableRow] = {}
    for left_out in (kind.not_imported, {*kind.not_imported, reference}):
        members = [member.name for member in kind.members if member.name not in left_out]

        def key(of: Any, members: Sequence[str] = tuple(members)) -> Hashable:
            return tuple(_hashable(of[name]) for name in members)

        rest = [item for item in items if item.position not in matches]
        free = _without(rows, matches.values())
        matches.update(_match_by(key, rest, free, values))
    rest = [item for item in items if item.position not in matches]
    matches.update((item.position, row) for item, row in zip(rest, _without(rows, matches.values()), strict=False))
    return matches


def _match_by(
    key: Callable[[Any], Hashable], items: Iterable[Item], rows: Iterable[PortableRow], values: dict[str, Any]
) -> dict[int, PortableRow]:
    waiting: dict[Hashable, deque[PortableRow]] = defaultdict(deque)
    for row in rows:
        waiting[key(values[row.id])].append(row)
    matches = {}
    for item in items:
        if equal := waiting.get(key(item.values)):
            matches[item.position] = equal.popleft()
    return matches


def _without(rows: Iterable[PortableRow], matched: Iterable[PortableRow]) -> list[PortableRow]:
    ids = {row.id for row in matched}
    return [row for row in rows if row.id not in ids]


def _hashable(value: Any) -> Hashable:
    return tuple(value) if isinstance(value, list) else value


# --- Free names for items whose own name is taken ---------------------------------------------------------------------


def find_free_name(name: str, taken: Container[str], limit: int, *, after: int = 0) -> str:
    """Return the first free one of `Name (1)`, `Name (2)`, ... after the number `after`, cut to `limit` characters."""
    stem, number = _split_number(name)
    number = max(number, after)
    while True:
        number += 1
        ending = f" ({number})"
        candidate = stem[: limit - len(ending)].rstrip() + ending
        if candidate not in taken:
            return candidate


def _split_number(name: str) -> tuple[str, int]:
    numbered = _NUMBERED.fullmatch(name)
    return (numbered["stem"], int(numbered["number"])) if numbered else (name, 0)


class TakenNames:
    """Taken names, each within its source type."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._names: dict[str, set[str]] = defaultdict(set)
        self._tried: dict[Identity, int] = {}
        """The last number tried for a name, so that many copies of one name do not take longer each."""

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
        name = find_free_name(identity.name, taken, self._limit, after=self._tried.get(identity, 0))
        self._tried[identity] = _split_number(name)[1]
        taken.add(name)
        return name


def name_for_deleted(name: str, row_id: str, limit: int) -> str:
    """Return a new name for a row marked as deleted, so that its name becomes free."""
    ending = f" (deleted {row_id})"
    return name[: limit - len(ending)].rstrip() + ending
