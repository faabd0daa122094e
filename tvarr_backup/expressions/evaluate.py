"""Evaluation of expressions as tvarr 0.0.27 does it, with its oddities (docs/reference/evaluation.md)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tvarr_backup.expressions.assignments import Assignment, run_actions
from tvarr_backup.expressions.client_settings import find_honored
from tvarr_backup.expressions.columns import WRITTEN, dynamic_column, find_column
from tvarr_backup.expressions.conditions import CompiledCondition, compile_condition
from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.explain import Explanation, Verdict, explain_condition
from tvarr_backup.expressions.failures import EvaluationFailed, FailureCode
from tvarr_backup.expressions.limits import Budget, Limit
from tvarr_backup.expressions.parse import parse
from tvarr_backup.expressions.reading import read_as_written, rewrite
from tvarr_backup.expressions.rows import Row, RowReader, Texts, find_slot
from tvarr_backup.expressions.tree import (
    NUMBER_OPERATORS,
    REGEX_OPERATORS,
    Action,
    Comparison,
    DynamicValue,
    Expression,
    FieldValue,
)

_BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
"""White space as Go trims it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a row matches.

    None means that the condition failed, with the error's code, or that the expression is blank and tvarr skips it. If the
    condition matched and an action failed, `matches` is true and `error` is the action's.
    """

    matches: bool | None
    error: FailureCode | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What a mapping or client detection rule does to a row; nothing for filters, and nothing if it fails.

    `after` has the columns of the record whose text changes. `assigned` are all assignments in order, also those that tvarr
    throws away. `honored` has the settings of a client detection rule that take effect, in their normal form.
    """

    outcome: Outcome
    after: Mapping[str, str] = field(default_factory=dict)
    assigned: tuple[Assignment, ...] = ()
    honored: Mapping[str, str] = field(default_factory=dict)


class Program:
    """A compiled expression. It has no state, so threads may share it.

    Texts that are not UTF-8 are bytes, or `str` with `surrogateescape` (see `values`), and results have the same form of `str`.
    """

    def __init__(
        self, text: str, domain: Domain, condition: CompiledCondition | None, actions: tuple[Action, ...]
    ) -> None:
        self.text = text
        self.domain = domain
        self.condition = condition
        self.actions = () if domain.is_filter else actions
        comparisons = [] if condition is None else list(condition.comparisons())
        read = [comparison.column for comparison in comparisons if comparison.column is not None]
        self.folded = frozenset(
            comparison.column for comparison in comparisons if comparison.column is not None and _is_of_text(comparison)
        )
        self.reader = RowReader([*read, *_columns_of_actions(self.actions, domain)], self.folded, domain)

    @property
    def is_blank(self) -> bool:
        """Whether there is no condition. tvarr skips a blank filter or mapping rule; a blank client rule matches everything."""
        return self.condition is None

    @property
    def weight(self) -> int:
        """About how many simple comparisons the condition costs."""
        return 1 if self.condition is None else self.condition.weight

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns of a row that can affect the result, actions included."""
        return self.reader.columns

    def matches(self, row: Row) -> bool | None:
        """Return whether a row matches, or None (see `Outcome`)."""
        return self.evaluate(row).matches

    def evaluate(self, row: Row) -> Outcome:
        """Return whether a row matches, with the error. Actions are not run."""
        return self.evaluate_texts(self.reader.read(row))

    def evaluate_texts(self, texts: Texts) -> Outcome:
        """Evaluate a row that a reader with this program's columns has read."""
        if self.condition is None:
            return _MATCH if self.domain is Domain.CLIENT_DETECTION else _SKIPPED
        try:
            return _MATCH if self.condition.test(texts) else _NO_MATCH
        except EvaluationFailed as failure:
            return Outcome(None, failure.code)

    def evaluate_rows(self, rows: Iterable[Sequence[Any]], limit: Limit | None = None) -> Iterator[Outcome]:
        """Yield the outcome of each record, whose values are in the order of `fields`; further values are ignored.

        Raise `EvaluationTooSlow` or `EvaluationCanceled` in between. Requests have no rows, only `evaluate`.
        """
        limit = limit or Limit()
        for chunk in self.reader.read_rows(rows, chunk_rows(self.weight)):
            limit.check()
            yield from self.evaluate_chunk(chunk)

    def evaluate_chunk(self, chunk: Sequence[Texts]) -> list[Outcome]:
        """Return the outcomes of rows that a reader with this program's columns has read.

        It takes about as long as `chunk_rows` says. Failures are rare, so they are looked for only if there is one.
        """
        if self.condition is not None:
            test = self.condition.test
            with suppress(EvaluationFailed):
                return [_MATCH if test(texts) else _NO_MATCH for texts in chunk]
        return [self.evaluate_texts(texts) for texts in chunk]

    def apply(self, row: Row) -> Applied:
        """Return what the rule does to a row."""
        return self.apply_texts(self.reader.read(row))

    def apply_texts(self, texts: Texts) -> Applied:
        """Apply the rule to a row that a reader with this program's columns has read. The texts do not change."""
        outcome = self.evaluate_texts(texts)
        if outcome is _NO_MATCH:
            return _NOT_APPLIED
        if not outcome.matches or not self.actions:
            return Applied(outcome)
        captures = None if self.condition is None else self.condition.captures(texts)
        try:
            assigned = run_actions(self.actions, self.domain, texts, captures)
        except EvaluationFailed as failure:
            return Applied(Outcome(matches=True, error=failure.code))
        if self.domain is Domain.CLIENT_DETECTION:
            return Applied(outcome, assigned=assigned, honored=find_honored(assigned))
        return Applied(outcome, _changes(assigned, texts, self.domain), assigned)

    def explain(self, row: Row) -> Explanation:
        """Return the tree of the condition with what each part gives. A blank expression is one part without a field."""
        if self.condition is None:
            return Explanation(Verdict.TRUE if self.domain is Domain.CLIENT_DETECTION else Verdict.NOT_REACHED)
        return explain_condition(self.condition, self.domain, self.reader.read(row))


