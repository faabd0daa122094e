"""A copy in a mounted folder is there as a whole or not at all, wherever its write is interrupted."""

from __future__ import annotations

import pytest

from tests.faults.copies import OPERATIONS, Copies
from tests.faults.figures import Figures
from tests.faults.harness import Bench

pytestmark = pytest.mark.long

_FAULTS = ("kill", "torn", "ENOSPC", "EIO", "full", "dead")


@pytest.mark.parametrize("fault", _FAULTS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_fault_at_any_call_leaves_a_whole_copy_or_none(
    operation: str, fault: str, bench: Bench, figures: Figures
) -> None:
    wrong = []
    for _, found in Copies(bench, operation).sweep("any", fault):
        wrong += found
        figures.count("faults in copies", f"{operation}, {fault}", points=1, violations=len(found))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_power_cut_leaves_a_whole_copy_or_none(operation: str, bench: Bench, figures: Figures) -> None:
    wrong = []
    for found in Copies(bench, operation).cuts():
        wrong += found
        figures.count("power cuts in copies", operation, trees=1, violations=len(found))
    assert not wrong, "\n".join(wrong)
