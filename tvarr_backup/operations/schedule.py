"""The schedule of backups: what is set, and when the next one is due.

The next time is kept in a row of django-q2's table `Schedule`, called `scheduled-backup`. There is none while scheduled
backups are off. The worker compares it with the clock; django-q2 neither reads the row nor knows about crons.

A time that has come stays due until its backup has been asked for: while the machine is off, and while another operation
is open. However many times have passed in between, one backup is made. A backup that was cut off (the machine was switched
off, its process was killed) is made up, in three attempts at most. One that failed is not: the next comes as usual.

Every operation of the schedule keeps in `due_at` which time it is for. So a time is known to be done when a clock that is
put back by less than an hour shows it again. A clock that is put back further was wrong, and its times are done again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import structlog
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import Max, QuerySet
from django_q.models import Schedule

from tvarr_backup import conf
from tvarr_backup.durations import format_duration
from tvarr_backup.errors import OperationRunning, TvarrBackupError
from tvarr_backup.operations.models import (
    NO_AGE_LIMIT,
    OPEN_STATES,
    BackupSettings,
    Operation,
    OperationKind,
    OperationState,
    Origin,
)
from tvarr_backup.operations.run import queue_operation

logger = structlog.stdlib.get_logger(__name__)

NAME = "scheduled-backup"
_FUNCTION = "tvarr_backup.operations.schedule.request_due"
"""Shown beside the row; django-q2 does not call it."""

_ATTEMPTS = 3
_PUT_BACK = timedelta(hours=1)
_OVERDUE = timedelta(minutes=5)
_CHECK_HOUR = 4


def schedule_as_data() -> dict[str, Any]:
    """Return the schedule and the retention that apply, with the environment's defaults: tvarr's members, and ours.

    `retention` is 0 where all are kept, `max_age` a duration or `none`. `next_runs` are the next three times (RFC 3339,
    in the zone), none while it is off. `defaults` has the environment's values of the five that can be set. `last_run` is
    the last backup that was asked for, `last_check` the last nightly check. `problems` are sentences about what is stored
    and cannot be read.
    """
    stored = BackupSettings.load()
    now = datetime.now(UTC)
    return {
        **_values(stored),
        "description": describe(stored),
        "next_runs": [time.isoformat() for time in next_runs(stored, now)],
        "overdue_since": _time(overdue_since(stored, now)),
        "last_run": _run_as_data(last_run(OperationKind.BACKUP, now)),
        "last_check": _run_as_data(last_run(OperationKind.VERIFY, now)),
        "problems": stored.problems(),
        "defaults": _values(BackupSettings()),
    }


def describe(stored: BackupSettings) -> str:
    """Return when backups are made, in a sentence."""
    return stored.timetable().describe() if stored.is_scheduled() else "Scheduled backups are off"


def next_runs(stored: BackupSettings, now: datetime, number: int = 3) -> list[datetime]:
    """Return the next times in the zone of the timetable; none while it is off."""
    if not stored.is_scheduled():
        return []
    first = _next_time(stored, now, planned_run())
    return [first, *islice(stored.timetable().times_after(first), number - 1)]


def planned_run() -> datetime | None:
    """Return the time in the row, which may have passed; `None` without a row."""
    rows = Schedule.objects.filter(name=NAME)
    return rows.values_list("next_run", flat=True).first()  # type: ignore[no-any-return]  # django-q2 has no types


def overdue_since(stored: BackupSettings, now: datetime) -> datetime | None:
    """Return the time that came more than five minutes ago and whose backup has not been asked for, if any."""
    planned = planned_run() if stored.is_scheduled() else None
    return planned if planned is not None and planned < now - _OVERDUE else None


def last_run(kind: OperationKind, now: datetime) -> Operation | None:
    """Return the last of this kind that the schedule requested, without those that a clock ahead has dated later."""
    return _asked(kind).filter(created_at__lte=now + _PUT_BACK).first()


def _asked(kind: OperationKind) -> QuerySet[Operation]:
    return Operation.objects.filter(origin=Origin.SCHEDULE, kind=kind)


def _values(stored: BackupSettings) -> dict[str, Any]:
    policy, timetable = stored.policy(), stored.timetable()
    return {
        "enabled": stored.is_scheduled(),
        "cron": timetable.cron,
        "retention": policy.keep or 0,
        "timezone": timetable.zone.key,
        "max_age": (stored.max_age or format_duration(policy.max_age)) if policy.max_age else NO_AGE_LIMIT,
    }


def _run_as_data(operation: Operation | None) -> dict[str, Any] | None:
    """Return an operation's outcome. `filename` is that of the backup that was made or verified."""
    if operation is None:
        return None
    result = operation.result or {}
    verified = result.get("verified") or [{}]
    return {
        "operation": str(operation.pk),
        "state": operation.state,
        "due_at": _time(operation.due_at),
        "started_at": _time(operation.started_at),
        "finished_at": _time(operation.finished_at),
        "message": operation.outcome,
        "filename": (result.get("backup") or verified[0].get("backup") or {}).get("filename"),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


# --- Changing --------------------------------------------------------------------------------------------------------


def change_settings(changes: Mapping[str, Any]) -> None:
    """Set these columns of the settings, and plan the next backup by them; other columns stay as they are.

    Of two who change different columns both succeed; of the same one, the later. Raises `ValidationError`, and then all
    is as it was.
    """
    with _alone():
        stored = BackupSettings.load(**changes)
        stored.full_clean(validate_unique=False)
        stored.save()
        plan_next_run()
        transaction.on_commit(lambda: logger.info("schedule.changed", **_values(stored)), using=DEFAULT_DB_ALIAS)


_LOCK = 0x7363_6865_64  # of PostgreSQL's advisory locks: "sched"


@contextmanager
def _alone() -> Iterator[None]:
    """Open a transaction that excludes others of its kind. SQLite begins all so; PostgreSQL waits for a lock here."""
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        if not conf.is_file(DEFAULT_DB_ALIAS):
            with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        yield


# --- When a time has come --------------------------------------------------------------------------------------------


def report_problems() -> None:
    """Log which stored settings cannot be read."""
    for problem in BackupSettings.load().problems():
        logger.error("settings.invalid", reason=problem)


def plan_next_run() -> None:
    """Make the row that of the settings. A time that has come is left to be done first."""
    rows = Schedule.objects.filter(name=NAME)
    with _alone():
        stored = BackupSettings.load()
        if not stored.is_scheduled():
            rows.delete()
            return
        now, planned = datetime.now(UTC), planned_run()
        time = _cut_off(now) or _next_time(stored, now, planned)
        if planned is None:
            Schedule.objects.create(name=NAME, func=_FUNCTION, schedule_type=Schedule.ONCE, repeats=0, next_run=time)
        elif planned > now and planned != time:
            rows.update(next_run=time)


def request_due() -> None:
    """Queue the scheduled backup if it is due, or else the nightly check. For a worker, now and then."""
    plan_next_run()
    _request(OperationKind.BACKUP, _take_due_backup, {})
    _request(OperationKind.VERIFY, _find_due_check, {"longest_ago": True})


def _request(kind: OperationKind, take: Callable[[datetime], datetime | None], arguments: Mapping[str, Any]) -> None:
    """Queue the operation that is due by `take`, and plan the next one, or do neither while another one is open.

    If the operation is refused for another reason, that is logged, and the next comes as usual.
    """
    try:
        with _alone():
            due = take(datetime.now(UTC))
            if due is None:
                return
            operation = queue_operation(
                kind, requested_by=None, origin=Origin.SCHEDULE, arguments=arguments, due_at=due
            )
    except OperationRunning as problem:
        logger.info("schedule.waiting", reason=str(problem))
    except TvarrBackupError as problem:
        take(datetime.now(UTC))
        logger.error("schedule.skipped", reason=str(problem))  # noqa: TRY400  # the place in the code says nothing
    else:
        logger.info("schedule.due", **operation.as_context())


def _take_due_backup(now: datetime) -> datetime | None:
    """Return the time that has come, and move the row on to the next one."""
    due = planned_run()
    if due is None or due > now:
        return None
    Schedule.objects.filter(name=NAME).update(next_run=next(BackupSettings.load().timetable().times_after(now)))
    return due


def _next_time(stored: BackupSettings, now: datetime, planned: datetime | None) -> datetime:
    """Return the next time of the timetable that has not been done. The planned one has not, whatever was before."""
    timetable = stored.timetable()
    time = next(timetable.times_after(now))
    if planned == time:
        return time
    done = _asked(OperationKind.BACKUP).filter(due_at__gt=now, due_at__lte=now + _PUT_BACK)
    latest = done.aggregate(latest=Max("due_at"))["latest"]
    return next(timetable.times_after(latest)) if latest else time


def _cut_off(now: datetime) -> datetime | None:
    """Return the time of the last scheduled backup if it was cut off, and was not tried too often."""
    last = last_run(OperationKind.BACKUP, now)
    if last is None or last.state != OperationState.INTERRUPTED or last.due_at is None:
        return None
    attempts = _asked(OperationKind.BACKUP).filter(due_at=last.due_at, state=OperationState.INTERRUPTED).count()
    return last.due_at if attempts < _ATTEMPTS else None


# --- The nightly check -----------------------------------------------------------------------------------------------


def _find_due_check(now: datetime) -> datetime | None:
    """Return four o'clock last night, in the zone of the schedule, if its verification is due.

    It waits for an open exclusive operation, and for a backup that is due. There is one for a night, made up once however
    many nights have passed; none while scheduled backups are off, nor for a night before the first operation.
    """
    stored = BackupSettings.load()
    if not stored.is_scheduled():
        return None
    night = now.astimezone(stored.timetable().zone).replace(hour=_CHECK_HOUR, minute=0, second=0, microsecond=0)
    if night > now:
        night -= timedelta(days=1)
    if (
        _asked(OperationKind.VERIFY).filter(due_at=night).exists()
        or not Operation.objects.filter(created_at__lt=night).exists()
    ):
        return None
    planned = planned_run()
    if (planned and planned <= now) or Operation.objects.filter(state__in=OPEN_STATES, is_exclusive=True).exists():
        return None
    return night
