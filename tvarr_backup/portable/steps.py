"""Plans: what an import would do with each item, and why.

A file may have 100,000 items, so each value is in memory once, and rows are built when they are written.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tvarr_backup.models import PortableRow
from tvarr_backup.portable.envelope import Item
from tvarr_backup.portable.findings import Finding
from tvarr_backup.portable.kinds import Kind
from tvarr_backup.portable.references import Resolved


class ItemState(StrEnum):
    """How an item compares with the current data."""

    NEW = "new"
    IDENTICAL = "identical"
    DIFFERENT = "different"
    SYSTEM = "system"
    INVALID = "invalid"


class ItemAction(StrEnum):
    """What the import would do with an item."""

    CREATE = "create"
    SKIP = "skip"
    RENAME = "rename"
    OVERWRITE = "overwrite"
    BLOCKED = "blocked"
    """The item has a problem. Nothing is imported until it is fixed, skipped or renamed."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One member in which an item and its row differ."""

    field: str
    now: Any
    in_file: Any


@dataclass(frozen=True, slots=True)
class Draft:
    """An item compared with the current data. Of the answers, only those for references count."""

    item: Item
    state: ItemState
    existing: PortableRow | None
    """The live row of the same name."""
    differences: tuple[Difference, ...]
    problems: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    resolved: Resolved
    resolved_unmapped: Resolved
    suggested_name: str = ""
    """A free name for a copy; empty if the item needs none."""
    digest: bytes = b""
    """Unchanged as long as the item and its row are."""

    @property
    def keeps_link(self) -> bool:
        """Whether the row has a link, which is kept if the target of the item's reference does not exist."""
        reference = self.item.kind.reference
        return reference is not None and getattr(self.existing, reference.column, None) is not None


def fill(row: PortableRow, item: Item, resolved: Resolved) -> PortableRow:
    """Set the values of an item in a row. If the target of its reference does not exist, the row keeps its link."""
    kind = item.kind
    for member, value in zip(kind.members, item.in_order, strict=True):
        if kind.reference is not None and member.name == kind.reference.member:
            if not resolved.unresolved:
                setattr(row, kind.reference.column, resolved.row_id)
        elif member.name not in kind.not_imported:
            setattr(row, member.name, value)
    return row


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """The decision about one item. `final_name` is the name it is stored under."""

    draft: Draft
    action: ItemAction
    final_name: str
    problems: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    renamed_row: PortableRow | None = None
    """A row marked as deleted whose name the item needs, with its new name."""
    is_repeated: bool = False
    """Whether the item is a conflict with an earlier item of the file, in an import like tvarr's."""

    @property
    def position(self) -> int:
        return self.draft.item.position

    @property
    def name(self) -> str:
        return self.draft.item.identity.name

    @property
    def source_type(self) -> str:
        return self.draft.item.identity.source_type

    @property
    def state(self) -> ItemState:
        return ItemState.INVALID if self.problems and self.draft.state is not ItemState.SYSTEM else self.draft.state

    @property
    def suggested_name(self) -> str:
        return self.draft.suggested_name

    @property
    def existing_id(self) -> str | None:
        return self.draft.existing.id if self.draft.existing else None

    @property
    def differences(self) -> tuple[Difference, ...]:
        return self.draft.differences

    @property
    def fingerprint(self) -> str:
        """Unchanged as long as the item and its row are, whatever the answers."""
        return self.draft.digest.hex()

    @property
    def writes(self) -> bool:
        return self.action in (ItemAction.CREATE, ItemAction.RENAME, ItemAction.OVERWRITE)

    @property
    def unresolved(self) -> str:
        """The reference that must wait for its target; empty if the row keeps a link."""
        keeps_link = self.action is ItemAction.OVERWRITE and self.draft.keeps_link
        return "" if keeps_link or not self.writes else self.draft.resolved.unresolved

    def build_row(self) -> PortableRow:
        """Return the row to store, a new one with each call."""
        overwritten = self.draft.existing if self.action is ItemAction.OVERWRITE else None
        row = copy.copy(overwritten) if overwritten else self.draft.item.kind.model()
        fill(row, self.draft.item, self.draft.resolved)
        if self.action is ItemAction.RENAME:
            row.name = self.final_name
        return row


@dataclass(frozen=True)
class MissingReference:
    """A name or id that items refer to and that does not exist here. `names` can be used instead."""

    value: str
    positions: tuple[int, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The planned items in the order of the file. The fingerprint covers the file and its rows, not the answers."""

    kind: Kind
    steps: tuple[PlannedItem, ...]
    warnings: tuple[str, ...]
    fingerprint: str
    missing_references: tuple[MissingReference, ...] = ()

    @property
    def blocked(self) -> list[PlannedItem]:
        return [step for step in self.steps if step.action is ItemAction.BLOCKED]

    def count(self, action: ItemAction) -> int:
        return sum(step.action is action for step in self.steps)

    @property
    def writes(self) -> bool:
        return any(step.writes for step in self.steps)
