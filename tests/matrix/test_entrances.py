"""A sample of the matrix as processes and through the API. `test_long` has all cells."""

from __future__ import annotations

import pytest

from tests.matrix.actions import ACTIONS
from tests.matrix.conftest import Cell
from tests.matrix.entrances import Entrance
from tests.matrix.states import APP, STATES

pytestmark = pytest.mark.sqlite

_COMMANDS = [action for action in ACTIONS if action not in {"home page", "readyz", "download", "edit", "up"}]
_CALLS = ["list", "show", "verify", "create", "restore", "protect", "delete"]
"""Actions with an API call in `entrances`; the others are commands, or use the API already."""


def _diagonal(states: list[str], actions: list[str]) -> list[tuple[str, str]]:
    """Return each action once, in states from the whole of their list."""
    return list(zip(states[:: len(states) // len(actions)], actions, strict=False))


@pytest.mark.parametrize(("state", "action"), _diagonal(list(STATES), _COMMANDS))
def test_a_process_comes_out_as_the_table_says(cell: Cell, state: str, action: str) -> None:
    cell(state, action, Entrance.PROCESS)


@pytest.mark.parametrize(
    ("state", "action"),
    [
        *_diagonal([state.name for state in STATES.values() if state.of != APP], _CALLS),
        ("folder of another user", "delete"),
    ],
)
def test_the_api_comes_out_as_the_table_says(cell: Cell, state: str, action: str) -> None:
    cell(state, action, Entrance.API)


def test_every_command_occurs() -> None:
    assert {action for _, action in _diagonal(list(STATES), _COMMANDS)} == set(_COMMANDS)
