"""The whole matrix through processes and the API, and states that take long or need mounted disks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.matrix.actions import ACTIONS
from tests.matrix.conftest import Cell, cells_of
from tests.matrix.entrances import Entrance
from tests.matrix.states import APP, FOLDER, TVARR

pytestmark = [pytest.mark.long, pytest.mark.sqlite]

_IN_EARNEST: list[tuple[str, dict[str, Any]]] = [
    ("a large write-ahead log", {"wal_bytes": 2**30}),
    ("locked for minutes", {"patience": 30.0}),
    ("read by another program for minutes", {"patience": 30.0}),
    ("app.db locked", {"patience": 20.0}),
    ("thousands of backups", {"backups": 10_000}),
    ("no hard links", {"is_on_real_disks": True}),
    ("disk not mounted", {"is_on_real_disks": True}),
]


@cells_of(TVARR, APP, FOLDER)
def test_every_process_comes_out_as_the_table_says(cell: Cell, state: str, action: str) -> None:
    cell(state, action, Entrance.PROCESS)


@cells_of(TVARR, FOLDER)
def test_every_call_comes_out_as_the_table_says(cell: Cell, state: str, action: str) -> None:
    cell(state, action, Entrance.API)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(("state", "size"), _IN_EARNEST, ids=[state for state, _ in _IN_EARNEST])
def test_a_state_in_its_real_size_comes_out_as_the_table_says(
    cell: Cell, state: str, size: dict[str, Any], action: str
) -> None:
    cell(state, action, **size)
