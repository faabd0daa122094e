"""Health checks of the databases, the worker, the schedule, the backup folder, the locations and the alerts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Any, NamedTuple

import humanize
from django.db.models import TextChoices

from tvarr_backup import program, schema, tvarr_database
from tvarr_backup.backups.catalogue import Backup, Listing
from tvarr_backup.backups.forecast import count_fitting
from tvarr_backup.backups.sidecar import MADE_HERE, BackupKind
from tvarr_backup.formatting import format_count, format_time
from tvarr_backup.operations.alert_models import ReceiverState
from tvarr_backup.operations.models import LocationState, Operation, OperationKind, OperationState
from tvarr_backup.operations.observe import (
    Live,
    Observation,
    ObservedLocation,
    ObservedReceiver,
    ObservedRehearsal,
    Records,
    observe,
)
from tvarr_backup.portable.kinds import KINDS
from tvarr_backup.quoting import name_some
from tvarr_backup.schema import TVARRS_NEWEST
from tvarr_backup.sentences import Advice, Sentence, join

LATE = timedelta(minutes=5)
"""An operation that has been due or queued for longer than this should have started."""

LOCATION_LATE = timedelta(days=1)
"""A location without all copies for longer than this needs a user's attention."""

BACKUPS_AHEAD = 7
"""For how many of the next automatic backups there should be room."""

INTERVALS = 2
"""Maximum age of the last good backup, in intervals of the schedule."""

_BAD_ENDS = {OperationState.FAILED.value: "failed", OperationState.INTERRUPTED.value: "was interrupted"}
_NAMED_AT_MOST = 3
_TABLES_OF_KINDS = frozenset(kind.model._meta.db_table for kind in KINDS.values())


class HealthState(StrEnum):
    """Result of a check. `FAILING` means backups are not being made; `WARNING` needs a user's attention."""

    OK = "ok"
    WARNING = "warning"
    FAILING = "sick"


class Subject(TextChoices):
    """The subject of a health check."""

    DEFAULT = "default_database", "Own database"
    TVARR = "tvarr_database", "tvarr's database"
    WORKER = "worker", "Worker"
    QUEUE = "queue", "Queue"
    SCHEDULE = "schedule", "Schedule"
    LAST_BACKUP = "last_backup", "Last good backup"
    FOLDER = "backup_folder", "Backup folder"
    BACKUPS = "backups", "Backups"
    ROOM = "room", "Disk space"
    RESTORE = "restore", "Restore"
    LOCATIONS = "locations", "Locations"
    REHEARSAL = "rehearsal", "Rehearsal"
    ALERTS = "alerts", "Alerts"


class HealthCheck(NamedTuple):
    """The result of one check, with advice. If not `is_known`, the check could not be made; another one says why."""

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
    return HealthCheck(HealthState.WARNING, Sentence("Not checked because {why}.", why=why), is_known=False)


@dataclass(frozen=True)
class Expected:
    """When the next automatic backup is or was due, and the maximum age of the last good one; None if off."""

    next_run: datetime | None = None
    is_overdue: bool = False
    max_age: timedelta | None = None


@dataclass(frozen=True)
class Health:
    """All checks. `last_good` is the newest backup of the live database that passed its last verification."""

    observation: Observation
    checks: Mapping[Subject, HealthCheck]
    last_good: Backup | None
    expected: Expected

    @property
    def state(self) -> HealthState:
        """The worst state of all checks."""
        return max((check.state for check in self.checks.values()), key=list(HealthState).index)


def check_health() -> Health:
    """Check everything. Takes about as long as listing the backup folder. Writes and raises nothing."""
    observed = observe()
    good, expected = _last_good(observed.folder.listing), _expect(observed)
    checks = {
        Subject.DEFAULT: _check_default(observed),
        Subject.TVARR: _check_tvarr(observed),
        Subject.WORKER: _check_worker(observed),
        Subject.QUEUE: _check_queue(observed),
        Subject.SCHEDULE: _check_schedule(observed, expected),
        Subject.LAST_BACKUP: _check_last_backup(observed, expected, good),
        Subject.FOLDER: _check_folder(observed),
        Subject.BACKUPS: _check_backups(observed),
        Subject.ROOM: _check_room(observed),
        Subject.RESTORE: _check_restore(observed),
        Subject.LOCATIONS: _check_locations(observed),
        Subject.REHEARSAL: _check_rehearsal(observed),
        Subject.ALERTS: _check_alerts(observed),
    }
    return Health(observed, checks, good, expected)


