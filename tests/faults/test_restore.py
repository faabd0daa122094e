"""A restore with a kill or an error at each of its file calls: the old data or the new, and always a way to undo it."""

from __future__ import annotations

import pytest

from tests.faults.driver import LIVE
from tests.faults.figures import Figures
from tests.faults.harness import Bench
from tests.faults.restores import Restores, with_name_taken
from tests.faults.test_syscalls import CALLS, FAULTS

pytestmark = pytest.mark.long


@pytest.mark.parametrize("call", CALLS)
def test_a_fault_at_any_call_leaves_before_or_after_and_the_way_back(call: str, bench: Bench, figures: Figures) -> None:
    wrong: list[str] = []
    for fault in FAULTS[call]:
        for answer, content, found in Restores(bench).sweep(call, fault):
            figures.count(
                "faults at every call of a restore",
                fault,
                points=1,
                violations=len(found),
                **{answer.ended: 1, content: 1},
            )
            wrong += found
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("fault", ["kill", "EIO", "full"])
def test_so_does_one_while_another_process_has_the_database_open_that_is_killed_later(
    fault: str, bench: Bench, figures: Figures
) -> None:
    wrong: list[str] = []
    for answer, content, found in Restores(bench).sweep("any", fault, other="has it open"):
        figures.count(
            "faults in a restore while another process has the database open",
            fault,
            points=1,
            violations=len(found),
            **{answer.ended: 1, content: 1},
        )
        wrong += found
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("call", ["any", "pread"])
def test_so_does_one_for_which_only_the_disk_of_the_live_database_fails(
    call: str, bench: Bench, figures: Figures
) -> None:
    wrong: list[str] = []
    for answer, content, found in Restores(bench).sweep(call, "dead", below=LIVE.parent):
        figures.count(
            "faults of the live database's disk alone",
            f"dead at {call}",
            points=1,
            violations=len(found),
            **{answer.ended: 1, content: 1},
        )
        wrong += found
    assert not wrong, "\n".join(wrong[:20])


def test_nobody_else_works_in_the_folder_meanwhile(bench: Bench) -> None:
    answer, tree = bench.run("restore, disturbed", bench.world.clean)
    assert (answer.ended, Restores(bench).content(tree)) == ("done", "after")
    assert answer.result == {"let in": [], "kept out": ["check", "pack", "replace", "safety copy", "unpack"]}


def test_what_was_there_is_put_back_where_the_new_content_does_not_pass_its_check(bench: Bench) -> None:
    answer, tree = bench.run("restore, spoilt once", bench.world.clean)
    assert answer.ended == "refused"
    assert "so the previous data was put back" in answer.said
    assert Restores(bench).look(tree, answer, must="before") == []


def test_what_was_there_is_kept_where_what_is_put_back_does_not_pass_it_either(bench: Bench) -> None:
    assert Restores(bench).spoilt_twice() == []


def test_recovery_of_a_restore_can_be_killed_at_any_call(bench: Bench, figures: Figures) -> None:
    """From every eighth of the states that a kill can leave once the new content is in place."""
    restores = Restores(bench)
    states = [tree for _, tree in restores.kills("any")]
    assert states
    wrong = []
    for state in states[:: max(1, len(states) // 8)]:
        for found in restores.sweep_recovery(state):
            figures.count("kills in the recovery of a restore", "kill", points=1, violations=len(found))
            wrong += found
    assert not wrong, "\n".join(wrong[:20])


def test_so_can_one_whose_copy_of_before_finds_its_name_taken(bench: Bench, figures: Figures) -> None:
    """It may then be published twice, but not lost."""
    restores = Restores(bench)
    (_, state), *_ = restores.kills("fdatasync")
    wrong = []
    for found in restores.sweep_recovery(with_name_taken(state), copies=2):
        figures.count("kills in the recovery of a restore", "kill, name taken", points=1, violations=len(found))
        wrong += found
    assert not wrong, "\n".join(wrong[:20])
