"""The percentage of a whole operation, and the step that an operation has reached."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvarr_backup.backups.progress import Phase
from tvarr_backup.operations.kinds import KINDS, Percentage, current_step
from tvarr_backup.operations.models import Operation, OperationKind, Origin
from tvarr_backup.operations.run import run_here

NUMBERS = st.integers(-10, 10_000)
REPORTS = st.lists(st.tuples(st.sampled_from(Phase), NUMBERS, NUMBERS))
ITEMS = st.lists(REPORTS, min_size=1, max_size=5)


def percentages(kind: OperationKind, *reports: tuple[Phase, int, int]) -> list[int]:
    """The percentage after each report."""
    percentage = Percentage(kind)
    return [percentage.report(*report) for report in reports]


@pytest.mark.parametrize("kind", [kind for kind in OperationKind if KINDS[kind].steps])
def test_the_shares_of_a_kind_add_up_to_a_hundred(kind: OperationKind) -> None:
    assert sum(step.share for step in KINDS[kind].steps) == 100


@given(st.sampled_from(OperationKind), ITEMS)
def test_it_never_goes_back_and_is_a_hundred_for_no_report(
    kind: OperationKind, items: list[list[tuple[Phase, int, int]]]
) -> None:
    percentage, values = Percentage(kind), [0]
    for number, reports in enumerate(items, start=1):
        percentage.begin_item(number, len(items))
        values += [percentage.report(*report) for report in reports]
    assert all(before <= after for before, after in pairwise(values))
    assert max(values) < 100


def test_the_phases_of_a_backup_follow_one_another() -> None:
    reports = [(Phase.COPY, 50, 100), (Phase.COPY, 100, 100), (Phase.PACK, 50, 100), (Phase.PUBLISH, 0, 1)]
    assert percentages(OperationKind.BACKUP, *reports) == [25, 50, 70, 93]


def test_a_phase_without_a_size_counts_when_the_next_step_begins() -> None:
    reports = [(Phase.PACK, 100, 100), (Phase.CHECK, 0, 0), (Phase.PUBLISH, 0, 0)]
    assert percentages(OperationKind.BACKUP, *reports) == [90, 90, 93]


def test_a_restore_may_take_its_safety_copy_three_times() -> None:
    reports = [
        (Phase.UNPACK, 10, 10),
        (Phase.CHECK, 0, 10),
        (Phase.SAFETY, 10, 10),
        (Phase.CHECK, 0, 10),
        (Phase.SAFETY, 1, 10),
        (Phase.REPLACE, 0, 10),
        (Phase.SAFETY, 1, 10),
        (Phase.REPLACE, 10, 10),
        (Phase.CHECK, 0, 0),
        (Phase.PACK, 10, 10),
        (Phase.CHECK, 0, 10),
    ]
    assert percentages(OperationKind.RESTORE, *reports) == [10, 10, 32, 32, 32, 40, 40, 70, 70, 82, 82]


def test_each_of_several_backups_has_an_equal_share() -> None:
    percentage, found = Percentage(OperationKind.VERIFY), []
    for number in (1, 2, 3, 4):
        percentage.begin_item(number, 4)
        found += [percentage.report(Phase.UNPACK, 0, 10), percentage.report(Phase.UNPACK, 10, 10)]
    assert found == [0, 7, 25, 32, 50, 57, 75, 82]


@pytest.mark.parametrize(("percent", "step"), [(None, 0), (32, 0), (70, 2), (85, 2)])
def test_the_two_checks_of_a_restore_are_told_apart_by_the_percentage(percent: int | None, step: int) -> None:
    assert current_step(OperationKind.RESTORE, "check", percent) == step


def test_a_phase_of_no_step_is_in_the_first() -> None:
    assert current_step(OperationKind.RESTORE, "", 0) == current_step(OperationKind.DELETE, "copy", 0) == 0


@pytest.mark.django_db
def test_real_operations_report_only_phases_that_have_a_share(attached: Path, tmp_path: Path, settings: Any) -> None:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    with closing(sqlite3.connect(attached)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    reported: dict[OperationKind, list[tuple[Phase, int]]] = {}

    def do(kind: OperationKind, **arguments: Any) -> Operation:
        found = reported.setdefault(kind, [])
        watch = lambda phase, done, _total: found.append((phase, done))  # noqa: E731  # of this kind
        operation = run_here(kind, origin=Origin.COMMAND, arguments=arguments, watch=watch)
        assert operation.percent == 100
        return operation

    made = do(OperationKind.BACKUP).result
    assert made is not None
    filename = made["backup"]["filename"]
    do(OperationKind.VERIFY)
    do(OperationKind.RESTORE, filename=filename)
    with closing(sqlite3.connect(attached)) as connection:
        connection.execute("PRAGMA application_id = 7")  # the same content is not added twice
        connection.execute("VACUUM INTO ?", [str(tmp_path / "copy.db")])
    do(OperationKind.ADOPT, source=str(tmp_path / "copy.db"))
    for kind, reports in reported.items():
        assert {phase for phase, _ in reports} <= {phase for step in KINDS[kind].steps for phase in step.shares}
        assert all(before <= after for (_, before), (_, after) in pairwise(reports))
