"""Items and changes for tests."""

from __future__ import annotations

from typing import Any

from tvarr_backup.expressions import Domain
from tvarr_backup.matches.items import Change, Item, slug_of
from tvarr_backup.matches.preview import Preview, preview_changes
from tvarr_backup.matches.results import Effect, Names

STREAM = Domain.STREAM_FILTER
MAPPING = Domain.STREAM_MAPPING
NONE = object()


def item(expression: str, domain: Domain = STREAM, **columns: Any) -> Item:
    return Item(slug_of(domain), columns.pop("name", "Harbour"), domain, expression, **columns)


def added(expression: str, domain: Domain = STREAM, *, is_planned: bool = True, **columns: Any) -> Change:
    """A new item."""
    return Change("new", None, item(expression, domain, **columns), is_planned)


def effect_of(change: Change, **options: Any) -> Effect:
    (effect,) = preview(change, **options).effects
    return effect


def preview(*changes: Change, **options: Any) -> Preview:
    return preview_changes(changes, **options)


def names(found: Names) -> list[str]:
    return [row.name for row in found.sample]
