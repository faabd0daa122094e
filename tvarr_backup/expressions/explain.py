"""Why a row matches or not: the tree of a condition with what each part gave."""

from dataclasses import dataclass
from enum import StrEnum

from tvarr_backup.expressions.conditions import CompiledCondition
from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.failures import EvaluationFailed, FailureCode
from tvarr_backup.expressions.rows import Texts, find_slot
from tvarr_backup.expressions.tree import Always, Comparison, Connective, Group


class Verdict(StrEnum):
    TRUE = "true"
    FALSE = "false"
    ERROR = "error"
    NOT_REACHED = "not_reached"
    """tvarr knew the result before it came to this part."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A part of a condition.

    A group has a connective and members; a comparison has the field as written, with its column in the expression's text, the
    operator with NOT in it, the operand, the column of the row that it reads (None if the name has no value) and its text (None
    if not reached). The literals `true` and `false` have none of these. `error` is set for a failed comparison and its groups.
    """

    verdict: Verdict
    error: FailureCode | None = None
    connective: Connective | None = None
    members: tuple["Explanation", ...] = ()
    field: str | None = None
    position: int | None = None
    operator: str | None = None
    operand: str | None = None
    column: str | None = None
    value: str | None = None


def explain_condition(condition: CompiledCondition, domain: Domain, texts: Texts) -> Explanation:
    """Return what each part of a condition gives for a row."""
    source = condition.source
    match source:
        case Always(matches=matches):
            return Explanation(Verdict.TRUE if matches else Verdict.FALSE)
        case Comparison():
            return _explain_comparison(condition, source, domain, texts)
        case Group(connective=connective):
            return _explain_group(condition, connective, domain, texts)


def _explain_group(condition: CompiledCondition, connective: Connective, domain: Domain, texts: Texts) -> Explanation:
    decisive = Verdict.FALSE if connective is Connective.AND else Verdict.TRUE
    verdict = Verdict.TRUE if connective is Connective.AND else Verdict.FALSE
    error: FailureCode | None = None
    members: list[Explanation] = []
    for member in condition.members:
        if verdict in {decisive, Verdict.ERROR}:
            members.append(_not_reached(member))
            continue
        explained = explain_condition(member, domain, texts)
        members.append(explained)
        verdict, error = explained.verdict, explained.error
    return Explanation(verdict, error, connective, tuple(members))


def _explain_comparison(
    condition: CompiledCondition, comparison: Comparison, domain: Domain, texts: Texts
) -> Explanation:
    error: FailureCode | None = None
    try:
        verdict = Verdict.TRUE if condition.test(texts) else Verdict.FALSE
    except EvaluationFailed as failure:
        verdict, error = Verdict.ERROR, failure.code
    return _comparison(condition, comparison, verdict, error, texts[find_slot(condition.column, domain)])


def _not_reached(condition: CompiledCondition) -> Explanation:
    source = condition.source
    match source:
        case Group(connective=connective):
            members = tuple(_not_reached(member) for member in condition.members)
            return Explanation(Verdict.NOT_REACHED, None, connective, members)
        case Comparison():
            return _comparison(condition, source, Verdict.NOT_REACHED, None, None)
        case Always():
            return Explanation(Verdict.NOT_REACHED)


def _comparison(
    condition: CompiledCondition, comparison: Comparison, verdict: Verdict, error: FailureCode | None, value: str | None
) -> Explanation:
    return Explanation(
        verdict,
        error,
        field=comparison.field.text,
        position=comparison.field.column,
        operator=comparison.operator.value,
        operand=comparison.value.text,
        column=condition.column,
        value=value,
    )
