"""States of the configuration: the user-created items of all kinds at one moment, read, compared and written as files.

A state comes from the live database, a backup, the history or a file. Two items are the same item if they have the same kind,
name and source type.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import defaultdict, deque
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import Any

from django.db import connections, router
from django.utils import timezone

from tvarr_backup.errors import ItemNotFound
from tvarr_backup.models import EncodingProfile, PortableRow
from tvarr_backup.packed_rows import Table, Tables
from tvarr_backup.portable.envelope import Bundle
from tvarr_backup.portable.export import write_bundle
from tvarr_backup.portable.items import describe_unreadable, item_values, without_empty
from tvarr_backup.portable.kinds import IN_ORDER_OF_IMPORT, KINDS, Identity, Kind, Slug
from tvarr_backup.portable.references import References
from tvarr_backup.portable.stored_rows import find_columns, read_live_rows
from tvarr_backup.quoting import quoted
from tvarr_backup.ranges import EARLIEST


@dataclass(frozen=True, slots=True)
class StateItem:
    """An item, with a value for every member of its kind, in the kind's order. `row_id` is "" for an item of a file."""

    kind: Kind
    in_order: tuple[Any, ...]
    row_id: str = ""

    @property
    def values(self) -> dict[str, Any]:
        """The values by member, in a new dict."""
        return dict(zip(self.kind.by_name, self.in_order, strict=True))

    @property
    def identity(self) -> Identity:
        members = list(self.kind.by_name)
        source_type = self.in_order[members.index("source_type")] if self.kind.has_source_types else ""
        return Identity(self.in_order[members.index("name")], source_type)

    @property
    def name(self) -> str:
        return self.identity.name

    @property
    def key(self) -> str:
        """What names the item in commands and forms: `filters/stream:Harbour News`."""
        return f"{self.kind.slug}/{self.identity}"


@dataclass(frozen=True)
class State:
    """The items of each kind, in the order of an export, and sentences about rows that are left out in `warnings`.

    A kind without an entry is not part of the state, such as those that a file does not have.
    """

    items: Mapping[Slug, tuple[StateItem, ...]]
    warnings: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[StateItem]:
        for items in self.items.values():
            yield from items

    def only(self, kinds: Collection[Slug]) -> State:
        """Return the state of some kinds."""
        return State({slug: items for slug, items in self.items.items() if slug in kinds}, self.warnings)

    def select(self, wanted: Iterable[StateItem]) -> State:
        """Return a state of these items."""
        ids = {id(item) for item in wanted}
        return State({slug: tuple(item for item in items if id(item) in ids) for slug, items in self.items.items()})


# --- Reading ----------------------------------------------------------------------------------------------------------


def read_live_tables(
    rows: Mapping[Slug, Collection[str] | None] = MappingProxyType(dict.fromkeys(KINDS)),
) -> dict[str, Table]:
    """Return the live rows of all kinds, with the columns that our models know, as a backup has them.

    `rows` are the ids to read for each kind, or None for all. A table that does not exist is left out. Makes two queries for each kind.
    """
    tables = {}
    for slug, ids in rows.items():
        model = KINDS[slug].model
        known = {each.column for each in model._meta.concrete_fields}
        columns = sorted(known.intersection(find_columns(model)))
        if columns:
            tables[model._meta.db_table] = Table(columns, read_live_rows(model, columns, ids))
    return tables


def hash_tables(tables: Tables) -> str:
    """Return a digest that changes with every stored value."""
    return hashlib.sha256(json.dumps(tables, separators=(",", ":")).encode()).hexdigest()


def read_current_state() -> State:
    """Return the state of the live database."""
    return state_of_tables(read_live_tables())


