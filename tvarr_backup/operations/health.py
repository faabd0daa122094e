"""Whether all is well: what is made of one look at everything, in checks with sentences for people and in facts.

Whoever shows it, a page, a command or a metric, shows what is found here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import humanize
from django.utils import timezone

from tvarr_backup import program, schema, tvarr_database
from tvarr_backup.backups.catalogue import Backup, Listing
from tvarr_backup.backups.retention import is_good
from tvarr_backup.backups.sidecar import MADE_HERE, BackupKind
from tvarr_backup.operations.models import Operation, OperationKind, OperationState
from tvarr_backup.operations.observe import Kept, Live, Seen, observe
from tvarr_backup.portable.kinds import KINDS
from tvarr_backup.schema import TVARRS_NEWEST

LATE = timedelta(minutes=5)
"""What is due, or queued, for longer than this should have begun."""

INTERVALS = 2
"""So many times the schedule's interval the last good backup may be old."""

_BAD_ENDS = {OperationState.FAILED.value: "failed", OperationState.INTERRUPTED.value: "was interrupted"}
_NAMED_AT_MOST = 3
_TABLES_OF_KINDS = frozenset(kind.model._meta.db_table for kind in KINDS.values())


class State(StrEnum):
    """How it is with one thing, or with all: a `warning` is for a person to read, `sick` means that the work is not done."""

    OK = "ok"
    WARNING = "warning"
    SICK = "sick"


class Subject(StrEnum):
    """What is looked at."""

    DEFAULT = "default_database"
    TVARR = "tvarr_database"
    WORKER = "worker"
    QUEUE = "queue"
    SCHEDULE = "schedule"
    LAST_BACKUP = "last_backup"
    FOLDER = "backup_folder"
    BACKUPS = "backups"
    RESTORE = "restore"


SUBJECT_NAMES = {
    Subject.DEFAULT: "Our own database",
    Subject.TVARR: "tvarr's database",
    Subject.WORKER: "Worker",
    Subject.QUEUE: "Queue",
    Subject.SCHEDULE: "Schedule",
    Subject.LAST_BACKUP: "Last good backup",
    Subject.FOLDER: "Backup folder",
    Subject.BACKUPS: "Backups",
    Subject.RESTORE: "Restore",
}


@dataclass(frozen=True)
class Check:
    """How it is with one thing, and a sentence for people: what is so, and where it is not well, what to do.

    What cannot be told (`is_known`) is so for a reason that the check of another subject names.
    """

    subject: Subject
    state: State
    message: str
    is_known: bool = True


@dataclass(frozen=True)
class Health:
    """What one look has found; `None` and nothing where that could not be told.

    `last_good` is the newest backup that was made here of the live database, whatever for, and whose last check found no
    problem; `may_be_old` is how old it may be, `None` where no schedule says so. `next_run` is a time that has passed
    where the backup of that time has not begun; from `LATE` on it `is_overdue`. Free space is in bytes. `unsupported` says why no
    backups can be made of tvarr's database. `folder_code` is the code
    of what is wrong with the backup folder, where it has one.
    """

    looked_at: datetime
    checks: tuple[Check, ...]
    last_good: Backup | None
    may_be_old: timedelta | None
    next_run: datetime | None
    is_overdue: bool
    running: Operation | None
    queued: tuple[Operation, ...]
    free_in_folder: int | None
    free_beside_live: int | None
    listing: Listing | None
    folder_code: str
    unsupported: str

    @property
    def state(self) -> State:
        """The worst of all."""
        return max((check.state for check in self.checks), key=list(State).index)


def look() -> Health:
    """Look at everything, in about the time that the backup folder takes to be listed; nothing is written, or raised."""
    seen = observe()
    good, expected = _last_good(seen.folder.listing), _what_to_expect(seen)
    return Health(
        looked_at=seen.at,
        checks=(
            _check_default(seen),
            _check_tvarr(seen),
            _check_worker(seen),
            _check_queue(seen),
            _check_schedule(seen, expected),
            _check_last_backup(seen, expected, good),
            _check_folder(seen),
            _check_backups(seen),
            _check_restore(seen),
        ),
        last_good=good,
        may_be_old=expected.may_be_old,
        next_run=expected.next_run,
        is_overdue=expected.is_overdue,
        running=seen.kept.running if seen.kept else None,
        queued=seen.kept.queued if seen.kept else (),
        free_in_folder=seen.folder.free,
        free_beside_live=seen.free_beside_live,
        listing=seen.folder.listing,
        folder_code=seen.folder.code,
        unsupported=seen.unsupported,
    )


