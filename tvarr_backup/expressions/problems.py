"""Problems, which make an expression invalid, and warnings."""

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
    """Why an expression is invalid. `column` counts from 1 in the text as written, with line breaks as characters."""

    code: ProblemCode
    column: int
    message: str
    found: str
    expected: tuple[str, ...]


class WarningCode(StrEnum):
    UNKNOWN_FIELD = "unknown_field"
    EMPTY_FIELD = "empty_field"
    UNKNOWN_TARGET = "unknown_target"
    READ_ONLY_TARGET = "read_only_target"
    UNSAVED_TARGET = "unsaved_target"
    BAD_REGEX = "bad_regex"
    NOT_A_NUMBER = "not_a_number"
    IGNORED_NOT = "ignored_not"
    MOVED_NOT = "moved_not"
    IGNORED_ACTION = "ignored_action"
    MISSING_AND = "missing_and"
    DROPPED_BACKSLASH = "dropped_backslash"
    REWRITTEN_TEXT = "rewritten_text"
    UNQUOTED_HELPER = "unquoted_helper"
    REFERENCE_AS_TEXT = "reference_as_text"
    DYNAMIC_IN_MAPPING = "dynamic_in_mapping"
    MISSING_GROUP = "missing_group"
    UNCHECKED = "unchecked"
    """The expression was not checked, or not its regular expressions, because that would take too long."""


@dataclass(frozen=True, slots=True)
class ExpressionWarning:
    """Something unexpected that tvarr does. `column` is that of a `Problem`."""

    code: WarningCode
    column: int
    message: str


class InvalidExpression(TvarrBackupError):
    """An expression that tvarr cannot run. `check_expression` returns its problem instead."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__("Column {column}: {message}", column=problem.column, message=problem.message)


def is_printable(character: str) -> bool:
    """Return whether a character is visible on its own, and does not change the text around it."""
    return character.isprintable() and not find_hidden(character)


def printable(text: str, limit: int = 40) -> str:
    """Return text for a message, with code points for invisible characters, cut to `limit` characters."""
    escaped = "".join(character if is_printable(character) else f"U+{ord(character):04X}" for character in text[:limit])
    return escaped if len(text) <= limit else f"{escaped}…"
