"""Every measured evaluation: matches, error, changes and assignments."""

import json
import re
from typing import Any

import pytest

from tests.expressions.vectors import EVALUATIONS
from tvarr_backup.expressions import Domain
from tvarr_backup.expressions.cases import evaluate_case

MEMBERS = ("matches", "error", "after", "after_base64", "assigned", "honoured")
GROUPS = sorted({(case["domain"], case["group"]) for case in EVALUATIONS})


def evaluated(case: dict[str, Any]) -> dict[str, Any]:
    domain = Domain(case["domain"])
    result = evaluate_case(case["expression"], domain, case["row"], case.get("row_base64", {}))
    times = re.compile(r'"20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"')
    made = [each for each in times.findall(json.dumps(result)) if each not in json.dumps(case)]
    shown = json.dumps(result)
    for each in made:
        shown = shown.replace(each, '"<now>"')
    found: dict[str, Any] = json.loads(shown)
    return found


def test_there_are_2114_cases() -> None:
    assert len(EVALUATIONS) == 2114


@pytest.mark.parametrize(("domain", "group"), GROUPS, ids=[f"{domain}: {group}" for domain, group in GROUPS])
def test_each_case_of_a_group_agrees(domain: str, group: str) -> None:
    cases = [case for case in EVALUATIONS if (case["domain"], case["group"]) == (domain, group)]
    measured = [{member: case[member] for member in MEMBERS if member in case} for case in cases]
    ours = [evaluated(case) for case in cases]

    wrong = [
        (case["expression"], case["row"], case.get("row_base64"), found, expected)
        for case, found, expected in zip(cases, ours, measured, strict=True)
        if found != expected
    ]
    assert cases
    assert wrong == []
