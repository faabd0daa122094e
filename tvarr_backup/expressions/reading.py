"""The text that a parser reads, kept together with the text as written, and the limits of both."""

from collections.abc import Sequence
from dataclasses import dataclass

from tvarr_backup.expressions.problems import InvalidExpression, Problem, ProblemCode, printable

MAX_BYTES = 2**20
"""tvarr's own limit: it takes requests of at most 1 MiB."""
MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Reading:
    """`origins[i]` is the position, in `written`, of the character `text[i]`; the last entry is the end of the text.

    A symbol that was replaced by a word has all its characters at the place where the symbol began.
    `moved_not` is the position of a leading `not` that was moved behind the first word.
    """

    written: str
    text: str
    origins: Sequence[int]
    moved_not: int | None = None

    def column(self, position: int) -> int:
        return self.origins[position] + 1

    def as_written(self, start: int, end: int) -> str:
        """What the person wrote for the token `text[start:end]`: its characters, or the whole symbol it comes from."""
        first, last = self.origins[start], self.origins[end - 1]
        if first == last and end - start > 1:
            return self.written[first : next(origin for origin in self.origins[end:] if origin != first)]
        return self.written[first : last + 1]


def read_as_written(text: str) -> Reading:
    """How tvarr reads client detection rules. Raises `InvalidExpression` for a text beyond the limits."""
    refuse_unreadable(text)
    return Reading(text, text, range(len(text) + 1))


def refuse_unreadable(text: str) -> None:
    """Refuses what no tree can come of: more than 1 MiB of UTF-8, half a surrogate pair, NUL."""
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
