"""A plan: what an import would do with each item, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tvarr_backup.models import PortableRow
from tvarr_backup.portable.judge import Finding
from tvarr_backup.portable.kinds import Kind


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
class Step:
    """What becomes of one item.

    `source_type` is empty where the kind makes no difference; `existing_id` is the live row that the item meets; `suggested_name` a free name for a copy, where one may be
    wanted; `final_name` the name under which the action stores the item.
    """

    position: int
    name: str
    source_type: str
    state: State
    action: Action
    final_name: str
    suggested_name: str = ""
    existing_id: str | None = None
    differences: tuple[Difference, ...] = ()
    problems: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()
    build_row: Callable[[], PortableRow] | None = field(default=None, repr=False, compare=False)
    """Builds the row as it would be stored, another one with each call; None where nothing is written."""
    unresolved: str = field(default="", repr=False)
    """The reference that the stored row would hold for later."""
    retires: PortableRow | None = field(default=None, repr=False, compare=False)
    """A row marked as deleted whose name is needed, under the name that it gets instead."""
    mark: str = field(default="", repr=False)
    """The same as long as the item and what it meets here are the same, whatever the answers."""


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
        return any(step.build_row is not None for step in self.steps)
