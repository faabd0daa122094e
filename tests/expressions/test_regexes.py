"""Regular expressions of a file share one second of processor time; the remaining ones are not checked."""

from __future__ import annotations

import time

import pytest

from tvarr_backup.expressions import Domain, WarningCode, check_expression, limited_regexes
from tvarr_backup.validation import expression_findings

pytest.importorskip("re2")

FILTER = Domain.STREAM_FILTER


def slow_pattern(number: int) -> str:
    """An expression that takes RE2 about 20 ms."""
    return f'channel_name matches "\\\\pL{{20}}{number}"'


def codes(text: str) -> set[WarningCode]:
    return {warning.code for warning in check_expression(text, FILTER).warnings}


def test_all_patterns_within_a_limit_share_a_second() -> None:
    began = time.thread_time()
    with limited_regexes():
        found = [codes(slow_pattern(number)) for number in range(1_000)]

    assert time.thread_time() - began < 4
    assert WarningCode.UNCHECKED not in found[0]
    assert found[-1] == {WarningCode.UNCHECKED}


def test_one_expression_has_a_second_too_and_one_warning_about_the_rest() -> None:
    text = " OR ".join(slow_pattern(number) for number in range(400))
    began = time.thread_time()

    found = check_expression(text, FILTER).warnings

    assert time.thread_time() - began < 4
    assert [warning.code for warning in found] == [WarningCode.UNCHECKED]


def test_a_pattern_that_was_not_checked_in_a_file_is_checked_on_its_own() -> None:
    bad = 'channel_name matches "(((" '
    with limited_regexes():
        for number in range(1_000):
            expression_findings(slow_pattern(number + 5_000), FILTER)
        (unchecked,) = expression_findings(bad, FILTER).warnings
    (refused,) = expression_findings(bad, FILTER).warnings

    assert (unchecked.code, refused.code) == (WarningCode.UNCHECKED, WarningCode.BAD_REGEX)
