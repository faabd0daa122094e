"""Sizes and times as people read them: one form each, for pages, the admin, commands and messages.

Times are shown in the time zone of the process, which is that of the settings.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import humanize


def format_size(size_bytes: int) -> str:
    """Return a size such as "7.1 MB"."""
    return humanize.naturalsize(size_bytes)


def format_time(time: datetime) -> str:
    """Return a time such as "2 Nov 2026, 02:00"."""
    local = time.astimezone()
    return f"{local.day} {local:%b %Y, %H:%M}"


def format_exact_time(time: datetime) -> str:
    """Return a time to the second with its zone, such as "2026-11-02 02:00:00 CET"."""
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def format_age(time: datetime) -> str:
    """Return how far a time is from now, such as "26 days ago". Days are not counted as months."""
    return humanize.naturaltime(datetime.now(UTC) - time, months=False)


def format_duration(duration: timedelta) -> str:
    """Return a duration such as "26 days", rounded to its largest unit. Days are not counted as months."""
    return humanize.naturaldelta(duration, months=False)


def format_elapsed(started_at: datetime | None, finished_at: datetime | None) -> str:
    """Return the seconds from a start to an end, or to now; empty for what has not started."""
    if started_at is None:
        return ""
    seconds = ((finished_at or datetime.now(UTC)) - started_at).total_seconds()
    return "under 1 s" if seconds < 1 else f"{seconds:.0f} s"