def health_as_data(health: Health) -> dict[str, Any]:
    """Return the results as JSON data: sizes in bytes, times as RFC 3339 in UTC, null for unknown."""
    good, expected, observed = health.last_good, health.expected, health.observation
    running, queued = observed.running, observed.queued
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
        "last_rehearsals": [
            {
                "location": one.location or None,
                "filename": one.filename,
                "ended_at": one.ended_at.isoformat(),
                "seconds": one.seconds,
                "error_code": one.code,
            }
            for one in (observed.records.rehearsals if observed.records else ())
        ],
        "may_be_old_seconds": expected.max_age and int(expected.max_age.total_seconds()),
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
        "free_bytes": {"backup_folder": observed.folder.free, "tvarr_database": observed.free_beside_live},
    }


# --- Expectations of the schedule ------------------------------------------------------------------------------------


def _expect(observed: Observation) -> Expected:
    records = observed.records
    if records is None or not records.settings.is_scheduled() or observed.unsupported:
        return Expected()
    timetable = records.settings.timetable()
    next_run = records.due or next(timetable.times_after(observed.at)).astimezone(UTC)
    return Expected(next_run, observed.at - next_run > LATE, INTERVALS * timetable.interval_at(observed.at))


def _last_good(listing: Listing | None) -> Backup | None:
    """Return the newest good backup by `seq`, because the clock may have been wrong. Uploaded backups do not count."""
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


def _check_default(observed: Observation) -> HealthCheck:
    if observed.records_problem:
        return HealthCheck(HealthState.FAILING, observed.records_problem)
    if observed.is_disk_short:
        return _warning("The disk of app.db is nearly full. Free some space, for instance by deleting backups.")
    problems = observed.records.settings.problems() if observed.records else []
    if problems:
        return _warning("Some stored settings are invalid and are ignored: {problems}", problems=join(problems))
    return _ok("It can be used and is up to date.")


def _check_tvarr(observed: Observation) -> HealthCheck:
    live = observed.live
    if live is None:
        return HealthCheck(HealthState.FAILING, observed.live_problem)
    sentences = [Sentence("It can be used ({what}).", what=live.what)]
    return HealthCheck(_state_of_schema(live), join([*sentences, *_schema_sentences(live, observed.records)]))


def _state_of_schema(live: Live) -> HealthState:
    """Warn about a newer tvarr, or a kind that cannot be exported any more. An older tvarr is fine."""
    missing_of_kinds = [name for name in live.missing if name.partition(".")[0] in _TABLES_OF_KINDS]
    return HealthState.WARNING if _is_newer(live) or missing_of_kinds else HealthState.OK


def _is_newer(live: Live) -> bool:
    return schema.is_newer(live.schema, tvarr_database.required_schema())


def _schema_sentences(live: Live, records: Records | None) -> Iterator[Sentence]:
    if _is_newer(live) and live.schema.startswith("tvarr-backup "):
        yield Sentence(
            "A newer tvarr-backup has migrated it ({schema}). Backups and restores work. Update tvarr-backup.",
            schema=live.schema,
        )
    elif _is_newer(live):
        yield Sentence(
            "Its schema, {schema}, is newer than tvarr {newest}, the newest that this version of tvarr-backup knows. "
            "Backups and restores work. Exports leave out unknown columns, and say so. Update tvarr-backup when a "
            "version for this tvarr is available.",
            schema=live.schema,
            newest=TVARRS_NEWEST,
        )
    if live.missing:
        yield Sentence(
            "It does not have {names}. Items that need these cannot be shown, exported, imported or edited.",
            names=name_some(live.missing, _NAMED_AT_MOST),
        )
    change = records and records.schema_change
    if change:
        yield Sentence("{change} Noticed on {at}.", change=change.describe(), at=format_time(change.noticed_at))