def health_as_data(health: Health) -> dict[str, Any]:
    """The same as JSON data: sizes are bytes, times RFC 3339 in UTC, what could not be told is null."""
    good, running = health.last_good, health.running
    return {
        "state": str(health.state),
        "checks": [
            {"name": str(check.subject), "state": str(check.state), "message": check.message} for check in health.checks
        ],
        "last_good_backup": good
        and {
            "filename": good.filename,
            "kind": str(good.sidecar.kind),
            "created_at": good.sidecar.created_at.isoformat(),
        },
        "may_be_old_seconds": health.may_be_old and int(health.may_be_old.total_seconds()),
        "next_run": health.next_run and health.next_run.isoformat(),
        "overdue": health.is_overdue,
        "running_operation": running
        and {
            "id": str(running.pk),
            "kind": running.kind,
            "phase": running.phase,
            "percent": running.percent,
            "started_at": running.started_at and running.started_at.isoformat(),
        },
        "queued_operations": len(health.queued),
        "queued_since": min((operation.created_at.isoformat() for operation in health.queued), default=None),
        "free_bytes": {"backup_folder": health.free_in_folder, "tvarr_database": health.free_beside_live},
    }


# --- What the schedule lets expect -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Expected:
    """When the next scheduled backup is due, and how old the last good one may be; nothing where none is expected."""

    next_run: datetime | None = None
    is_overdue: bool = False
    may_be_old: timedelta | None = None


def _what_to_expect(seen: Seen) -> _Expected:
    kept = seen.kept
    if kept is None or not kept.is_scheduled or seen.unsupported:
        return _Expected()
    next_run = kept.due or next(kept.timetable.times_after(seen.at)).astimezone(UTC)
    return _Expected(next_run, seen.at - next_run > LATE, INTERVALS * kept.timetable.interval_at(seen.at))


def _last_good(listing: Listing | None) -> Backup | None:
    """The newest by `seq`: the clock may have been wrong. What was taken in from elsewhere protects nothing here."""
    backups = listing.backups if listing else ()
    return next(
        (
            backup
            for backup in backups
            if backup.sidecar.kind in MADE_HERE and not backup.sidecar.imported and is_good(backup.sidecar)
        ),
        None,
    )


# --- The checks ------------------------------------------------------------------------------------------------------


def _check_default(seen: Seen) -> Check:
    if seen.kept_problem:
        return Check(Subject.DEFAULT, State.SICK, seen.kept_problem)
    if seen.is_disk_short:
        return Check(
            Subject.DEFAULT,
            State.WARNING,
            "The disk of app.db is nearly full. Free some space, for instance by deleting backups, so that everything can go "
            "on.",
        )
    if seen.kept is not None and seen.kept.setting_problems:
        sentence = "A stored setting makes no sense, and counts as not set: "
        return Check(Subject.DEFAULT, State.WARNING, sentence + " ".join(seen.kept.setting_problems))
    return Check(Subject.DEFAULT, State.OK, "It answers, and is up to date.")


def _check_tvarr(seen: Seen) -> Check:
    if seen.live is None:
        return Check(Subject.TVARR, State.SICK, seen.live_problem)
    sentences = [f"It answers, and is {seen.live.what}.", *_schema_sentences(seen.live, seen.kept)]
    return Check(Subject.TVARR, _state_of_schema(seen.live), " ".join(sentences))


def _state_of_schema(live: Live) -> State:
    """A newer tvarr, or a kind that cannot be exported any more, needs a user's attention; an older tvarr does not."""
    of_kinds = [name for name in live.missing if name.partition(".")[0] in _TABLES_OF_KINDS]
    return State.WARNING if _is_newer(live) or of_kinds else State.OK


def _is_newer(live: Live) -> bool:
    return schema.is_newer(live.schema, tvarr_database.required_schema())


def _schema_sentences(live: Live, kept: Kept | None) -> Iterator[str]:
    if _is_newer(live) and live.schema.startswith("tvarr-backup "):
        yield (
            f"A newer version of this program has migrated it ({live.schema}). Backups and restores work. Update tvarr-backup."
        )
    elif _is_newer(live):
        yield (
            f"Its schema, {live.schema}, is newer than this version of tvarr-backup knows (tvarr {TVARRS_NEWEST}). Backups "
            "and restores work. Exports leave out columns that are not known here, and say so. Update tvarr-backup when a "
            "version for this tvarr is available."
        )
    if live.missing:
        yield (
            f"It does not have {', '.join(live.missing[:_NAMED_AT_MOST])}{_and_more(live.missing)}; only what needs that "
            "cannot be shown, exported, imported or edited."
        )
    if kept is not None and kept.schema_change is not None:
        yield f"{kept.schema_change.describe()} Noticed {_time(kept.schema_change.noticed_at)}."


