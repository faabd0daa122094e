"""The schedule of backups: what is set, in data and words, and the row of django-q2 that is derived from it.

The row is called `scheduled-backup`, and there is none while scheduled backups are off.

    armed        `repeats` is 1, and `next_run` is the next time of the timetable
      |
    handed out   `repeats` is 0: at that time django-q2's scheduler has queued `tvarr_backup.tasks.scheduled_backup`
      |
    armed again  by that task, together with the operation that it asks for, or without one where that is refused

django-q2 knows nothing of crons here. What was due and has not been done stays due: when the machine was off, when the
task died, or while another operation is open. However many times have passed in between, it is done once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import structlog
from django.db import DEFAULT_DB_ALIAS, transaction
from django_q.models import Schedule

from tvarr_backup.backups.durations import format_duration
from tvarr_backup.operations import queue
from tvarr_backup.operations.models import NO_AGE_LIMIT, BackupSettings

logger = structlog.stdlib.get_logger(__name__)

NAME = "scheduled-backup"
_TASK = "tvarr_backup.tasks.scheduled_backup"
_ARMED, _HANDED_OUT = 1, 0


def schedule_as_data() -> dict[str, Any]:
    """What is in force, the environment's defaults included: tvarr's members, and ours.

    `retention` is 0 where all are kept, `max_age` a duration or `none`. `next_runs` are the next three times (RFC 3339,
    in the zone), none while it is off. `defaults` has the environment's values of the five that can be set.
    """
    stored = BackupSettings.load()
    now = datetime.now(UTC)
    return {
        **_values(stored),
        "description": describe(stored),
        "next_runs": [time.isoformat() for time in next_runs(stored, now)],
        "defaults": _values(BackupSettings()),
    }


def describe(stored: BackupSettings) -> str:
    """When backups are made, in a sentence."""
    return stored.timetable().describe() if stored.is_scheduled() else "Scheduled backups are off"


def next_runs(stored: BackupSettings, now: datetime, number: int = 3) -> list[datetime]:
    """The next times in the zone of the timetable; none while it is off."""
    return list(islice(stored.timetable().times_after(now), number)) if stored.is_scheduled() else []


def _values(stored: BackupSettings) -> dict[str, Any]:
    policy, timetable = stored.policy(), stored.timetable()
    return {
        "enabled": stored.is_scheduled(),
        "cron": timetable.cron,
        "retention": policy.keep or 0,
        "timezone": timetable.zone.key,
        "max_age": stored.max_age or (format_duration(policy.max_age) if policy.max_age else NO_AGE_LIMIT),
    }


# --- Changing --------------------------------------------------------------------------------------------------------


def change_settings(changes: Mapping[str, Any]) -> None:
    """Set these columns of the settings, and arm the schedule by them; other columns stay as they are.

    Of two who change different columns both succeed; of the same one, the later. Raises `ValidationError`, and then all
    is as it was.
    """
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        stored = BackupSettings.load()
        for name, value in changes.items():
            setattr(stored, name, value)
        stored.full_clean(validate_unique=False)
        stored.save()
        arm()
        tell_change(stored)


def tell_change(stored: BackupSettings) -> None:
    """Tell the log what is in force, once it is."""
    transaction.on_commit(lambda: logger.info("schedule.changed", **_values(stored)), using=DEFAULT_DB_ALIAS)


# --- The row ---------------------------------------------------------------------------------------------------------


def arm(*, worker_starts: bool = False) -> None:
    """Make the row that of the settings. What is due, or handed out and under way, is left to be done first.

    What was handed out and has come to nothing becomes due again: its task is no longer in the queue, or it was there
    when the worker started (`worker_starts`), and who had taken it is gone.
    """
    rows = Schedule.objects.filter(name=NAME)
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        stored = BackupSettings.load()
        if not stored.is_scheduled():
            rows.delete()
            return
        now = datetime.now(UTC)
        (time,) = next_runs(stored, now, 1)
        row = rows.first()
        if row is None:
            Schedule.objects.create(name=NAME, func=_TASK, schedule_type=Schedule.ONCE, repeats=_ARMED, next_run=time)
        elif row.repeats == _HANDED_OUT:
            if worker_starts or row.task not in dict(queue.waiting_tasks()):
                rows.update(repeats=_ARMED)
        elif row.next_run > now and row.next_run != time:
            rows.update(next_run=time)


def take_up() -> bool:
    """Arm the row anew if it is handed out; whether it was. Who asks for the backup does both in one transaction."""
    stored = BackupSettings.load()
    handed_out = Schedule.objects.filter(name=NAME, repeats=_HANDED_OUT)
    if not stored.is_scheduled():
        handed_out.delete()
        return False
    (time,) = next_runs(stored, datetime.now(UTC), 1)
    return bool(handed_out.update(repeats=_ARMED, next_run=time))
