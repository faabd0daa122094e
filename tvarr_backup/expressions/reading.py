"""Rewriting of expressions as tvarr does it, with the position of each character in the text as written."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tvarr_backup.expressions.problems import InvalidExpression, Problem, ProblemCode, printable

MAX_BYTES = 2**20
"""tvarr's limit for requests."""
MAX_DEPTH = 64

SUBSTITUTIONS: tuple[tuple[str, str], ...] = (
    ("!~", " not matches "),
    ("=~", " matches "),
    ("!=", " not equals "),
    ("==", " equals "),
    (">=", " greater_than_or_equal "),
    ("<=", " less_than_or_equal "),
    (">", " greater_than "),
    ("<", " less_than "),
    ("&&", " AND "),
    ("||", " OR "),
    (" and ", " AND "),
    (" or ", " OR "),
    (" not_equals ", " not equals "),
    (" not_matches ", " not matches "),
    (" not_contains ", " not contains "),
    (" not_starts_with ", " not starts_with "),
    (" not_ends_with ", " not ends_with "),
)
MODIFIERS = ("not", "case_sensitive")

_WORD = re.compile(r"[^ \t\n\f\r]+")
_UNEVEN_BLANKS = re.compile(r"[\t\n\f\r]|  |\A | \Z")


@dataclass(frozen=True, slots=True)
class Reading:
    """The text to parse, and the text as written.

    `origins[i]` is the position of `text[i]` in `written`; the last entry is the end. All characters of a word that replaced a
    symbol have the symbol's position. `moved_not` is the position of a leading `not` that was moved.
    """

    written: str
    text: str
    origins: Sequence[int]
    moved_not: int | None = None

    def column(self, position: int) -> int:
        return self.origins[position] + 1

    def as_written(self, start: int, end: int) -> str:
        """Return what the user wrote for `text[start:end]`."""
        first, last = self.origins[start], self.origins[end - 1]
        if first == last and end - start > 1:
            return self.written[first : next(origin for origin in self.origins[end:] if origin != first)]
        return self.written[first : last + 1]


def read_as_written(text: str) -> Reading:
    """Read a client detection rule, which tvarr does not rewrite. Raise `InvalidExpression`."""
    _refuse_unreadable(text)
    return Reading(text, text, range(len(text) + 1))


def rewrite(text: str) -> Reading:
    """Rewrite a filter or a mapping rule as tvarr does, in quotes too. Raise `InvalidExpression`.

    Symbols become words and words are split (`SUBSTITUTIONS`), then a leading `not` or `case_sensitive` moves behind the
    first other word, then each run of whitespace becomes one space.
    """
    reading = read_as_written(text)
    for old, new in SUBSTITUTIONS:
        if old in reading.text:
            reading = _substitute(reading, old, new)
    if reading.text.lstrip(" \t").startswith(("not ", "case_sensitive ")):
        reading = _move_modifiers(reading)
    if _UNEVEN_BLANKS.search(reading.text):
        reading = _join(reading, [match.span() for match in _WORD.finditer(reading.text)])
    return reading


def _substitute(reading: Reading, old: str, new: str) -> Reading:
    """Replace all occurrences. If the length differs, all characters have the symbol's position, except the last."""
    origins: list[int] = []
    at = 0
    while (start := reading.text.find(old, at)) >= 0:
        end = start + len(old)
        origins += reading.origins[at:start]
        if len(new) == len(old):
            origins += reading.origins[start:end]
        else:
            origins += [reading.origins[start]] * (len(new) - 1) + [reading.origins[end]]
        at = end
    origins += reading.origins[at:]
    return replace(reading, text=reading.text.replace(old, new), origins=origins)


def _move_modifiers(reading: Reading) -> Reading:
    spans = [match.span() for match in _WORD.finditer(reading.text)]
    words = [reading.text[start:end] for start, end in spans]
    count = next((index for index, word in enumerate(words) if word not in MODIFIERS), len(words))
    moved = _join(reading, [*spans[count : count + 1], *spans[:count], *spans[count + 1 :]])
    first_not = next((start for word, (start, _) in zip(words[:count], spans, strict=False) if word == "not"), None)
    return moved if first_not is None else replace(moved, moved_not=reading.origins[first_not])


def _join(reading: Reading, spans: Iterable[tuple[int, int]]) -> Reading:
    """Join words with single spaces, which have the position of the end of the word before."""
    words: list[str] = []
    origins: list[int] = []
    last_end = 0
    for start, end in spans:
        words.append(reading.text[start:end])
        origins += reading.origins[start : end + 1]
        last_end = max(last_end, end)
    return replace(reading, text=" ".join(words), origins=[*origins[:-1], reading.origins[last_end]])


def _refuse_unreadable(text: str) -> None:
    try:
        encoded = text[: MAX_BYTES + 1].encode()
    except UnicodeEncodeError as error:
        raise _bad_character(text, error.start) from error
    if len(encoded) > MAX_BYTES:
        raise _too_long(text, len(encoded[:MAX_BYTES].decode(errors="ignore")))
    if "\0" in text:
        raise _bad_character(text, text.index("\0"))


def _bad_character(text: str, position: int) -> InvalidExpression:
    found = printable(text[position])
    message = f"The character {found} cannot be part of an expression."
    return InvalidExpression(Problem(ProblemCode.BAD_CHARACTER, position + 1, message, found, ()))


def _too_long(text: str, position: int) -> InvalidExpression:
    message = f"The expression is longer than {MAX_BYTES // 2**20} MiB ({MAX_BYTES:,} bytes of UTF-8)."
    found = f"{len(text):,} characters"
    expected = (f"at most {MAX_BYTES:,} bytes",)
    return InvalidExpression(Problem(ProblemCode.TOO_LONG, position + 1, message, found, expected))
