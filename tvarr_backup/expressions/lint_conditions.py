"""Warnings about comparisons: their fields, operators and values."""

import re
from collections.abc import Iterator

from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.fields import VOCABULARIES, nearest_name
from tvarr_backup.expressions.regexes import Outcome, why_refused
from tvarr_backup.expressions.tokens import DYNAMIC
from tvarr_backup.expressions.tree import NUMBER_OPERATORS, REGEX_OPERATORS, Always, Comparison, Condition, Group, Word
from tvarr_backup.expressions.warned import Warned, WarningCode

_HEX_FLOAT = re.compile(r"[+-]?0x[0-9a-f_.]+p[+-]?[0-9_]+", re.IGNORECASE)


def warn_about_condition(condition: Condition, domain: Domain) -> Iterator[Warned]:
    for comparison in comparisons(condition):
        yield from _warn_about_field(comparison.field, domain)
        yield from _warn_about_value(comparison, domain)
        if comparison.ignored_not is not None:
            yield Warned(
                WarningCode.IGNORED_NOT,
                comparison.ignored_not,
                f"tvarr ignores NOT before {comparison.operator.value}, so this matches as if NOT were not there.",
            )


def comparisons(condition: Condition) -> Iterator[Comparison]:
    match condition:
        case Comparison():
            yield condition
        case Group(members=members):
            for member in members:
                yield from comparisons(member)
        case Always():
            return


def _warn_about_field(field: Word, domain: Domain) -> Iterator[Warned]:
    name, vocabulary = field.text, VOCABULARIES[domain]
    if name.startswith(DYNAMIC):
        return
    if not vocabulary.reads(name):
        hint = nearest_name(name, domain)
        message = f"tvarr knows no field {name} in {domain}{hint}, and reads it as empty text."
        yield Warned(WarningCode.UNKNOWN_FIELD, field.column, message)
    elif name in vocabulary.empty:
        message = f"tvarr never has a value for {name} in {domain}, and always reads it as empty text."
        yield Warned(WarningCode.EMPTY_FIELD, field.column, message)


def _warn_about_value(comparison: Comparison, domain: Domain) -> Iterator[Warned]:
    operator, value = comparison.operator, comparison.value
    if operator in REGEX_OPERATORS:
        refusal = why_refused(value.text)
        if refusal is Outcome.UNCHECKED:
            message = "This regular expression was not tried, because the others took too long. It is tried when the item is saved alone."
            yield Warned(WarningCode.UNCHECKED, value.column, message)
        elif refusal is not None:
            message = f"tvarr's RE2 refuses this regular expression ({refusal}), so {_failure(domain)}."
            yield Warned(WarningCode.BAD_REGEX, value.column, message)
    if operator in NUMBER_OPERATORS and not _is_number(value.text):
        message = f"tvarr needs a number after {operator.value}, so {_failure(domain)}."
        yield Warned(WarningCode.NOT_A_NUMBER, value.column, message)
    if not value.is_quoted and value.text.startswith(("$", "@")):
        message = "tvarr compares with these very characters, because a condition cannot look up a second value."
        yield Warned(WarningCode.REFERENCE_AS_TEXT, value.column, message)


def _failure(domain: Domain) -> str:
    """What an error at run time does; an earlier condition may have settled the matter before tvarr gets here."""
    if domain.is_filter:
        return "the filter does not match a record for which tvarr gets this far"
    if domain.is_mapping:
        return "a record for which tvarr gets this far skips this rule and all that follow"
    return "the rule fails for a request for which tvarr gets this far"


def _is_number(text: str) -> bool:
    """Whether Go's ParseFloat might take it: a little more is let through, so that no warning is false."""
    try:
        float(text)
    except ValueError:
        return _HEX_FLOAT.fullmatch(text) is not None
    return True
