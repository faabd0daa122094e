"""Changes of state: tables of what was found and what is reported, and properties of all sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvarr_backup.operations.alerts import (
    Change,
    ChangeKind,
    Effect,
    Ending,
    Found,
    Held,
    Look,
    Problem,
    find_changes,
)
from tvarr_backup.sentences import Sentence

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
GROUPS = frozenset({"worker", "backups", "location_behind"})
BEGAN, WORSE, OVER, HAPPENED = ChangeKind


def problem(key: str, *members: str, looks: int = 1) -> Problem:
    return Problem(key, "an_event", Sentence("It is bad."), frozenset(members), looks)


def found_now(*problems: Problem, judged: frozenset[str] = GROUPS) -> Look:
    return Look(problems, judged, {"worker": Sentence("A worker runs.")})


def ended(effect: Effect, number: int = 1) -> Ending:
    return Ending(effect, "operation_backup", "backup_failed", Sentence("It ended."), NOON, f"operation {number}")


class History:
    """Feeds looks and endings to the engine, and remembers what it said."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        self.pending: Mapping[str, int] = {}
        self.now = NOON
        self.changes: list[Change] = []

    def feed(
        self, look: Look | None = None, endings: Sequence[Ending] = (), *, later: timedelta | None = None
    ) -> Found:
        self.now += timedelta(seconds=10) if later is None else later
        found = find_changes(self.held.values(), look or Look(), endings, self.pending, self.now)
        self.pending = found.pending
        for change in found.changes:
            self._store(change)
        if found.reminders:
            self.held = {key: Held(**vars(one) | {"reminded_at": self.now}) for key, one in self.held.items()}
        self.changes += found.changes
        return found

    def _store(self, change: Change) -> None:
        if change.kind is OVER:
            del self.held[change.key]
        elif change.kind is not HAPPENED:
            since = change.held.since if change.held else change.at
            self.held[change.key] = Held(change.key, change.event, change.message, since, since, change.members)

    @property
    def kinds(self) -> list[str]:
        return [str(change.kind) for change in self.changes]


