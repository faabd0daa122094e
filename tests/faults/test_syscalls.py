"""Every operation with a kill or an error at each of its file calls.

A preloaded library (`shim.c`) causes the faults in forks of a process that has imported everything. A point takes 10 ms, or
40 ms with all checks, so no call is left out. strace must start a program for each point, is ten times as slow, and also
stops at the interpreter's own calls. It checks a sample, in which no call can be missed (`test_strace.py`).

The faults: `kill` ends the process before the call, `torn` half-way through a write or just after another call, `ENOSPC` and
`EIO` fail it once, `full` fails it and all later calls that need room, `dead` all later calls.
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
