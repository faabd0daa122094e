"""Every vector, at both levels: valid or not, which tree, which column."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.expressions.vectors import VECTORS
from tvarr_backup.expressions import (
    Domain,
    InvalidExpression,
    check_expression,
    parse,
    read_as_written,
    rewrite,
    tree_as_json,
)
from tvarr_backup.expressions.reading import Reading

NAMES = [f"{number}: {vector['expression']}" for number, vector in enumerate(VECTORS, start=1)]


def outcome(read: Callable[[str], Reading], text: str) -> dict[str, Any]:
    try:
        return {"valid": True, **tree_as_json(parse(read(text)).expression)}
    except InvalidExpression as error:
        return {"valid": False, "column": error.problem.column}


def test_there_are_173_vectors() -> None:
    assert len(VECTORS) == 173


@pytest.mark.parametrize("vector", VECTORS, ids=NAMES)
def test_it_reads_a_text_as_written(vector: dict[str, Any]) -> None:
    assert outcome(read_as_written, vector["expression"]) == vector["raw"]


@pytest.mark.parametrize("vector", VECTORS, ids=NAMES)
def test_it_reads_a_rewritten_text(vector: dict[str, Any]) -> None:
    assert outcome(rewrite, vector["expression"]) == vector["rewritten"]


@pytest.mark.parametrize("vector", VECTORS, ids=NAMES)
def test_a_check_follows_the_level_of_its_domain(vector: dict[str, Any]) -> None:
    domain = Domain(vector["domain"])
    expected = vector["rewritten"] if domain.is_rewritten else vector["raw"]

    check = check_expression(vector["expression"], domain)

    assert check.valid is (expected["valid"] and expected["condition"] is not None)
    assert (check.tree is not None) is check.valid
    assert bool(check.problems) is not check.valid
