"""Events of the history and versions of items, as sentences and as data."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from tvarr_backup.operations.history import changes_of, item_of
from tvarr_backup.operations.models import HistoryEvent, HistoryEventKind, ItemVersion, Origin
from tvarr_backup.portable.comparison_report import change_as_data
from tvarr_backup.portable.kinds import Slug
from tvarr_backup.portable.states import ItemChange


def changes_to_list(events: Iterable[HistoryEvent], kinds: Collection[Slug]) -> dict[int, list[ItemChange]]:
    """Return the changes to items of these kinds by event. Those of a baseline, which has every item, are left out."""
    listed = [event for event in events if event.kind != HistoryEventKind.BASELINE]
    return {
        key: [change for change in changes if change.item.kind.slug in kinds]
        for key, changes in changes_of(listed).items()
    }


def describe_event(event: HistoryEvent) -> str:
    """Return what an event of the history was, and who caused it."""
    what = str(event.get_kind_display())
    if event.kind == HistoryEventKind.BASELINE:
        return "New start of the history" if event.subject else what
    if not event.origin:
        return f"{what} outside this program"
    if event.origin == Origin.COMMAND:
        return f"{what} by a command"
    return f"{what} by {event.requested_by}" if event.requested_by else f"{what} ({event.get_origin_display()})"


def event_as_data(event: HistoryEvent, changes: Iterable[ItemChange]) -> dict[str, Any]:
    """Return an event with its changes. `origin` and `user` are null for changes that were made outside this program."""
    return {
        "id": event.pk,
        "at": _time(event.at),
        "event": str(event.kind),
        **_source(event),
        "subject": event.subject or None,
        "changes": [change_as_data(change) for change in changes],
    }


def version_as_data(version: ItemVersion) -> dict[str, Any]:
    """Return a version of an item with its values, which are null if the item was deleted."""
    event = version.event
    return {
        "at": _time(event.at),
        "event_id": event.pk,
        "event": str(event.kind),
        **_source(event),
        "values": item_of(version).values if version.content_id else None,
    }


def _source(event: HistoryEvent) -> dict[str, str | None]:
    user = event.requested_by
    return {"origin": str(event.origin) or None, "user": user.get_username() if user else None}


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
