"""Counting of what one expression matches, while rows are read in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tvarr_backup.errors import ExpressionTooLarge
from tvarr_backup.expressions import Domain, InvalidExpression
from tvarr_backup.expressions.evaluate import Applied, Outcome, Program, compile_expression
from tvarr_backup.expressions.failures import FailureCode
from tvarr_backup.expressions.limits import Budget
from tvarr_backup.expressions.problems import Problem
from tvarr_backup.matches.results import ChangedRow, Failure, Matches, NamedRow, Names, Stop, ValueChange
from tvarr_backup.matches.rows import Row

Steps = Mapping[int, tuple[Row, Applied]]
"""What a rule did to rows of a batch, by their numbers, each with the row as the rule saw it. Others did not match."""

ADDRESS = "stream_url"
"""The column with credentials of providers."""

_SECONDS_EACH, _SECONDS = 1.0, 5.0
_BYTES_EACH, _BYTES = 16 * 2**20, 48 * 2**20


class Compiled:
    """An expression that is compiled, or the reason why it is not."""

    def __init__(self, program: Program | None, problem: Problem | None = None, stop: Stop | None = None) -> None:
        self.program, self.problem, self.stop = program, problem, stop

    @property
    def is_blank(self) -> bool:
        """Whether tvarr skips it: it is a filter or a mapping rule without a condition."""
        program = self.program
        return program is not None and program.is_blank and program.domain is not Domain.CLIENT_DETECTION

    @property
    def running(self) -> Program | None:
        """The program to evaluate for each row, or None."""
        return None if self.is_blank or self.stop is not None else self.program


class Compiler:
    """Compiles expressions once each, with limits for each and for all together."""

    def __init__(self) -> None:
        self._left = Budget(_SECONDS, _BYTES)
        self._known: dict[tuple[str, Domain, bool], Compiled] = {}

    def compile(self, text: str, domain: Domain, *, may_read_addresses: bool = True) -> Compiled:
        key = (text, domain, may_read_addresses)
        if key not in self._known:
            self._known[key] = self._compile(text, domain, may_read_addresses=may_read_addresses)
        return self._known[key]

    def _compile(self, text: str, domain: Domain, *, may_read_addresses: bool) -> Compiled:
        left = self._left
        seconds, size = min(_SECONDS_EACH, left.seconds), min(_BYTES_EACH, left.memory_bytes)
        budget = Budget(seconds, size)
        try:
            program = compile_expression(text, domain, budget)
        except InvalidExpression as refused:
            return Compiled(None, problem=refused.problem)
        except ExpressionTooLarge:
            return Compiled(None, stop=Stop.TOO_LARGE)
        finally:
            left.seconds -= seconds - budget.seconds
            left.memory_bytes -= size - budget.memory_bytes
        if not may_read_addresses and ADDRESS in program.fields:
            return Compiled(None, stop=Stop.DENIED)
        return Compiled(program)


class NameCounter:
    """Counts rows, and keeps the first ones as a sample. `label` is the column with their name."""

    def __init__(self, size: int, label: str) -> None:
        self._size, self._label = size, label
        self._count = 0
        self._sample: list[NamedRow] = []

    def add(self, rows: Sequence[Row]) -> None:
        self._count += len(rows)
        self._sample += [name_row(row, self._label) for row in rows[: self._size - len(self._sample)]]

    def result(self) -> Names:
        return Names(self._count, tuple(self._sample))


class Tally:
    """The count of one expression."""

    def __init__(self, compiled: Compiled, *, size: int, label: str) -> None:
        self.compiled = compiled
        self.flags: Sequence[bool | None] = ()
        """Which rows of the latest batch match."""
        self._size, self._label = size, label
        self._evaluated = 0
        self._matched = NameCounter(size, label)
        self._failed: dict[FailureCode, tuple[int, NamedRow]] = {}
        self._changed = 0
        self._changes: list[ChangedRow] = []

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the expression reads or writes."""
        program = self.compiled.running
        return () if program is None else program.fields

    def add_outcomes(self, rows: Sequence[Row], outcomes: Sequence[Outcome]) -> None:
        """Count a batch of rows for which a filter was evaluated."""
        self._evaluated += len(rows)
        self.flags = flags = [outcome.matches for outcome in outcomes]
        if True in flags:
            self._matched.add([row for row, flag in zip(rows, flags, strict=True) if flag])
        for row, outcome in zip(rows, outcomes, strict=True) if None in flags else ():
            if outcome.error is not None:
                self._add_failure(row, outcome.error)

    def add_steps(self, rows: Sequence[Row], steps: Steps) -> None:
        """Count a batch of rows to which a mapping or client detection rule was applied."""
        self._evaluated += len(rows)
        flags: list[bool | None] = [False] * len(rows)
        for number, (row, applied) in steps.items():
            outcome = applied.outcome
            flags[number] = outcome.matches
            if outcome.matches:
                self._matched.add([row])
            if outcome.error is not None:
                self._add_failure(row, outcome.error)
            if applied.after or applied.honored:
                self._add_change(row, applied)
        self.flags = flags

    def result(self) -> Matches:
        compiled = self.compiled
        return Matches(
            evaluated=self._evaluated,
            matched=self._matched.result(),
            failures=tuple(Failure(code, count, row) for code, (count, row) in self._failed.items()),
            changed=self._changed,
            changes=tuple(self._changes),
            problem=compiled.problem,
            is_blank=compiled.is_blank,
            stop=compiled.stop,
        )

    def _add_failure(self, row: Row, code: FailureCode) -> None:
        count, example = self._failed.get(code, (0, None))
        self._failed[code] = (count + 1, example or name_row(row, self._label))

    def _add_change(self, row: Row, applied: Applied) -> None:
        self._changed += 1
        if len(self._changes) < self._size:
            values = [ValueChange(name, row.get(name, ""), value) for name, value in applied.after.items()]
            values += [ValueChange(name, "", value) for name, value in applied.honored.items()]
            self._changes.append(ChangedRow(name_row(row, self._label), tuple(values)))


def name_row(row: Row, label: str) -> NamedRow:
    return NamedRow(row["id"], row.get(label, ""))
