"""How values are shown to people: icons, moments, sizes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import humanize
from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from tvarr_backup.backups.progress import Phase
from tvarr_backup.operations.models import Operation, OperationState

register = template.Library()

_LEVELS = {"error": "danger", "debug": "secondary"}


@register.simple_tag
def icon(name: str) -> SafeString:
    """An icon of `vendor/bootstrap-icons/icons.svg`; it says nothing to whoever cannot see it, so a word stands beside it."""
    address = static("vendor/bootstrap-icons/icons.svg")
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', address, name)


@register.filter
def moment(time: datetime | None) -> str:
    """Date, time and zone, and how long ago or in how long beside it."""
    if time is None:
        return ""
    shown = timezone.localtime(time)
    return format_html(
        '<time datetime="{}">{}</time> <span class="ago">{}</span>',
        time.isoformat(),
        f"{shown:%a} {shown.day} {shown:%b %Y, %H:%M %Z}",
        humanize.naturaltime(time, when=datetime.now(UTC)),
    )


@register.filter
def megabytes(size: int | None) -> str:
    """Bytes as MB with one decimal."""
    if size is None:
        return ""
    return "under 0.1 MB" if 0 < size < 50_000 else f"{size / 1_000_000:,.1f} MB"


@register.filter
def bootstrap_level(tag: str) -> str:
    """What Bootstrap calls the level of a message."""
    return _LEVELS.get(tag, tag)


_PHASES = {
    "": "it begins",
    Phase.COPY: "copying the database",
    Phase.RECEIVE: "receiving the file",
    Phase.UNPACK: "unpacking",
    Phase.PACK: "packing",
    Phase.CHECK: "checking",
    Phase.PUBLISH: "laying it into the folder",
    Phase.PRUNE: "cleaning up",
    Phase.SAFETY: "copying what is there now",
    Phase.REPLACE: "replacing the content",
}


@register.filter
def in_words(operation: Operation) -> str:
    """What an operation is doing, or how it ended."""
    kind = operation.get_kind_display()
    if operation.state == OperationState.QUEUED:
        return f"{kind}: waiting for the worker"
    if operation.state == OperationState.RUNNING:
        return f"{kind}: {_PHASES.get(operation.phase, operation.phase)}"
    return f"{kind}: {operation.get_state_display().lower()}"


@register.filter
def seconds_taken(operation: Operation) -> str:
    """How long it has been under way, or was."""
    if operation.started_at is None:
        return ""
    ended = operation.finished_at or datetime.now(UTC)
    return f"{(ended - operation.started_at).total_seconds():.0f} s"


@register.filter
def value_in_words(value: Any) -> str:
    """A value of an item of an export."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
