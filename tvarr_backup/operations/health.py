"""Health checks of the databases, the worker, the schedule and the backup folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

import humanize
from django.db.models import TextChoices
from django.utils import timezone

from tvarr_backup import program, schema, tvarr_database
from tvarr_backup.backups.catalogue import Backup, Listing
from tvarr_backup.backups.sidecar import MADE_HERE, BackupKind
from tvarr_backup.operations.models import Operation, OperationKind, OperationState
from tvarr_backup.operations.observe import Live, Observation, Records, observe
from tvarr_backup.portable.kinds import KINDS
from tvarr_backup.quoting import name_some
from tvarr_backup.schema import TVARRS_NEWEST
from tvarr_backup.sentences import Advice, Sentence, join

LATE = timedelta(minutes=5)
"""What is due, or queued, for longer than this should have begun."""

INTERVALS = 2
"""So many times the schedule's interval the last good backup may be old."""

_BAD_ENDS = {OperationState.FAILED.value: "failed", OperationState.INTERRUPTED.value: "was interrupted"}
_NAMED_AT_MOST = 3
_TABLES_OF_KINDS = frozenset(kind.model._meta.db_table for kind in KINDS.values())


class HealthState(StrEnum):
    """Result of a check. `FAILING` means that backups are not being made; `WARNING` needs a user's attention."""

    OK = "ok"
    WARNING = "warning"
    FAILING = "sick"


class Subject(TextChoices):
    """What is checked."""

    DEFAULT = "default_database", "Our own database"
    TVARR = "tvarr_database", "tvarr's database"
    WORKER = "worker", "Worker"
    QUEUE = "queue", "Queue"
    SCHEDULE = "schedule", "Schedule"
    LAST_BACKUP = "last_backup", "Last good backup"
    FOLDER = "backup_folder", "Backup folder"
    BACKUPS = "backups", "Backups"
    RESTORE = "restore", "Restore"


class HealthCheck(NamedTuple):
    """What was found, and where there is something to do, what. Unless `is_known`, another check says why not."""

    state: HealthState
    message: Sentence
    is_known: bool = True


def _ok(template: str, /, **facts: object) -> HealthCheck:
    return HealthCheck(HealthState.OK, Sentence(template, **facts))


def _warning(template: str, /, **facts: object) -> HealthCheck:
    return HealthCheck(HealthState.WARNING, Sentence(template, **facts))


def _failing(template: str, /, **facts: object) -> HealthCheck:
    return HealthCheck(HealthState.FAILING, Sentence(template, **facts))


def _unknown(why: Sentence) -> HealthCheck:
    return HealthCheck(HealthState.WARNING, Sentence("This cannot be told while {why}.", why=why), is_known=False)


@dataclass(frozen=True)
class Expected:
    """When the next scheduled backup is due, and how old the last good one may be; `None` without a schedule.

    `next_run` may have passed; after `LATE` it `is_overdue`.
    """

    next_run: datetime | None = None
    is_overdue: bool = False
    may_be_old: timedelta | None = None


@dataclass(frozen=True)
class Health:
    """Everything that was checked at one moment.

    `last_good` is the newest backup that was made here of the live database, whatever for, and whose last check found no
    problem.
    """

    observation: Observation
    checks: Mapping[Subject, HealthCheck]
    last_good: Backup | None
    expected: Expected

    @property
    def state(self) -> HealthState:
        """Return the worst of all."""
        return max((check.state for check in self.checks.values()), key=list(HealthState).index)


def check_health() -> Health:
    """Check everything, in about the time that listing the backup folder takes. Writes and raises nothing."""
    seen = observe()
    good, expected = _last_good(seen.folder.listing), _what_to_expect(seen)
    checks = {
        Subject.DEFAULT: _check_default(seen),
        Subject.TVARR: _check_tvarr(seen),
        Subject.WORKER: _check_worker(seen),
        Subject.QUEUE: _check_queue(seen),
        Subject.SCHEDULE: _check_schedule(seen, expected),
        Subject.LAST_BACKUP: _check_last_backup(seen, expected, good),
        Subject.FOLDER: _check_folder(seen),
        Subject.BACKUPS: _check_backups(seen),
        Subject.RESTORE: _check_restore(seen),
    }
    return Health(seen, checks, good, expected)


