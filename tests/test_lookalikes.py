"""Names that look the same and are not."""

from __future__ import annotations

import pytest

from tvarr_backup.lookalikes import Difference, appearance_of, differences_between

PAIRS = {
    "case": ("News", "NEWS", {Difference.CASE}),
    "sharp s": ("Straße", "STRASSE", {Difference.CASE}),
    "composed": ("Caf\u00e9", "Cafe\u0301", {Difference.FORM}),
    "full width": ("News 1", "\uff2eews \uff11", {Difference.FORM}),
    "ligature": ("o\ufb03ce", "office", {Difference.FORM}),
    "no-break space": ("Harbour News", "Harbour\u00a0News", {Difference.SPACES}),
    "ideographic space": ("Harbour News", "Harbour\u3000News", {Difference.SPACES}),
    "two spaces": ("Harbour News", "Harbour  News", {Difference.SPACES}),
    "space at the end": ("News", "News ", {Difference.SPACES}),
    "line break": ("Harbour News", "Harbour\nNews", {Difference.SPACES}),
    "zero width": ("News", "Ne\u200bws", {Difference.HIDDEN}),
    "override": ("News", "\u202eNews", {Difference.HIDDEN}),
    "escape": ("News", "News\x1b", {Difference.HIDDEN}),
    "joiner of Persian": ("\u0645\u06cc\u062e\u0648", "\u0645\u06cc\u200c\u062e\u0648", {Difference.HIDDEN}),
    "style of an emoji": ("\u2600 Weather", "\u2600\ufe0f Weather", {Difference.HIDDEN}),
    "everything": ("caf\u00e9 a", "CAFE\u0301\u00a0\u200ba", set(Difference)),
}


@pytest.mark.parametrize(("one", "other", "expected"), PAIRS.values(), ids=PAIRS)
def test_they_look_the_same_and_it_is_told_in_what_they_differ(one: str, other: str, expected: set[Difference]) -> None:
    assert appearance_of(one) == appearance_of(other)
    assert set(differences_between(one, other)) == expected
    assert set(differences_between(other, one)) == expected


@pytest.mark.parametrize(
    ("one", "other"), [("News", "New"), ("Café", "Cafe"), ("A B", "AB"), ("News 1", "News 2"), ("Новости", "Hовости")]
)
def test_names_that_are_seen_to_differ_are_not_alike(one: str, other: str) -> None:
    assert appearance_of(one) != appearance_of(other)
