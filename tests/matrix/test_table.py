"""The table is complete, and has no unknown states and actions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tests.matrix.actions import ACTIONS
from tests.matrix.outcomes import Code, Expected, Outcome, read_legend, read_table
from tests.matrix.states import STATES


def left_out(
    table: Mapping[tuple[str, str], Expected], states: Iterable[str], actions: Iterable[str]
) -> set[tuple[str, str]]:
    return {(state, action) for state in states for action in actions} - table.keys()


def test_every_state_has_a_cell_for_every_action() -> None:
    assert left_out(read_table(), STATES, ACTIONS) == set()


def test_every_cell_is_about_a_state_and_an_action() -> None:
    assert {(state, action) for state, action in read_table() if state not in STATES or action not in ACTIONS} == set()


def test_a_new_state_or_action_without_cells_is_found() -> None:
    table = read_table()
    assert len(left_out(table, [*STATES, "on fire"], ACTIONS)) == len(ACTIONS)
    assert len(left_out(table, STATES, [*ACTIONS, "compare"])) == len(STATES)


def test_every_word_of_the_legend_is_used() -> None:
    used = {expected.words for expected in read_table().values()}
    assert set(read_legend()) == used


_DOCUMENT = """
| In the tables | Code | Meaning |
|---|---|---|
| works | `works` | Done |
| refused: locked | `refused: database_busy` | Wait |

| State | list | restore |
|---|---|---|
| locked[^1] | works | {} |
"""


@pytest.mark.parametrize(
    ("cell", "outcome", "is_met"),
    [
        ("refused: locked", Outcome(Code.REFUSED, "database_busy"), True),
        ("refused: locked", Outcome(Code.REFUSED, "internal_error"), False),
        ("refused: locked", Outcome(Code.WORKS), False),
        ("works", Outcome(Code.WORKS), True),
        ("works", Outcome(Code.WRONG), False),
    ],
)
def test_a_cell_is_met_by_its_outcome_alone(tmp_path: Path, cell: str, outcome: Outcome, is_met: bool) -> None:
    document = tmp_path / "matrix.md"
    document.write_text(_DOCUMENT.format(cell))
    assert read_table(document)["locked", "restore"].is_met(outcome) is is_met


def test_a_word_that_the_legend_does_not_have_is_found(tmp_path: Path) -> None:
    document = tmp_path / "matrix.md"
    document.write_text(_DOCUMENT.format("perhaps"))
    with pytest.raises(AssertionError, match="“perhaps” is not in the legend"):
        read_table(document)
