"""Hidden characters: which are refused in names, which are accepted, and how they are escaped."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvarr_backup.texts import escape_for_json, escape_hidden, find_hidden, find_unfit_for_note

EVERY_CHARACTER = [chr(point) for point in range(sys.maxunicode + 1)]
BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
# Default_Ignorable_Code_Point of Unicode 16, DerivedCoreProperties.txt
DEFAULT_IGNORABLE = (
    "AD 34F 61C 115F-1160 17B4-17B5 180B-180F 200B-200F 202A-202E 2060-206F 3164 FE00-FE0F FEFF FFA0 FFF0-FFF8 "
    "1BCA0-1BCA3 1D173-1D17A E0000-E0FFF"
)
# Format characters that are drawn: number signs and hieroglyph controls.
DRAWN = "600-605 6DD 70F 890-891 8E2 110BD 110CD 13430-1343F"

HONEST = {
    "family": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "rainbow flag": "\U0001f3f3\ufe0f\u200d\U0001f308",
    "heart on fire": "\u2764\ufe0f\u200d\U0001f525",
    "health worker of a skin tone": "\U0001f469\U0001f3fd\u200d\u2695\ufe0f",
    "head shaking": "\U0001f642\u200d\u2194\ufe0f",
    "keycap": "Channel 5\ufe0f\u20e3 and #\ufe0f\u20e3",
    "flag of Wales": "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f",
    "text style": "\u2600\ufe0e",
    "information": "\u2139\ufe0f",
    "Persian": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "Persian plural of a Latin word": "HD\u200c\u0647\u0627",
    "Hijri": "\u0647\u200d. \u0634",
    "Hindi": "\u0915\u094d\u200d\u0937",
    "Sinhala": "\u0da7\u0dca\u200d\u0dbb",
    "Bengali": "\u09b0\u200d\u09cd\u09af",
    "Malayalam chillu": "\u0d28\u0d4d\u200d",
    "Kannada": "\u0cb0\u0ccd\u200c\u0c95",
    "Mongolian": "\u182e\u180e\u1820 \u1828\u180b",
    "ideographic variation": "\u845b\U000e0100",
    "Hebrew with points": "\u05e9\u05b0\u05c1\u05dc\u05d5\u05b9\u05dd",
    "Arabic with marks": "\u0627\u0644\u0633\u0651\u0644\u0627\u0645\u064f",
    "no-break and ideographic spaces": "a\u00a0b\u3000c\u202fd",
    "letters of every kind": "Новости Die Ärzte Cafe\u0301 ニュース 뉴스 ข่าว ★ ½ €",
}


def points(ranges: str) -> set[int]:
    found: set[int] = set()
    for part in ranges.split():
        first, _, last = part.partition("-")
        found.update(range(int(first, 16), int(last or first, 16) + 1))
    return found


@pytest.fixture(scope="module")
def found_between_letters() -> set[str]:
    """Return the characters of Unicode that are hidden between two letters."""
    text = "".join(f"a{character}b" for character in EVERY_CHARACTER)
    return {found.character for found in find_hidden(text)}


def test_every_invisible_character_is_found_between_letters(found_between_letters: set[str]) -> None:
    ignorable, drawn = points(DEFAULT_IGNORABLE), points(DRAWN)
    missed = {
        f"U+{ord(character):04X}"
        for character in EVERY_CHARACTER
        if character not in found_between_letters
        and (
            unicodedata.category(character) in {"Cc", "Zl", "Zp", "Cs"}
            or unicodedata.bidirectional(character) in BIDI_CONTROLS
            or ord(character) in ignorable
            or (unicodedata.category(character) == "Cf" and ord(character) not in drawn)
            or ord(character) & 0xFFFE == 0xFFFE
        )
    }
    assert missed == set()


def test_no_letter_mark_number_sign_or_space_is_found(found_between_letters: set[str]) -> None:
    drawn = {
        character
        for character in EVERY_CHARACTER
        if unicodedata.category(character)[0] in "LMNPSZ" and unicodedata.category(character) not in {"Zl", "Zp"}
    }
    assert {f"U+{ord(character):04X}" for character in drawn & found_between_letters} <= {
        f"U+{point:04X}" for point in points(DEFAULT_IGNORABLE)
    }


@pytest.mark.parametrize("name", HONEST.values(), ids=HONEST)
def test_joiners_and_selectors_that_change_their_neighbors_are_accepted(name: str) -> None:
    assert find_hidden(name) == []
    assert escape_hidden(name) == name
    assert find_unfit_for_note(name) == []


@pytest.mark.parametrize(
    "name",
    [
        "News\u200d",
        "Ne\u200dws",
        "Ne\u200cws",
        "Спорт\u200cHD",
        "\u200d\U0001f469",
        "\u0645\u200d\u200d\u0646",
        "\u0645\u0646\u200c",
        "News\ufe0f",
        "5\ufe0f",
        "a\U000e0100",
        "News\u180e",
        "\U0001f3f4\U000e0067",
        "News\U000e0067\U000e007f",
        "\U0001f3f4" + "\U000e0061" * 20 + "\U000e007f",
        "\u3164",
    ],
    ids=ascii,
)
def test_the_same_characters_elsewhere_are_found(name: str) -> None:
    assert find_hidden(name)
    assert find_hidden(escape_hidden(name)) == []


def test_a_hidden_character_has_its_position_and_code_point() -> None:
    (escape, tag) = find_hidden("Ne\x1bws\U000e0041")
    assert (escape.position, escape.point) == (3, "U+001B")
    assert (tag.position, tag.point) == (6, "U+E0041")


def test_hidden_characters_are_escaped() -> None:
    text = "a\x1b[2K\r\n\x9b\x7f\u202e\u200b\U000e0041\udc80"
    assert escape_hidden(text) == r"a\x1b[2K\r\n\x9b\x7f\u202e\u200b\U000e0041\udc80"


def test_line_breaks_can_be_kept() -> None:
    assert escape_hidden("one\n\ttwo\r\x1b", keep="\n\t") == "one\n\ttwo\\r\\x1b"


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_an_escaped_text_has_no_hidden_characters(text: str) -> None:
    assert find_hidden(escape_hidden(text)) == []


@given(st.recursive(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.lists))
def test_json_with_escapes_is_the_same_json(value: object) -> None:
    for text in (json.dumps(value, ensure_ascii=False), json.dumps(value, ensure_ascii=False, indent=2)):
        shown = escape_for_json(text)
        assert json.loads(shown) == value
        assert [found for found in find_hidden(shown) if found.character != "\n"] == []


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_json_for_an_old_terminal_is_the_same_json(value: str) -> None:
    shown = escape_for_json(json.dumps(value, ensure_ascii=False), "ascii")
    assert shown.isascii()
    assert json.loads(shown) == value


@pytest.mark.parametrize("character", ["\n", "\x1b", "\x85", "\x7f", "\u2028", "\u202e", "\u2066", "\ud800", "\uffff"])
def test_notes_cannot_contain_control_characters_line_breaks_or_reordering(character: str) -> None:
    (found,) = find_unfit_for_note(f"note {character} end")
    assert (found.position, found.character) == (6, character)


@pytest.mark.parametrize("character", ["\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u00ad", "\ufe0f", "\u2060"])
def test_notes_can_contain_characters_that_only_shape_or_wrap_text(character: str) -> None:
    assert find_unfit_for_note(f"note {character} end") == []
