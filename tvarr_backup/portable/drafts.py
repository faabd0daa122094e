"""Comparison of each item of a file with the current data, before the answers decide what to do."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tvarr_backup import lookalikes
from tvarr_backup.models import PortableRow
from tvarr_backup.portable.answers import Answers
from tvarr_backup.portable.envelope import Item
from tvarr_backup.portable.findings import Finding, RowFindings, find_expression_warnings, validate_row
from tvarr_backup.portable.items import item_values
from tvarr_backup.portable.kinds import Identity, Kind, Reference
from tvarr_backup.portable.matching import CurrentRows
from tvarr_backup.portable.references import References, Resolved
from tvarr_backup.portable.steps import Difference, Draft, ItemState, fill
from tvarr_backup.quoting import quoted

_JSON = json.JSONEncoder(sort_keys=True)
_NAMED_POSITIONS = 5


@dataclass(frozen=True)
class Context:
    """The current data, and the items of the file that share a name."""

    current: CurrentRows
    references: References
    matches: Mapping[int, PortableRow]
    """The row that each item is compared with, by the item's position."""
    namesakes: Mapping[Identity, Sequence[int]]
    """The positions of items that share a name and source type."""


def draft_item(item: Item, answers: Answers, context: Context) -> Draft:
    """Compare one item with its row, without a query."""
    kind, existing, source_type = item.kind, context.matches.get(item.position), item.identity.source_type
    value = item.values[kind.reference.member] if kind.reference else ""
    unmapped = context.references.resolve(value, source_type)
    mapped_to = answers.references.get(value)
    resolved = unmapped if mapped_to is None else context.references.resolve(value, source_type, mapped_to)
    differences = tuple(_differences(item, existing, resolved, context)) if existing else ()
    state = ItemState.NEW
    if existing is not None:
        state = ItemState.SYSTEM if existing.is_system else ItemState.DIFFERENT if differences else ItemState.IDENTICAL
    if existing is not None and state is ItemState.IDENTICAL:
        row = existing
    else:
        row = fill(copy.copy(existing) if existing else kind.model(), item, resolved)
    found = validate_row(row, item.missing) if state in (ItemState.NEW, ItemState.DIFFERENT) else RowFindings()
    draft = Draft(item, state, existing, differences, found.problems, (), resolved, unmapped)
    warnings = (
        *_member_warnings(item),
        *_name_warnings(item, context.current),
        *found.warnings,
        *_reference_warnings(draft),
        *find_expression_warnings(row),
        *_equal_names_warnings(item, context.namesakes),
    )
    return replace(draft, warnings=warnings) if warnings else draft


def with_suggestion(draft: Draft, suggested_name: str, context: Context) -> Draft:
    """Return the draft with its digest and the suggested name for a copy, "" for none.

    The references of `context` do not know what the same import stores, because that depends on answers.
    """
    item = draft.item
    stored = context.references.resolve(
        item.values[item.kind.reference.member] if item.kind.reference else "", item.identity.source_type
    )
    facts = [
        draft.item.position,
        draft.item.values,
        [draft.existing.id, draft.existing.is_system] if draft.existing else None,
        _current_values(draft.item.kind, draft.existing, context) if draft.existing else {},
        [stored.row_id, stored.unresolved],
        suggested_name,
    ]
    return replace(draft, suggested_name=suggested_name, digest=hashlib.sha256(_JSON.encode(facts).encode()).digest())


def _current_values(kind: Kind, existing: PortableRow, context: Context) -> dict[str, Any]:
    return item_values(kind, existing, context.references.exported(existing))


def _differences(item: Item, existing: PortableRow, resolved: Resolved, context: Context) -> Iterator[Difference]:
    kind, now = item.kind, _current_values(item.kind, existing, context)
    for member, in_file in zip(kind.members, item.in_order, strict=True):
        if kind.reference is not None and member.name == kind.reference.member:
            if not _refers_to_the_same(kind.reference, existing, now[member.name], in_file, resolved):
                linked = getattr(existing, kind.reference.column) is not None
                yield Difference(member.name, now[member.name] if linked else "", in_file)
        elif member.name not in kind.not_imported:
            stored = existing.unreadable.get(member.name, now[member.name])
            if stored != in_file:
                yield Difference(member.name, stored, in_file)


def _refers_to_the_same(
    reference: Reference, existing: PortableRow, now: str, in_file: str, resolved: Resolved
) -> bool:
    linked_to = getattr(existing, reference.column)
    if resolved.unresolved:
        return linked_to is not None or now == in_file  # an existing link is kept
    if resolved.row_id is not None:
        return bool(linked_to == resolved.row_id)
    return not now


def _name_warnings(item: Item, current: CurrentRows) -> Iterator[Finding]:
    other = current.find_similar_name(item.name)
    if other is None:
        return
    found = lookalikes.find_differences(other, item.name)
    code = "name_in_other_case" if found == [lookalikes.NameDifference.CASE] else "name_looks_the_same"
    message = f"{quoted(other)} already exists. It differs only in {' and '.join(found)}."
    yield Finding("name", code, message, item.name)


def _equal_names_warnings(item: Item, namesakes: Mapping[Identity, Sequence[int]]) -> Iterator[Finding]:
    kind, positions = item.kind, namesakes.get(item.identity)
    if positions and not kind.unique_names:
        and_type = " and source type" if kind.has_source_types else ""
        message = (
            f"The file has {len(positions)} {kind.label} with this name{and_type} ({_list_items(positions)}). "
            "Each is imported separately."
        )
        yield Finding("name", "equal_names", message, item.name)


def duplicate_name(draft: Draft, positions: Sequence[int]) -> Finding:
    """Return the problem of an item whose name must be unique but is used by other items too."""
    times = "twice" if len(positions) == 2 else f"{len(positions)} times"
    message = (
        f"{quoted(draft.item.name)} appears {times} in the file ({_list_items(positions)}). Rename or skip all but one."
    )
    return Finding("name", "duplicate_name", message, draft.item.name)


def _list_items(positions: Sequence[int]) -> str:
    named, more = positions[:_NAMED_POSITIONS], len(positions) - _NAMED_POSITIONS
    if more > 0:
        return f"items {', '.join(map(str, named))} and {more} more"
    return f"items {', '.join(map(str, positions[:-1]))} and {positions[-1]}"


def _reference_warnings(draft: Draft) -> Iterator[Finding]:
    reference, value = draft.item.kind.reference, draft.resolved.unresolved
    if reference is None or not value:
        return
    outcome = "The existing link is kept" if draft.keeps_link else "The item is stored without the link until it does"
    message = f"The {reference.target} {quoted(value)} does not exist here. {outcome}."
    yield Finding(reference.member, "reference_not_found", message, value)


def _member_warnings(item: Item) -> Iterator[Finding]:
    for name in item.unknown:
        yield Finding(name, "unknown_member", f"The unknown member {quoted(name)} is ignored.")
    for name in item.kind.not_imported:
        if value := item.values[name]:
            message = f"{quoted(name)} is ignored, because an import does not change the default."
            yield Finding(name, "not_imported", message, value)
