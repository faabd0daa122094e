"""Conditions as functions of the texts of a row (see `rows`)."""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from tvarr_backup.expressions.columns import REPETITIVE_COLUMNS, find_column
from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.failures import EvaluationFailed
from tvarr_backup.expressions.limits import Budget
from tvarr_backup.expressions.numbers import read_number
from tvarr_backup.expressions.patterns import Captures, Pattern
from tvarr_backup.expressions.rows import Slot, Texts, find_slot
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

Test = Callable[[Texts], bool]
"""Returns whether a row matches. Raises `EvaluationFailed`."""
FindCaptures = Callable[[Texts], Captures | None]
"""Returns the captures of a condition that matches the row; None if no regular expression gives any."""

_MOST_VALUES = 1024
_NUMBER_TESTS: Mapping[Operator, Callable[[float, float], bool]] = {
    Operator.GREATER_THAN: operator.gt,
    Operator.GREATER_THAN_OR_EQUAL: operator.ge,
    Operator.LESS_THAN: operator.lt,
    Operator.LESS_THAN_OR_EQUAL: operator.le,
}


@dataclass(frozen=True, slots=True)
class CompiledCondition:
    """A condition with its test and its members if it is a group.

    A comparison has the column that it reads, None for names without a value. `weight` is 1 for a comparison, more for a
    regular expression by its size, and the sum for a group.
    """

    source: Condition
    test: Test
    captures: FindCaptures
    members: tuple["CompiledCondition", ...] = ()
    column: str | None = None
    weight: int = 1

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
            return CompiledCondition(condition, lambda _texts: matches, _no_captures)
        case Group(connective=connective, members=sources):
            members = tuple(compile_condition(member, domain, budget) for member in sources)
            weight = sum(member.weight for member in members)
            if connective is Connective.AND:
                test, captures = _all_of(members), _last_captures(members)
            else:
                test, captures = _any_of(members), _first_captures(members)
            return CompiledCondition(condition, test, captures, members, weight=weight)
        case Comparison():
            return _compile_comparison(condition, domain, budget)


def _compile_comparison(comparison: Comparison, domain: Domain, budget: Budget) -> CompiledCondition:
    column = find_column(comparison.field.text, domain)
    slot = find_slot(column, domain)
    operand = comparison.value.text
    if comparison.operator in REGEX_OPERATORS:
        pattern = Pattern(operand, budget, ignore_case=domain.is_filter)
        contains = lru_cache(_MOST_VALUES)(pattern.is_in) if column in REPETITIVE_COLUMNS else pattern.is_in
        if comparison.operator is Operator.MATCHES:
            test, captures = _found(contains, slot), _pattern_captures(pattern, slot)
        else:
            test, captures = _not_found(contains, slot), _no_captures
        return CompiledCondition(comparison, test, captures, column=column, weight=pattern.weight)
    if comparison.operator in NUMBER_OPERATORS:
        test = _number_test(_NUMBER_TESTS[comparison.operator], operand, slot)
    else:
        compared = find_slot(column, domain, compared=True)
        test = _text_test(comparison.operator, fold(operand) if domain.is_filter else operand, compared)
    return CompiledCondition(comparison, test, _no_captures, column=column)


# --- Groups: left to right, stopping as soon as the result is known ------------------------------------------------------


def _all_of(members: tuple[CompiledCondition, ...]) -> Test:
    tests = tuple(member.test for member in members)

    def test(texts: Texts) -> bool:
        for member in tests:  # noqa: SIM110  # `all` with a generator takes twice as long
            if not member(texts):
                return False
        return True

    return test


def _any_of(members: tuple[CompiledCondition, ...]) -> Test:
    tests = tuple(member.test for member in members)

    def test(texts: Texts) -> bool:
        for member in tests:  # noqa: SIM110
            if member(texts):
                return True
        return False

    return test


def _last_captures(members: tuple[CompiledCondition, ...]) -> FindCaptures:
    """An AND keeps the captures of its last member that has any."""

    def captures(texts: Texts) -> Captures | None:
        for member in reversed(members):
            found = member.captures(texts)
            if found is not None:
                return found
        return None

    return captures


def _first_captures(members: tuple[CompiledCondition, ...]) -> FindCaptures:
    """An OR keeps the captures of its first member that matches."""

    def captures(texts: Texts) -> Captures | None:
        first = next(member for member in members if member.test(texts))
        return first.captures(texts)

    return captures


def _no_captures(_texts: Texts) -> None:
    return None


# --- Comparisons ------------------------------------------------------------------------------------------------------


def _text_test(word: Operator, operand: str, slot: Slot) -> Test:  # noqa: PLR0911  # one line for each operator
    match word:
        case Operator.EQUALS:
            return lambda texts: texts[slot] == operand
        case Operator.NOT_EQUALS:
            return lambda texts: texts[slot] != operand
        case Operator.CONTAINS:
            return lambda texts: operand in texts[slot]
        case Operator.NOT_CONTAINS:
            return lambda texts: operand not in texts[slot]
        case Operator.STARTS_WITH:
            return lambda texts: texts[slot].startswith(operand)
        case Operator.NOT_STARTS_WITH:
            return lambda texts: not texts[slot].startswith(operand)
        case Operator.ENDS_WITH:
            return lambda texts: texts[slot].endswith(operand)
        case Operator.NOT_ENDS_WITH:
            return lambda texts: not texts[slot].endswith(operand)
    raise ValueError(word)


def _number_test(compare: Callable[[float, float], bool], operand: str, slot: Slot) -> Test:
    failure: EvaluationFailed | None = None
    try:
        number = read_number(operand)
    except EvaluationFailed as error:
        failure = error

    def test(texts: Texts) -> bool:
        value = read_number(texts[slot])
        if failure is not None:
            raise EvaluationFailed(failure.code)
        return compare(value, number)

    return test


def _found(contains: Callable[[str], bool], slot: Slot) -> Test:
    return lambda texts: contains(texts[slot])


def _not_found(contains: Callable[[str], bool], slot: Slot) -> Test:
    return lambda texts: not contains(texts[slot])


def _pattern_captures(pattern: Pattern, slot: Slot) -> FindCaptures:
    captures = pattern.captures
    return lambda texts: captures(texts[slot])
