"""What tvarr does to the text of filters and mapping rules before it parses them.

The rewriting knows nothing of quotes: it changes texts inside them too. In this order:

1. symbols become words, then `&&`, `||`, ` and ` and ` or ` become capitals (`SUBSTITUTIONS`);
2. ` not_equals ` and the like are split into ` not equals `;
3. `not ` or `case_sensitive ` at the very start moves behind the first other word;
4. each run of blanks becomes one space, and the ends are trimmed.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

from tvarr_backup.expressions.reading import Reading, read_as_written

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


def rewrite(text: str) -> Reading:
    """How tvarr reads filters and mapping rules. Raises `InvalidExpression` for a text beyond the limits."""
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
    """A replacement of equal length keeps every position; another one stands where the symbol began, up to its last
    blank, which stands where the symbol ended.
    """
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
    """The words with one space between them; a space stands where the word before it ended."""
    words: list[str] = []
    origins: list[int] = []
    last_end = 0
    for start, end in spans:
        words.append(reading.text[start:end])
        origins += reading.origins[start : end + 1]
        last_end = max(last_end, end)
    return replace(reading, text=" ".join(words), origins=[*origins[:-1], reading.origins[last_end]])
