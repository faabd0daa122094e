"""Several kinds in one file: planned together, and exported together.

A client detection rule can refer to an encoding profile of the same file. Until that is stored, the plan has a placeholder for it, under
the name that it will get.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tvarr_backup.portable.answers import Answers
from tvarr_backup.portable.envelope import Bundle
from tvarr_backup.portable.kinds import KINDS, Kind, ReferenceTarget, Slug
from tvarr_backup.portable.plan import Planner
from tvarr_backup.portable.steps import ItemAction, Plan, PlannedItem

_NEW = "new:"


@dataclass(frozen=True)
class BundlePlan:
    """The plans of the parts, in the order of the import, and sentences about the file as a whole in `warnings`."""

    plans: tuple[Plan, ...]
    warnings: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Covers all parts. Of a file with one kind, it is that of its plan."""
        if len(self.plans) == 1:
            return self.plans[0].fingerprint
        return "sha256:" + hashlib.sha256("".join(plan.fingerprint for plan in self.plans).encode()).hexdigest()

    @property
    def blocked(self) -> list[tuple[Kind, PlannedItem]]:
        return [(plan.kind, step) for plan in self.plans for step in plan.blocked]

    @property
    def writes(self) -> bool:
        return any(plan.writes for plan in self.plans)

    def count(self, action: ItemAction) -> int:
        return sum(plan.count(action) for plan in self.plans)


class BundlePlanner:
    """Plans one file for several sets of answers. It is compared with the current data only once."""

    def __init__(self, bundle: Bundle) -> None:
        self._warnings = bundle.warnings
        self._planners = {part.kind.slug: Planner(part) for part in bundle.parts}

    def plan(self, answers: Mapping[Slug, Answers] = MappingProxyType({})) -> BundlePlan:
        """Return the plan for the answers to each kind. Raises `AnswerInvalid`."""
        plans: list[Plan] = []
        coming: dict[str, str] = {}
        for slug, planner in self._planners.items():
            made = planner.plan(answers.get(slug, Answers()), coming)
            plans.append(made)
            if made.kind is _PROFILES:
                coming = {step.name: _NEW + step.final_name for step in made.steps if _stores_new_row(step)}
        return BundlePlan(tuple(plans), self._warnings)


def plan_bundle(bundle: Bundle, answers: Mapping[Slug, Answers] = MappingProxyType({})) -> BundlePlan:
    """Plan the import of a file. Raises `AnswerInvalid`, `DatabaseIncomplete` or `DatabaseNewer`."""
    return BundlePlanner(bundle).plan(answers)


_PROFILES = KINDS[Slug.ENCODING_PROFILES]


def _stores_new_row(step: PlannedItem) -> bool:
    return step.action in (ItemAction.CREATE, ItemAction.RENAME)


def placeholders(plan: Plan, ids: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    """Yield the placeholder and the id of each profile that a plan stores. `ids` has the ids by position."""
    if plan.kind is _PROFILES:
        yield from ((_NEW + step.final_name, ids[step.position]) for step in plan.steps if _stores_new_row(step))


def refers_to_profiles(kind: Kind) -> bool:
    return kind.reference is not None and kind.reference.target is ReferenceTarget.PROFILE_NAME
