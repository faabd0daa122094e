"""Warnings about expressions that tvarr accepts and then reads differently from what the text seems to say."""

from dataclasses import dataclass
from enum import StrEnum


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


@dataclass(frozen=True, slots=True)
class Warned:
    """`column` is 1-based, in the text as written; `message` is one sentence that says what tvarr will do."""

    code: WarningCode
    column: int
    message: str