def _and_more(names: tuple[str, ...]) -> str:
    others = len(names) - _NAMED_AT_MOST
    return f" and {others} more" if others > 0 else ""


def _check_worker(seen: Seen) -> Check:
    if seen.worker_is_alive:
        return Check(Subject.WORKER, State.OK, "A worker has given a sign of life within the last minute.")
    return Check(
        Subject.WORKER,
        State.SICK,
        f"No worker seems to run, so nothing that is asked for or due is done. Start one with `{program.NAME} worker`, or "
        f"everything with `{program.NAME} up`.",
    )


def _check_queue(seen: Seen) -> Check:
    if seen.kept is None:
        return _unknown(Subject.QUEUE, _NO_DEFAULT)
    if not seen.kept.queued:
        return Check(Subject.QUEUE, State.OK, "Nothing waits.")
    oldest = seen.kept.queued[0]
    waits = f"{_a(oldest).capitalize()} waits since {_time(oldest.created_at)}"
    if abs(seen.at - oldest.created_at) <= LATE:
        return Check(Subject.QUEUE, State.OK, f"{waits}.")
    return Check(
        Subject.QUEUE,
        State.SICK,
        f"{waits}, and nobody begins it. See that a worker runs, and what its log says; or cancel what waits.",
    )


def _check_schedule(seen: Seen, expected: _Expected) -> Check:
    kept, next_run = seen.kept, expected.next_run
    if seen.unsupported:
        return Check(Subject.SCHEDULE, State.OK, seen.unsupported)
    if kept is None:
        return _unknown(Subject.SCHEDULE, _NO_DEFAULT)
    if next_run is None:
        return Check(Subject.SCHEDULE, State.OK, "Scheduled backups are off.")
    if expected.is_overdue:
        why = f"{_a(kept.running)} is running" if kept.running else "see that a worker runs, and what its log says"
        sentence = f"The backup that was due {_time(next_run)} has not begun: {why}."
        return Check(Subject.SCHEDULE, State.WARNING, sentence)
    last = kept.last_scheduled
    if last is not None and last.state in _BAD_ENDS:
        return Check(
            Subject.SCHEDULE,
            State.WARNING,
            f"The last scheduled backup, of {_time(last.created_at)}, {_BAD_ENDS[last.state]}: {last.error or last.message} "
            f"The next is due {_time(next_run)}; `{program.NAME} backup create` makes one now.",
        )
    return Check(Subject.SCHEDULE, State.OK, f"{kept.timetable.describe()}; the next is due {_time(next_run)}.")


def _check_last_backup(seen: Seen, expected: _Expected, good: Backup | None) -> Check:
    if seen.unsupported:
        return Check(Subject.LAST_BACKUP, State.OK, seen.unsupported)
    if seen.folder.is_closed:
        return _unknown(Subject.LAST_BACKUP, _NO_FOLDER)
    return Check(Subject.LAST_BACKUP, *(_judge(good, seen, expected) if good else _judge_none(seen, expected)))


def _judge(good: Backup, seen: Seen, expected: _Expected) -> tuple[State, str]:
    made, age = good.sidecar.created_at, seen.at - good.sidecar.created_at
    told = f"The last good backup is of {_time(made)}"
    if age < -LATE:
        return State.WARNING, f"{told}, which is still to come: set the clock, or make another if it was wrong then."
    told = f"{told}, {_duration(age)} ago"
    if expected.may_be_old is not None and age > expected.may_be_old:
        allowed = f"by the schedule it may be {_duration(expected.may_be_old)} old"
        return State.SICK, f"{told}; {allowed}. {_MAKE_ONE}"
    if seen.kept is not None and expected.may_be_old is None:
        return State.OK, f"{told}; scheduled backups are off, so none is expected."
    return State.OK, f"{told}."


