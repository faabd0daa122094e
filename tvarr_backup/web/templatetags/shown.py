"""How values are shown to people: icons, moments, sizes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache, lru_cache
from typing import Any

import humanize
from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from tvarr_backup.backups.progress import Phase
from tvarr_backup.backups.sidecar import Sidecar
from tvarr_backup.operations.models import Operation, OperationState
from tvarr_backup.texts import escape_hidden, escape_unfit_for_note

register = template.Library()

_LEVELS = {"error": "danger", "debug": "secondary"}
_DAY = timedelta(days=1)
_REMEMBERED = 2000
_EMPTY = SafeString("")


@register.simple_tag
def icon(name: str) -> SafeString:
    """An icon of `vendor/bootstrap-icons/icons.svg`; it says nothing to whoever cannot see it, so a word stands beside it."""
    return _icon(name)


@cache
def _icon(name: str) -> SafeString:
    address = static("vendor/bootstrap-icons/icons.svg")
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', address, name)


@register.filter
def moment(time: datetime | None) -> str:
    """Date, time and zone, and how long ago or in how long beside it."""
    return "" if time is None else format_html('{} <span class="ago">({})</span>', clock(time), _since(time))


@register.filter
def clock(time: datetime) -> SafeString:
    """Date, time and zone."""
    return _clock(time, timezone.get_current_timezone())


@lru_cache(maxsize=_REMEMBERED)
def _clock(time: datetime, zone: tzinfo) -> SafeString:
    shown = timezone.localtime(time, zone)
    words = f"{shown:%a} {shown.day} {shown:%b %Y, %H:%M %Z}"
    return format_html('<time datetime="{}">{}</time>', time.isoformat(), words)


@register.filter
def ago(time: datetime) -> SafeString:
    """How long ago, or in how long: in days up to a year, since 16 of them are no month to who has lost them."""
    return format_html('<span class="ago">{}</span>', _since(time))


def _since(time: datetime) -> str:
    passed = datetime.now(UTC) - time
    days = int(passed / _DAY)
    return _days_ago(days) if days else _ago(passed)


@lru_cache(maxsize=_REMEMBERED)
def _days_ago(days: int) -> str:
    """From a day on, hours and minutes are not told."""
    return _ago(days * _DAY)


def _ago(passed: timedelta) -> str:
    return str(humanize.naturaltime(passed, months=False))


@register.filter
def made(sidecar: Sidecar) -> SafeString:
    """When a backup was made, with how long ago; or that its date is unknown, with its newest row."""
    return format_html("{} {}", made_at(sidecar), made_ago(sidecar))


@register.filter
def made_at(sidecar: Sidecar) -> SafeString:
    """Date, time and zone of a backup, or that they are unknown."""
    return clock(sidecar.created_at) if sidecar.is_dated else SafeString("Date unknown")


@register.filter
def made_ago(sidecar: Sidecar) -> SafeString:
    """How long ago a backup was made, or when the newest row in it was changed; empty where neither is known."""
    if sidecar.is_dated:
        return format_html('<span class="ago">({})</span>', _since(sidecar.created_at))
    newest = sidecar.newest_row_at
    if newest is None:
        return _EMPTY
    parts = ("newest row", clock(newest), f"({_since(newest)})")  # each stays in one line, all of them need not
    return format_html_join(" ", '<span class="ago">{}</span>', ((part,) for part in parts))


@register.filter
def short_made(sidecar: Sidecar) -> str:
    """When a backup was made, for names and sentences: "Restore the backup of ..."."""
    if sidecar.is_dated:
        return short_moment(sidecar.created_at)
    newest = sidecar.newest_row_at
    return f"unknown date (newest row {short_moment(newest)})" if newest else "unknown date"


@register.filter
def with_code(sentence: str) -> SafeString:
    """What stands between backticks as code."""
    parts = escape_hidden(sentence, keep="\n").split("`")
    return format_html_join(
        "",
        "{}{}{}",
        (
            (SafeString("<code>") if number % 2 else "", part, SafeString("</code>") if number % 2 else "")
            for number, part in enumerate(parts)
        ),
    )


@register.filter
def short_moment(time: datetime) -> str:
    """Date and time alone, for names and sentences."""
    return _short_moment(time, timezone.get_current_timezone())


@lru_cache(maxsize=_REMEMBERED)
def _short_moment(time: datetime, zone: tzinfo) -> str:
    shown = timezone.localtime(time, zone)
    return f"{shown.day} {shown:%b %Y, %H:%M}"


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
    seconds = (ended - operation.started_at).total_seconds()
    return "under 1 s" if seconds < 1 else f"{seconds:.0f} s"


@register.filter
def in_its_zone(time: datetime) -> str:
    """Day, date, time and zone of a time of the schedule: as clocks show it in the schedule's own zone."""
    return f"{time:%A}, {time.day} {time:%B %Y, %H:%M %Z}"


@register.filter
def value_in_words(value: Any) -> str:
    """A value of an item of an export."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return visible(", ".join(map(str, value)))
    return "" if value is None else escape_hidden(str(value), keep="\n\t")


@register.filter
def visible(text: object) -> str:
    """A text that others wrote, with escapes for what is not seen: for attributes, options and sentences."""
    return escape_hidden(str(text))


@register.filter
def name(text: object) -> SafeString:
    """A name that others wrote; one from right to left leaves the text around it as it is."""
    return format_html("<bdi>{}</bdi>", escape_hidden(str(text))) if text else _EMPTY


@register.filter
def note(text: object) -> SafeString:
    """A note in any script, which leaves the text around it as it is."""
    return format_html("<bdi>{}</bdi>", escape_unfit_for_note(str(text))) if text else _EMPTY
