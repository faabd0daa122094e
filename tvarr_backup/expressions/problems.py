"""What makes an expression invalid: a code, a place, what stood there and what should have."""

from dataclasses import dataclass
from enum import StrEnum

from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.texts import find_hidden


class ProblemCode(StrEnum):
    BLANK = "blank"
    TOO_LONG = "too_long"
    TOO_DEEP = "too_deep"
    BAD_CHARACTER = "bad_character"
    UNCLOSED_TEXT = "unclosed_text"
    BAD_REFERENCE = "bad_reference"
    NOT_BEFORE_GROUP = "not_before_group"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, slots=True)
class Problem:
    """`column` is 1-based and counts characters of the whole text as written, line breaks included."""

    code: ProblemCode
    column: int
    message: str
    found: str
    expected: tuple[str, ...]


class InvalidExpression(TvarrBackupError):
    """Raised by the parser; `check_expression` turns it into a finding."""

    code = "invalid_expression"

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(f"{problem.message} (column {problem.column})")


def is_printable(character: str) -> bool:
    """Return whether a character is seen where it stands alone, and does nothing to the text around it."""
    return character.isprintable() and not find_hidden(character)


def printable(text: str, limit: int = 40) -> str:
    """The text as a message can show it: no control characters or lone surrogates, cut at `limit` characters."""
    shown = "".join(character if is_printable(character) else f"U+{ord(character):04X}" for character in text[:limit])
    return shown if len(text) <= limit else f"{shown}…"