def _judge_none(seen: Seen, expected: _Expected) -> tuple[State, str]:
    """There is no good backup. On a new installation that is well until the first one is overdue."""
    kept, next_run = seen.kept, expected.next_run
    if kept is None:
        return State.WARNING, f"There is no good backup, and whether one was due cannot be told while {_NO_DEFAULT}."
    if next_run is None:
        return State.OK, f"There is no good backup, and scheduled backups are off. {_MAKE_ONE}"
    if kept.last_scheduled is not None or expected.is_overdue:
        return State.SICK, f"There is no good backup, though one was due by the schedule. {_MAKE_ONE}"
    if kept.has_made_backups:
        return State.WARNING, f"There is no good backup any more, though backups were made. {_MAKE_ONE}"
    return State.OK, f"There is no backup yet; the first is due {_time(next_run)}."


def _check_folder(seen: Seen) -> Check:
    folder = seen.folder
    if folder.problem:
        return Check(Subject.FOLDER, State.SICK, folder.problem)
    if folder.listing is None:
        return Check(Subject.FOLDER, State.OK, f"The first backup will make the folder {folder.path}.")
    probe = folder.probe
    if probe is not None and probe.problem:
        return Check(Subject.FOLDER, State.SICK, f"{probe.problem} So a trial of the worker's ended.")
    if _has_archives_of_tvarrs(seen):
        return Check(Subject.FOLDER, State.WARNING, _TVARRS_FOLDER)
    links = "" if probe is None or probe.has_hard_links else " It has no hard links: backups are published by renaming."
    return Check(Subject.FOLDER, State.OK, f"It can be read and written, and has room for the next backup.{links}")


def _has_archives_of_tvarrs(seen: Seen) -> bool:
    listing = seen.folder.listing
    return listing is not None and any(
        backup.sidecar.kind is BackupKind.TVARR and not backup.sidecar.imported for backup in listing.backups
    )


def _check_backups(seen: Seen) -> Check:
    listing = seen.folder.listing
    if seen.folder.is_closed:
        return _unknown(Subject.BACKUPS, _NO_FOLDER)
    if listing is None:
        return Check(Subject.BACKUPS, State.OK, "There are none yet.")
    found = list(_bad_backups(listing))
    if not found:
        return Check(Subject.BACKUPS, State.OK, f"There are {len(listing.backups)}, none known to be damaged.")
    more = len(found) - _NAMED_AT_MOST
    named = "; ".join(found[:_NAMED_AT_MOST]) + (f"; and {more} more" if more > 0 else "")
    return Check(
        Subject.BACKUPS,
        State.WARNING,
        f"Not to be relied on: {named}. `{program.NAME} backup show` says more of each, `backup delete` removes it.",
    )


def _bad_backups(listing: Listing) -> Iterator[str]:
    for broken in listing.broken:
        yield f"{broken.filename} is broken ({broken.reason})"
    for backup in listing.backups:
        if backup.sidecar.checked is not None and backup.sidecar.checked.problems:
            yield f"{backup.filename} is damaged"


def _check_restore(seen: Seen) -> Check:
    unfinished, running = seen.folder.unfinished, seen.kept and seen.kept.running
    if seen.folder.is_closed:
        return _unknown(Subject.RESTORE, _NO_FOLDER)
    if unfinished is None and seen.obstacle and not running:
        return Check(Subject.RESTORE, State.WARNING, f"No backup can be restored now: {seen.obstacle}")
    if unfinished is None:
        return Check(Subject.RESTORE, State.OK, "No restore is unfinished.")
    if running and running.kind == OperationKind.RESTORE:
        return Check(Subject.RESTORE, State.OK, f"{unfinished.backup} is being restored.")
    return Check(
        Subject.RESTORE,
        State.WARNING,
        f"The restore of {unfinished.backup} was not finished. `{program.NAME} backup recover` settles it, or says what stands in "
        "the way; what was there before is kept until then.",
    )


_TVARRS_FOLDER = (
    "The backup folder contains archives that tvarr made. If tvarr uses it too, tvarr's retention deletes backups that were "
    "made here, and its protection removes parts of their metadata. Set TVARR_BACKUP_DIRECTORY to another folder, and add the "
    f"backups you want to keep there with `{program.NAME} backup adopt FILE`."
)
_NO_DEFAULT = "this program's own database cannot be used"
_NO_FOLDER = "the backup folder cannot be read"
_MAKE_ONE = f"`{program.NAME} backup create` makes one, or says what stands in the way."


def _unknown(subject: Subject, why: str) -> Check:
    return Check(subject, State.WARNING, f"This cannot be told while {why}.", is_known=False)


def _a(operation: Operation) -> str:
    kind = operation.get_kind_display().lower()
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _duration(time: timedelta) -> str:
    return humanize.precisedelta(time, minimum_unit="minutes", suppress=("months", "years"), format="%d")


def _time(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M %Z}"
