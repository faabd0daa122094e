"""Format sizes, times and durations for users. Times are in the time zone of the process, which is that of the settings."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import humanize


def format_size(size_bytes: int) -> str:
    """Return a size such as "7.1 MB"."""
    return humanize.naturalsize(size_bytes)


def format_count(number: int, noun: str) -> str:
    """Return a number with its noun, such as "1 problem" or "1,250 problems"."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_time(time: datetime) -> str:
    """Return a time such as "2 Nov 2026, 02:00"."""
    local = time.astimezone()
    return f"{format_date(local)}, {local:%H:%M}"


def format_date(day: date) -> str:
    """Return a date such as "2 Nov 2026"."""
    return f"{day.day} {day:%b %Y}"


def format_exact_time(time: datetime) -> str:
    """Return a time to the second with its zone, such as "2026-11-02 02:00:00 CET"."""
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def format_age(time: datetime) -> str:
    """Return the distance from now, such as "26 days ago", "just now" or "in 2 hours", without months."""
    distance = time - datetime.now(UTC)
    if abs(distance) < timedelta(seconds=1):
        return "just now"
    duration = format_duration(abs(distance))
    return f"in {duration}" if distance > timedelta() else f"{duration} ago"


def format_duration(duration: timedelta) -> str:
    """Return a duration such as "26 days", rounded to its largest unit, without months."""
    return humanize.naturaldelta(duration, months=False)


def format_elapsed(started_at: datetime | None, finished_at: datetime | None) -> str:
    """Return the seconds from a start to an end or to now, or nothing without a start."""
    if started_at is None:
        return ""
    return format_seconds(((finished_at or datetime.now(UTC)) - started_at).total_seconds())


def format_seconds(seconds: float) -> str:
    """Return a number of seconds such as "12 s"."""
    return "less than a second" if seconds < 1 else f"{seconds:.0f} s"
