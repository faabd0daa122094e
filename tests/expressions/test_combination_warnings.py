"""Warnings about filters and rules together, and about counts."""

from pathlib import Path

import pytest

from tvarr_backup.expressions import Domain
from tvarr_backup.expressions.combination_warnings import (
    CombinationCode,
    CombinationWarning,
    MatchCount,
    warn_about_count,
    warn_about_filters,
    warn_about_program,
    warn_about_rules,
)
from tvarr_backup.expressions.evaluate import Outcome, compile_expression
from tvarr_backup.expressions.failures import FailureCode
from tvarr_backup.expressions.filter_stage import FilterAction, FilterUse
from tvarr_backup.expressions.mapping_stage import MappingRule

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "evaluation.md").read_text(encoding="utf-8")
STREAM, EPG, MAPPING = Domain.STREAM_FILTER, Domain.EPG_FILTER, Domain.STREAM_MAPPING
INCLUDE = FilterUse("true", STREAM, FilterAction.INCLUDE, 1)
EXCLUDE = FilterUse("false", STREAM, FilterAction.EXCLUDE)
OFF = FilterUse("true", STREAM, FilterAction.INCLUDE, is_active=False)
BLANK = FilterUse("  ", STREAM, FilterAction.INCLUDE)
PROGRAMMES = FilterUse("true", EPG, FilterAction.INCLUDE)
SETS = MappingRule('true SET tvg_name = "a"', MAPPING)
STOPS = MappingRule("false", MAPPING, stop_on_match=True)
SETS_PROGRAMMES = MappingRule("true", Domain.EPG_MAPPING)


def brief(warnings: tuple[CombinationWarning, ...]) -> list[tuple[str, tuple[int, ...]]]:
    assert all(warning.message.endswith(".") for warning in warnings)
    return [(warning.code.value, warning.positions) for warning in warnings]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], []),
        ([INCLUDE], []),
        ([OFF], []),
        ([EXCLUDE], [("only_excludes", (0,))]),
        ([OFF, EXCLUDE, EXCLUDE], [("only_excludes", (1, 2))]),
        ([EXCLUDE, PROGRAMMES], [("only_excludes", (0, 1)), ("no_programmes_yet", (1,))]),
        ([PROGRAMMES], [("only_programme_filters", (0,)), ("no_programmes_yet", (0,))]),
        ([INCLUDE, PROGRAMMES], [("no_programmes_yet", (1,))]),
        ([BLANK], [("only_blank_filters", (0,))]),
        ([BLANK, INCLUDE], []),
        ([INCLUDE, EXCLUDE], [("included_again", (1, 0))]),
        ([FilterUse("true", STREAM, FilterAction.INCLUDE), FilterUse("false", STREAM, FilterAction.EXCLUDE, 1)], []),
    ],
)
def test_filters_of_a_proxy(filters: list[FilterUse], expected: list[tuple[str, tuple[int, ...]]]) -> None:
    assert brief(warn_about_filters(filters)) == expected


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([SETS, SETS], []),
        ([STOPS], []),
        ([SETS, STOPS], [("shared_stop", (1,))]),
        ([SETS, MappingRule("false", MAPPING, is_enabled=False, stop_on_match=True)], []),
        ([SETS_PROGRAMMES, STOPS], [("shared_stop", (1,)), ("no_programmes_yet", (0,))]),
    ],
)
def test_all_mapping_rules(rules: list[MappingRule], expected: list[tuple[str, tuple[int, ...]]]) -> None:
    assert brief(warn_about_rules(rules)) == expected


@pytest.mark.parametrize(
    ("text", "domain", "expected"),
    [
        ('name = "5"', STREAM, []),
        ("tvg_id > 5 OR tvg_id < 3 AND name > 1", STREAM, [{"field": "tvg_id"}, {"field": "name"}]),
        ("  ", MAPPING, []),
    ],
)
def test_comparisons_of_numbers_name_their_fields(text: str, domain: Domain, expected: list[dict[str, str]]) -> None:
    warnings = warn_about_program(compile_expression(text, domain))

    assert [warning.facts for warning in warnings] == expected
    assert {warning.code for warning in warnings} <= {CombinationCode.EMPTY_NUMBER}


@pytest.mark.parametrize(
    ("outcomes", "action", "expected"),
    [
        ([], None, []),
        ([True, False], None, []),
        ([False, False], None, [("matches_nothing", {"rows": 2})]),
        ([True, True], None, [("matches_everything", {"rows": 2})]),
        ([True, None], None, [("fails", {"failure": "bad_regex", "rows": 1, "of": 2})]),
        (
            [None, None],
            FilterAction.EXCLUDE,
            [("failing_exclude", {"failure": "bad_regex", "rows": 2, "of": 2}), ("matches_nothing", {"rows": 2})],
        ),
    ],
)
def test_counts_give_warnings(
    outcomes: list[bool | None], action: FilterAction | None, expected: list[tuple[str, dict[str, int | str]]]
) -> None:
    count = MatchCount()
    for matches in outcomes:
        count.add(Outcome(matches, FailureCode.BAD_REGEX if matches is None else None))

    found = warn_about_count(compile_expression("true", STREAM), count, action)

    assert [(warning.code.value, warning.facts) for warning in found] == expected


def test_the_page_lists_every_warning_and_failure() -> None:
    assert [code for code in (*CombinationCode, *FailureCode) if f"| `{code}` |" not in PAGE] == []
