"""Names that look the same but differ."""

from __future__ import annotations

import pytest

from tvarr_backup.lookalikes import NameDifference, find_differences, normalize_appearance

PAIRS = {
    "case": ("News", "NEWS", {NameDifference.CASE}),
    "sharp s": ("Straße", "STRASSE", {NameDifference.CASE}),
    "composed": ("Caf\u00e9", "Cafe\u0301", {NameDifference.FORM}),
    "full width": ("News 1", "\uff2eews \uff11", {NameDifference.FORM}),
    "ligature": ("o\ufb03ce", "office", {NameDifference.FORM}),
    "no-break space": ("Harbour News", "Harbour\u00a0News", {NameDifference.SPACES}),
    "ideographic space": ("Harbour News", "Harbour\u3000News", {NameDifference.SPACES}),
    "two spaces": ("Harbour News", "Harbour  News", {NameDifference.SPACES}),
    "space at the end": ("News", "News ", {NameDifference.SPACES}),
    "line break": ("Harbour News", "Harbour\nNews", {NameDifference.SPACES}),
    "zero width": ("News", "Ne\u200bws", {NameDifference.HIDDEN}),
    "override": ("News", "\u202eNews", {NameDifference.HIDDEN}),
    "escape": ("News", "News\x1b", {NameDifference.HIDDEN}),
    "joiner of Persian": ("\u0645\u06cc\u062e\u0648", "\u0645\u06cc\u200c\u062e\u0648", {NameDifference.HIDDEN}),
    "style of an emoji": ("\u2600 Weather", "\u2600\ufe0f Weather", {NameDifference.HIDDEN}),
    "everything": ("caf\u00e9 a", "CAFE\u0301\u00a0\u200ba", set(NameDifference)),
}


@pytest.mark.parametrize(("one", "other", "expected"), PAIRS.values(), ids=PAIRS)
def test_it_finds_in_what_names_that_look_the_same_differ(one: str, other: str, expected: set[NameDifference]) -> None:
    assert normalize_appearance(one) == normalize_appearance(other)
    assert set(find_differences(one, other)) == expected
    assert set(find_differences(other, one)) == expected


@pytest.mark.parametrize(
    ("one", "other"), [("News", "New"), ("Café", "Cafe"), ("A B", "AB"), ("News 1", "News 2"), ("Новости", "Hовости")]
)
def test_names_that_look_different_are_not_similar(one: str, other: str) -> None:
    assert normalize_appearance(one) != normalize_appearance(other)
