"""Every operation with a power cut at each of its file calls, and right after it has succeeded.

What the disk may hold then is worked out by `power.py`. After each power cut come recovery and everything that must be
true after a crash; and what had been reported as done must be done.
"""

from __future__ import annotations

import pytest

from tests.faults.figures import Figures
from tests.faults.harness import Bench
from tests.faults.restores import OTHERS, Restores, with_name_taken
from tests.faults.world import CASES, Case

pytestmark = pytest.mark.long


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_power_cut_leaves_all_or_nothing_and_takes_nothing_back(case: Case, bench: Bench, figures: Figures) -> None:
    bench = bench.on_disk_of(case)
    answer, cuts = bench.record(case.operation, case.start(bench.world))
    assert answer.ended == "done", answer.said
    wrong = []
    for when, done, tree in cuts:
        found = bench.look(case, tree, answer if done else None)
        wrong += [f"{when}: {sentence}" for sentence in found]
        figures.count(
            "power cuts", case.name, calls=0, states=1, of_them_after_success=int(done), violations=len(found)
        )
    figures.count("power cuts", case.name, calls=answer.counts["any"])
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if not case.hard_links and case.operation in ("create", "protect")],
    ids=lambda case: case.name,
)
def test_one_in_the_recovery_of_a_killed_operation_does_so_too(case: Case, bench: Bench, figures: Figures) -> None:
    """Without hard links recovery completes what was renamed, and what was not synced may still be lost then."""
    wrong = []
    for when, done, found in bench.on_disk_of(case).cuts_after_kill(case):
        wrong += [f"{when}: {sentence}" for sentence in found]
        figures.count(
            "power cuts in recoveries", case.name, states=1, of_them_after_success=int(done), violations=len(found)
        )
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: other or "alone")
def test_one_in_a_restore_leaves_before_or_after_and_the_way_back(other: str, bench: Bench, figures: Figures) -> None:
    """The live database is on the disk that loses what was not synced; another process may have it open."""
    restores, wrong = Restores(bench), []
    row = f"restore, another process {other}" if other else "restore"
    for _, done, found in restores.cuts(other):
        wrong += found
        figures.count("power cuts in a restore", row, states=1, of_them_after_success=int(done), violations=len(found))
    figures.count("power cuts in a restore", row, left_out=restores.left_out)
    assert not wrong, "\n".join(wrong[:20])


def test_one_in_a_restore_that_puts_back_what_was_there_does_so_too(bench: Bench, figures: Figures) -> None:
    restores, wrong = Restores(bench), []
    for _, done, found in restores.cuts(put_back=True):
        wrong += found
        figures.count(
            "power cuts in a restore",
            "restore, put back",
            states=1,
            of_them_after_success=int(done),
            violations=len(found),
        )
    figures.count("power cuts in a restore", "restore, put back", left_out=restores.left_out)
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("other", OTHERS[:3], ids=lambda other: other or "alone")
def test_one_in_the_recovery_of_a_killed_restore_does_so_too(other: str, bench: Bench, figures: Figures) -> None:
    """Killed at each call that syncs, since then the most is not synced yet, once its content is in the files."""
    restores, wrong = Restores(bench), []
    row = f"recovery, another process {other}" if other else "recovery"
    for killed, _ in restores.kills("fsync", "fdatasync", other=other):
        for _, done, found in restores.cuts(other, killed=killed):
            wrong += [f"{killed}, {sentence}" for sentence in found]
            figures.count(
                "power cuts in a restore", row, states=1, of_them_after_success=int(done), violations=len(found)
            )
        figures.count("power cuts in a restore", row, kills=1)
    figures.count("power cuts in a restore", row, left_out=restores.left_out)
    assert not wrong, "\n".join(wrong[:20])


def test_one_in_a_recovery_whose_copy_of_before_finds_its_name_taken_does_not_lose_it(
    bench: Bench, figures: Figures
) -> None:
    restores, wrong = Restores(bench), []
    (_, state), *_ = restores.kills("fdatasync")
    for _, done, found in restores.cuts(unfinished=with_name_taken(state), copies=2):
        wrong += found
        figures.count(
            "power cuts in a restore",
            "recovery, name taken",
            states=1,
            of_them_after_success=int(done),
            violations=len(found),
        )
    figures.count("power cuts in a restore", "recovery, name taken", left_out=restores.left_out)
    assert not wrong, "\n".join(wrong[:20])