def health_as_data(health: Health) -> dict[str, Any]:
    """Return health as JSON data: sizes are bytes, times RFC 3339 in UTC, null is unknown."""
    good, expected, seen = health.last_good, health.expected, health.observation
    running, queued = seen.running, seen.queued
    return {
        "state": str(health.state),
        "checks": [
            {"name": str(subject), "state": str(check.state), "message": check.message}
            for subject, check in health.checks.items()
        ],
        "last_good_backup": good
        and {
            "filename": good.filename,
            "kind": str(good.sidecar.kind),
            "created_at": good.sidecar.created_at.isoformat(),
        },
        "may_be_old_seconds": expected.may_be_old and int(expected.may_be_old.total_seconds()),
        "next_run": expected.next_run and expected.next_run.isoformat(),
        "overdue": expected.is_overdue,
        "running_operation": running
        and {
            "id": str(running.pk),
            "kind": running.kind,
            "phase": running.phase,
            "percent": running.percent,
            "started_at": running.started_at and running.started_at.isoformat(),
        },
        "queued_operations": len(queued),
        "queued_since": min((operation.created_at.isoformat() for operation in queued), default=None),
        "free_bytes": {"backup_folder": seen.folder.free, "tvarr_database": seen.free_beside_live},
    }


# --- What the schedule lets expect -----------------------------------------------------------------------------------


def _what_to_expect(seen: Observation) -> Expected:
    records = seen.records
    if records is None or not records.settings.is_scheduled() or seen.unsupported:
        return Expected()
    timetable = records.settings.timetable()
    next_run = records.due or next(timetable.times_after(seen.at)).astimezone(UTC)
    return Expected(next_run, seen.at - next_run > LATE, INTERVALS * timetable.interval_at(seen.at))


def _last_good(listing: Listing | None) -> Backup | None:
    """Return the newest by `seq`, because the clock may have been wrong. An uploaded backup protects nothing here."""
    backups = listing.backups if listing else ()
    return next(
        (
            backup
            for backup in backups
            if backup.sidecar.kind in MADE_HERE and not backup.sidecar.imported and backup.sidecar.is_good
        ),
        None,
    )


# --- The checks ------------------------------------------------------------------------------------------------------


def _check_default(seen: Observation) -> HealthCheck:
    if seen.records_problem:
        return HealthCheck(HealthState.FAILING, seen.records_problem)
    if seen.is_disk_short:
        return _warning(
            "The disk of app.db is nearly full. Free some space, for instance by deleting backups, so that everything can "
            "go on."
        )
    problems = seen.records.settings.problems() if seen.records else []
    if problems:
        return _warning("A stored setting makes no sense, and counts as not set: {problems}", problems=join(problems))
    return _ok("It answers, and is up to date.")


def _check_tvarr(seen: Observation) -> HealthCheck:
    if seen.live is None:
        return HealthCheck(HealthState.FAILING, seen.live_problem)
    sentences = [Sentence("It answers, and is {what}.", what=seen.live.what)]
    return HealthCheck(_state_of_schema(seen.live), join([*sentences, *_schema_sentences(seen.live, seen.records)]))


def _state_of_schema(live: Live) -> HealthState:
    """A newer tvarr, or a kind that cannot be exported any more, needs a user's attention; an older tvarr does not."""
    of_kinds = [name for name in live.missing if name.partition(".")[0] in _TABLES_OF_KINDS]
    return HealthState.WARNING if _is_newer(live) or of_kinds else HealthState.OK


def _is_newer(live: Live) -> bool:
    return schema.is_newer(live.schema, tvarr_database.required_schema())