WORKER, OTHER = problem("worker"), problem("location_behind:nas")
NO_LOOK = Look()
FINE = found_now()
TABLE: dict[str, tuple[list[Look], list[str]]] = {
    "nothing": ([FINE, FINE], []),
    "it begins": ([found_now(WORKER)], ["began"]),
    "it lasts": ([found_now(WORKER)] * 5, ["began"]),
    "it ends": ([found_now(WORKER), FINE, FINE, FINE], ["began", "over"]),
    "it is gone for one look": ([found_now(WORKER), FINE, found_now(WORKER), FINE], ["began"]),
    "it comes again": ([found_now(WORKER), FINE, FINE, found_now(WORKER)], ["began", "over", "began"]),
    "it could not be judged": ([found_now(WORKER), NO_LOOK, NO_LOOK, NO_LOOK], ["began"]),
    "two": ([found_now(WORKER, OTHER), found_now(OTHER), found_now(OTHER)], ["began", "began", "over"]),
    "it must last for two looks": (
        [found_now(problem("worker", looks=2)), FINE] * 3 + [found_now(problem("worker", looks=2))] * 2,
        ["began"],
    ),
    "what could not be judged does not reset the count": (
        [found_now(problem("worker", looks=2)), NO_LOOK, found_now(problem("worker", looks=2))],
        ["began"],
    ),
    "another member": (
        [found_now(problem("backups", "a")), found_now(problem("backups", "a", "b"))],
        ["began", "worse"],
    ),
    "a member less": ([found_now(problem("backups", "a", "b")), found_now(problem("backups", "b"))], ["began"]),
    "a member comes back": (
        [
            found_now(problem("backups", "a", "b")),
            found_now(problem("backups", "b")),
            found_now(problem("backups", "a")),
        ],
        ["began"],
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_changes_of_looks(name: str) -> None:
    looks, expected = TABLE[name]
    history = History()
    for look in looks:
        history.feed(look)
    assert history.kinds == expected


BEGINS, ENDS, HAPPENS = Effect
ENDINGS: dict[str, tuple[list[list[Effect]], list[str]]] = {
    "a failure": ([[BEGINS]], ["began"]),
    "three failures in a row": ([[BEGINS], [BEGINS, BEGINS]], ["began"]),
    "a success without a failure": ([[ENDS]], []),
    "a success after a failure": ([[BEGINS], [], [ENDS], [ENDS]], ["began", "over"]),
    "both at once": ([[BEGINS, ENDS]], ["began", "over"]),
    "a success, then a failure": ([[ENDS, BEGINS]], ["began"]),
    "happenings": ([[HAPPENS, HAPPENS], [HAPPENS]], ["happened"] * 3),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_the_changes_of_operations(name: str) -> None:
    rounds, expected = ENDINGS[name]
    history = History()
    for effects in rounds:
        history.feed(endings=[ended(effect, number) for number, effect in enumerate(effects)])
    assert history.kinds == expected


def test_a_look_does_not_end_what_an_operation_began() -> None:
    history = History()
    history.feed(endings=[ended(BEGINS)])
    for _ in range(3):
        history.feed(FINE)
    assert history.kinds == ["began"]


def test_the_end_says_what_it_was_and_what_is_so_now() -> None:
    history = History()
    history.feed(found_now(WORKER))
    history.feed(FINE)
    history.feed(FINE)
    over = history.changes[-1]
    assert (over.message, over.held and over.held.message) == ("A worker runs.", "It is bad.")
    assert over.held is not None
    assert over.held.since == NOON + timedelta(seconds=10)


# --- Reminders -------------------------------------------------------------------------------------------------------


def test_a_problem_that_lasts_is_due_for_a_reminder_once_a_day() -> None:
    history = History()
    history.feed(found_now(WORKER))
    reminded = [bool(history.feed(found_now(WORKER), later=timedelta(hours=1)).reminders) for _ in range(72)]
    assert [number for number, is_due in enumerate(reminded, start=1) if is_due] == [24, 48, 72]


def test_all_problems_are_in_one_reminder() -> None:
    history = History()
    history.feed(found_now(WORKER))
    history.feed(found_now(WORKER, OTHER), later=timedelta(hours=5))
    assert len(history.feed(found_now(WORKER, OTHER), later=timedelta(hours=20)).reminders) == 2
    assert not history.feed(found_now(WORKER, OTHER), later=timedelta(hours=20)).reminders


def test_a_clock_that_jumps_reminds_once_and_changes_nothing_else() -> None:
    history = History()
    history.feed(found_now(WORKER))
    for jump in (timedelta(days=-400), timedelta(days=400)):
        assert history.feed(found_now(WORKER), later=jump).reminders
        assert not history.feed(found_now(WORKER)).reminders
    assert history.kinds == ["began"]


# --- Properties ------------------------------------------------------------------------------------------------------

KEYS = ("worker", "backups", "location_behind:nas", "location_behind:attic")
looks = st.builds(
    lambda present, judged, looks: Look(
        tuple(problem(key, looks=looks[key]) for key in sorted(present)), frozenset(judged), {}
    ),
    st.sets(st.sampled_from(KEYS)),
    st.one_of(st.just(GROUPS), st.sets(st.sampled_from(sorted(GROUPS)))),
    st.fixed_dictionaries({key: st.integers(1, 4) for key in KEYS}),
)
endings = st.lists(st.sampled_from(Effect), max_size=3)
jumps = st.integers(-(10**6), 10**6).map(lambda seconds: timedelta(seconds=seconds))
rounds = st.lists(st.tuples(looks, endings, jumps), max_size=10)


@given(rounds)
def test_for_each_problem_begin_and_end_alternate(played: list[tuple[Look, list[Effect], timedelta]]) -> None:
    history = History()
    for look, effects, jump in played:
        history.feed(look, [ended(effect, number) for number, effect in enumerate(effects)], later=jump)
    for key in (*KEYS, "operation_backup"):
        kinds = [change.kind for change in history.changes if change.key == key and change.kind in (BEGAN, OVER)]
        assert kinds == [BEGAN, OVER] * (len(kinds) // 2) + [BEGAN] * (len(kinds) % 2)
        assert (key in history.held) == (len(kinds) % 2 == 1)


@given(rounds)
def test_each_happening_is_reported_once(played: list[tuple[Look, list[Effect], timedelta]]) -> None:
    history = History()
    for look, effects, jump in played:
        history.feed(look, [ended(effect) for effect in effects], later=jump)
    assert history.kinds.count("happened") == sum(effects.count(HAPPENS) for _look, effects, _jump in played)


@given(rounds, looks)
def test_after_enough_equal_looks_exactly_the_present_problems_hold(
    played: list[tuple[Look, list[Effect], timedelta]], last: Look
) -> None:
    history = History()
    for look, _effects, jump in played:
        history.feed(look, later=jump)
    last = Look(last.problems, GROUPS)
    for _ in range(5):
        history.feed(last)
    assert set(history.held) == {one.key for one in last.problems}
    assert not history.feed(last).changes


@given(rounds)
def test_the_same_state_is_never_reported_twice(played: list[tuple[Look, list[Effect], timedelta]]) -> None:
    history = History()
    for look, _effects, jump in played:
        history.feed(look, later=jump)
        for _ in range(5):
            history.feed(look)
        assert not history.feed(look).changes