def _check_worker(observed: Observation) -> HealthCheck:
    if observed.worker_is_alive:
        return _ok("A worker has reported within the last minute.")
    return _failing("No worker is running. Operations and automatic backups wait. {advice}", advice=Advice.START_WORKER)


def _check_queue(observed: Observation) -> HealthCheck:
    if observed.records is None:
        return _unknown(_NO_DEFAULT)
    if not observed.queued:
        return _ok("No operation is queued.")
    oldest = observed.queued[0]
    operation, since = oldest.kind_with_article.capitalize(), format_time(oldest.created_at)
    if abs(observed.at - oldest.created_at) <= LATE:
        return _ok("{operation} has been queued since {since}.", operation=operation, since=since)
    return _failing(
        "{operation} has been queued since {since}; no worker has started it. Check that a worker is running and what "
        "it logs, or cancel the operation.",
        operation=operation,
        since=since,
    )


def _check_schedule(observed: Observation, expected: Expected) -> HealthCheck:
    records, next_run = observed.records, expected.next_run
    if observed.unsupported:
        return HealthCheck(HealthState.OK, observed.unsupported)
    if records is None:
        return _unknown(_NO_DEFAULT)
    if next_run is None:
        return _ok("Automatic backups are off.")
    due, last = format_time(next_run), records.last_scheduled
    if expected.is_overdue:
        return _warn_overdue(due, observed.running)
    if last is not None and last.state in _BAD_ENDS:
        return _warning(
            "The last automatic backup ({created_at}) {end}: {outcome} The next one is due on {next_run}. To make one "
            "now, use {advice}.",
            created_at=format_time(last.created_at),
            end=_BAD_ENDS[last.state],
            outcome=last.outcome,
            next_run=due,
            advice=Advice.BACK_UP,
        )
    times = records.settings.timetable().describe()
    return _ok("{times}. The next backup is due on {next_run}.", times=times, next_run=due)


def _warn_overdue(due: str, running: Operation | None) -> HealthCheck:
    if running is None:
        return _warning(
            "The automatic backup due on {due} has not started. Check that a worker is running and what it logs.",
            due=due,
        )
    return _warning(
        "The automatic backup due on {due} has not started because {operation} is running.",
        due=due,
        operation=running.kind_with_article,
    )


def _check_last_backup(observed: Observation, expected: Expected, good: Backup | None) -> HealthCheck:
    if observed.unsupported:
        return HealthCheck(HealthState.OK, observed.unsupported)
    if observed.folder.is_closed:
        return _unknown(_NO_FOLDER)
    return _judge_last(good, observed, expected) if good else _judge_none(observed, expected)


def _judge_last(good: Backup, observed: Observation, expected: Expected) -> HealthCheck:
    made, age = format_time(good.sidecar.created_at), observed.at - good.sidecar.created_at
    if age < -LATE:
        return _warning(
            "The last good backup is dated {made}, which is in the future. Set the clock. If it was wrong when the "
            "backup was made, make another one.",
            made=made,
        )
    last = Sentence("The last good backup was made on {made}, {age} ago", made=made, age=_precise_duration(age))
    if expected.max_age is not None and age > expected.max_age:
        return _failing(
            "{last}. With this schedule it should be at most {max_age} old. {make_one}",
            last=last,
            max_age=_precise_duration(expected.max_age),
            make_one=_MAKE_ONE,
        )
    if observed.records is not None and expected.max_age is None:
        return _ok("{last}. Automatic backups are off, so no newer one is expected.", last=last)
    return _ok("{last}.", last=last)


