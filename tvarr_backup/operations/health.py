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
from tvarr_backup.backups.retention import Policy, is_good
from tvarr_backup.backups.sidecar import MADE_HERE, BackupKind
from tvarr_backup.operations.models import Operation, OperationKind, OperationState
from tvarr_backup.operations.observe import Kept, Live, Seen, observe
from tvarr_backup.portable.kinds import KINDS
from tvarr_backup.schema import TVARRS_NEWEST
from tvarr_backup.sentences import Advice, Sentence, join

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
    message: Sentence
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
    policy: Policy | None
    folder_code: str
    unsupported: Sentence

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
        policy=seen.kept.policy if seen.kept else None,
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
            Sentence(
                "The disk of app.db is nearly full. Free some space, for instance by deleting backups, so that everything can "
                "go on."
            ),
        )
    if seen.kept is not None and seen.kept.setting_problems:
        sentence = Sentence(
            "A stored setting makes no sense, and counts as not set: {problems}",
            problems=join(seen.kept.setting_problems),
        )
        return Check(Subject.DEFAULT, State.WARNING, sentence)
    return Check(Subject.DEFAULT, State.OK, Sentence("It answers, and is up to date."))


def _check_tvarr(seen: Seen) -> Check:
    if seen.live is None:
        return Check(Subject.TVARR, State.SICK, seen.live_problem)
    sentences = [Sentence("It answers, and is {what}.", what=seen.live.what), *_schema_sentences(seen.live, seen.kept)]
    return Check(Subject.TVARR, _state_of_schema(seen.live), join(sentences))


def _state_of_schema(live: Live) -> State:
    """A newer tvarr, or a kind that cannot be exported any more, needs a user's attention; an older tvarr does not."""
    of_kinds = [name for name in live.missing if name.partition(".")[0] in _TABLES_OF_KINDS]
    return State.WARNING if _is_newer(live) or of_kinds else State.OK


def _is_newer(live: Live) -> bool:
    return schema.is_newer(live.schema, tvarr_database.required_schema())


def _schema_sentences(live: Live, kept: Kept | None) -> Iterator[Sentence]:
    if _is_newer(live) and live.schema.startswith("tvarr-backup "):
        yield (
            Sentence(
                "A newer version of this program has migrated it ({schema}). Backups and restores work. Update tvarr-backup.",
                schema=live.schema,
            )
        )
    elif _is_newer(live):
        yield (
            Sentence(
                "Its schema, {schema}, is newer than this version of tvarr-backup knows (tvarr {newest}). Backups "
                "and restores work. Exports leave out columns that are not known here, and say so. Update tvarr-backup when a "
                "version for this tvarr is available.",
                schema=live.schema,
                newest=TVARRS_NEWEST,
            )
        )
    if live.missing:
        yield (
            Sentence(
                "It does not have {names}; only what needs that cannot be shown, exported, imported or edited.",
                names=", ".join(live.missing[:_NAMED_AT_MOST]) + _and_more(live.missing),
            )
        )
    if kept is not None and kept.schema_change is not None:
        yield Sentence(
            "{change} Noticed {noticed_at}.",
            change=kept.schema_change.describe(),
            noticed_at=_time(kept.schema_change.noticed_at),
        )


def _and_more(names: tuple[str, ...]) -> str:
    others = len(names) - _NAMED_AT_MOST
    return f" and {others} more" if others > 0 else ""


def _check_worker(seen: Seen) -> Check:
    if seen.worker_is_alive:
        return Check(Subject.WORKER, State.OK, Sentence("A worker has given a sign of life within the last minute."))
    return Check(
        Subject.WORKER,
        State.SICK,
        Sentence(
            "No worker seems to run, so nothing that is asked for or due is done. {advice}",
            advice=Advice.START_WORKER,
        ),
    )


def _check_queue(seen: Seen) -> Check:
    if seen.kept is None:
        return _unknown(Subject.QUEUE, _NO_DEFAULT)
    if not seen.kept.queued:
        return Check(Subject.QUEUE, State.OK, Sentence("Nothing waits."))
    oldest = seen.kept.queued[0]
    waits = Sentence(
        "{operation} waits since {since}", operation=_a(oldest).capitalize(), since=_time(oldest.created_at)
    )
    if abs(seen.at - oldest.created_at) <= LATE:
        return Check(Subject.QUEUE, State.OK, Sentence("{waits}.", waits=waits))
    return Check(
        Subject.QUEUE,
        State.SICK,
        Sentence(
            "{waits}, and nobody begins it. See that a worker runs, and what its log says; or cancel what waits.",
            waits=waits,
        ),
    )


