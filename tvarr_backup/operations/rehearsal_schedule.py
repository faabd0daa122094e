"""When rehearsals are due: at 04:10, in the zone of the schedule, for each place in turn.

A rehearsal waits for open exclusive operations and for a backup that is due. Missed nights are made up by one rehearsal. After a
failure, the place is rehearsed again the next night. One that was interrupted by a power cut or a kill is repeated, three times
at most. There are none while automatic backups or rehearsals are off.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from django.db import DEFAULT_DB_ALIAS, transaction

from tvarr_backup.errors import OperationRunning, TvarrBackupError
from tvarr_backup.operations.models import (
    OPEN_STATES,
    BackupSettings,
    Location,
    LocationState,
    Operation,
    OperationKind,
    OperationState,
    Origin,
    Rehearsal,
)
from tvarr_backup.operations.rehearsals import choose_backup
from tvarr_backup.operations.run import queue_operation
from tvarr_backup.operations.schedule import planned_run

logger = structlog.stdlib.get_logger(__name__)

_HOUR, _MINUTE = 4, 10
_ATTEMPTS = 3
_AFTER_FAILURE = timedelta(days=1)
_SLACK = timedelta(hours=2)
"""Nights are not 24 hours apart when the clocks change."""


@dataclass(frozen=True)
class DueRehearsal:
    """A rehearsal of a location, or of the backup folder, and the time that it is for."""

    location: Location | None
    due_at: datetime


def request_due() -> None:
    """Queue the rehearsal that is due, if any. The worker calls this regularly."""
    due = find_due(datetime.now(UTC))
    if due is not None:
        _request(due)


def find_due(now: datetime) -> DueRehearsal | None:
    """Return the rehearsal that should start now, if any."""
    stored = BackupSettings.load()
    interval = stored.rehearses_every()
    if interval is None or not stored.is_scheduled() or _must_wait(now):
        return None
    night = _last_night(stored, now)
    places = (None, *_ready_locations())
    due = (location for location in places if _is_due(location, night, interval) and _has_backup(location))
    return next((DueRehearsal(location, night) for location in due), None)


def _must_wait(now: datetime) -> bool:
    planned = planned_run()
    if planned is not None and planned <= now:
        return True
    open_ones = Operation.objects.filter(state__in=OPEN_STATES)
    return open_ones.filter(is_exclusive=True).exists() or open_ones.filter(kind=OperationKind.REHEARSE).exists()


def _last_night(stored: BackupSettings, now: datetime) -> datetime:
    local = now.astimezone(stored.timetable().zone)
    night = local.replace(hour=_HOUR, minute=_MINUTE, second=0, microsecond=0)
    return night if night <= now else night - timedelta(days=1)


def _ready_locations() -> Iterator[Location]:
    """Yield the locations whose copies can be rehearsed. A failing one is reported by another check."""
    for location in Location.objects.order_by("name"):
        is_readable = not location.recipient or location.sealed_identity
        if location.is_ready and location.state is not LocationState.FAILING and is_readable:
            yield location


def _is_due(location: Location | None, night: datetime, interval: timedelta) -> bool:
    """Return whether a place has to be rehearsed for this night; not for a night before the first operation."""
    scheduled = Operation.objects.filter(origin=Origin.SCHEDULE, kind=OperationKind.REHEARSE)
    of_place = scheduled.filter(arguments__location=str(location.pk) if location else "", due_at__lte=night + _SLACK)
    last = of_place.first()
    if last is None or last.due_at is None:
        return Operation.objects.filter(created_at__lt=night).exists()
    if last.due_at >= night - _SLACK:
        attempts = of_place.filter(due_at=last.due_at, state=OperationState.INTERRUPTED).count()
        return last.state == OperationState.INTERRUPTED and attempts < _ATTEMPTS
    has_failed = Rehearsal.objects.filter(place=_place_of(location)).exclude(error_code="").exists()
    return night - last.due_at >= (min(interval, _AFTER_FAILURE) if has_failed else interval) - _SLACK


def _place_of(location: Location | None) -> str:
    return str(location.pk) if location else Rehearsal.LOCAL


def _has_backup(location: Location | None) -> bool:
    with suppress(TvarrBackupError):  # reported by the checks of the folder and the backups
        choose_backup(location)
        return True
    return False


def _request(due: DueRehearsal) -> None:
    arguments = {"location": str(due.location.pk) if due.location else ""}
    try:
        with transaction.atomic(using=DEFAULT_DB_ALIAS):
            operation = queue_operation(
                OperationKind.REHEARSE,
                requested_by=None,
                origin=Origin.SCHEDULE,
                arguments=arguments,
                due_at=due.due_at,
            )
    except OperationRunning as problem:
        logger.info("schedule.waiting", reason=str(problem))
    else:
        logger.info("schedule.due", **operation.as_context())
