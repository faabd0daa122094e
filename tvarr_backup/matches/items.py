"""Filters and rules as they take part in tvarr's generation, from stored rows, imports and states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tvarr_backup.expressions import Domain
from tvarr_backup.models import ClientDetectionRule, DataMappingRule, Filter, PortableRow
from tvarr_backup.portable.bundles import BundlePlan
from tvarr_backup.portable.kinds import KINDS, Slug, kind_of_model
from tvarr_backup.portable.states import ChangeType, Comparison, StateItem
from tvarr_backup.portable.steps import ItemAction, ItemState, PlannedItem
from tvarr_backup.ranges import EARLIEST

WITH_EXPRESSIONS = (Slug.FILTERS, Slug.DATA_MAPPING_RULES, Slug.CLIENT_DETECTION_RULES)


@dataclass(frozen=True, slots=True)
class Item:
    """A filter or a rule. `row_id` is "" for one that is not stored. Filters have an action, and others a priority."""

    slug: Slug
    name: str
    domain: Domain
    expression: str
    row_id: str = ""
    action: str = ""
    priority: int = 0
    is_enabled: bool = True
    stop_on_match: bool = False
    created_at: datetime | None = None

    @property
    def order(self) -> tuple[int, bool, datetime]:
        """Where tvarr runs a rule: by priority, then by age. A rule that is not stored yet is the youngest."""
        return self.priority, self.created_at is None, self.created_at or EARLIEST


def slug_of(domain: Domain) -> Slug:
    """Return the kind of the items whose expressions are of this domain."""
    if domain is Domain.CLIENT_DETECTION:
        return Slug.CLIENT_DETECTION_RULES
    return Slug.FILTERS if domain.is_filter else Slug.DATA_MAPPING_RULES


@dataclass(frozen=True, slots=True)
class Change:
    """An item before and after a change, one of which may be None. `key` identifies the item for the caller.

    `is_planned` is false for a change that is only shown: the user has not chosen it.
    """

    key: str
    before: Item | None
    after: Item | None
    is_planned: bool = True

    @property
    def item(self) -> Item:
        """The later of the two."""
        found = self.after or self.before
        assert found is not None
        return found


def item_of_row(row: PortableRow) -> Item:
    """Return a filter or rule as it is stored, or as it would be."""
    stored: Any = row
    return Item(
        kind_of_model(type(row)).slug,
        row.name,
        stored.domain,
        stored.expression,
        row_id=row.pk,
        action=getattr(row, "action", ""),
        priority=getattr(row, "priority", 0) or 0,
        is_enabled=bool(getattr(row, "is_enabled", True)),
        stop_on_match=bool(getattr(row, "stop_on_match", False)),
        created_at=row.created_at,
    )


def read_mapping_rules() -> list[Item]:
    """Return all mapping rules, also disabled ones."""
    return [item_of_row(row) for row in DataMappingRule.objects.all()]


def read_filters(ids: Iterable[str]) -> dict[str, Item]:
    """Return the filters with these ids, by id."""
    return {row.pk: item_of_row(row) for row in Filter.objects.filter(pk__in=list(ids))}


def read_client_rules() -> list[Item]:
    """Return all client detection rules, also disabled ones."""
    return [item_of_row(row) for row in ClientDetectionRule.objects.all()]


# --- Imports ---------------------------------------------------------------------------------------------------------


def key_of_step(slug: Slug, step: PlannedItem) -> str:
    """Return the key of an item of a plan: `filters/3`, with its position in the file."""
    return f"{slug}/{step.position}"


def changes_of_plan(plan: BundlePlan) -> list[Change]:
    """Return the new and changed items with expressions, also those that the user has chosen to skip."""
    return list(_changes_of_plan(plan))


def _changes_of_plan(plan: BundlePlan) -> Iterator[Change]:
    for part in plan.plans:
        if part.kind.slug not in WITH_EXPRESSIONS:
            continue
        for step in part.steps:
            is_new = step.draft.existing is None or step.action is ItemAction.RENAME
            if step.draft.state is ItemState.IDENTICAL or (step.draft.state is ItemState.SYSTEM and not is_new):
                continue
            before = None if is_new or step.draft.existing is None else item_of_row(step.draft.existing)
            row_id, created_at = (before.row_id, before.created_at) if before else ("", None)
            after = replace(item_of_row(step.build_row()), row_id=row_id, created_at=created_at)
            yield Change(key_of_step(part.kind.slug, step), before, after, step.writes)


# --- States ----------------------------------------------------------------------------------------------------------


def changes_of_comparison(comparison: Comparison) -> list[Change]:
    """Return the items with expressions that differ between two states. Their keys are those of the states' items."""
    return [
        Change(
            change.item.key,
            None if change.type is ChangeType.ADDED else _item_of_state(change.before),
            None if change.type is ChangeType.REMOVED else _item_of_state(change.after),
            is_planned=False,
        )
        for slug in WITH_EXPRESSIONS
        for change in comparison.changes.get(slug, ())
    ]


def _item_of_state(item: StateItem | None) -> Item:
    assert item is not None
    values = item.values
    row = KINDS[item.kind.slug].model(
        name=item.name,
        **{name: values[name] for name in _USED if name in values},
    )
    return replace(item_of_row(row), row_id=item.row_id, created_at=None)


_USED = ("expression", "source_type", "action", "priority", "is_enabled", "stop_on_match")
