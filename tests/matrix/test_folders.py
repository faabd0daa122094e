"""Cells of the matrix."""

from __future__ import annotations

import pytest

from tests.matrix.conftest import Cell, cells_of
from tests.matrix.states import FOLDER

pytestmark = pytest.mark.sqlite


@cells_of(FOLDER)
def test_every_action_comes_out_as_the_table_says(cell: Cell, state: str, action: str) -> None:
    cell(state, action)
