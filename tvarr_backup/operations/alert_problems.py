"""The problems that health checks find, as alerts know them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from tvarr_backup.operations.alert_models import AlertEvent
from tvarr_backup.operations.alerts import Look, Problem
from tvarr_backup.operations.health import (
    Health,
    HealthCheck,
    HealthState,
    LocationProblem,
    Subject,
    find_location_problems,
    names_of_bad_backups,
)
from tvarr_backup.operations.models import LocationState
from tvarr_backup.operations.observe import ObservedLocation
from tvarr_backup.sentences import Sentence

_EVENTS: Mapping[str, AlertEvent] = {
    "default_database": AlertEvent.OWN_DATABASE,
    "tvarr_database": AlertEvent.TVARR_DATABASE,
    "worker": AlertEvent.WORKER_STOPPED,
    "queue": AlertEvent.QUEUE_STUCK,
    "schedule": AlertEvent.BACKUP_OVERDUE,
    "last_backup": AlertEvent.NO_RECENT_BACKUP,
    "backup_folder": AlertEvent.BACKUP_FOLDER,
    "backups": AlertEvent.BACKUP_DAMAGED,
    "room": AlertEvent.DISK_FILLING,
    "restore": AlertEvent.RESTORE_IMPOSSIBLE,
    "rehearsal": AlertEvent.REHEARSAL_FAILED,
    "alerts": AlertEvent.RECEIVER_FAILING,
}
"""The event of each subject. Another subject has the event `health`."""
_LOOKS = {Subject.WORKER: 4}
"""A worker may be restarting. Other problems are reported when two looks have found them."""
_LOCATION_EVENTS = {
    LocationProblem.FAILING: AlertEvent.COPY_FAILED,
    LocationProblem.LATE: AlertEvent.LOCATION_BEHIND,
    LocationProblem.DAMAGED: AlertEvent.COPY_DAMAGED,
}


def look_at(health: Health) -> Look:
    """Return the problems of all checks. A check that could not be made, or that another problem explains, is not judged."""
    problems, fine = [], {}
    judged = {str(subject) for subject, check in health.checks.items() if check.is_known}
    if not _is_ok(health, Subject.WORKER):
        judged.discard(Subject.QUEUE)
    if not _is_ok(health, Subject.FOLDER):
        judged.discard(Subject.ROOM)
    for subject, check in health.checks.items():
        if subject in judged and subject is not Subject.LOCATIONS:
            fine[str(subject)] = check.message
            if _is_problem(subject, check, health):
                problems.append(_problem_of(subject, check, health))
    records = health.observation.records
    if records is not None:
        judged |= set(_LOCATION_EVENTS.values())
        for location in records.locations:
            problems += _problems_of(location, health.observation.at)
            state = Sentence("{name}: {state}.", name=location.name, state=location.state.label.lower())
            fine |= {f"{event}:{location.name}": state for event in _LOCATION_EVENTS.values()}
    return Look(tuple(problems), frozenset(judged), fine)


def _is_ok(health: Health, subject: Subject) -> bool:
    return health.checks[subject].state is HealthState.OK


def _is_problem(subject: Subject, check: HealthCheck, health: Health) -> bool:
    """Return whether a check found a problem. A failed backup is known from its operation, not from the schedule."""
    records = health.observation.records
    if subject is Subject.SCHEDULE:
        return health.expected.is_overdue
    if subject is Subject.ALERTS:  # that nothing is sent cannot be sent
        return records is not None and bool(records.alerts.failing(health.observation.at))
    return check.state is not HealthState.OK


def _problem_of(subject: Subject, check: HealthCheck, health: Health) -> Problem:
    members = frozenset[str]()
    listing, records = health.observation.folder.listing, health.observation.records
    if subject is Subject.BACKUPS and listing is not None:
        members = frozenset(names_of_bad_backups(listing))
    if subject is Subject.ALERTS and records is not None:
        members = frozenset(one.name for one in records.alerts.failing(health.observation.at))
    event = _EVENTS.get(subject, AlertEvent.HEALTH)
    return Problem(str(subject), event, check.message, members, _LOOKS.get(subject, 2))


def _problems_of(location: ObservedLocation, at: datetime) -> Iterator[Problem]:
    """Yield the problems of a location that is in use. One that has never worked concerns only the user who adds it."""
    for kind, sentence in find_location_problems(location, at):
        if location.is_tested or location.state is not LocationState.FAILING:
            event = _LOCATION_EVENTS[kind]
            yield Problem(f"{event}:{location.name}", event, sentence)
