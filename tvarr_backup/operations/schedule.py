"""The schedule of automatic backups and nightly verifications.

The next time is in the row `scheduled-backup` of django-q2's table `Schedule`, which only the worker reads. There is no
row while automatic backups are off.

A backup stays due while the machine is off or another operation is open. One backup is made, however many times have
passed. A backup that was interrupted by a power cut or a kill is repeated, three times at most. One that failed is not
repeated: the next one runs as usual.

Every scheduled operation stores in `due_at` which time it is for. If the clock is put back by less than an hour, that
time is not repeated. If it is put back further, it was wrong, and its times are repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    NO_REHEARSALS,
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
"""Required by the row; django-q2 does not call it."""

_ATTEMPTS = 3
_PUT_BACK = timedelta(hours=1)
_OVERDUE = timedelta(minutes=5)
_CHECK_HOUR = 4


def schedule_as_data() -> dict[str, Any]:
    """Return the schedule and the retention that apply, with the environment's defaults: tvarr's members, and ours.

    `retention` is 0 to keep all, `max_age` and `rehearsal_interval` a duration or `none`. `next_runs` are the next three times (RFC 3339, in the
    zone), or none while it is off. `defaults` has the environment's values of the settings. `last_run` is the last
    automatic backup, `last_check` the last nightly verification. `problems` are sentences about invalid stored values.
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
    """Return when automatic backups are made, such as "Every day at 02:00 (UTC)"."""
    return stored.timetable().describe() if stored.is_scheduled() else "Automatic backups are off"


def describe_retention(stored: BackupSettings) -> str:
    """Return which automatic backups are kept, such as "the newest 7 automatic backups, plus 4 weekly"."""
    policy = stored.policy()
    parts = ["all automatic backups"]
    if policy.keep is not None:
        number = f"{policy.keep} automatic backups" if policy.keep > 1 else "automatic backup"
        periods = [f"{number} {period}" for period, number in policy.periods.items() if number]
        parts = [f"the newest {number}", *([f"plus {_enumerate(periods)}"] if periods else [])]
    if policy.max_age:
        parts.append(f"at most {_age_limit(stored)} old")
    return ", ".join(parts)


def _enumerate(texts: Sequence[str]) -> str:
    return " and ".join([part for part in (", ".join(texts[:-1]), texts[-1]) if part])


def next_runs(stored: BackupSettings, now: datetime, number: int = 3) -> list[datetime]:
    """Return the next times in the zone of the timetable; none while the schedule is off."""
    if not stored.is_scheduled():
        return []
    first = _next_time(stored, now, planned_run())
    return [first, *islice(stored.timetable().times_after(first), number - 1)]


def planned_run() -> datetime | None:
    """Return the next time, which may be in the past; `None` while the schedule is off."""
    rows = Schedule.objects.filter(name=NAME)
    return rows.values_list("next_run", flat=True).first()  # type: ignore[no-any-return]  # django-q2 has no types


def overdue_since(stored: BackupSettings, now: datetime) -> datetime | None:
    """Return the time of a backup that has been due for more than five minutes without being started, if any."""
    planned = planned_run() if stored.is_scheduled() else None
    return planned if planned is not None and planned < now - _OVERDUE else None


def last_run(kind: OperationKind, now: datetime) -> Operation | None:
    """Return the last scheduled operation of this kind, except those that a wrong clock dated in the future."""
    return _scheduled(kind).filter(created_at__lte=now + _PUT_BACK).first()


def _scheduled(kind: OperationKind) -> QuerySet[Operation]:
    return Operation.objects.filter(origin=Origin.SCHEDULE, kind=kind)


def _values(stored: BackupSettings) -> dict[str, Any]:
    policy, timetable = stored.policy(), stored.timetable()
    return {
        "enabled": stored.is_scheduled(),
        "cron": timetable.cron,
        "retention": policy.keep or 0,
        "timezone": timetable.zone.key,
        "max_age": _age_limit(stored),
        "rehearsal_interval": describe_rehearsal_interval(stored),
        **{f"retention_{period}": number for period, number in policy.periods.items()},
    }


def describe_rehearsal_interval(stored: BackupSettings) -> str:
    """Return the time between rehearsals as `validate_rehearsal_interval` reads it."""
    interval = stored.rehearses_every()
    return (stored.rehearsal_interval or format_duration(interval)) if interval else NO_REHEARSALS


def _age_limit(stored: BackupSettings) -> str:
    max_age = stored.policy().max_age
    return (stored.max_age or format_duration(max_age)) if max_age else NO_AGE_LIMIT


