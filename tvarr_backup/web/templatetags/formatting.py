"""Template tags and filters for times, sizes, and texts from files and users."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from tvarr_backup import __version__, formatting
from tvarr_backup.backups.sidecar import Sidecar
from tvarr_backup.operations.models import Operation
from tvarr_backup.texts import escape_hidden, escape_unfit_for_note
from tvarr_backup.web import labels

register = template.Library()
register.filter("short_time", formatting.format_time)
register.filter("seconds", formatting.format_seconds)
register.filter("short_made", labels.format_made)
register.filter("operation_title", labels.operation_title)
register.simple_tag(lambda: __version__, name="version")

_NEAR_DAYS = {-1: "Yesterday", 0: "Today", 1: "Tomorrow"}
_LEVELS = {"error": "danger", "debug": "secondary"}
_EMPTY = SafeString("")


@register.simple_tag
@cache
def icon(name: str) -> SafeString:
    """Return an icon of `vendor/bootstrap-icons/icons.svg`. Screen readers skip it, so put text next to it."""
    address = static("vendor/bootstrap-icons/icons.svg")
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', address, name)


@register.filter
def clock(time: datetime) -> SafeString:
    """Return a time such as "Today, 02:00" or "2 Nov 2026, 02:00". Its title has the seconds and the zone."""
    return _time_element(time, _short_time(time))


def _short_time(time: datetime) -> str:
    local = time.astimezone()
    day = _NEAR_DAYS.get((local.date() - datetime.now().astimezone().date()).days)
    return f"{day}, {local:%H:%M}" if day else formatting.format_time(time)


def _time_element(time: datetime, text: str) -> SafeString:
    title = formatting.format_exact_time(time)
    return format_html('<time datetime="{}" title="{}">{}</time>', time.isoformat(), title, text)


@register.filter
def ago(time: datetime) -> SafeString:
    return format_html('<span class="ago">{}</span>', formatting.format_age(time))


@register.filter
def moment(time: datetime | None) -> SafeString:
    """Return a time for a sentence, such as "today, 02:00 (3 hours ago)"."""
    if time is None:
        return _EMPTY
    text = _short_time(time)
    return format_html("{} {}", _time_element(time, text[0].lower() + text[1:]), _age(time))


def _age(time: datetime) -> SafeString:
    return format_html('<span class="ago">({})</span>', formatting.format_age(time))


@register.filter
def made(sidecar: Sidecar) -> SafeString:
    """Return when a backup was created and how long ago. If that is unknown, say so with the time of its newest row."""
    is_row_known = not sidecar.is_dated and sidecar.newest_row_at is not None
    return format_html("{}{} {}", made_at(sidecar), "," if is_row_known else "", made_ago(sidecar))


@register.filter
def made_at(sidecar: Sidecar) -> SafeString:
    """Return when a backup was created, or "Date unknown"."""
    return clock(sidecar.created_at) if sidecar.is_dated else SafeString("Date unknown")


@register.filter
def made_ago(sidecar: Sidecar) -> SafeString:
    """Return how long ago a backup was created, or the time of its newest row, or nothing if neither is known."""
    if sidecar.is_dated:
        return _age(sidecar.created_at)
    newest = sidecar.newest_row_at
    if newest is None:
        return _EMPTY
    parts = ("newest row", clock(newest), f"({formatting.format_age(newest)})")  # each stays on one line
    return format_html_join(" ", '<span class="ago">{}</span>', ((part,) for part in parts))


@register.filter
def size(size_bytes: int | None) -> str:
    return "" if size_bytes is None else formatting.format_size(size_bytes)


@register.filter
def seconds_taken(operation: Operation) -> str:
    return formatting.format_elapsed(operation.started_at, operation.finished_at)


@register.filter
def in_its_zone(time: datetime) -> str:
    """Return day, date, time and zone in the zone of the time, which is that of the schedule."""
    return f"{time:%A}, {time.day} {time:%B %Y, %H:%M %Z}"


@register.filter
def bootstrap_level(tag: str) -> str:
    return _LEVELS.get(tag, tag)


@register.filter
def with_code(sentence: str) -> SafeString:
    """Return a sentence with text between backticks as code."""
    parts = escape_hidden(sentence, keep="\n").split("`")
    texts = (("<code>{}</code>" if number % 2 else "{}", part) for number, part in enumerate(parts))
    return format_html_join("", "{}", ((format_html(text, part),) for text, part in texts))


@register.filter
def item_value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return visible(", ".join(map(str, value)))
    return "" if value is None else escape_hidden(str(value), keep="\n\t")


@register.filter
def visible(text: object) -> str:
    """Return a text with hidden characters escaped, for attributes, options and sentences."""
    return escape_hidden(str(text))


@register.filter
def name(text: object) -> SafeString:
    """Return a name with hidden characters escaped. Right-to-left names do not affect the text around them."""
    return format_html("<bdi>{}</bdi>", escape_hidden(str(text))) if text else _EMPTY


@register.filter
def note(text: object) -> SafeString:
    """Return a note. Right-to-left notes do not affect the text around them."""
    return format_html("<bdi>{}</bdi>", escape_unfit_for_note(str(text))) if text else _EMPTY
