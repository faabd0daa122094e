"""Compare each item of a file with the current data, before anything is decided."""

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
from tvarr_backup.portable.items import item_values
from tvarr_backup.portable.judge import Finding, Judgement, expression_warnings, judge
from tvarr_backup.portable.kinds import Identity, Kind, Reference
from tvarr_backup.portable.present import Present
from tvarr_backup.portable.references import References, Resolved
from tvarr_backup.portable.steps import Difference, Draft, ItemState, fill
from tvarr_backup.quoting import quoted

_JSON = json.JSONEncoder(sort_keys=True)
_NAMED_PLACES = 5


@dataclass(frozen=True)
class Here:
    """The current data, and what must be known about other items of the file."""

    present: Present
    references: References
    met: Mapping[int, PortableRow]
    """The row with the same name as each item, by the position of the item."""
    namesakes: Mapping[Identity, Sequence[int]]
    """The positions of items that share a name and source type."""


def draft_item(item: Item, answers: Answers, here: Here) -> Draft:
    """Compare one item with the row of its name; makes no query."""
    kind, existing, source_type = item.kind, here.met.get(item.position), item.identity.source_type
    value = item.values[kind.reference.member] if kind.reference else ""
    unmapped = here.references.resolve(value, source_type)
    mapped_to = answers.references.get(value)
    resolved = unmapped if mapped_to is None else here.references.resolve(value, source_type, mapped_to)
    differences = tuple(_differences(item, existing, resolved, here)) if existing else ()
    state = ItemState.NEW
    if existing is not None:
        state = ItemState.SYSTEM if existing.is_system else ItemState.DIFFERENT if differences else ItemState.IDENTICAL
    if existing is not None and state is ItemState.IDENTICAL:
        row = existing
    else:
        row = fill(copy.copy(existing) if existing else kind.model(), item, resolved)
    judged = judge(row, item.missing) if state in (ItemState.NEW, ItemState.DIFFERENT) else Judgement()
    draft = Draft(item, state, existing, differences, judged.problems, (), resolved, unmapped)
    warnings = (
        *_member_warnings(item),
        *_name_warnings(item, here.present),
        *judged.warnings,
        *_reference_warnings(draft),
        *expression_warnings(row),
        *_equal_names_warnings(item, here.namesakes),
    )
    return replace(draft, warnings=warnings) if warnings else draft


def with_suggestion(draft: Draft, suggested_name: str, here: Here) -> Draft:
    """Return the draft with its digest and the suggested name for a copy, "" for none."""
    facts = [
        draft.item.position,
        draft.item.values,
        draft.state,
        draft.existing.id if draft.existing else None,
        _values_now(draft.item.kind, draft.existing, here) if draft.existing else {},
        [draft.resolved_unmapped.row_id, draft.resolved_unmapped.unresolved],
        suggested_name,
    ]
    return replace(draft, suggested_name=suggested_name, digest=hashlib.sha256(_JSON.encode(facts).encode()).digest())


def _values_now(kind: Kind, existing: PortableRow, here: Here) -> dict[str, Any]:
    return item_values(kind, existing, here.references.exported(existing))


def _differences(item: Item, existing: PortableRow, resolved: Resolved, here: Here) -> Iterator[Difference]:
    kind, now = item.kind, _values_now(item.kind, existing, here)
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
        return linked_to is not None or now == in_file  # a link that is there is kept
    if resolved.row_id is not None:
        return bool(linked_to == resolved.row_id)
    return not now


def _name_warnings(item: Item, present: Present) -> Iterator[Finding]:
    other = present.name_that_looks_like(item.name)
    if other is None:
        return
    found = lookalikes.differences_between(other, item.name)
    code = "name_in_other_case" if found == [lookalikes.Difference.CASE] else "name_looks_the_same"
    message = f"{quoted(other)} is here already; it differs only in {' and '.join(found)}."
    yield Finding("name", code, message, item.name)


def _equal_names_warnings(item: Item, namesakes: Mapping[Identity, Sequence[int]]) -> Iterator[Finding]:
    """Yield a warning for each of several items that have one name and source type."""
    kind, places = item.kind, namesakes.get(item.identity)
    if places and not kind.unique_names:
        and_type = " and source type" if kind.has_source_types else ""
        message = f"The file has {len(places)} {kind.label} with this name{and_type} ({_items(places)}). Each is kept."
        yield Finding("name", "equal_names", message, item.name)


def duplicate_name(draft: Draft, places: Sequence[int]) -> Finding:
    """Return the problem of an item whose unique name other items have too."""
    message = f"{quoted(draft.item.name)} appears {len(places)} times in the file ({_items(places)}). Rename or skip all but one."
    return Finding("name", "duplicate_name", message, draft.item.name)


def _items(places: Sequence[int]) -> str:
    if len(places) > _NAMED_PLACES:
        return f"items {', '.join(map(str, places[:_NAMED_PLACES]))} and {len(places) - _NAMED_PLACES} more"
    return f"items {', '.join(map(str, places[:-1]))} and {places[-1]}"


def _reference_warnings(draft: Draft) -> Iterator[Finding]:
    reference, value = draft.item.kind.reference, draft.resolved.unresolved
    if reference is None or not value:
        return
    outcome = "the link that is there is kept" if draft.keeps_link else "the item is stored without it until it is here"
    message = f"The {reference.target} {quoted(value)} is not here; {outcome}."
    yield Finding(reference.member, "reference_not_found", message, value)


def _member_warnings(item: Item) -> Iterator[Finding]:
    for name in item.unknown:
        yield Finding(name, "unknown_member", f"{quoted(name)} is not known here and is ignored.")
    for name in item.kind.not_imported:
        if value := item.values[name]:
            message = f"“{name}” is not taken over: an import does not change the default."
            yield Finding(name, "not_imported", message, value)
