"""Comparisons of states and changes of items as data, for commands and the API."""

from __future__ import annotations

from typing import Any

from tvarr_backup.portable.kinds import KINDS
from tvarr_backup.portable.states import ChangeType, Comparison, ItemChange


def comparison_as_data(found: Comparison) -> dict[str, Any]:
    """Return the names of added and removed items, and the changed ones with their members, by kind."""
    return {
        slug.value: {
            "added": [change.item.name for change in found.of_type(slug, ChangeType.ADDED)],
            "removed": [change.item.name for change in found.of_type(slug, ChangeType.REMOVED)],
            "changed": [
                {"name": change.item.name, "fields": [field.field for field in change.fields]}
                for change in found.of_type(slug, ChangeType.CHANGED)
            ],
        }
        for slug in KINDS
    }


def change_as_data(change: ItemChange) -> dict[str, Any]:
    """Return a change of one item, with the values of the members that differ. A missing item has null for each."""
    item = change.item
    return {
        "kind": item.kind.slug.value,
        "id": item.row_id or None,
        "name": item.name,
        "source_type": item.identity.source_type or None,
        "change": change.type.value,
        "fields": [{"field": field.field, "before": field.before, "after": field.after} for field in change.fields],
    }
