"""Whether a row may be stored, and what tvarr would misunderstand in it: the models' own validation, as findings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError

from tvarr_backup.models import PortableRow
from tvarr_backup.quoting import MOST_OF_MESSAGE, MOST_OF_NAME, cut, cut_value
from tvarr_backup.validation import expression_findings

_EMPTY = frozenset({"blank", "null", "required"})
_NOT_JUDGED = frozenset(
    {
        *("id", "created_at", "updated_at", "deleted_at", "is_system"),  # no file has them
        "encoding_profile",  # it was looked up already, with all others at once
    }
)


@dataclass(frozen=True)
class Finding:
    """Something about one member of an item: a problem or a warning; `code` is stable, `message` is for the person.

    Message and value are cut where they are long: a file may have a value of megabytes in each of its items.
    """

    field: str
    code: str
    message: str
    value: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "field", cut(self.field, MOST_OF_NAME))  # of a member that is not known
        object.__setattr__(self, "message", cut(self.message, MOST_OF_MESSAGE))
        object.__setattr__(self, "value", cut_value(self.value, MOST_OF_NAME))


def problems_of(row: PortableRow) -> tuple[Finding, ...]:
    """Why the row cannot be stored: one finding per field and reason, with the value and what is allowed."""
    errors: dict[str, list[ValidationError]] = {}
    try:
        row.clean_fields(exclude=_NOT_JUDGED)
    except ValidationError as problem:
        problem.update_error_dict(errors)
    try:
        row.clean()
    except ValidationError as problem:
        problem.update_error_dict(errors)
    return tuple(finding for field, found in errors.items() for finding in _findings(row, field, found))


def expression_warnings(row: PortableRow) -> Iterator[Finding]:
    """What tvarr accepts in the row's expression and misunderstands."""
    expression = getattr(row, "expression", None)
    if expression:
        for warned in expression_findings(expression, row.domain).warnings:  # type: ignore[attr-defined]  # has one
            yield Finding("expression", str(warned.code), f"column {warned.column}: {warned.message}")


def _findings(row: PortableRow, field: str, errors: list[ValidationError]) -> Iterator[Finding]:
    value = getattr(row, field, None)
    for error in errors:
        for single in error.error_list:
            code = str(single.code or "invalid")
            message = " ".join(single.messages)
            if code in _EMPTY:
                code, message = "required", _what_is_needed(row, field)
            yield Finding(field, code, message, value)


def _what_is_needed(row: PortableRow, field: str) -> str:
    choices = getattr(row._meta.get_field(field), "flatchoices", None)
    allowed = ", ".join(str(word) for word, _label in choices) if choices else "a text that is not empty"
    return f"It is missing or empty; allowed is {allowed}."