def state_of_tables(tables: Tables) -> State:
    """Return the state that is in stored rows, without the kinds whose table is missing.

    Columns that an earlier tvarr lacks have the values that tvarr takes for them.
    """
    rows = {
        kind.slug: _rows_of(kind, tables[kind.model._meta.db_table])
        for kind in KINDS.values()
        if kind.model._meta.db_table in tables
    }
    profiles = {row.pk: row.name for row in rows.get(Slug.ENCODING_PROFILES, ())}
    warnings: list[str] = []
    items = {}
    for slug in IN_ORDER_OF_IMPORT:
        if slug not in rows:
            continue
        kind, created = KINDS[slug], [row for row in rows[slug] if not row.is_system]
        warnings += [describe_unreadable(row) for row in created if row.unreadable]
        references = References(kind, profiles=profiles)
        readable = sorted((row for row in created if not row.unreadable), key=partial(_order, kind))
        items[slug] = tuple(
            StateItem(kind, tuple(item_values(kind, row, references.exported(row)).values()), row.pk)
            for row in readable
        )
    return State(items, tuple(warnings))


def state_of_bundle(bundle: Bundle) -> State:
    """Return the state that is in a file."""
    parts = {part.kind.slug: tuple(StateItem(part.kind, item.in_order) for item in part.items) for part in bundle.parts}
    return State(parts, bundle.warnings)


def _rows_of(kind: Kind, table: Table) -> list[Any]:
    """Return the rows of a kind. A row without a key is damaged, and left out."""
    model = kind.model
    connection = connections[router.db_for_write(model)]
    fields: Sequence[Any] = model._meta.concrete_fields
    names = [each.attname for each in fields]
    places = {column: number for number, column in enumerate(table.columns)}
    # The column of a foreign key holds a value of the key that it refers to.
    converted = [(each.target_field if each.is_relation else each, places.get(each.column)) for each in fields]
    rows = []
    for stored in table.rows:
        values = [
            column.from_db_value(None if place is None else _decode(stored[place]), None, connection)
            for column, place in converted
        ]
        rows.append(model.from_db(connection.alias, names, values))
    return [row for row in rows if row.pk]


def _decode(stored: Any) -> Any:
    """Return a stored value as SQLite gives it: text that is not UTF-8 as bytes."""
    if isinstance(stored, dict):
        return base64.b64decode(stored["blob"])
    if isinstance(stored, str):
        try:
            stored.encode()
        except UnicodeEncodeError:
            return stored.encode(errors="surrogateescape")
    return stored


def _order(kind: Kind, row: PortableRow) -> tuple[Any, ...]:
    return (*(_sortable(row, column) for column in kind.order), row.created_at or EARLIEST, row.pk)


def _sortable(row: PortableRow, column: str) -> Any:
    """Return a value that sorts as an export does. None comes first."""
    value = getattr(row, column.removeprefix("-"))
    if column.startswith("-"):
        return not value
    return value if isinstance(value, str) else (value is not None, value or 0)


# --- Comparing --------------------------------------------------------------------------------------------------------


