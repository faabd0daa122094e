"""Validation of rows as findings, by the models' own rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.core.exceptions import ValidationError

from tvarr_backup.models import PortableRow
from tvarr_backup.quoting import MOST_OF_MESSAGE, MOST_OF_NAME, cut, cut_value
from tvarr_backup.texts import escape_hidden

_EMPTY = frozenset({"blank", "null", "required"})
_NOT_JUDGED = frozenset(
    {
        *("id", "created_at", "updated_at", "deleted_at", "is_system"),  # no file has them
        "encoding_profile",  # it was looked up already, with all others at once
    }
)


_CONSEQUENCES = {"invalid_expression": "tvarr stores such an expression, and fails when it runs it."}


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem or warning about one member of an item; `code` is stable.

    Long messages and values are cut: a file may have values of megabytes.
    """

    field: str
    code: str
    message: str
    value: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "field", cut(self.field, MOST_OF_NAME))  # of a member that is not known
        object.__setattr__(self, "message", cut(escape_hidden(self.message), MOST_OF_MESSAGE))
        object.__setattr__(self, "value", cut_value(self.value, MOST_OF_NAME))


@dataclass(frozen=True)
class Judgement:
    """Problems keep a row from being stored, warnings do not."""

    problems: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()


def judge(row: PortableRow, missing: Collection[str] = (), *, strictly: Collection[str] = frozenset()) -> Judgement:
    """Validate a row of a file: one finding per field and reason.

    What tvarr would store (`stored_by_tvarr`) is a warning, so that everything it stores can be imported. Members in `missing`,
    which the file lacks, are problems, and so is everything about those in `strictly`.
    """
    problems, warnings = [], []
    for finding in _all_findings(row):
        if finding.code in row.stored_by_tvarr and finding.field not in (*missing, *strictly):
            sentence = f"{finding.message} {_CONSEQUENCES.get(finding.code, '')}".rstrip()
            warnings.append(replace(finding, message=sentence))
        else:
            problems.append(finding)
    return Judgement(tuple(problems), tuple(warnings))


def _all_findings(row: PortableRow) -> Iterator[Finding]:
    errors: dict[str, list[ValidationError]] = defaultdict(list)
    try:
        row.clean_fields(exclude=_NOT_JUDGED)
    except ValidationError as problem:
        errors.update(problem.error_dict)
    for field, problems in row.find_problems().items():
        errors[field] += problems
    for field, found in errors.items():
        yield from _findings(row, field, found)


def expression_warnings(row: PortableRow) -> Iterator[Finding]:
    for warned in row.expression_warnings():
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
