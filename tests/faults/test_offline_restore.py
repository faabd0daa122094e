"""An offline restore with a kill, an error or a power cut at each of its file calls."""

from __future__ import annotations

import pytest

from tests.faults.figures import Figures
from tests.faults.harness import Bench
from tests.faults.offline_restores import DAMAGES, OfflineRestores

pytestmark = pytest.mark.long

_WITHOUT_LINKS = "restore offline, without links"


@pytest.mark.parametrize("fault", ["kill", "torn", "ENOSPC", "EIO", "full", "dead"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_fault_at_any_call_leaves_the_old_files_or_the_new_content(
    damage: str, fault: str, bench: Bench, figures: Figures
) -> None:
    wrong: list[str] = []
    for answer, content, found in OfflineRestores(bench, damage).sweep("any", fault):
        outcome = {answer.ended: 1, content: 1}
        figures.count(f"faults in an offline restore, {damage}", fault, points=1, violations=len(found), **outcome)
        wrong += found
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("call", ["read", "pread", "opendir"])
def test_so_does_a_read_that_fails(call: str, bench: Bench, figures: Figures) -> None:
    wrong: list[str] = []
    for answer, content, found in OfflineRestores(bench, "garbage").sweep(call, "EIO"):
        outcome = {answer.ended: 1, content: 1}
        figures.count("reads that fail in an offline restore", call, points=1, violations=len(found), **outcome)
        wrong += found
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("fault", ["kill", "EIO"])
@pytest.mark.parametrize("damage", ["garbage", "missing"])
def test_so_does_a_fault_where_there_are_no_hard_links(damage: str, fault: str, bench: Bench, figures: Figures) -> None:
    wrong: list[str] = []
    for answer, content, found in OfflineRestores(bench, damage, _WITHOUT_LINKS).sweep("any", fault):
        outcome = {answer.ended: 1, content: 1}
        row = f"{damage}, {fault}"
        figures.count(
            "faults in an offline restore without hard links", row, points=1, violations=len(found), **outcome
        )
        wrong += found
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("damage", DAMAGES)
def test_recovery_can_be_killed_at_any_call(damage: str, bench: Bench, figures: Figures) -> None:
    wrong: list[str] = []
    for found in OfflineRestores(bench, damage).kills_in_recovery():
        figures.count("kills in the recovery of an offline restore", damage, points=1, violations=len(found))
        wrong += found
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("operation", ["restore offline", _WITHOUT_LINKS])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_power_cut_leaves_the_old_files_or_the_new_content(
    damage: str, operation: str, bench: Bench, figures: Figures
) -> None:
    restores, wrong = OfflineRestores(bench, damage, operation), []
    row = damage if operation == "restore offline" else f"{damage}, without hard links"
    for done, found in restores.cuts():
        wrong += found
        figures.count(
            "power cuts in an offline restore", row, states=1, of_them_after_success=int(done), violations=len(found)
        )
    figures.count("power cuts in an offline restore", row, left_out=restores.left_out)
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("damage", DAMAGES)
def test_so_does_one_in_the_recovery_of_a_killed_one(damage: str, bench: Bench, figures: Figures) -> None:
    """Killed at each call after which the new database is ready."""
    restores, wrong = OfflineRestores(bench, damage), []
    for killed in restores.kills_when_ready():
        for done, found in restores.cuts(killed=killed):
            wrong += [f"killed at {killed}, {sentence}" for sentence in found]
            figures.count(
                "power cuts in the recovery of an offline restore",
                damage,
                states=1,
                of_them_after_success=int(done),
                violations=len(found),
            )
    assert not wrong, "\n".join(wrong[:20])
