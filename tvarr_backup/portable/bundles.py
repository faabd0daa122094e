"""Several kinds in one file: planned together, and exported together.

A client detection rule can refer to an encoding profile of the same file. Until that is stored, the plan has a placeholder for it, under
the name that it will get.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from types import MappingProxyType
from typing import Any, TypeVar

from tvarr_backup.errors import AnswerInvalid
from tvarr_backup.portable.answers import Answers
from tvarr_backup.portable.envelope import BUNDLE, BUNDLE_VERSION, Bundle, Envelope
from tvarr_backup.portable.json_events import MAX_BYTES, read_as_utf8
from tvarr_backup.portable.kinds import KINDS, Kind, Slug
from tvarr_backup.portable.plan import Planner
from tvarr_backup.portable.steps import ItemAction, Plan, PlannedItem
from tvarr_backup.quoting import quoted

_NEW = "new:"
T = TypeVar("T")


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

    @property
    def steps(self) -> list[PlannedItem]:
        return [step for plan in self.plans for step in plan.steps]

    def count(self, action: ItemAction) -> int:
        return sum(plan.count(action) for plan in self.plans)

    def plan_of(self, slug: Slug) -> Plan:
        return next(plan for plan in self.plans if plan.kind.slug == slug)


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


def split_answers(bundle: Bundle, answers: Answers) -> dict[Slug, Answers]:
    """Return the answers to each kind. Those to `KIND/KEY` are for one kind, others for each kind with such an item.

    Raises `AnswerInvalid` for a reference that no item has.
    """
    split = {}
    for part in bundle.parts:
        member = part.kind.reference.member if part.kind.reference else ""
        used = {item.values[member] for item in part.items} if member else set()
        split[part.kind.slug] = replace(
            answers,
            resolutions=dict(_answers_for(part, bundle, answers.resolutions)),
            new_names=dict(_answers_for(part, bundle, answers.new_names)),
            references={value: name for value, name in answers.references.items() if value in used},
        )
    for value in answers.references:
        if not any(value in each.references for each in split.values()):
            raise AnswerInvalid("No item of the file refers to {missing}.", missing=quoted(value))
    return split


def _answers_for(part: Envelope, bundle: Bundle, answers: Mapping[str, T]) -> Iterator[tuple[str, T]]:
    """Yield the answers to items of a part. One without an item in any part goes to the first, whose plan refuses it."""
    for key, answer in answers.items():
        slug, divider, rest = key.partition("/")
        if divider and slug in KINDS and bundle.part(KINDS[Slug(slug)]) is not None:
            if slug == part.kind.slug:
                yield rest, answer
        elif _has_item(part, key) or (
            part is bundle.parts[0] and not any(_has_item(each, key) for each in bundle.parts)
        ):
            yield key, answer


def _has_item(part: Envelope, key: str) -> bool:
    return any(key in (item.name, str(item.identity)) for item in part.items)


def join_files(contents: Sequence[bytes]) -> bytes:
    """Return one file with the items of several valid files, in their order. Raises `FileTooLarge`."""
    if len(contents) == 1:
        return contents[0]
    sections: dict[str, list[Any]] = {}
    for content in contents:
        value = json.loads(read_as_utf8(BytesIO(content), MAX_BYTES))
        metadata = value["metadata"]
        own = value["sections"] if metadata["export_type"] == BUNDLE else {metadata["export_type"]: value["items"]}
        for name in KINDS:
            sections.setdefault(name, []).extend(own.get(name) or ())
    metadata = {
        "version": BUNDLE_VERSION,
        "tvarr_version": "",
        "export_type": BUNDLE,
        "exported_at": metadata.get("exported_at"),
        "item_count": sum(map(len, sections.values())),
    }
    filled = {name: items for name, items in sections.items() if items}
    return json.dumps({"metadata": metadata, "sections": filled or sections}, ensure_ascii=False).encode()


_PROFILES = KINDS[Slug.ENCODING_PROFILES]


def _stores_new_row(step: PlannedItem) -> bool:
    return step.action in (ItemAction.CREATE, ItemAction.RENAME)


def placeholders(plan: Plan, ids: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    """Yield the placeholder and the id of each profile that a plan stores. `ids` has the ids by position."""
    if plan.kind is _PROFILES:
        yield from ((_NEW + step.final_name, ids[step.position]) for step in plan.steps if _stores_new_row(step))
