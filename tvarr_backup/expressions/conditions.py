"""Conditions as functions of a row.

A row is two mappings from columns to texts: as they are, and in the form in which the domain compares them (`fold` for filters;
the same mapping for other domains). Both must have all columns that the condition reads.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tvarr_backup.expressions.columns import find_column
from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.failures import EvaluationFailed
from tvarr_backup.expressions.limits import Budget
from tvarr_backup.expressions.numbers import read_number
from tvarr_backup.expressions.patterns import Captures, Pattern
from tvarr_backup.expressions.tree import (
    NUMBER_OPERATORS,
    REGEX_OPERATORS,
    Always,
    Comparison,
    Condition,
    Connective,
    Group,
    Operator,
)
from tvarr_backup.expressions.values import fold

Texts = Mapping[str, str]
Test = Callable[[Texts, Texts], bool]
"""Returns whether a row matches. Raises `EvaluationFailed`."""
FindCaptures = Callable[[Texts, Texts], Captures | None]
"""Returns the captures of a condition that matches the row; None if no regular expression gives any."""

NO_COLUMN = ""
"""The column of names that have no value. Both mappings of a row have it too, with empty text."""

_NUMBER_TESTS: Mapping[Operator, Callable[[float, float], bool]] = {
    Operator.GREATER_THAN: operator.gt,
    Operator.GREATER_THAN_OR_EQUAL: operator.ge,
    Operator.LESS_THAN: operator.lt,
    Operator.LESS_THAN_OR_EQUAL: operator.le,
}


@dataclass(frozen=True, slots=True)
class CompiledCondition:
    """A condition with its test, its members if it is a group, and the column that it reads if it is a comparison."""

    source: Condition
    test: Test
    captures: FindCaptures
    members: tuple["CompiledCondition", ...] = ()
    column: str = NO_COLUMN

    def comparisons(self) -> Iterator["CompiledCondition"]:
        """Yield all comparisons in it, from left to right."""
        if isinstance(self.source, Comparison):
            yield self
        for member in self.members:
            yield from member.comparisons()


def compile_condition(condition: Condition, domain: Domain, budget: Budget) -> CompiledCondition:
    """Compile a condition. Raise `ExpressionTooLarge` if its regular expressions exceed the budget."""
    match condition:
        case Always(matches=matches):
            return CompiledCondition(condition, lambda _texts, _compared: matches, _no_captures)
        case Group(connective=connective, members=sources):
            members = tuple(compile_condition(member, domain, budget) for member in sources)
            if connective is Connective.AND:
                return CompiledCondition(condition, _all_of(members), _last_captures(members), members)
            return CompiledCondition(condition, _any_of(members), _first_captures(members), members)
        case Comparison():
            return _compile_comparison(condition, domain, budget)


def _compile_comparison(comparison: Comparison, domain: Domain, budget: Budget) -> CompiledCondition:
    column = find_column(comparison.field.text, domain)
    key = NO_COLUMN if column is None else column
    operand = comparison.value.text
    if comparison.operator in REGEX_OPERATORS:
        pattern = Pattern(operand, budget, ignore_case=domain.is_filter)
        if comparison.operator is Operator.MATCHES:
            return CompiledCondition(comparison, _found(pattern, key), _pattern_captures(pattern, key), column=key)
        return CompiledCondition(comparison, _not_found(pattern, key), _no_captures, column=key)
    if comparison.operator in NUMBER_OPERATORS:
        test = _number_test(_NUMBER_TESTS[comparison.operator], operand, key)
    else:
        test = _text_test(comparison.operator, fold(operand) if domain.is_filter else operand, key)
    return CompiledCondition(comparison, test, _no_captures, column=key)


# --- Groups: left to right, stopping as soon as the result is known ------------------------------------------------------


def _all_of(members: tuple[CompiledCondition, ...]) -> Test:
    tests = tuple(member.test for member in members)

    def test(texts: Texts, compared: Texts) -> bool:
        for member in tests:  # noqa: SIM110  # `all` with a generator takes twice as long
            if not member(texts, compared):
                return False
        return True

    return test


def _any_of(members: tuple[CompiledCondition, ...]) -> Test:
    tests = tuple(member.test for member in members)

    def test(texts: Texts, compared: Texts) -> bool:
        for member in tests:  # noqa: SIM110
            if member(texts, compared):
                return True
        return False

    return test


def _last_captures(members: tuple[CompiledCondition, ...]) -> FindCaptures:
    """An AND keeps the captures of its last member that has any."""

    def captures(texts: Texts, compared: Texts) -> Captures | None:
        for member in reversed(members):
            found = member.captures(texts, compared)
            if found is not None:
                return found
        return None

    return captures


def _first_captures(members: tuple[CompiledCondition, ...]) -> FindCaptures:
    """An OR keeps the captures of its first member that matches."""

    def captures(texts: Texts, compared: Texts) -> Captures | None:
        first = next(member for member in members if member.test(texts, compared))
        return first.captures(texts, compared)

    return captures


def _no_captures(_texts: Texts, _compared: Texts) -> None:
    return None


# --- Comparisons ------------------------------------------------------------------------------------------------------


def _text_test(word: Operator, operand: str, key: str) -> Test:  # noqa: PLR0911  # one line for each operator
    match word:
        case Operator.EQUALS:
            return lambda _texts, compared: compared[key] == operand
        case Operator.NOT_EQUALS:
            return lambda _texts, compared: compared[key] != operand
        case Operator.CONTAINS:
            return lambda _texts, compared: operand in compared[key]
        case Operator.NOT_CONTAINS:
            return lambda _texts, compared: operand not in compared[key]
        case Operator.STARTS_WITH:
            return lambda _texts, compared: compared[key].startswith(operand)
        case Operator.NOT_STARTS_WITH:
            return lambda _texts, compared: not compared[key].startswith(operand)
        case Operator.ENDS_WITH:
            return lambda _texts, compared: compared[key].endswith(operand)
        case Operator.NOT_ENDS_WITH:
            return lambda _texts, compared: not compared[key].endswith(operand)
    raise ValueError(word)


def _number_test(compare: Callable[[float, float], bool], operand: str, key: str) -> Test:
    failure: EvaluationFailed | None = None
    try:
        number = read_number(operand)
    except EvaluationFailed as error:
        failure = error

    def test(texts: Texts, _compared: Texts) -> bool:
        value = read_number(texts[key])
        if failure is not None:
            raise EvaluationFailed(failure.code)
        return compare(value, number)

    return test


def _found(pattern: Pattern, key: str) -> Test:
    matches = pattern.matches
    return lambda texts, _compared: matches(texts[key])


def _not_found(pattern: Pattern, key: str) -> Test:
    matches = pattern.matches
    return lambda texts, _compared: not matches(texts[key])


def _pattern_captures(pattern: Pattern, key: str) -> FindCaptures:
    captures = pattern.captures
    return lambda texts, _compared: captures(texts[key])
