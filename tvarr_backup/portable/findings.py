"""Problems and warnings about rows of a file, found by the models' own validation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.core.exceptions import ValidationError

from tvarr_backup.models import PortableRow
from tvarr_backup.quoting import MOST_OF_MESSAGE, MOST_OF_NAME, cut, cut_value, format_choices
from tvarr_backup.texts import escape_hidden

_EMPTY = frozenset({"blank", "null", "required"})
_NOT_VALIDATED = frozenset(
    {
        *("id", "created_at", "updated_at", "deleted_at", "is_system"),  # no file has them
        "encoding_profile",  # looked up before, with one query for all items
    }
)
INVALID_EXPRESSION = "invalid_expression"
_CONSEQUENCES = {INVALID_EXPRESSION: "tvarr stores this expression but cannot run it."}


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem or warning about one member of an item, with a stable code. Long messages and values are cut."""

    field: str
    code: str
    message: str
    value: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "field", cut(self.field, MOST_OF_NAME))  # an unknown member may have any name
        object.__setattr__(self, "message", cut(escape_hidden(self.message), MOST_OF_MESSAGE))
        object.__setattr__(self, "value", cut_value(self.value, MOST_OF_NAME))


@dataclass(frozen=True)
class RowFindings:
    """Problems prevent a row from being stored; warnings do not."""

    problems: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()


def validate_row(
    row: PortableRow, missing: Collection[str] = (), *, strict_fields: Collection[str] = frozenset()
) -> RowFindings:
    """Validate a row of a file, with one finding per field and reason.

    What tvarr stores (`stored_by_tvarr`) is only a warning, except for `missing` members and `strict_fields`.
    """
    problems, warnings = [], []
    for finding in _all_findings(row):
        if finding.code in row.stored_by_tvarr and finding.field not in (*missing, *strict_fields):
            message = f"{finding.message} {_CONSEQUENCES.get(finding.code, '')}".rstrip()
            warnings.append(replace(finding, message=message))
        else:
            problems.append(finding)
    return RowFindings(tuple(problems), tuple(warnings))


def _all_findings(row: PortableRow) -> Iterator[Finding]:
    errors: dict[str, list[ValidationError]] = defaultdict(list)
    try:
        row.clean_fields(exclude=_NOT_VALIDATED)
    except ValidationError as problem:
        errors.update(problem.error_dict)
    for field, problems in row.find_problems().items():
        errors[field] += problems
    for field, found in errors.items():
        yield from _findings(row, field, found)


def find_expression_warnings(row: PortableRow) -> Iterator[Finding]:
    for warning in row.expression_warnings():
        yield Finding("expression", str(warning.code), f"Column {warning.column}: {warning.message}")


def _findings(row: PortableRow, field: str, errors: list[ValidationError]) -> Iterator[Finding]:
    value = getattr(row, field, None)
    for error in errors:
        for single in error.error_list:
            code = str(single.code or "invalid")
            message = " ".join(single.messages)
            if code in _EMPTY:
                code, message = "required", f"Expected {_expected_value(row, field)}, got nothing."
            yield Finding(field, code, message, value)


def _expected_value(row: PortableRow, field: str) -> str:
    choices = getattr(row._meta.get_field(field), "flatchoices", None)
    return format_choices(value for value, _label in choices) if choices else "text"