_MATCH = Outcome(matches=True)
_NO_MATCH = Outcome(matches=False)
_SKIPPED = Outcome(matches=None)
_NOT_APPLIED = Applied(_NO_MATCH)


def compile_expression(text: str, domain: Domain, budget: Budget | None = None) -> Program:
    """Compile an expression as tvarr reads it in a domain. A blank one is accepted.

    Programs that share a `Budget` share its time and memory for regular expressions. Raise `InvalidExpression` for text that
    tvarr refuses, and `ExpressionTooLarge` if the budget is used up.
    """
    expression = _parse(text, domain)
    if expression.condition is None:
        return Program(text, domain, None, ())
    return Program(
        text, domain, compile_condition(expression.condition, domain, budget or Budget()), expression.actions
    )


def _parse(text: str, domain: Domain) -> Expression:
    if not domain.is_rewritten:
        return parse(read_as_written(text)).expression
    return parse(rewrite(text)).expression if text.strip(_BLANKS) else Expression(None)


def _columns_of_actions(actions: Iterable[Action], domain: Domain) -> list[str]:
    """Return the columns that actions read, and those that they change."""
    names = [action.target.text for action in actions]
    names += [action.value.name for action in actions if isinstance(action.value, FieldValue)]
    columns = [find_column(name, domain) for name in names]
    if domain.is_mapping:
        columns += [WRITTEN[domain].get(action.target.text) for action in actions]
    else:
        references = [action.value for action in actions if isinstance(action.value, DynamicValue)]
        columns += [dynamic_column(value.path, value.key) for value in references]
    return [column for column in columns if column is not None]


def _changes(assigned: Iterable[Assignment], texts: Texts, domain: Domain) -> dict[str, str]:
    """Return the columns that differ after the assignments. The last one counts, whichever of its names it used."""
    written = WRITTEN[domain]
    last = {written[each.target]: each.value for each in assigned if each.target in written}
    return {column: value for column, value in last.items() if value != texts[find_slot(column, domain)]}


def chunk_rows(weight: int) -> int:
    """Return how many rows to evaluate before looking at the limit again: about 2 ms, and never more than a second."""
    return max(1, 2048 // weight)


def _is_of_text(comparison: CompiledCondition) -> bool:
    source = comparison.source
    return isinstance(source, Comparison) and source.operator not in REGEX_OPERATORS | NUMBER_OPERATORS