class ChangeType(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A member that has another value."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class ItemChange:
    """An item that differs between two states. One of `before` and `after` may be None."""

    before: StateItem | None
    after: StateItem | None

    @property
    def type(self) -> ChangeType:
        if self.before is None:
            return ChangeType.ADDED
        return ChangeType.REMOVED if self.after is None else ChangeType.CHANGED

    @property
    def item(self) -> StateItem:
        """The later of the two."""
        found = self.after or self.before
        assert found is not None
        return found

    @property
    def fields(self) -> tuple[FieldChange, ...]:
        """The members that differ: all that are not empty, for an item that only one state has."""
        kind = self.item.kind
        before = self.before.in_order if self.before else (None,) * len(kind.members)
        after = self.after.in_order if self.after else (None,) * len(kind.members)
        return tuple(
            FieldChange(member.name, old, new)
            for member, old, new in zip(kind.members, before, after, strict=True)
            if old != new
        )


@dataclass(frozen=True)
class Comparison:
    """The items that differ, by kind, in the order of the states."""

    changes: Mapping[Slug, tuple[ItemChange, ...]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[ItemChange]:
        for changes in self.changes.values():
            yield from changes

    def __bool__(self) -> bool:
        return any(self.changes.values())

    def of_type(self, slug: Slug, change_type: ChangeType) -> list[ItemChange]:
        return [change for change in self.changes.get(slug, ()) if change.type is change_type]


def compare_states(before: State, after: State) -> Comparison:
    """Return what differs in the kinds that both states have. Comparing the other way round gives the mirror image."""
    return Comparison(
        {
            slug: tuple(_compare_kind(before.items[slug], after.items[slug]))
            for slug in KINDS
            if slug in before.items and slug in after.items
        }
    )


def _compare_kind(before: Sequence[StateItem], after: Sequence[StateItem]) -> Iterator[ItemChange]:
    """Yield the changes: those of items of `after` in its order, then the items that only `before` has."""
    left: dict[Identity, list[StateItem]] = defaultdict(list)
    right: dict[Identity, list[StateItem]] = defaultdict(list)
    for items, by_identity in ((before, left), (after, right)):
        for item in items:
            by_identity[item.identity].append(item)
    pairs = {id(new): old for identity in right for old, new in _pair(left.get(identity, []), right[identity])}
    paired = {id(old) for old in pairs.values()}
    for item in after:
        old = pairs.get(id(item))
        if old is None or old.in_order != item.in_order:
            yield ItemChange(old, item)
    for item in before:
        if id(item) not in paired:
            yield ItemChange(item, None)


def _pair(before: Sequence[StateItem], after: Sequence[StateItem]) -> Iterator[tuple[StateItem, StateItem]]:
    """Pair the items of one identity: equal ones first, then those of one row, then in order."""
    left, right = list(before), list(after)
    for key in (_values_of, _row_of):
        waiting: dict[Hashable, deque[StateItem]] = defaultdict(deque)
        for item in left:
            waiting[key(item)].append(item)
        pairs = [(waiting[key(item)].popleft(), item) for item in right if waiting[key(item)]]
        yield from pairs
        used = {id(item) for pair in pairs for item in pair}
        left, right = ([item for item in items if id(item) not in used] for items in (left, right))
    yield from zip(left, right, strict=False)


def _values_of(item: StateItem) -> Hashable:
    return tuple(tuple(value) if isinstance(value, list) else value for value in item.in_order)


def _row_of(item: StateItem) -> Hashable:
    return item.row_id or id(item)  # items of a file have no row


# --- Taking -----------------------------------------------------------------------------------------------------------


def select_items(state: State, wanted: Collection[str], kinds: Collection[Slug]) -> State:
    """Return the items with these names, or all items if `wanted` is empty, of some kinds.

    A name can be that of a source type (`epg:NAME`), or of a kind (`filters/NAME`, `filters/epg:NAME`). Raises `ItemNotFound`.
    """
    found = state.only(kinds)
    if not wanted:
        return found
    by_name: dict[str, list[StateItem]] = defaultdict(list)
    for item in found:
        for name in _names_of(item):
            by_name[name].append(item)
    for name in wanted:
        if name not in by_name:
            raise ItemNotFound("The state has no item {name}.", name=quoted(name))
    return found.select(item for name in wanted for item in by_name[name])


def _names_of(item: StateItem) -> tuple[str, ...]:
    identity = item.identity
    return (identity.name, str(identity), f"{item.kind.slug}/{identity.name}", item.key)


def with_missing_profiles(selected: State, state: State) -> State:
    """Add the profiles of the selected rules that do not exist now, from the state that the rules are from."""
    rules, profiles = selected.items.get(Slug.CLIENT_DETECTION_RULES, ()), Slug.ENCODING_PROFILES
    needed = {rule.values["encoding_profile_name"] for rule in rules}
    missing = needed.difference(EncodingProfile.objects.filter(name__in=needed).values_list("name", flat=True))
    return state.select([*selected, *(profile for profile in state.items.get(profiles, ()) if profile.name in missing)])


# --- Writing ----------------------------------------------------------------------------------------------------------


def write_state(state: State, moment: datetime | None = None) -> bytes:
    """Return a file with the items of a state, for an import."""
    sections = {
        slug: [without_empty(KINDS[slug], item.values) for item in state.items[slug]]
        for slug in IN_ORDER_OF_IMPORT
        if slug in state.items
    }
    return write_bundle(sections, moment or timezone.now())


def canonical(item: StateItem) -> str:
    """Return the values of an item as JSON that is equal for equal values."""
    return json.dumps(item.values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
