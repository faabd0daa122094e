"""The 38 expressions that tvarr installs."""

from typing import Any

import pytest

from tests.expressions.vectors import SYSTEM
from tvarr_backup.expressions import Domain, check_expression

# What is_adult, tvg_shift and country lack in these domains is true of a fresh tvarr as well.
WARNED = {
    "is_adult ==": ["empty_field"],
    "channel_name matches": ["unsaved_target", "missing_group"],
    'group_title matches "^([A-Z]': ["unsaved_target"],
    'group_title matches "(?i)': ["unsaved_target"],
}


def test_there_are_38_of_them() -> None:
    assert len(SYSTEM) == 38


@pytest.mark.parametrize("vector", SYSTEM, ids=lambda vector: str(vector["expression"])[:60])
def test_each_is_valid_and_gives_the_warnings_that_are_documented(vector: dict[str, Any]) -> None:
    text = vector["expression"]
    expected = next((codes for start, codes in WARNED.items() if text.startswith(start)), [])

    check = check_expression(text, Domain(vector["domain"]))

    assert check.valid
    assert [warning.code for warning in check.warnings] == expected


def test_an_older_form_of_a_client_rule_is_valid() -> None:
    header = "@dynamic(request.headers):user-agent"

    assert check_expression(f'{header} contains "mpv" OR {header} contains "libmpv"', Domain.CLIENT_DETECTION).valid