def _judge_none(observed: Observation, expected: Expected) -> HealthCheck:
    """Judge that there is no good backup. On a new installation that is fine until the first one is overdue."""
    records, next_run = observed.records, expected.next_run
    if records is None:
        return _warning("There is no good backup. Whether one was due is unknown because {why}.", why=_NO_DEFAULT)
    if next_run is None:
        return _ok("There is no good backup, and automatic backups are off. {make_one}", make_one=_MAKE_ONE)
    if records.last_scheduled is not None or expected.is_overdue:
        return _failing("There is no good backup, although one was due. {make_one}", make_one=_MAKE_ONE)
    if records.has_made_backups:
        return _warning("There is no good backup any more, although some were made. {make_one}", make_one=_MAKE_ONE)
    return _ok("There is no backup yet. The first one is due on {next_run}.", next_run=format_time(next_run))


def _check_folder(observed: Observation) -> HealthCheck:
    folder, probe = observed.folder, observed.folder.probe
    if folder.problem:
        return HealthCheck(HealthState.FAILING, folder.problem)
    if folder.listing is None:
        return _ok("The first backup will create the folder {path}.", path=folder.path)
    if probe is not None and probe.problem:
        return _failing("The worker's test of the folder failed: {problem}", problem=Sentence.from_data(probe.problem))
    if any(one.sidecar.kind is BackupKind.TVARR and not one.sidecar.imported for one in folder.listing.backups):
        return _warning(
            "The backup folder contains archives that tvarr made. If tvarr uses this folder too, tvarr's retention "
            "deletes your backups, and its protection removes parts of their metadata. Set TVARR_BACKUP_DIRECTORY to "
            "another folder, and add the backups you want to keep there with `{program} backup add FILE`.",
            program=program.NAME,
        )
    sentences = [Sentence("It can be read and written, and has room for the next backup.")]
    if probe is not None and not probe.has_hard_links:
        sentences.append(Sentence("It does not support hard links, so backups are published by renaming."))
    return HealthCheck(HealthState.OK, join(sentences))


def _check_backups(observed: Observation) -> HealthCheck:
    listing = observed.folder.listing
    if observed.folder.is_closed:
        return _unknown(_NO_FOLDER)
    if listing is None:
        return _ok("There are no backups yet.")
    found = list(_bad_backups(listing))
    if not found:
        return _ok("{number} in total, none known to be damaged.", number=len(listing.backups))
    more = len(found) - _NAMED_AT_MOST
    named = [*found[:_NAMED_AT_MOST], *([Sentence("and {more} more", more=more)] if more > 0 else [])]
    return _warning(
        "Do not rely on these backups: {found}. {advice}", found=join(named, "; "), advice=Advice.CHECK_BROKEN
    )


def _bad_backups(listing: Listing) -> Iterator[Sentence]:
    for broken in listing.broken:
        yield Sentence("{filename} is broken ({reason})", filename=broken.filename, reason=broken.reason)
    for backup in listing.backups:
        if backup.sidecar.problems:
            yield Sentence("{filename} is damaged", filename=backup.filename)


def names_of_bad_backups(listing: Listing) -> list[str]:
    """Return the names of broken and damaged backups."""
    damaged = [backup.filename for backup in listing.backups if backup.sidecar.problems]
    return [broken.filename for broken in listing.broken] + damaged


def _check_room(observed: Observation) -> HealthCheck:
    records, folder, live = observed.records, observed.folder, observed.live
    if folder.problem:
        return _unknown(_FOLDER_UNUSABLE)
    if records is None:
        return _unknown(_NO_DEFAULT)
    if not records.settings.is_scheduled() or observed.unsupported:
        return _ok("No automatic backups are expected.")
    if live is None or live.used is None or folder.listing is None or folder.free is None:
        return _ok("There are no backups yet, so their future size is not estimated.")
    times = list(islice(records.settings.timetable().times_after(observed.at), BACKUPS_AHEAD))
    fitting = count_fitting(folder.free, live.used, folder.listing, records.settings.policy(), times)
    if fitting >= len(times):
        return _ok("There is room for the next {count} automatic backups.", count=len(times))
    return _warning(
        "The disk will be full before the next {count} automatic backups: {free:MB} is free, and the backup of {time} will "
        "probably not fit. {advice}",
        count=len(times),
        free=folder.free,
        time=format_time(times[fitting]),
        advice=Advice.FREE_SPACE,
    )


