"""Row counts of two databases on pages."""

from __future__ import annotations

from tvarr_backup.web.labels import table_changes


def _filters(before: dict[str, int], after: dict[str, int]) -> tuple[tuple[str, ...], str]:
    found = next(change for change in table_changes(before, after) if change.name == "filters")
    return found.numbers, found.difference


def test_rows_that_could_not_be_read_are_unknown() -> None:
    assert _filters({}, {"filters": 8}) == (("unknown", "8"), "unknown")


def test_a_missing_table_is_named_as_such() -> None:
    assert _filters({"channels": 1}, {"filters": 8}) == (("missing", "8"), "only in the backup")


def test_the_same_number_of_rows_is_no_claim_about_their_content() -> None:
    assert _filters({"filters": 8}, {"filters": 8}) == (("8", "8"), "same number of rows")
