"""A restore, ended or failed at every one of its calls that touch a file: before or after, and always a way back."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import pytest

from tests.faults.driver import BACKUPS, LIVE, OLD, Answer
from tests.faults.figures import Figures
from tests.faults.harness import Bench
from tests.faults.test_syscalls import CALLS, FAULTS
from tests.faults.trees import Tree
from tests.faults.world import only_unread, rows_of

pytestmark = pytest.mark.long

KINDS = {"done", "refused", "killed"}


@pytest.mark.parametrize("call", CALLS)
def test_a_fault_at_any_call_leaves_before_or_after_and_the_way_back(call: str, bench: Bench, figures: Figures) -> None:
    wrong: list[str] = []
    for fault in FAULTS[call]:
        number = 0
        while True:
            number += 1
            answer, tree = bench.run(
                "restore", bench.world.clean, watch=str(bench.root), call=call, number=number, fault=fault
            )
            if not answer.fired:
                break
            after, found = _look(bench, answer, tree)
            figures.count(
                "faults at every call of a restore",
                fault,
                points=1,
                violations=len(found),
                **{answer.ended: 1, after: 1},
            )
            wrong += [f"{fault} at {call} {number}: {sentence}" for sentence in found]
    assert not wrong, "\n".join(wrong[:20])


def test_recovery_of_a_restore_can_be_killed_at_any_call(bench: Bench, figures: Figures) -> None:
    """From every state that a kill can leave once the new content is in place, and then once more."""
    states: dict[int, Tree] = {}
    number = 0
    while True:
        number += 1
        answer, tree = bench.run(
            "restore", bench.world.clean, watch=str(bench.root), call="any", number=number, fault="kill"
        )
        if not answer.fired:
            break
        if _content(bench, tree) == "after":
            states[number] = tree
    assert states
    wrong = []
    chosen = [*states.values()][:: max(1, len(states) // 8)]
    for state in chosen:
        number = 0
        while True:
            number += 1
            answer, tree = bench.run("settle", state, watch=str(bench.root), call="any", number=number, fault="kill")
            if not answer.fired:
                break
            _after, found = _look(bench, answer, tree, settled=True)
            figures.count("kills in the recovery of a restore", "kill", points=1, violations=len(found))
            wrong += [f"kill at {number}: {sentence}" for sentence in found]
    assert not wrong, "\n".join(wrong[:20])


def _look(bench: Bench, answer: Answer, tree: Tree, *, settled: bool = False) -> tuple[str, list[str]]:
    """What the live database holds now, and what is wrong: before recovery, after it, and after another."""
    after = _content(bench, tree)
    wrong = [] if after in ("before", "after") else [f"the live database holds {after}"]
    if answer.ended not in KINDS:
        wrong.append(f"it {answer.ended}: {answer.said}")
    if not settled and answer.ended == "done" and after != "after":
        wrong.append("it said it was done, but is not")
    if answer.ended == "refused" and after == "after" and "is kept as" not in answer.said:
        wrong.append(f"it said “{answer.said}”, but it has happened")
    for _ in range(2):
        recovery, tree = bench.run("settle", None)
        if recovery.ended != "done":
            return after, [*wrong, f"recovery {recovery.ended}: {recovery.said}"]
        if _content(bench, tree) != after:
            wrong.append("recovery has changed the live database")
        wrong += _kept(bench, tree, recovery.result["listed"]["backups"], after)
        left = [name for name in tree if name.startswith(f"{BACKUPS}/.work/")]
        wrong += [f"left in .work: {left}"] if left else []
    return after, wrong


def _content(bench: Bench, tree: Tree) -> str:
    journal = tree.get(f"{LIVE}-wal")
    rows = rows_of(tree[str(LIVE)].data or b"", (journal.data if journal else None) or b"", bench.judge.scratch)
    if rows == bench.world.live_rows:
        return "before"
    return "after" if rows == _archived(bench, bench.world.old[OLD[1]][0]) else f"neither: {rows[:3]}"


def _kept(bench: Bench, tree: Tree, listed: Mapping[str, Any], after: str) -> list[str]:
    """The older backups as they were; and what was live, whole and protected, if it is not live any more."""
    wrong = []
    for name, (archive, _sidecar) in bench.world.old.items():
        there = tree.get(f"{BACKUPS}/{name}")
        if name not in listed or there is None or there.data != archive:
            wrong.append(f"{name} is no longer what it was")
    new = [name for name in listed if name not in bench.world.old]
    if len(new) != (after == "after"):
        return [*wrong, f"the live database is as {after}, and there are new backups {new}"]
    for name in new:
        if (listed[name]["protected"], listed[name]["kind"]) != (True, "pre_restore"):
            wrong.append(f"the copy of before is {listed[name]}")
        if not only_unread(listed[name]["problems"] or []):
            wrong.append(f"the copy of before is called damaged: {listed[name]['problems']}")
        if _archived(bench, tree[f"{BACKUPS}/{name}"].data or b"") != bench.world.live_rows:
            wrong.append("the copy of before does not hold all that was acknowledged")
    return wrong


def _archived(bench: Bench, archive: bytes) -> Any:
    return rows_of(zlib.decompress(archive, 31), b"", bench.judge.scratch)