def _schema_sentences(live: Live, records: Records | None) -> Iterator[Sentence]:
    if _is_newer(live) and live.schema.startswith("tvarr-backup "):
        yield Sentence(
            "A newer version of this program has migrated it ({schema}). Backups and restores work. Update tvarr-backup.",
            schema=live.schema,
        )
    elif _is_newer(live):
        yield Sentence(
            "Its schema, {schema}, is newer than this version of tvarr-backup knows (tvarr {newest}). Backups "
            "and restores work. Exports leave out columns that are not known here, and say so. Update tvarr-backup when a "
            "version for this tvarr is available.",
            schema=live.schema,
            newest=TVARRS_NEWEST,
        )
    if live.missing:
        yield Sentence(
            "It does not have {names}; only what needs that cannot be shown, exported, imported or edited.",
            names=name_some(live.missing, _NAMED_AT_MOST),
        )
    change = records and records.schema_change
    if change:
        yield Sentence("{change} Noticed {at}.", change=change.describe(), at=_time(change.noticed_at))


def _check_worker(seen: Observation) -> HealthCheck:
    if seen.worker_is_alive:
        return _ok("A worker has given a sign of life within the last minute.")
    return _failing(
        "No worker seems to run, so nothing that is asked for or due is done. {advice}", advice=Advice.START_WORKER
    )


def _check_queue(seen: Observation) -> HealthCheck:
    if seen.records is None:
        return _unknown(_NO_DEFAULT)
    if not seen.queued:
        return _ok("Nothing waits.")
    oldest = seen.queued[0]
    operation, since = _a(oldest).capitalize(), _time(oldest.created_at)
    if abs(seen.at - oldest.created_at) <= LATE:
        return _ok("{operation} waits since {since}.", operation=operation, since=since)
    return _failing(
        "{operation} waits since {since}, and nobody begins it. See that a worker runs, and what its log says; or cancel "
        "what waits.",
        operation=operation,
        since=since,
    )


def _check_schedule(seen: Observation, expected: Expected) -> HealthCheck:
    records, next_run = seen.records, expected.next_run
    if seen.unsupported:
        return HealthCheck(HealthState.OK, seen.unsupported)
    if records is None:
        return _unknown(_NO_DEFAULT)
    if next_run is None:
        return _ok("Scheduled backups are off.")
    if expected.is_overdue:
        why = (
            Sentence("{operation} is running", operation=_a(seen.running))
            if seen.running
            else Sentence("see that a worker runs, and what its log says")
        )
        return _warning("The backup that was due {due} has not begun: {why}.", due=_time(next_run), why=why)
    last = records.last_scheduled
    if last is not None and last.state in _BAD_ENDS:
        return _warning(
            "The last scheduled backup, of {created_at}, {end}: {outcome} The next is due {next_run}; {advice} makes one "
            "now.",
            created_at=_time(last.created_at),
            end=_BAD_ENDS[last.state],
            outcome=last.outcome,
            next_run=_time(next_run),
            advice=Advice.BACK_UP,
        )
    return _ok(
        "{times}; the next is due {next_run}.", times=records.settings.timetable().describe(), next_run=_time(next_run)
    )


def _check_last_backup(seen: Observation, expected: Expected, good: Backup | None) -> HealthCheck:
    if seen.unsupported:
        return HealthCheck(HealthState.OK, seen.unsupported)
    if seen.folder.is_closed:
        return _unknown(_NO_FOLDER)
    return _judge_last(good, seen, expected) if good else _judge_none(seen, expected)


def _judge_last(good: Backup, seen: Observation, expected: Expected) -> HealthCheck:
    made, age = _time(good.sidecar.created_at), seen.at - good.sidecar.created_at
    if age < -LATE:
        return _warning(
            "The last good backup is of {made}, which is still to come: set the clock, or make another if it was wrong then.",
            made=made,
        )
    last = Sentence("The last good backup is of {made}, {age} ago", made=made, age=_duration(age))
    if expected.may_be_old is not None and age > expected.may_be_old:
        return _failing(
            "{last}; by the schedule it may be {may_be_old} old. {make_one}",
            last=last,
            may_be_old=_duration(expected.may_be_old),
            make_one=_MAKE_ONE,
        )
    if seen.records is not None and expected.may_be_old is None:
        return _ok("{last}; scheduled backups are off, so none is expected.", last=last)
    return _ok("{last}.", last=last)