def _run_as_data(operation: Operation | None) -> dict[str, Any] | None:
    """Return the result of an operation. `filename` is that of the backup it made or verified."""
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
    """Change some columns of the settings, and plan the next backup. Raises `ValidationError`, with nothing changed."""
    with _exclusive_transaction():
        stored = BackupSettings.load(**changes)
        stored.full_clean(validate_unique=False)
        stored.save()
        plan_next_run()
        transaction.on_commit(lambda: logger.info("schedule.changed", **_values(stored)), using=DEFAULT_DB_ALIAS)


_LOCK = 0x7363_6865_64  # "sched", for PostgreSQL's advisory locks


@contextmanager
def _exclusive_transaction() -> Iterator[None]:
    """Open a transaction that excludes others of its kind. SQLite's are all exclusive; PostgreSQL needs a lock."""
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        if not conf.is_file(DEFAULT_DB_ALIAS):
            with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        yield


# --- Starting what is due --------------------------------------------------------------------------------------------


def report_problems() -> None:
    """Log the stored settings that are invalid."""
    for problem in BackupSettings.load().problems():
        logger.error("settings.invalid", reason=problem)


def plan_next_run() -> None:
    """Update the row from the settings. A backup that is due stays due."""
    rows = Schedule.objects.filter(name=NAME)
    with _exclusive_transaction():
        stored = BackupSettings.load()
        if not stored.is_scheduled():
            rows.delete()
            return
        now, planned = datetime.now(UTC), planned_run()
        time = _interrupted_time(now) or _next_time(stored, now, planned)
        if planned is None:
            Schedule.objects.create(name=NAME, func=_FUNCTION, schedule_type=Schedule.ONCE, repeats=0, next_run=time)
        elif planned > now and planned != time:
            rows.update(next_run=time)


def request_due() -> None:
    """Queue the automatic backup or the nightly verification if it is due. The worker calls this regularly."""
    plan_next_run()
    _request(OperationKind.BACKUP, _take_due_backup, {})
    _request(OperationKind.VERIFY, _find_due_check, {"longest_ago": True})


def _request(kind: OperationKind, take: Callable[[datetime], datetime | None], arguments: Mapping[str, Any]) -> None:
    """Queue the operation that `take` says is due, unless another one is open. Other refusals are logged."""
    try:
        with _exclusive_transaction():
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
        logger.error("schedule.skipped", reason=str(problem))  # noqa: TRY400  # a traceback would not help
    else:
        logger.info("schedule.due", **operation.as_context())


def _take_due_backup(now: datetime) -> datetime | None:
    """Return the time of the backup that is due, if any, and move the row on to the next one."""
    due = planned_run()
    if due is None or due > now:
        return None
    Schedule.objects.filter(name=NAME).update(next_run=next(BackupSettings.load().timetable().times_after(now)))
    return due


def _next_time(stored: BackupSettings, now: datetime, planned: datetime | None) -> datetime:
    """Return the next time of the timetable that has no operation yet. The planned one never has."""
    timetable = stored.timetable()
    time = next(timetable.times_after(now))
    if planned == time:
        return time
    done = _scheduled(OperationKind.BACKUP).filter(due_at__gt=now, due_at__lte=now + _PUT_BACK)
    latest = done.aggregate(latest=Max("due_at"))["latest"]
    return next(timetable.times_after(latest)) if latest else time


def _interrupted_time(now: datetime) -> datetime | None:
    """Return the time of the last automatic backup if it was interrupted, and attempts are left."""
    last = last_run(OperationKind.BACKUP, now)
    if last is None or last.state != OperationState.INTERRUPTED or last.due_at is None:
        return None
    attempts = _scheduled(OperationKind.BACKUP).filter(due_at=last.due_at, state=OperationState.INTERRUPTED).count()
    return last.due_at if attempts < _ATTEMPTS else None


# --- The nightly verification ----------------------------------------------------------------------------------------


def _find_due_check(now: datetime) -> datetime | None:
    """Return 04:00 last night, in the zone of the schedule, if its verification is due.

    It waits for an open exclusive operation, and for a backup that is due. Missed nights are made up by one
    verification. There is none while the schedule is off, nor for a night before the first operation.
    """
    stored = BackupSettings.load()
    if not stored.is_scheduled():
        return None
    night = now.astimezone(stored.timetable().zone).replace(hour=_CHECK_HOUR, minute=0, second=0, microsecond=0)
    if night > now:
        night -= timedelta(days=1)
    if (
        _scheduled(OperationKind.VERIFY).filter(due_at=night).exists()
        or not Operation.objects.filter(created_at__lt=night).exists()
    ):
        return None
    planned = planned_run()
    if (planned and planned <= now) or Operation.objects.filter(state__in=OPEN_STATES, is_exclusive=True).exists():
        return None
    return night
