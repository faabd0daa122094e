"""Finds changes of state that are worth a message. Pure: it reads and writes nothing, and the time is passed in.

A *problem* is something that holds for a while, such as a worker that does not run. It is reported when it begins, when it gets
worse, and when it is over. A problem that is found by looking (`Look`) is reported after several looks in a row, so that a
restart is not reported. One that an operation left behind (`Ending`) is reported immediately, and is over when a later
operation of the same kind succeeds. A *happening*, such as a restore, is reported once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from tvarr_backup.sentences import NOTHING, Sentence

LOOKS_UNTIL_OVER = 2
REMINDER_INTERVAL = timedelta(days=1)


@dataclass(frozen=True)
class Problem:
    """A problem that a look has found.

    `key` is its group, or its group and a name, such as `location_behind:nas`. `members` are its parts, such as the names of
    damaged backups: another one makes it worse. It is reported after so many `looks` in a row.
    """

    key: str
    event: str
    message: Sentence
    members: frozenset[str] = frozenset()
    looks: int = 2

    @property
    def group(self) -> str:
        return group_of(self.key)


def group_of(key: str) -> str:
    return key.partition(":")[0]


@dataclass(frozen=True)
class Look:
    """What was found at one time. Of the groups in `judged`, a problem that is not in `problems` does not hold.

    Other groups could not be judged, so nothing is said about them. `fine` has a sentence for groups and keys without a problem.
    """

    problems: tuple[Problem, ...] = ()
    judged: frozenset[str] = frozenset()
    fine: Mapping[str, Sentence] = field(default_factory=dict)


class Effect(StrEnum):
    """What the end of an operation means for a problem."""

    BEGINS = "begins"
    ENDS = "ends"
    HAPPENS = "happens"


@dataclass(frozen=True)
class Ending:
    """The end of an operation. `cause` identifies it."""

    effect: Effect
    key: str
    event: str
    message: Sentence
    at: datetime
    cause: str


@dataclass(frozen=True)
class Held:
    """A problem that was reported and is not over. `id` is that of its row, or "" before it is stored."""

    key: str
    event: str
    message: Sentence
    since: datetime
    reminded_at: datetime
    members: frozenset[str] = frozenset()
    id: str = ""


class ChangeKind(StrEnum):
    """What has changed."""

    BEGAN = "began"
    WORSE = "worse"
    OVER = "over"
    HAPPENED = "happened"


@dataclass(frozen=True)
class Change:
    """A change of state, which is worth one message.

    `held` is the problem as it was before, if it was reported. `cause` identifies the operation that caused the change, if any.
    """

    kind: ChangeKind
    key: str
    event: str
    message: Sentence
    at: datetime
    members: frozenset[str] = frozenset()
    cause: str = ""
    held: Held | None = None


@dataclass(frozen=True)
class Found:
    """All changes in order, and the problems to remind of, if that is due.

    `pending` counts, for each key, the looks in a row that found a problem that is not reported yet, or did not find a
    reported one any more. The next call needs it.
    """

    changes: tuple[Change, ...]
    reminders: tuple[Held, ...]
    pending: Mapping[str, int]


def find_changes(
    held: Iterable[Held], look: Look, endings: Sequence[Ending], pending: Mapping[str, int], now: datetime
) -> Found:
    """Return what has changed since the last call. `held` are the problems that were reported, and `endings` are in order."""
    known = {one.key: one for one in held}
    changes: list[Change] = []
    for ending in endings:
        change = _judge_ending(ending, known)
        if change is not None:
            changes.append(change)
            _apply(change, known)
    counts = dict(pending)
    for change in _judge_look(look, known, counts, now):
        changes.append(change)
        _apply(change, known)
    return Found(tuple(changes), _find_reminders(known.values(), now), counts)


def _judge_ending(ending: Ending, known: Mapping[str, Held]) -> Change | None:
    before = known.get(ending.key)
    change = Change(
        ChangeKind.HAPPENED, ending.key, ending.event, ending.message, ending.at, cause=ending.cause, held=before
    )
    match ending.effect:
        case Effect.HAPPENS:
            return replace(change, held=None)
        case Effect.BEGINS:
            return None if before else replace(change, kind=ChangeKind.BEGAN)
        case Effect.ENDS:
            return replace(change, kind=ChangeKind.OVER, event=before.event) if before else None


def _judge_look(look: Look, known: Mapping[str, Held], counts: dict[str, int], now: datetime) -> Iterator[Change]:
    present = {problem.key: problem for problem in look.problems}
    for key in [key for key in counts if group_of(key) in look.judged and (key in present) == (key in known)]:
        del counts[key]  # what was pending is not so any more
    for problem in look.problems:
        before = known.get(problem.key)
        if before is None:
            counts[problem.key] = counts.get(problem.key, 0) + 1
            if counts[problem.key] >= problem.looks:
                del counts[problem.key]
                yield _change(ChangeKind.BEGAN, problem, now, None)
        elif problem.members - before.members:
            yield _change(ChangeKind.WORSE, problem, now, before)
    for key, before in list(known.items()):
        if key not in present and group_of(key) in look.judged:
            counts[key] = counts.get(key, 0) + 1
            if counts[key] >= LOOKS_UNTIL_OVER:
                del counts[key]
                message = look.fine.get(key, look.fine.get(group_of(key), NOTHING))
                yield Change(ChangeKind.OVER, key, before.event, message, now, held=before)


def _change(kind: ChangeKind, problem: Problem, now: datetime, before: Held | None) -> Change:
    members = problem.members | (before.members if before else frozenset())
    return Change(kind, problem.key, problem.event, problem.message, now, members, held=before)


def _apply(change: Change, known: dict[str, Held]) -> None:
    if change.kind is ChangeKind.OVER:
        del known[change.key]
    elif change.kind is ChangeKind.WORSE:
        known[change.key] = replace(known[change.key], message=change.message, members=change.members)
    elif change.kind is ChangeKind.BEGAN:
        known[change.key] = Held(change.key, change.event, change.message, change.at, change.at, change.members)


def _find_reminders(known: Iterable[Held], now: datetime) -> tuple[Held, ...]:
    """Return all problems if a reminder of one is due. The clock may have been put back since."""
    everything = tuple(known)
    is_due = any(abs(now - one.reminded_at) >= REMINDER_INTERVAL for one in everything)
    return everything if is_due else ()