def _check_schedule(seen: Seen, expected: _Expected) -> Check:
    kept, next_run = seen.kept, expected.next_run
    if seen.unsupported:
        return Check(Subject.SCHEDULE, State.OK, seen.unsupported)
    if kept is None:
        return _unknown(Subject.SCHEDULE, _NO_DEFAULT)
    if next_run is None:
        return Check(Subject.SCHEDULE, State.OK, Sentence("Scheduled backups are off."))
    if expected.is_overdue:
        why = (
            Sentence("{operation} is running", operation=_a(kept.running))
            if kept.running
            else Sentence("see that a worker runs, and what its log says")
        )
        sentence = Sentence(
            "The backup that was due {next_run} has not begun: {why}.", next_run=_time(next_run), why=why
        )
        return Check(Subject.SCHEDULE, State.WARNING, sentence)
    last = kept.last_scheduled
    if last is not None and last.state in _BAD_ENDS:
        return Check(
            Subject.SCHEDULE,
            State.WARNING,
            Sentence(
                "The last scheduled backup, of {created_at}, {end}: {outcome} The next is due {next_run}; {advice} makes one "
                "now.",
                created_at=_time(last.created_at),
                end=_BAD_ENDS[last.state],
                outcome=last.outcome,
                next_run=_time(next_run),
                advice=Advice.BACK_UP,
            ),
        )
    return Check(
        Subject.SCHEDULE,
        State.OK,
        Sentence("{times}; the next is due {next_run}.", times=kept.timetable.describe(), next_run=_time(next_run)),
    )


def _check_last_backup(seen: Seen, expected: _Expected, good: Backup | None) -> Check:
    if seen.unsupported:
        return Check(Subject.LAST_BACKUP, State.OK, seen.unsupported)
    if seen.folder.is_closed:
        return _unknown(Subject.LAST_BACKUP, _NO_FOLDER)
    return Check(Subject.LAST_BACKUP, *(_judge(good, seen, expected) if good else _judge_none(seen, expected)))


def _judge(good: Backup, seen: Seen, expected: _Expected) -> tuple[State, Sentence]:
    made, age = good.sidecar.created_at, seen.at - good.sidecar.created_at
    told = Sentence("The last good backup is of {made}", made=_time(made))
    if age < -LATE:
        return State.WARNING, Sentence(
            "{told}, which is still to come: set the clock, or make another if it was wrong then.", told=told
        )
    told = Sentence("{told}, {age} ago", told=told, age=_duration(age))
    if expected.may_be_old is not None and age > expected.may_be_old:
        allowed = Sentence("by the schedule it may be {may_be_old} old", may_be_old=_duration(expected.may_be_old))
        return State.SICK, Sentence("{told}; {allowed}. {make_one}", told=told, allowed=allowed, make_one=_MAKE_ONE)
    if seen.kept is not None and expected.may_be_old is None:
        return State.OK, Sentence("{told}; scheduled backups are off, so none is expected.", told=told)
    return State.OK, Sentence("{told}.", told=told)


def _judge_none(seen: Seen, expected: _Expected) -> tuple[State, Sentence]:
    """There is no good backup. On a new installation that is well until the first one is overdue."""
    kept, next_run = seen.kept, expected.next_run
    if kept is None:
        return State.WARNING, Sentence(
            "There is no good backup, and whether one was due cannot be told while {why}.", why=_NO_DEFAULT
        )
    if next_run is None:
        return State.OK, Sentence(
            "There is no good backup, and scheduled backups are off. {make_one}", make_one=_MAKE_ONE
        )
    if kept.last_scheduled is not None or expected.is_overdue:
        return State.SICK, Sentence(
            "There is no good backup, though one was due by the schedule. {make_one}", make_one=_MAKE_ONE
        )
    if kept.has_made_backups:
        return State.WARNING, Sentence(
            "There is no good backup any more, though backups were made. {make_one}", make_one=_MAKE_ONE
        )
    return State.OK, Sentence("There is no backup yet; the first is due {next_run}.", next_run=_time(next_run))


