"""One pass over the rows of one kind: mapping rules, filters and proxies on both sides of a change, in batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tvarr_backup.expressions import Domain
from tvarr_backup.expressions.combination_warnings import (
    CombinationWarning,
    MatchCount,
    warn_about_count,
    warn_about_program,
)
from tvarr_backup.expressions.domains import RowKind
from tvarr_backup.expressions.evaluate import Outcome, chunk_rows
from tvarr_backup.expressions.filter_stage import FilterAction
from tvarr_backup.expressions.limits import Limit
from tvarr_backup.expressions.mapping_stage import ChannelGroups, MappedRow
from tvarr_backup.expressions.program_sets import ProgramSet
from tvarr_backup.expressions.rows import RowReader
from tvarr_backup.matches.items import Change, Item
from tvarr_backup.matches.proxies import OutputCounter
from tvarr_backup.matches.results import Effect, Matches, Stop
from tvarr_backup.matches.rows import Row, count_not_utf8
from tvarr_backup.matches.stage import Stage
from tvarr_backup.matches.tally import Compiled, NameCounter, Tally

GROUP = "channel_group_title"
FILTERS = {RowKind.CHANNELS: Domain.STREAM_FILTER, RowKind.PROGRAMMES: Domain.EPG_FILTER}
RULES = {RowKind.CHANNELS: Domain.STREAM_MAPPING, RowKind.PROGRAMMES: Domain.EPG_MAPPING}
Groups = tuple[ChannelGroups, ChannelGroups]
Mapped = tuple[Sequence[MappedRow], Sequence[MappedRow]]
LABELS = {RowKind.CHANNELS: "channel_name", RowKind.PROGRAMMES: "programme_title", RowKind.PLAYERS: "id"}


class Counted:
    """A change with the counts of its two sides."""

    def __init__(self, change: Change, before: Tally | None, after: Tally | None, *, size: int) -> None:
        self.change, self.before, self.after = change, before, after
        label = LABELS[change.item.domain.row_kind]
        self._added, self._removed = NameCounter(size, label), NameCounter(size, label)

    def compare(self, rows: Sequence[Row]) -> None:
        """Compare what both sides match in the latest batch."""
        before, after = (side.flags if side is not None else () for side in (self.before, self.after))
        if before and after and before != after:
            sides = list(zip(rows, before, after, strict=True))
            self._added.add([row for row, old, new in sides if new and not old])
            self._removed.add([row for row, old, new in sides if old and not new])

    def result(self, stop: Stop | None) -> Effect:
        """Return the effect. `stop` says why not all rows were read."""
        before = None if self.before is None else _with_stop(self.before.result(), stop)
        after = None if self.after is None else _with_stop(self.after.result(), stop)
        item, tally = self.change.item, self.after or self.before
        assert tally is not None
        return Effect(
            self.change.key,
            item.slug,
            item.name,
            item.domain,
            before,
            after,
            self._added.result(),
            self._removed.result(),
            _warn(item, tally, after or before or Matches()),
            item.expression,
            item.priority,
        )


def _warn(item: Item, tally: Tally, matches: Matches) -> tuple[CombinationWarning, ...]:
    program = tally.compiled.running
    if program is None:
        return ()
    count = MatchCount(matches.evaluated, matches.matched.count, {each.code: each.count for each in matches.failures})
    action = FilterAction(item.action) if item.action in set(FilterAction) else None
    return warn_about_program(program) + warn_about_count(program, count, action)


def _with_stop(matches: Matches, stop: Stop | None) -> Matches:
    return matches if stop is None or not matches.is_counted else replace(matches, stop=stop)


class Evaluations:
    """The outcomes of expressions for one batch of rows, each evaluated once."""

    def __init__(self, rows: Sequence[Row], reader: RowReader, limit: Limit) -> None:
        self._texts = reader.read_chunk(rows)
        self._limit = limit
        self._known: dict[int, list[Outcome]] = {}

    def outcomes(self, compiled: Compiled) -> list[Outcome]:
        """Return what an expression gives for each row. Raises what `Limit.check` raises."""
        program = compiled.running
        assert program is not None
        if id(compiled) not in self._known:
            found: list[Outcome] = []
            size = chunk_rows(program.weight)
            for start in range(0, len(self._texts), size):
                self._limit.check()
                found += program.evaluate_chunk(self._texts[start : start + size])
            self._known[id(compiled)] = found
        return self._known[id(compiled)]

    def flags(self, compiled: Compiled) -> list[bool | None]:
        return [outcome.matches for outcome in self.outcomes(compiled)]


class Pass:
    """The counts of one kind of rows. Both sides may share a stage, if the rules do not change."""

    def __init__(
        self,
        row_kind: RowKind,
        counted: Sequence[Counted],
        stages: tuple[Stage, Stage],
        outputs: Sequence[OutputCounter] = (),
    ) -> None:
        self._counted, self._outputs = counted, outputs
        self._before, self._after = stages
        domain = FILTERS[row_kind]
        filters = [each for each in counted if each.change.item.domain is domain]
        self._filters_before = _running(each.before for each in filters)
        self._filters_after = _running(each.after for each in filters)
        compiled = [tally.compiled for tally in (*self._filters_before, *self._filters_after)]
        compiled += [each for output in outputs for each in output.compiled]
        programs = [each.running for each in compiled if each.running is not None]
        self._reader = ProgramSet(programs, domain).reader
        self.evaluated = self.not_utf8 = 0

    @property
    def columns(self) -> set[str]:
        """The columns that rows need."""
        return {
            *(("source_id",) if self._outputs else ()),
            *self._reader.columns,
            *self._before.columns,
            *self._after.columns,
        }

    def add(self, rows: Sequence[Row], limit: Limit, groups: Groups | None = None) -> Mapped:
        """Count a batch, and return what the mapping rules of both sides do. Raises what `Limit.check` raises.

        `groups` are those of the channels on both sides, for programmes.
        """
        rows_before = rows if groups is None else _with_group(rows, groups[0])
        mapped_before = self._before.map(rows_before, limit, groups and groups[0])
        before = _apply(rows_before, mapped_before)
        mapped_after, after = mapped_before, before
        if self._after is not self._before:
            rows_after = rows if groups is None else _with_group(rows, groups[1])
            mapped_after = self._after.map(rows_after, limit, groups and groups[1])
            after = _apply(rows_after, mapped_after)
        self._filter(before, after, limit)
        for counted in self._counted:
            counted.compare(rows)
        self.evaluated += len(rows)
        self.not_utf8 += count_not_utf8(rows)
        return mapped_before, mapped_after

    def _filter(self, before: Sequence[Row], after: Sequence[Row], limit: Limit) -> None:
        evaluations_before = evaluations_after = Evaluations(before, self._reader, limit)
        if after is not before:
            evaluations_after = Evaluations(after, self._reader, limit)
        for tally in self._filters_before:
            tally.add_outcomes(before, evaluations_before.outcomes(tally.compiled))
        for tally in self._filters_after:
            tally.add_outcomes(after, evaluations_after.outcomes(tally.compiled))
        for output in self._outputs:
            output.add(after, evaluations_before.flags, evaluations_after.flags)


def _running(tallies: Iterable[Tally | None]) -> list[Tally]:
    return [tally for tally in tallies if tally is not None and tally.compiled.running is not None]


def _with_group(rows: Sequence[Row], groups: ChannelGroups) -> list[Row]:
    return [{**row, GROUP: groups.find(row.get("channel_id", ""))} for row in rows]


def _apply(rows: Sequence[Row], mapped: Sequence[MappedRow]) -> Sequence[Row]:
    if not any(each.after for each in mapped):
        return rows
    return [{**row, **each.after} if each.after else row for row, each in zip(rows, mapped, strict=True)]
