"""Every operation, ended or failed at every one of its calls that touch a file.

The sweep is done by a preloaded library (`shim.c`) in forks of a process that has everything imported: a point costs
some 10 ms, 40 with all that is then looked at, and so no call is left out. strace has to start a program anew for each
point, ten times as slow, and cannot tell the calls on the folder of a case from the interpreter's own; it is used for a
sample that crosses the same calls in the kernel, where nothing can pass it by, and for counting them
(`test_strace.py`).

What is thrown at each call: `kill` ends the process before it, `torn` half-way through a write or just after another
call, `ENOSPC` and `EIO` fail it once, `full` lets it and all later ones that need room fail, `dead` all later ones.
"""

from __future__ import annotations

import pytest

from tests.faults.driver import COUNTED
from tests.faults.figures import Figures
from tests.faults.harness import Bench
from tests.faults.world import CASES, Case

pytestmark = pytest.mark.long

READING = ("read", "pread", "opendir")
CALLS = [call for call in COUNTED if call != "any"]
FAULTS = {
    call: ("EIO", "dead") if call in READING else ("kill", "torn", "ENOSPC", "EIO", "full", "dead") for call in CALLS
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_at_any_call_leaves_all_or_nothing(case: Case, call: str, bench: Bench, figures: Figures) -> None:
    wrong, bench = [], bench.on_disk_of(case)
    for fault in FAULTS[call]:
        before = bench.recoveries
        for answer, found in bench.sweep(case, call, fault):
            wrong += found
            figures.count("faults at every call", case.name, points=1, violations=len(found))
            figures.count("how operations ended", fault, **{answer.ended: 1})
        figures.count("faults at every call", case.name, recoveries=bench.recoveries - before)
    assert not wrong, "\n".join(wrong)
