"""The last 90 days of backups, and the charts of their sizes and of free space."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from django.db.models import QuerySet

from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.sidecar import Sidecar
from tvarr_backup.formatting import format_count, format_date, format_size
from tvarr_backup.operations.models import COMPLETED_STATES, Operation, OperationKind, OperationState

DAYS = 90
_FAILED = (OperationState.FAILED, OperationState.INTERRUPTED)
_MOST_POINTS = 500


class DayState(StrEnum):
    MADE = "made"
    FAILED = "failed"
    NONE = "none"


@dataclass(frozen=True)
class Day:
    state: DayState
    text: str


def recent_days(backups: Iterable[Backup], operations: Iterable[Operation], now: datetime) -> list[Day]:
    """Return the last `DAYS` days, oldest first. Deleted backups are known from their operations."""
    existing = Counter(_day(one.sidecar.created_at) for one in backups if _is_made_here(one.sidecar))
    ended = Counter((_day(one.created_at), one.state in COMPLETED_STATES) for one in operations)
    today = _day(now)
    return [
        _describe_day(day, max(existing[day], ended[day, True]), ended[day, False])
        for day in (today - timedelta(days=back) for back in reversed(range(DAYS)))
    ]


def _is_made_here(sidecar: Sidecar) -> bool:
    return sidecar.is_dated and not sidecar.imported


def _day(time: datetime) -> date:
    return time.astimezone().date()


def _describe_day(day: date, made: int, failed: int) -> Day:
    parts = [format_count(made, "backup")] if made else []
    if failed:
        parts.append("backup failed" if failed == 1 else f"{failed} backups failed")
    state = DayState.MADE if made else DayState.FAILED if failed else DayState.NONE
    return Day(state, f"{format_date(day)}: {', '.join(parts) or 'no backup'}")


def ended_backups(since: datetime) -> QuerySet[Operation]:
    """Return finished backup operations that succeeded or failed, oldest first, without their results."""
    found = Operation.objects.filter(
        kind=OperationKind.BACKUP, state__in=(*COMPLETED_STATES, *_FAILED), created_at__gte=since
    )
    return found.only("created_at", "state").order_by("id")


@dataclass(frozen=True)
class Point:
    """A backup: when it was made, its size, and the free space of the disk after it. Sizes are bytes."""

    at: datetime
    size: int
    free: int | None = None


def backup_points(backups: Iterable[Backup]) -> list[Point]:
    """Return the existing backups, and deleted ones from the history of operations, oldest first."""
    points = {
        one.filename: Point(one.sidecar.created_at, one.sidecar.compressed_size)
        for one in backups
        if _is_made_here(one.sidecar)
    }
    recorded = Operation.objects.filter(kind=OperationKind.BACKUP, state__in=COMPLETED_STATES)
    for at, result in recorded.order_by("-id").values_list("created_at", "result")[:_MOST_POINTS]:
        made = (result or {}).get("backup") or {}
        if made:
            points[made["filename"]] = Point(at, made["compressed_size"], (result or {}).get("free_bytes"))
    return sorted(points.values(), key=lambda point: point.at)[-_MOST_POINTS:]


_WIDTH, _HEIGHT, _LEFT, _RIGHT, _BOTTOM, _TOP = 760, 240, 76, 40, 30, 10
"""The chart in SVG units, with room for labels."""


@dataclass(frozen=True)
class Tick:
    position: float
    label: str


@dataclass(frozen=True)
class Chart:
    """A line over time, as points of an SVG polyline, with ticks of both axes."""

    title: str
    points: str
    dates: list[Tick]
    sizes: list[Tick]
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT
    right: int = _WIDTH - _RIGHT


def draw_chart(title: str, values: Sequence[tuple[datetime, int]]) -> Chart | None:
    """Return the chart of sizes over time, or None for fewer than two."""
    if len(values) < 2:
        return None
    first, last = values[0][0], values[-1][0]
    seconds = (last - first).total_seconds() or 1
    largest = max(1, *(size for _, size in values))  # a full disk has no free space at all
    step = _step(largest)
    top = step * math.ceil(largest / step)

    def x(at: datetime) -> float:
        return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * (at - first).total_seconds() / seconds, 1)

    def y(size: float) -> float:
        return round(_HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * size / top, 1)

    dates = [first + (last - first) * part / 4 for part in range(5)]
    return Chart(
        title,
        " ".join(f"{x(at)},{y(size)}" for at, size in values),
        [Tick(x(at), format_date(_day(at))) for at in dates],
        [Tick(y(size), format_size(size)) for size in range(0, top + 1, step)],
    )


def _step(largest: int) -> int:
    """Return a distance of ticks, such as 1, 2 or 5 MB, for at most five above zero."""
    power: int = 10 ** int(max(0, math.log10(largest / 5)))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power * 5 >= largest)