_FOLDER_UNUSABLE = Sentence("the backup folder cannot be used")


def _check_restore(observed: Observation) -> HealthCheck:
    unfinished, running = observed.folder.unfinished, observed.running
    if observed.folder.is_closed:
        return _unknown(_NO_FOLDER)
    if unfinished is None and observed.obstacle and not running:
        return _warning("No backup can be restored now: {obstacle}", obstacle=observed.obstacle)
    if unfinished is None:
        sentences = [Sentence("No restore is unfinished."), *observed.restore_notes]
        return HealthCheck(HealthState.OK, join(sentences))
    if running and running.kind == OperationKind.RESTORE:
        return _ok("{backup} is being restored.", backup=unfinished.backup)
    return _warning(
        "The restore of {backup} was not finished. Run {advice} to finish or undo it. The previous data is kept.",
        backup=unfinished.backup,
        advice=Advice.RECOVER,
    )


def _check_locations(observed: Observation) -> HealthCheck:
    if observed.records is None:
        return _unknown(_NO_DEFAULT)
    locations = observed.records.locations
    if not locations:
        return _ok("There is no location, so backups are only in the backup folder.")
    found = [problem for location in locations for _kind, problem in find_location_problems(location, observed.at)]
    if found:
        return HealthCheck(HealthState.WARNING, join(found))
    return HealthCheck(HealthState.OK, join(_describe_locations(locations)))


class LocationProblem(StrEnum):
    """What is wrong with a location."""

    FAILING = "failing"
    LATE = "late"
    DAMAGED = "damaged"


def find_location_problems(location: ObservedLocation, at: datetime) -> Iterator[tuple[LocationProblem, Sentence]]:
    """Yield the problems of a location that need a user's attention."""
    name, state, since = location.name, location.state, location.since
    is_late = since is not None and abs(at - since) > LOCATION_LATE
    if state is LocationState.FAILING and since is not None:
        failing = Sentence(
            "{name} has failed since {since}: {problem}", name=name, since=format_time(since), problem=location.problem
        )
        yield LocationProblem.FAILING, failing
    elif is_late and since is not None and state in _LATE_LOCATIONS:
        yield LocationProblem.LATE, Sentence(_LATE_LOCATIONS[state], name=name, since=format_time(since))
    if location.damaged:
        damaged = Sentence(
            "{name} has damaged copies ({count}). The next copying replaces those whose backups are still here.",
            name=name,
            count=location.damaged,
        )
        yield LocationProblem.DAMAGED, damaged


_LATE_LOCATIONS = {
    LocationState.BEHIND: "{name} has been behind since {since}. Check what its operations report.",
    LocationState.IN_SYNC: "{name} has not been compared since {since}. Check that a worker is running.",
    LocationState.UNTESTED: "Nothing is copied to {name}, which was added on {since} and has not been tested yet.",
    LocationState.KEY_UNSAVED: "Nothing is copied to {name}, because its recovery key has not been confirmed since {since}.",
}


def _describe_locations(locations: Sequence[ObservedLocation]) -> Iterator[Sentence]:
    in_sync = sum(location.state is LocationState.IN_SYNC for location in locations)
    if in_sync:
        yield Sentence("{count} in sync.", count=format_count(in_sync, "location"))
    for location in locations:
        if location.state is not LocationState.IN_SYNC:
            yield Sentence("{name}: {state}.", name=location.name, state=location.state.label.lower())


def _check_alerts(observed: Observation) -> HealthCheck:
    if observed.records is None:
        return _unknown(_NO_DEFAULT)
    alerts = observed.records.alerts
    if not alerts.receivers and not alerts.has_ping:
        return _ok("No receiver of alerts is set up, so problems are only shown here.")
    if not observed.sender_is_alive:
        return _warning(
            "Alerts are not sent, because the process that sends them is not running. Start it with `{program} notify`, or "
            "everything with `{program} up`.",
            program=program.NAME,
        )
    failing = alerts.failing(observed.at)
    if failing:
        return HealthCheck(HealthState.WARNING, join(map(_describe_failing, failing)))
    return HealthCheck(HealthState.OK, join(_describe_receivers(alerts.receivers)))


