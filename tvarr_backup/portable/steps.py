"""A plan: what an import would do with each item, and why."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tvarr_backup.models import PortableRow
from tvarr_backup.portable.envelope import Item
from tvarr_backup.portable.judge import Finding
from tvarr_backup.portable.kinds import Kind
from tvarr_backup.portable.references import Resolved


class State(StrEnum):
    """How an item stands to what is here."""

    NEW = "new"
    IDENTICAL = "identical"
    DIFFERENT = "different"
    SYSTEM = "system"
    INVALID = "invalid"


class Action(StrEnum):
    """What the import would do with an item."""

    CREATE = "create"
    SKIP = "skip"
    RENAME = "rename"
    OVERWRITE = "overwrite"
    BLOCKED = "blocked"
    """Nothing can be done before a problem is mended or the item is skipped; no item is written."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One member in which the row that is here and the item differ."""

    field: str
    now: Any
    in_file: Any


@dataclass(frozen=True, slots=True)
class Draft:
    """An item compared with what is here, before any answer is looked at (but for the mapping of references).

    A file may have 100,000 of them, so rows are not kept but built when they are needed.
    """

    item: Item
    state: State
    existing: PortableRow | None
    """The live row that the item meets."""
    differences: tuple[Difference, ...]
    problems: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    resolved: Resolved
    resolved_unmapped: Resolved
    suggested_name: str = ""
    """A free name for a copy, where one may be wanted."""
    digest: bytes = b""
    """The same as long as the item and what it meets here are the same."""

    @property
    def keeps_link(self) -> bool:
        """Whether the row that is here refers to something, which stays where the item refers to nothing that is here."""
        reference = self.item.kind.reference
        return reference is not None and getattr(self.existing, reference.column, None) is not None


def fill(row: PortableRow, item: Item, resolved: Resolved) -> PortableRow:
    """Return the same row with the item's values; a reference that leads nowhere keeps the one that is there."""
    kind = item.kind
    for member, value in zip(kind.members, item.in_order, strict=True):
        if kind.reference is not None and member.name == kind.reference.member:
            if not resolved.unresolved:
                setattr(row, kind.reference.column, resolved.row_id)
        elif member.name not in kind.not_imported:
            setattr(row, member.name, value)
    return row


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one item: its draft, and what was decided.

    `final_name` is the name under which the action stores the item.
    """

    draft: Draft
    action: Action
    final_name: str
    problems: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    retires: PortableRow | None = None
    """A row marked as deleted whose name is needed, under the name that it gets instead."""

    @property
    def position(self) -> int:
        """The item's place in the file, 1 for the first."""
        return self.draft.item.position

    @property
    def name(self) -> str:
        """The item's own name."""
        return self.draft.item.identity.name

    @property
    def source_type(self) -> str:
        """What the item looks at; empty where the kind makes no difference."""
        return self.draft.item.identity.source_type

    @property
    def state(self) -> State:
        """How the item stands to what is here."""
        return State.INVALID if self.problems and self.draft.state is not State.SYSTEM else self.draft.state

    @property
    def suggested_name(self) -> str:
        """A free name for a copy, where one may be wanted."""
        return self.draft.suggested_name

    @property
    def existing_id(self) -> str | None:
        """The id of the live row that the item meets."""
        return self.draft.existing.id if self.draft.existing else None

    @property
    def differences(self) -> tuple[Difference, ...]:
        """How that row and the item differ."""
        return self.draft.differences

    @property
    def mark(self) -> str:
        """The same as long as the item and what it meets here are the same, whatever the answers."""
        return self.draft.digest.hex()

    @property
    def writes(self) -> bool:
        """Whether the action stores a row."""
        return self.action in (Action.CREATE, Action.RENAME, Action.OVERWRITE)

    @property
    def unresolved(self) -> str:
        """The reference that the stored row would hold for later: none where it keeps one that leads somewhere."""
        keeps_link = self.action is Action.OVERWRITE and self.draft.keeps_link
        return "" if keeps_link or not self.writes else self.draft.resolved.unresolved

    def build_row(self) -> PortableRow:
        """Return the row as the action would store it, another one with each call."""
        overwritten = self.draft.existing if self.action is Action.OVERWRITE else None
        row = copy.copy(overwritten) if overwritten else self.draft.item.kind.model()
        fill(row, self.draft.item, self.draft.resolved)
        if self.action is Action.RENAME:
            row.name = self.final_name
        return row


@dataclass(frozen=True)
class MissingReference:
    """A name or id that items refer to and that is not here, answered or not; `names` are what could be meant instead."""

    value: str
    positions: tuple[int, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The steps in the order of the file, the warnings about the file as a whole, and a mark for what they rest on.

    Two plans have the same fingerprint when the file and everything here that matters to it are the same, whatever the
    answers.
    """

    kind: Kind
    steps: tuple[Step, ...]
    warnings: tuple[str, ...]
    fingerprint: str
    missing_references: tuple[MissingReference, ...] = ()

    @property
    def blocked(self) -> list[Step]:
        """The steps that keep the import from being done."""
        return [step for step in self.steps if step.action is Action.BLOCKED]

    def count(self, action: Action) -> int:
        """How many items the action is planned for."""
        return sum(step.action is action for step in self.steps)

    @property
    def writes(self) -> bool:
        """Whether the import would change anything."""
        return any(step.writes for step in self.steps)
