"""All filters of a proxy together, as tvarr's filter stage runs them."""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.evaluate import Program, compile_expression
from tvarr_backup.expressions.limits import Budget, Limit
from tvarr_backup.expressions.problems import InvalidExpression, Problem
from tvarr_backup.expressions.program_sets import ProgramSet
from tvarr_backup.expressions.rows import Row
from tvarr_backup.expressions.values import read_value


class FilterAction(StrEnum):
    INCLUDE = "include"
    EXCLUDE = "exclude"


@dataclass(frozen=True, slots=True)
class FilterUse:
    """A filter of a proxy, with the priority that it has there. Lower priorities come first."""

    expression: str
    domain: Domain
    action: FilterAction
    priority: int = 0
    is_active: bool = True


class StageStopped(TvarrBackupError):
    """tvarr refuses one expression, and so runs no filter of the proxy, or no mapping rule at all.

    `position` is that of the filter or rule in the given sequence, from 0.
    """

    def __init__(self, position: int, problem: Problem) -> None:
        self.position = position
        self.problem = problem
        super().__init__("Column {column}: {message}", column=problem.column, message=problem.message)


def decide(decisions: Iterable[tuple[FilterAction, bool | None]]) -> bool:
    """Return whether a record stays, from the actions of filters in their order and whether each matches.

    The output starts empty, an include adds the record, and an exclude takes it out, so the last filter that matches decides.
    """
    stays = False
    for action, matches in decisions:
        if matches:
            stays = action is FilterAction.INCLUDE
    return stays


class FilterStage:
    """The compiled filters of one proxy. Without any active filter, everything stays."""

    def __init__(self, filters: Sequence[FilterUse], budget: Budget | None = None) -> None:
        """Compile the active filters. Raise `StageStopped` for the first that is refused, and `ExpressionTooLarge`."""
        active = [(position, each) for position, each in enumerate(filters) if each.is_active]
        self.is_empty = not active
        compiled = compile_all([(position, each.expression, each.domain) for position, each in active], budget)
        ordered = sorted(zip(active, compiled, strict=True), key=lambda pair: pair[0][1].priority)
        parts = [(each.action, program) for (_, each), program in ordered if not program.is_blank]
        self._channels = _Part(parts, Domain.STREAM_FILTER)
        self._programmes = _Part(parts, Domain.EPG_FILTER)

    @property
    def channel_fields(self) -> tuple[str, ...]:
        return self._channels.fields

    @property
    def programme_fields(self) -> tuple[str, ...]:
        return self._programmes.fields

    def filter_channels(self, rows: Iterable[Row], limit: Limit | None = None) -> Iterator[bool]:
        """Yield for each channel whether it stays."""
        limit = limit or Limit()
        for row in rows:
            yield self.is_empty or self._channels.keeps(row, limit)

    def filter_programmes(
        self, rows: Iterable[Row], guide_ids: Container[str], limit: Limit | None = None
    ) -> Iterator[bool]:
        """Yield for each programme whether it stays. `guide_ids` are the `tvg_id` of the channels that stay.

        Rows have a `channel_id` besides their columns.
        """
        limit = limit or Limit()
        for row in rows:
            yield self.is_empty or self._keeps_programme(row, guide_ids, limit)

    def _keeps_programme(self, row: Row, guide_ids: Container[str], limit: Limit) -> bool:
        channel_id = read_value(row.get("channel_id"))
        if not channel_id or channel_id not in guide_ids:
            return False
        return self._programmes.is_empty or self._programmes.keeps(row, limit)


class _Part:
    """The filters of one domain in their order."""

    def __init__(self, parts: Iterable[tuple[FilterAction, Program]], domain: Domain) -> None:
        chosen = [(action, program) for action, program in parts if program.domain is domain]
        self.is_empty = not chosen
        self._reader = ProgramSet([program for _, program in chosen], domain).reader
        self._last_first = chosen[::-1]

    @property
    def fields(self) -> tuple[str, ...]:
        return self._reader.columns

    def keeps(self, row: Row, limit: Limit) -> bool:
        """Return what `decide` returns, beginning with the last filter."""
        texts = self._reader.read(row)
        for action, program in self._last_first:
            limit.check()
            if program.evaluate_texts(texts).matches:
                return action is FilterAction.INCLUDE
        return False


def compile_all(expressions: Iterable[tuple[int, str, Domain]], budget: Budget | None = None) -> list[Program]:
    """Compile the expressions of a stage, which share a budget. Raise `StageStopped` with the number of the refused one."""
    budget = budget or Budget()
    programs: list[Program] = []
    for position, text, domain in expressions:
        try:
            programs.append(compile_expression(text, domain, budget))
        except InvalidExpression as error:
            raise StageStopped(position, error.problem) from error
    return programs
