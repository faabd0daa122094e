"""Every operation with the power cut at each of its file calls, and just after it has said that it is done.

What the disk may hold then is worked out by `power.py`. After each power cut come recovery and everything that must be
true after a crash; and what had been reported as done must be done.
"""

from __future__ import annotations

import pytest

from tests.faults.figures import Figures
from tests.faults.harness import Bench
from tests.faults.world import CASES, Case

pytestmark = pytest.mark.long


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_power_cut_leaves_all_or_nothing_and_takes_nothing_back(case: Case, bench: Bench, figures: Figures) -> None:
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
