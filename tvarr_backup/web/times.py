"""Common schedules as users select them, and their cron fields."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from enum import StrEnum

DAYS = (
    ("MON", "Monday"),
    ("TUE", "Tuesday"),
    ("WED", "Wednesday"),
    ("THU", "Thursday"),
    ("FRI", "Friday"),
    ("SAT", "Saturday"),
    ("SUN", "Sunday"),
)
HOURS = (1, 2, 3, 4, 6, 8, 12)
"""Intervals that divide a day, so that the times are the same each day."""

_NAMES = {"0": "SUN", "7": "SUN"} | {str(number): name for number, (name, _) in enumerate(DAYS, start=1)}
_NAMES |= {name: name for name, _ in DAYS}


class Often(StrEnum):
    DAY = "day"
    WEEK = "week"
    HOURS = "hours"
    CRON = "cron"


@dataclass(frozen=True)
class Times:
    """A schedule. `at` is the time of a run, or of one of several a day. `cron` is used only with `Often.CRON`."""

    often: Often
    at: time = time(2, 0)
    day: str = "SUN"
    hours: int = 6
    cron: str = ""


def cron_of(times: Times) -> str:
    minute, hour = times.at.minute, times.at.hour
    match times.often:
        case Often.DAY:
            return f"{minute} {hour} * * *"
        case Often.WEEK:
            return f"{minute} {hour} * * {times.day}"
        case Often.HOURS if times.hours == 1:
            return f"{minute} * * * *"
        case Often.HOURS:
            return (
                f"{minute} {','.join(map(str, sorted((hour + step) % 24 for step in range(0, 24, times.hours))))} * * *"
            )
        case Often.CRON:
            return times.cron


def times_of(cron: str) -> Times:
    """Return the schedule that five fields from `parse_cron` stand for; `Often.CRON` if no other choice does."""
    minute, hour, day, month, weekday = cron.split()
    other = Times(Often.CRON, cron=cron)
    if not minute.isdigit() or (day, month) != ("*", "*"):
        return other
    if hour.isdigit():
        at = time(int(hour), int(minute))
        if weekday == "*":
            return Times(Often.DAY, at, cron=cron)
        name = _NAMES.get(weekday.upper())
        return Times(Often.WEEK, at, day=name, cron=cron) if name else other
    hours = _every(hour) if weekday == "*" else None
    return Times(Often.HOURS, time(hours[0], int(minute)), hours=hours[1], cron=cron) if hours else other


def _every(field: str) -> tuple[int, int] | None:
    """Return the first hour and the interval of a field such as `*`, `*/6` or `1,7,13,19`."""
    if field == "*":
        return 0, 1
    if field.startswith("*/") and field[2:].isdigit():
        return (0, int(field[2:])) if int(field[2:]) in HOURS else None
    parts = field.split(",")
    if not all(part.isdigit() for part in parts) or 24 % len(parts):
        return None
    first, step = int(parts[0]), 24 // len(parts)
    even = [str(hour) for hour in range(first, 24, step)]
    return (first, step) if step in HOURS and parts == even else None