def _describe_receivers(receivers: Sequence[ObservedReceiver]) -> Iterator[Sentence]:
    """Say who gets alerts. Only an accepted message shows that they arrive."""
    names = {state: [one.name for one in receivers if one.state is state] for state in ReceiverState}
    untried, paused = names[ReceiverState.UNTRIED], names[ReceiverState.PAUSED]
    tried = len(receivers) - len(untried) - len(paused)
    if tried or not receivers:
        yield Sentence("Alerts are sent to {count}.", count=format_count(tried, "receiver"))
    if untried:
        yield Sentence("Not tried yet: {names}. Send a test message.", names=name_some(untried, _NAMED_AT_MOST))
    if paused:
        yield Sentence("Paused: {names}.", names=name_some(paused, _NAMED_AT_MOST))


def _describe_failing(receiver: ObservedReceiver) -> Sentence:
    return Sentence(
        "The receiver {name} has failed since {since}: {problem}",
        name=receiver.name,
        since=format_time(receiver.failing_since) if receiver.failing_since else "",
        problem=receiver.problem,
    )


def _check_rehearsal(observed: Observation) -> HealthCheck:
    records = observed.records
    if observed.unsupported:
        return HealthCheck(HealthState.OK, observed.unsupported)
    return _unknown(_NO_DEFAULT) if records is None else _judge_rehearsals(records, observed.at)


def _judge_rehearsals(records: Records, at: datetime) -> HealthCheck:
    found = [_describe_failure(one) for one in records.rehearsals if one.code]
    if found:
        return HealthCheck(HealthState.WARNING, join(found))
    interval = records.settings.rehearses_every() if records.settings.is_scheduled() else None
    late = [one for one in records.rehearsals if interval and abs(at - one.ended_at) > _latest_after(interval)]
    if late:
        return _warning(
            "The last rehearsal of a restore was on {at}, although one is due every {interval}. Check that a worker is running "
            "and what it logs.",
            at=format_time(min(one.ended_at for one in late)),
            interval=_precise_duration(interval or timedelta()),
        )
    if records.rehearsals:
        return HealthCheck(HealthState.OK, join(map(_describe_success, records.rehearsals)))
    if interval is None:
        return _ok("Automatic rehearsals are off.")
    return _ok("No restore has been rehearsed yet.")


def _latest_after(interval: timedelta) -> timedelta:
    return INTERVALS * interval + timedelta(days=1)


def _describe_failure(one: ObservedRehearsal) -> Sentence:
    return Sentence(
        "On {at}, a restore of {filename} from {location} was rehearsed and failed: {problem}"
        if one.location
        else "On {at}, a restore of {filename} was rehearsed and failed: {problem}",
        at=format_time(one.ended_at),
        filename=one.filename,
        location=one.location,
        problem=one.problem,
    )


def _describe_success(one: ObservedRehearsal) -> Sentence:
    return Sentence(
        "{filename} from {location}: rehearsed on {at}, OK, {seconds:.0f} s."
        if one.location
        else "{filename}: rehearsed on {at}, OK, {seconds:.0f} s.",
        at=format_time(one.ended_at),
        filename=one.filename,
        location=one.location,
        seconds=max(1.0, one.seconds),
    )


_NO_DEFAULT = Sentence("this program's own database cannot be used")
_NO_FOLDER = Sentence("the backup folder cannot be read")
_MAKE_ONE = Sentence("To make one, use {advice}.", advice=Advice.BACK_UP)


def _precise_duration(duration: timedelta) -> str:
    """Return a duration such as "2 days and 1 hour", because a rounded one could look equal to the maximum age."""
    if duration < timedelta(minutes=1):
        return "less than a minute"
    return humanize.precisedelta(duration, minimum_unit="minutes", suppress=("months", "years"), format="%d")
