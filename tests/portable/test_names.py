"""Free names for copies."""

import pytest

from tvarr_backup.portable.matching import find_free_name, name_for_deleted


@pytest.mark.parametrize(
    ("name", "taken", "free"),
    [
        ("News", {"News"}, "News (1)"),
        ("News", {"News", "News (1)", "News (2)"}, "News (3)"),
        ("News (1)", {"News (1)"}, "News (2)"),
        ("News (9)", {"News (9)", "News (10)"}, "News (11)"),
        ("News(1)", {"News(1)"}, "News(1) (1)"),
        ("(1)", {"(1)"}, "(1) (1)"),
        ("News (１)", {"News (１)"}, "News (１) (1)"),
        ("Two\nlines (1)", set(), "Two\nlines (2)"),
    ],
)
def test_it_finds_the_first_free_number(name: str, taken: set[str], free: str) -> None:
    assert find_free_name(name, taken, 255) == free


def test_it_cuts_the_stem_at_the_limit_of_length() -> None:
    assert find_free_name("N" * 100, {"N" * 100}, 100) == "N" * 96 + " (1)"


def test_it_cuts_more_for_longer_numbers_and_leaves_no_space_at_the_cut() -> None:
    taken = {f"Nine let ({number})" for number in range(1, 10)}
    assert find_free_name("Nine let ters", taken, 12) == "Nine le (10)"
    assert find_free_name("Nine let ters", set(), 13) == "Nine let (1)"


def test_the_name_for_a_deleted_row_has_its_id_and_keeps_the_limit() -> None:
    row_id = "01KA76QY6YWKD31Y7P8TK95Q27"
    assert name_for_deleted("Tablet", row_id, 100) == f"Tablet (deleted {row_id})"
    assert len(name_for_deleted("T" * 100, row_id, 100)) == 100
