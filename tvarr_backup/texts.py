"""Hidden characters in names and notes: finding and escaping them.

They can control a terminal, reorder the text around them, or be invisible. tvarr stores them, so they are imported, and
displayed as escapes. Joiners and variation selectors are hidden only where they do not change their neighbors.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import NamedTuple

_CONTROLS = (
    "\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17))  # noncharacters
)
_REORDERING = "\u202a-\u202e\u2066-\u2069"
_IGNORABLE = (  # Unicode's Default_Ignorable_Code_Point, and the marks of annotations
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u2065\u206a-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
HIDDEN = re.compile(f"[{_CONTROLS}{_REORDERING}{_IGNORABLE}]")
"""Every character that is invisible on its own, including accepted joiners and selectors."""
_UNFIT_FOR_NOTE = re.compile(f"[{_CONTROLS}{_REORDERING}]")

_NON_JOINER, _JOINER = "\u200c", "\u200d"
_EMOJI_STYLES = "\ufe0e\ufe0f"
_KEYCAP = "\u20e3"
_VIRAMA = 9
"""The combining class of marks that join two consonants."""
_REGION_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
_SKIN_TONES = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
_EMOJI_OUTSIDE_BLOCKS = "\u203c\u2049\u2139\u3030"
_JOINED_SCRIPTS = frozenset({
    "ADLAM", "ARABIC", "BALINESE", "BENGALI", "CHAKMA", "DEVANAGARI", "GUJARATI", "GURMUKHI", "JAVANESE", "KANNADA",
    "KHMER", "MALAYALAM", "MANDAIC", "MONGOLIAN", "MYANMAR", "NKO", "ORIYA", "PHAGS-PA", "SINHALA", "SYRIAC", "TAMIL",
    "TELUGU", "TIBETAN",
})  # fmt: skip
"""Scripts, by the first word of Unicode's names, whose letters look different next to a joiner."""
_SHORT = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


class HiddenCharacter(NamedTuple):
    """A hidden character; `position` counts from 1."""

    position: int
    character: str

    @property
    def point(self) -> str:
        """The code point, such as `U+200B`."""
        return f"U+{ord(self.character):04X}"


def find_hidden(text: str) -> list[HiddenCharacter]:
    """Return the control characters, line breaks, direction marks and invisible characters of a text, in order."""
    return [HiddenCharacter(index + 1, text[index]) for index in _hidden_positions(text)]


def is_malformed(character: str) -> bool:
    """Return whether the character cannot be stored: NUL or a surrogate."""
    return character == "\0" or "\ud800" <= character <= "\udfff"


def find_unfit_for_note(text: str) -> list[HiddenCharacter]:
    """Return control characters, line breaks, and marks that reorder text, which a note must not contain."""
    return [HiddenCharacter(match.start() + 1, match[0]) for match in _UNFIT_FOR_NOTE.finditer(text)]


def without_unfit_for_note(text: str) -> str:
    return _UNFIT_FOR_NOTE.sub("", text)


def escape_unfit_for_note(text: str) -> str:
    return _UNFIT_FOR_NOTE.sub(lambda found: escape_character(found[0]), text)


def escape_hidden(text: str, *, keep: str = "") -> str:
    r"""Replace hidden characters, except those in `keep`, by escapes such as `\x1b` or `\u202e`."""
    return _replace_hidden(text, escape_character, keep)


def escape_for_json(text: str, encoding: str = "utf-8") -> str:
    """Escape hidden characters of JSON text, except line breaks and tabs, and those that `encoding` lacks."""
    escaped = _replace_hidden(text, _escape_as_json, "\n\t\r")
    try:
        escaped.encode(encoding)
    except UnicodeEncodeError:
        return "".join(character if character.isascii() else _escape_as_json(character) for character in escaped)
    return escaped


def _replace_hidden(text: str, escape: Callable[[str], str], keep: str) -> str:
    pieces, end = [], 0
    for index in _hidden_positions(text):
        if text[index] not in keep:
            pieces += [text[end:index], escape(text[index])]
            end = index + 1
    return "".join([*pieces, text[end:]])


def escape_character(character: str) -> str:
    return _SHORT.get(character) or character.encode("unicode_escape").decode()


def _escape_as_json(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


# --- Accepted joiners and selectors -----------------------------------------------------------------------------------


def _hidden_positions(text: str) -> Iterator[int]:
    flags = {position for flag in _REGION_FLAG.finditer(text) for position in range(*flag.span())}
    for match in HIDDEN.finditer(text):
        index = match.start()
        if index not in flags and not _changes_neighbors(text, index):
            yield index


def _changes_neighbors(text: str, index: int) -> bool:
    character = text[index]
    before = text[index - 1] if index else ""
    after = text[index + 1 : index + 2]
    if not before:
        return False
    if character in (_NON_JOINER, _JOINER):
        return _joins_letters(character, before, after) or (
            character == _JOINER and _is_emoji(after) and _ends_emoji(text, index - 1)
        )
    if character in _EMOJI_STYLES:
        return _is_emoji(before) or (before in "0123456789#*" and after == _KEYCAP)
    if "\ufe00" <= character <= "\ufe0d":
        return unicodedata.category(before) in {"Lo", "Sm", "So"}
    if "\U000e0100" <= character <= "\U000e01ef":
        return unicodedata.category(before) == "Lo"
    return "\u180b" <= character <= "\u180f" and _script(before) == "MONGOLIAN"


def _joins_letters(character: str, before: str, after: str) -> bool:
    if unicodedata.combining(before) == _VIRAMA:
        return True
    if character == _JOINER:
        is_alone = _JOINER not in (before, after) and _NON_JOINER not in (before, after)
        return is_alone and (_is_joined(before) or _is_joined(after))
    return _is_word_character(before) and _is_word_character(after) and (_is_joined(before) or _is_joined(after))


def _is_word_character(character: str) -> bool:
    return bool(character) and unicodedata.category(character)[0] in "LMN"


def _is_joined(character: str) -> bool:
    return _is_word_character(character) and _script(character) in _JOINED_SCRIPTS


def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0]


def _is_emoji(character: str) -> bool:
    """Return whether the character may be an emoji. Those newer than Python's tables are in one block."""
    return bool(character) and (
        unicodedata.category(character) in {"So", "Sm"}
        or "\U0001f000" <= character <= "\U0001faff"
        or character in _EMOJI_OUTSIDE_BLOCKS
    )


def _ends_emoji(text: str, index: int) -> bool:
    if text[index] in _EMOJI_STYLES or text[index] in _SKIN_TONES:
        index -= 1
    return index >= 0 and _is_emoji(text[index])