def _check_folder(seen: Seen) -> Check:
    folder = seen.folder
    if folder.problem:
        return Check(Subject.FOLDER, State.SICK, folder.problem)
    if folder.listing is None:
        return Check(
            Subject.FOLDER, State.OK, Sentence("The first backup will make the folder {path}.", path=folder.path)
        )
    probe = folder.probe
    if probe is not None and probe.problem:
        return Check(
            Subject.FOLDER,
            State.SICK,
            Sentence("{problem} So a trial of the worker's ended.", problem=Sentence.from_data(probe.problem)),
        )
    if _has_archives_of_tvarrs(seen):
        return Check(Subject.FOLDER, State.WARNING, _TVARRS_FOLDER)
    sentences = [Sentence("It can be read and written, and has room for the next backup.")]
    if probe is not None and not probe.has_hard_links:
        sentences.append(Sentence("It has no hard links: backups are published by renaming."))
    return Check(Subject.FOLDER, State.OK, join(sentences))


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
        return Check(Subject.BACKUPS, State.OK, Sentence("There are none yet."))
    found = list(_bad_backups(listing))
    if not found:
        return Check(
            Subject.BACKUPS,
            State.OK,
            Sentence("There are {number}, none known to be damaged.", number=len(listing.backups)),
        )
    more = len(found) - _NAMED_AT_MOST
    named = [*found[:_NAMED_AT_MOST], *([Sentence("and {more} more", more=more)] if more > 0 else [])]
    return Check(
        Subject.BACKUPS,
        State.WARNING,
        Sentence("Not to be relied on: {found}. {advice}", found=join(named, "; "), advice=Advice.CHECK_BROKEN),
    )


def _bad_backups(listing: Listing) -> Iterator[Sentence]:
    for broken in listing.broken:
        yield Sentence("{filename} is broken ({reason})", filename=broken.filename, reason=broken.reason)
    for backup in listing.backups:
        if backup.sidecar.checked is not None and backup.sidecar.checked.problems:
            yield Sentence("{filename} is damaged", filename=backup.filename)


def _check_restore(seen: Seen) -> Check:
    unfinished, running = seen.folder.unfinished, seen.kept and seen.kept.running
    if seen.folder.is_closed:
        return _unknown(Subject.RESTORE, _NO_FOLDER)
    if unfinished is None and seen.obstacle and not running:
        return Check(
            Subject.RESTORE,
            State.WARNING,
            Sentence("No backup can be restored now: {obstacle}", obstacle=seen.obstacle),
        )
    if unfinished is None:
        return Check(Subject.RESTORE, State.OK, Sentence("No restore is unfinished."))
    if running and running.kind == OperationKind.RESTORE:
        return Check(Subject.RESTORE, State.OK, Sentence("{backup} is being restored.", backup=unfinished.backup))
    return Check(
        Subject.RESTORE,
        State.WARNING,
        Sentence(
            "The restore of {backup} was not finished. {advice} settles it, or says what stands in the way; what was there "
            "before is kept until then.",
            backup=unfinished.backup,
            advice=Advice.RECOVER,
        ),
    )


_TVARRS_FOLDER = Sentence(
    "The backup folder contains archives that tvarr made. If tvarr uses it too, tvarr's retention deletes backups that were "
    "made here, and its protection removes parts of their metadata. Set TVARR_BACKUP_DIRECTORY to another folder, and add the "
    "backups you want to keep there with `{program} backup adopt FILE`.",
    program=program.NAME,
)
_NO_DEFAULT = Sentence("this program's own database cannot be used")
_NO_FOLDER = Sentence("the backup folder cannot be read")
_MAKE_ONE = Sentence("{advice} makes one, or says what stands in the way.", advice=Advice.BACK_UP)


def _unknown(subject: Subject, why: Sentence) -> Check:
    return Check(subject, State.WARNING, Sentence("This cannot be told while {why}.", why=why), is_known=False)


def _a(operation: Operation) -> str:
    kind = operation.get_kind_display().lower()
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _duration(time: timedelta) -> str:
    return humanize.precisedelta(time, minimum_unit="minutes", suppress=("months", "years"), format="%d")


def _time(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M %Z}"
