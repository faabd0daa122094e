"""The mapping rules on one side of a change, run over batches of rows, with a count of what single rules do."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tvarr_backup.errors import ExpressionTooLarge
from tvarr_backup.expressions import Domain
from tvarr_backup.expressions.columns import WRITTEN
from tvarr_backup.expressions.evaluate import Applied
from tvarr_backup.expressions.filter_stage import StageStopped
from tvarr_backup.expressions.limits import Limit
from tvarr_backup.expressions.mapping_stage import ChannelGroups, MappedRow, MappingRule, MappingStage
from tvarr_backup.matches.items import Item
from tvarr_backup.matches.results import Stop
from tvarr_backup.matches.rows import Row
from tvarr_backup.matches.tally import Compiler, Tally

_UNCHANGED = MappedRow({}, ())


class Rules:
    """The enabled rules of both source types in their order.

    If tvarr refuses one (`refused` is its name), it runs none. If they are too large to be run here, `stop` is set. In both cases
    rows stay as they are.
    """

    def __init__(self, items: Iterable[Item], compiler: Compiler) -> None:
        self.items = sorted((item for item in items if item.is_enabled), key=lambda item: item.order)
        self.as_rules = [_rule_of(item) for item in self.items]
        self.stage, self.refused = MappingStage(()), ""
        self.stop: Stop | None = None
        self.stops_on_match = any(item.stop_on_match for item in self.items)
        self.written: dict[Domain, set[str]] = defaultdict(set)
        try:
            self.stage = MappingStage(self.as_rules)
        except StageStopped as stopped:
            self.refused = self.items[stopped.position].name
        except ExpressionTooLarge:
            self.stop = Stop.TOO_LARGE
        else:
            for item in self.items:
                self.written[item.domain] |= _written_columns(item, compiler)

    def position(self, item: Item) -> int:
        """Return how many rules run before an item."""
        return bisect_left(self.items, item.order, key=lambda rule: rule.order)


@dataclass(frozen=True, slots=True)
class Observer:
    """A rule that is counted in its place, but does not run for the others, because it is disabled or not chosen."""

    item: Item
    tally: Tally


class Stage:
    """The rules of one source type. `counted` are the tallies of rules, and `needed` the columns whose mapped text matters.

    Unless a rule is counted or writes one of these, nothing is run.
    """

    def __init__(
        self,
        rules: Rules,
        domain: Domain,
        *,
        counted: Mapping[Item, Sequence[Tally]],
        observers: Sequence[Observer],
        needed: Collection[str],
    ) -> None:
        self._rules, self._domain = rules, domain
        self._counted = {
            position: [tally for tally in counted[item] if tally.compiled.running is not None]
            for position, item in enumerate(rules.items)
            if item in counted and not rules.refused
        }
        self._observers = [(rules.position(each.item), each.tally) for each in observers if each.tally.compiled.running]
        self.changes_rows = bool(rules.written[domain].intersection(needed))
        self._runs = self.changes_rows or any(self._counted.values()) or bool(self._observers)

    @property
    def columns(self) -> set[str]:
        """The columns that its rules read or write."""
        if not self._runs:
            return set()
        stage, is_stream = self._rules.stage, self._domain is Domain.STREAM_MAPPING
        observed = {name for _, tally in self._observers for name in tally.columns}
        return observed | set(stage.channel_fields if is_stream else stage.programme_fields)

    def map(self, rows: Sequence[Row], limit: Limit, groups: ChannelGroups | None = None) -> Sequence[MappedRow]:
        """Return what the rules do to each row, and count it. Raises what `Limit.check` raises."""
        if not self._runs:
            return [_UNCHANGED] * len(rows)
        if groups is None:
            mapped = list(self._rules.stage.map_channels(rows, limit))
        else:
            mapped = list(self._rules.stage.map_programmes(rows, groups, limit))
        self._count(rows, mapped)
        for position, tally in self._observers:
            self._observe(rows, mapped, position, tally, limit)
        return mapped

    def _count(self, rows: Sequence[Row], mapped: Sequence[MappedRow]) -> None:
        found: dict[int, dict[int, tuple[Row, Applied]]] = defaultdict(dict)
        for number, each in enumerate(mapped):
            for position, applied in each.steps:
                if position in self._counted:
                    found[position][number] = (row_before(rows[number], each, position), applied)
        for position, tallies in self._counted.items():
            for tally in tallies:
                tally.add_steps(rows, found.get(position, {}))

    def _observe(
        self, rows: Sequence[Row], mapped: Sequence[MappedRow], position: int, tally: Tally, limit: Limit
    ) -> None:
        program = tally.compiled.running
        assert program is not None
        steps: dict[int, tuple[Row, Applied]] = {}
        for number, (row, each) in enumerate(zip(rows, mapped, strict=True)):
            limit.check()
            if self._ended_before(each, position):
                continue
            seen = row_before(row, each, position)
            applied = program.apply(seen)
            if applied.outcome.matches is not False:
                steps[number] = (seen, applied)
        tally.add_steps(rows, steps)

    def _ended_before(self, mapped: MappedRow, position: int) -> bool:
        """Return whether a rule before this position ended the rules of the row."""
        if not mapped.steps:
            return False
        last, applied = mapped.steps[-1]
        ends = applied.outcome.error is not None or (self._rules.stops_on_match and bool(applied.assigned))
        return ends and last < position


def row_before(row: Row, mapped: MappedRow, position: int) -> Row:
    """Return a row as the rule at this position sees it."""
    for place, applied in mapped.steps:
        if place < position and applied.after:
            row = {**row, **applied.after}
    return row


def _rule_of(item: Item) -> MappingRule:
    return MappingRule(item.expression, item.domain, item.priority, stop_on_match=item.stop_on_match)


def _written_columns(item: Item, compiler: Compiler) -> set[str]:
    program = compiler.compile(item.expression, item.domain).running
    columns = WRITTEN[item.domain]
    targets = [action.target.text for action in program.actions] if program else []
    return {columns[target] for target in targets if target in columns}
