"""Compares each item of a file with what is here, before anything is decided."""

from __future__ import annotations

import copy
import hashlib
import json
from collections import defaultdict
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
from tvarr_backup.portable.steps import Difference, State
from tvarr_backup.quoting import quoted

_JSON = json.JSONEncoder(sort_keys=True)
_NAMED_PLACES = 5


@dataclass(frozen=True)
class Here:
    """What is in the database already."""

    present: Present
    references: References
    met: Mapping[int, PortableRow]
    """The row that each item meets, by the item's position."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An item compared with what is here, before any answer is looked at (but for the mapping of references).

    A file may have 100,000 of them, so rows are not kept but built when they are needed.
    """

    kind: Kind
    item: Item
    state: State
    existing: PortableRow | None
    differences: tuple[Difference, ...]
    problems: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    resolved: Resolved
    resolved_unmapped: Resolved
    keeps_link: bool
    """Whether the row that is here refers to something, and the item to nothing that can be found."""
    suggested_name: str = ""
    mark: str = ""
    """The same as long as the item and what it meets here are the same."""

    def build_row(self) -> PortableRow:
        """Return the item as a new row, or over a copy of the row that is here."""
        row = copy.copy(self.existing) if self.existing else self.kind.model()
        return fill(self.kind, row, self.item, self.resolved)

    def build_copy(self, name: str) -> PortableRow:
        """Return the item as a new row of another name."""
        row = fill(self.kind, self.kind.model(), self.item, self.resolved)
        row.name = name
        return row

    @property
    def held_after_overwriting(self) -> str:
        """The reference that the row that is here would hold for later: none where it keeps one that leads somewhere."""
        return "" if self.keeps_link else self.resolved.unresolved


def with_suggestion(draft: Draft, suggested_name: str, here: Here) -> Draft:
    """Return the draft with the name for a copy, if one may be wanted, and with its mark."""
    mark = digest(
        [
            draft.item.position,
            dict(draft.item.values),
            draft.state,
            draft.existing.id if draft.existing else None,
            _values_now(draft.kind, draft.existing, here),
            [draft.resolved_unmapped.row_id, draft.resolved_unmapped.unresolved],
            suggested_name,
        ]
    )
    return replace(draft, suggested_name=suggested_name, mark=mark)


def _values_now(kind: Kind, existing: PortableRow | None, here: Here) -> dict[str, Any]:
    return item_values(kind, existing, here.references.exported(existing)) if existing else {}


def digest(facts: list[Any]) -> str:
    """Stands for these facts, which are JSON data."""
    return hashlib.sha256(_JSON.encode(facts).encode()).hexdigest()


def draft_item(item: Item, kind: Kind, answers: Answers, here: Here) -> Draft:
    """Compare one item with the row that it meets; asks no query."""
    existing = here.met.get(item.position)
    value = item.values[kind.reference.member] if kind.reference else ""
    source_type = item.values.get("source_type", "")
    unmapped = here.references.resolve(value, source_type)
    mapped_to = answers.references.get(value)
    resolved = unmapped if mapped_to is None else here.references.resolve(value, source_type, mapped_to)
    now = _values_now(kind, existing, here)
    differences = tuple(_differences(kind, item, existing, now, resolved)) if existing else ()
    keeps_link = bool(kind.reference and existing and getattr(existing, kind.reference.column) is not None)
    state = State.NEW
    if existing is not None:
        state = State.SYSTEM if existing.is_system else State.DIFFERENT if differences else State.IDENTICAL
    if existing is not None and state is State.IDENTICAL:
        row = existing
    else:
        row = fill(kind, copy.copy(existing) if existing else kind.model(), item, resolved)
    judged = judge(row, item.missing) if state in (State.NEW, State.DIFFERENT) else Judgement()
    return Draft(
        kind=kind,
        item=item,
        state=state,
        existing=existing,
        differences=differences,
        problems=judged.problems,
        warnings=(
            *_member_warnings(item, kind),
            *_name_warnings(item, here.present),
            *judged.warnings,
            *_reference_warnings(kind, resolved, keeps_link=keeps_link),
            *expression_warnings(row),
        ),
        resolved=resolved,
        resolved_unmapped=unmapped,
        keeps_link=keeps_link,
    )


def fill(kind: Kind, row: PortableRow, item: Item, resolved: Resolved) -> PortableRow:
    """The same row with the item's values; a reference that leads nowhere keeps the one that is there."""
    for member in kind.members:
        if kind.reference is not None and member.name == kind.reference.member:
            if not resolved.unresolved:
                setattr(row, kind.reference.column, resolved.row_id)
        elif member.name not in kind.not_imported:
            setattr(row, member.name, item.values[member.name])
    return row


def _differences(
    kind: Kind, item: Item, existing: PortableRow, now: dict[str, Any], resolved: Resolved
) -> Iterator[Difference]:
    for member in kind.members:
        in_file = item.values[member.name]
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


def warn_of_equal_names(drafts: list[Draft], kind: Kind) -> list[Draft]:
    """Return the drafts with a warning for each of several items that have one name and source type."""
    if kind.unique_names:
        return drafts
    places: dict[Identity, list[int]] = defaultdict(list)
    for draft in drafts:
        places[draft.item.identity].append(draft.item.position)
    sentences = {
        identity: f"The file has {len(found)} {kind.label} with this name{_and_type(kind)} ({_items(found)}). Each is kept."
        for identity, found in places.items()
        if len(found) > 1
    }
    return [
        replace(draft, warnings=(*draft.warnings, Finding("name", "equal_names", sentence, draft.item.name)))
        if (sentence := sentences.get(draft.item.identity))
        else draft
        for draft in drafts
    ]


def duplicate_name(draft: Draft, places: Sequence[int]) -> Finding:
    """Return the problem of one of several items that would take one name, where names are unique."""
    message = f"{quoted(draft.item.name)} appears {len(places)} times in the file ({_items(places)}). Rename or skip all but one."
    return Finding("name", "duplicate_name", message, draft.item.name)


def _and_type(kind: Kind) -> str:
    return " and source type" if kind.has_source_types else ""


def _items(places: Sequence[int]) -> str:
    if len(places) > _NAMED_PLACES:
        return f"items {', '.join(map(str, places[:_NAMED_PLACES]))} and {len(places) - _NAMED_PLACES} more"
    return f"items {', '.join(map(str, places[:-1]))} and {places[-1]}"


def _reference_warnings(kind: Kind, resolved: Resolved, *, keeps_link: bool) -> Iterator[Finding]:
    if kind.reference is None or not resolved.unresolved:
        return
    outcome = "the link that is there is kept" if keeps_link else "the item is stored without it until it is here"
    message = f"The {kind.reference.target} {quoted(resolved.unresolved)} is not here; {outcome}."
    yield Finding(kind.reference.member, "reference_not_found", message, resolved.unresolved)


def _member_warnings(item: Item, kind: Kind) -> Iterator[Finding]:
    for name in item.unknown:
        yield Finding(name, "unknown_member", f"{quoted(name)} is not known here and is ignored.")
    for name in kind.not_imported:
        if item.values[name]:
            message = f"“{name}” is not taken over: an import does not change the default."
            yield Finding(name, "not_imported", message, item.values[name])