def _judge_none(seen: Observation, expected: Expected) -> HealthCheck:
    """There is no good backup. On a new installation that is fine until the first one is overdue."""
    records, next_run = seen.records, expected.next_run
    if records is None:
        return _warning("There is no good backup, and whether one was due cannot be told while {why}.", why=_NO_DEFAULT)
    if next_run is None:
        return _ok("There is no good backup, and scheduled backups are off. {make_one}", make_one=_MAKE_ONE)
    if records.last_scheduled is not None or expected.is_overdue:
        return _failing("There is no good backup, though one was due by the schedule. {make_one}", make_one=_MAKE_ONE)
    if records.has_made_backups:
        return _warning("There is no good backup any more, though backups were made. {make_one}", make_one=_MAKE_ONE)
    return _ok("There is no backup yet; the first is due {next_run}.", next_run=_time(next_run))


def _check_folder(seen: Observation) -> HealthCheck:
    folder, probe = seen.folder, seen.folder.probe
    if folder.problem:
        return HealthCheck(HealthState.FAILING, folder.problem)
    if folder.listing is None:
        return _ok("The first backup will make the folder {path}.", path=folder.path)
    if probe is not None and probe.problem:
        return _failing("{problem} So a trial of the worker's ended.", problem=Sentence.from_data(probe.problem))
    if any(one.sidecar.kind is BackupKind.TVARR and not one.sidecar.imported for one in folder.listing.backups):
        return _warning(
            "The backup folder contains archives that tvarr made. If tvarr uses it too, tvarr's retention deletes backups "
            "that were made here, and its protection removes parts of their metadata. Set TVARR_BACKUP_DIRECTORY to another "
            "folder, and add the backups you want to keep there with `{program} backup adopt FILE`.",
            program=program.NAME,
        )
    sentences = [Sentence("It can be read and written, and has room for the next backup.")]
    if probe is not None and not probe.has_hard_links:
        sentences.append(Sentence("It has no hard links: backups are published by renaming."))
    return HealthCheck(HealthState.OK, join(sentences))


def _check_backups(seen: Observation) -> HealthCheck:
    listing = seen.folder.listing
    if seen.folder.is_closed:
        return _unknown(_NO_FOLDER)
    if listing is None:
        return _ok("There are none yet.")
    found = list(_bad_backups(listing))
    if not found:
        return _ok("There are {number}, none known to be damaged.", number=len(listing.backups))
    more = len(found) - _NAMED_AT_MOST
    named = [*found[:_NAMED_AT_MOST], *([Sentence("and {more} more", more=more)] if more > 0 else [])]
    return _warning("Not to be relied on: {found}. {advice}", found=join(named, "; "), advice=Advice.CHECK_BROKEN)


def _bad_backups(listing: Listing) -> Iterator[Sentence]:
    for broken in listing.broken:
        yield Sentence("{filename} is broken ({reason})", filename=broken.filename, reason=broken.reason)
    for backup in listing.backups:
        if backup.sidecar.problems:
            yield Sentence("{filename} is damaged", filename=backup.filename)


def _check_restore(seen: Observation) -> HealthCheck:
    unfinished, running = seen.folder.unfinished, seen.running
    if seen.folder.is_closed:
        return _unknown(_NO_FOLDER)
    if unfinished is None and seen.obstacle and not running:
        return _warning("No backup can be restored now: {obstacle}", obstacle=seen.obstacle)
    if unfinished is None:
        return _ok("No restore is unfinished.")
    if running and running.kind == OperationKind.RESTORE:
        return _ok("{backup} is being restored.", backup=unfinished.backup)
    return _warning(
        "The restore of {backup} was not finished. {advice} settles it, or says what stands in the way; what was there "
        "before is kept until then.",
        backup=unfinished.backup,
        advice=Advice.RECOVER,
    )


_NO_DEFAULT = Sentence("this program's own database cannot be used")
_NO_FOLDER = Sentence("the backup folder cannot be read")
_MAKE_ONE = Sentence("{advice} makes one, or says what stands in the way.", advice=Advice.BACK_UP)


def _a(operation: Operation) -> str:
    kind = operation.get_kind_display().lower()
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _duration(time: timedelta) -> str:
    return humanize.precisedelta(time, minimum_unit="minutes", suppress=("months", "years"), format="%d")


def _time(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M %Z}"
