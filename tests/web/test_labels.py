"""Row counts of two databases on pages, and why the next cleanup keeps a backup."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tvarr_backup.backups.retention import KeptReason, Period, Policy, Rule
from tvarr_backup.web.labels import describe_fate, table_changes


def _filters(before: dict[str, int], after: dict[str, int]) -> tuple[tuple[str, ...], str]:
    found = next(change for change in table_changes(before, after) if change.name == "filters")
    return found.numbers, found.difference


def test_rows_that_could_not_be_read_are_unknown() -> None:
    assert _filters({}, {"filters": 8}) == (("unknown", "8"), "unknown")


def test_a_missing_table_is_named_as_such() -> None:
    assert _filters({"channels": 1}, {"filters": 8}) == (("missing", "8"), "only in the backup")


def test_the_same_number_of_rows_is_no_claim_about_their_content() -> None:
    assert _filters({"filters": 8}, {"filters": 8}) == (("8", "8"), "same number of rows")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Rule(), "newest 7"),
        (Rule(Period.DAILY, date(2026, 11, 2)), "daily, 2 Nov 2026"),
        (Rule(Period.WEEKLY, date(2026, 11, 2)), "weekly, week 45 of 2026"),
        (Rule(Period.WEEKLY, date(2026, 12, 28)), "weekly, week 53 of 2026"),
        (Rule(Period.WEEKLY, date(2024, 12, 30)), "weekly, week 1 of 2025"),
        (Rule(Period.MONTHLY, date(2026, 11, 1)), "monthly, November 2026"),
        (Rule(Period.YEARLY, date(2026, 1, 1)), "yearly, 2026"),
    ],
)
def test_a_rule_names_its_number_or_its_period(rule: Rule, words: str) -> None:
    assert describe_fate(KeptReason.WITHIN_LIMITS, [rule], Policy(7)) == f"Kept: {words}"


def test_several_rules_are_listed() -> None:
    rules = [Rule(), Rule(Period.YEARLY, date(2026, 1, 1))]
    assert describe_fate(KeptReason.WITHIN_LIMITS, rules, Policy(3)) == "Kept: newest 3; yearly, 2026"


def test_without_a_limit_on_the_number_no_rule_is_named() -> None:
    policy = Policy(None, timedelta(days=90), {Period.YEARLY: 1})
    rules = [Rule(), Rule(Period.YEARLY, date(2026, 1, 1))]
    assert describe_fate(KeptReason.WITHIN_LIMITS, rules, policy) == "Kept: within the retention"


@pytest.mark.parametrize(("reason", "words"), [(KeptReason.PROTECTED, "Kept: protected"), (None, "Will be deleted")])
def test_other_reasons_have_their_own_words(reason: KeptReason | None, words: str) -> None:
    assert describe_fate(reason, [], Policy(7)) == words
