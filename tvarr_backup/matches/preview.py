"""What the new and changed expressions of an import, or of two states, match here: all of them in one pass over the rows.

Filters see channels as tvarr's filter stage does, after the mapping rules: those that are stored, and on the side after the
change those that would be. A mapping rule sees what earlier rules wrote. Client detection rules are tried on the requests of
common players. Time and memory are limited, and the result says if a limit was reached.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tvarr_backup.errors import EvaluationTooSlow
from tvarr_backup.expressions import Domain
from tvarr_backup.expressions.combination_warnings import CombinationWarning, warn_about_rules
from tvarr_backup.expressions.domains import RowKind
from tvarr_backup.expressions.limits import Limit
from tvarr_backup.expressions.mapping_stage import ChannelGroups
from tvarr_backup.matches.items import Change, Item, read_filters, read_mapping_rules
from tvarr_backup.matches.players import PLAYERS
from tvarr_backup.matches.proxies import OutputCounter, chain_of, read_proxies
from tvarr_backup.matches.results import Coverage, Effect, ProxyOutput, Stop
from tvarr_backup.matches.rows import (
    MOST_PROGRAMMES,
    Row,
    choose_share,
    count_channels,
    read_channels,
    read_programmes,
)
from tvarr_backup.matches.run import GROUP, LABELS, RULES, Counted, Groups, Pass
from tvarr_backup.matches.stage import Observer, Rules, Stage
from tvarr_backup.matches.tally import Compiled, Compiler, Tally
from tvarr_backup.portable.kinds import Slug

SECONDS = 30.0
SAMPLE = 20
MOST_CHANGES = 500
"""Further changes of a preview are not counted."""

Progress = Callable[[int, int], None]
"""Called with the number of rows that were evaluated, and about how many there are."""


@dataclass(frozen=True)
class Preview:
    """The effects in the order of the changes, the outputs of proxies that would change, and the rows that were read.

    `stop` is set if the time was used up. `refused_before` and `refused_after` are names of mapping rules that tvarr refuses;
    then it runs none. `uncounted` is the number of changes that were not counted because there are too many; they have no effect here.
    """

    effects: tuple[Effect, ...] = ()
    proxies: tuple[ProxyOutput, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    stop: Stop | None = None
    refused_before: str = ""
    refused_after: str = ""
    uncounted: int = 0
    rule_warnings: tuple[CombinationWarning, ...] = ()
    """About the mapping rules after the change, together."""

    def effect(self, key: str) -> Effect | None:
        """Return the effect of the change with this key."""
        return next((effect for effect in self.effects if effect.key == key), None)


def preview_changes(
    changes: Sequence[Change],
    *,
    limit: Limit | None = None,
    progress: Progress | None = None,
    size: int = SAMPLE,
    may_read_addresses: bool = True,
) -> Preview:
    """Count what the changed expressions match, before and after.

    `size` is that of samples. Without `may_read_addresses`, expressions that read addresses of streams are not counted. Raises
    `EvaluationCanceled` within a second of being canceled, and `DatabaseIncomplete`.
    """
    return _Counting(changes, limit or Limit(SECONDS), progress, size, may_read_addresses=may_read_addresses).run()


def plan_rules(rules: Sequence[Item], changes: Sequence[Change]) -> list[Item]:
    """Return the mapping rules after the planned changes."""
    planned = [change for change in changes if change.is_planned and change.item.slug is Slug.DATA_MAPPING_RULES]
    replaced = {change.before.row_id for change in planned if change.before is not None}
    added = [change.after for change in planned if change.after is not None]
    return [*(rule for rule in rules if rule.row_id not in replaced), *added]


class _Counting:
    """One preview: what is compiled, and the passes over the rows."""

    def __init__(
        self, changes: Sequence[Change], limit: Limit, progress: Progress | None, size: int, *, may_read_addresses: bool
    ) -> None:
        self._changes, self._limit, self._progress, self._size = changes, limit, progress, size
        self._may_read = may_read_addresses
        self._compiler = Compiler()
        rules = read_mapping_rules()
        planned = plan_rules(rules, changes)
        self._before = self._after = Rules(rules, self._compiler)
        if planned != rules:
            self._after = Rules(planned, self._compiler)
        self._done = self._total = 0
        self._stop: Stop | None = None
        self._counted: list[Counted] = []
        self._within_time(self._count_all)

    def run(self) -> Preview:
        """Count everything. Channels come first, because programmes need their groups."""
        programmes = self._prepare(RowKind.PROGRAMMES) if self._of(RowKind.PROGRAMMES) else None
        needs_groups = programmes is not None and GROUP in programmes.columns
        outputs = self._find_outputs()
        coverage, groups = [], (ChannelGroups(), ChannelGroups())
        if self._of(RowKind.CHANNELS) or outputs or needs_groups:
            channels = self._prepare(RowKind.CHANNELS, outputs, _OF_GROUPS if needs_groups else ())
            coverage.append(self._run_channels(channels, groups if needs_groups else None))
        if programmes is not None:
            coverage.append(self._run_programmes(programmes, groups))
        if self._of(RowKind.PLAYERS):
            coverage.append(self._run_players())
        return Preview(
            tuple(counted.result(self._stop) for counted in self._counted),
            tuple(output.result() for output in outputs),
            tuple(coverage),
            self._stop or self._before.stop or self._after.stop,
            self._before.refused,
            self._after.refused,
            len(self._changes) - len(self._counted),
            warn_about_rules(self._after.as_rules) if self._of_rules() else (),
        )

    def _of_rules(self) -> bool:
        return any(change.item.slug is Slug.DATA_MAPPING_RULES for change in self._changes)

    # --- Preparing ---------------------------------------------------------------------------------------------------

    def _of(self, row_kind: RowKind) -> list[Counted]:
        return [counted for counted in self._counted if counted.change.item.domain.row_kind is row_kind]

    def _count_all(self) -> None:
        for change in self._changes[:MOST_CHANGES]:
            self._limit.check()
            before, after = self._tally(change.before), self._tally(change.after)
            self._counted.append(Counted(change, before, after, size=self._size))

    def _tally(self, item: Item | None) -> Tally | None:
        if item is None:
            return None
        compiled = self._compiler.compile(item.expression, item.domain, may_read_addresses=self._may_read)
        row_kind = item.domain.row_kind
        return Tally(compiled, size=len(PLAYERS) if row_kind is RowKind.PLAYERS else self._size, label=LABELS[row_kind])

    def _prepare(self, row_kind: RowKind, outputs: Sequence[OutputCounter] = (), needed: Collection[str] = ()) -> Pass:
        counted = self._of(row_kind)
        filters = Pass(row_kind, counted, (_NO_STAGE, _NO_STAGE), outputs)
        wanted = {*filters.columns, *needed, LABELS[row_kind]}
        return Pass(row_kind, counted, self._stages(row_kind, counted, wanted), outputs)

    def _stages(self, row_kind: RowKind, counted: Sequence[Counted], needed: Collection[str]) -> tuple[Stage, Stage]:
        before = [(each.change.before, each.before) for each in counted if each.change.item.domain is RULES[row_kind]]
        after = [(each.change.after, each.after) for each in counted if each.change.item.domain is RULES[row_kind]]
        if self._after is self._before:
            both = _stage(self._before, RULES[row_kind], [*before, *after], needed)
            return both, both
        return (
            _stage(self._before, RULES[row_kind], before, needed),
            _stage(self._after, RULES[row_kind], after, needed),
        )

    def _find_outputs(self) -> list[OutputCounter]:
        """Return the counters of the proxies whose list may change: that use a planned filter, or all if rules change."""
        planned = [change for change in self._changes if change.is_planned and change.item.slug is Slug.FILTERS]
        replaced = {change.before.row_id: change.after for change in planned if change.before is not None}
        if not replaced and self._after is self._before:
            return []
        proxies = read_proxies(replaced if self._after is self._before else None)
        filters = read_filters({key for proxy in proxies for key in proxy.filters})
        changed = {**filters, **{key: item for key, item in replaced.items() if item is not None}}
        return [
            OutputCounter(
                proxy,
                chain_of(proxy, filters, self._compile_filter),
                chain_of(proxy, changed, self._compile_filter),
                size=self._size,
            )
            for proxy in proxies
        ]

    def _compile_filter(self, item: Item) -> Compiled:
        return self._compiler.compile(item.expression, item.domain)

    # --- Running -----------------------------------------------------------------------------------------------------

    def _run_channels(self, counting: Pass, groups: Groups | None) -> Coverage:
        columns = {*counting.columns, LABELS[RowKind.CHANNELS], *(_OF_GROUPS if groups else ())}
        count = count_channels()
        self._total += count

        def add(rows: Sequence[Row]) -> None:
            mapped = counting.add(rows, self._limit)
            for side, results in zip(groups or (), mapped, strict=False):
                for row, result in zip(rows, results, strict=True):
                    side.add(row, result)

        self._run(read_channels(columns), add)
        return Coverage(RowKind.CHANNELS, count, counting.evaluated, not_utf8=counting.not_utf8)

    def _run_programmes(self, counting: Pass, groups: Groups) -> Coverage:
        share = choose_share()
        self._total += min(share.in_database, MOST_PROGRAMMES)
        columns = {
            *counting.columns,
            LABELS[RowKind.PROGRAMMES],
            *(("channel_id",) if GROUP in counting.columns else ()),
        }
        self._run(read_programmes(columns, share), lambda rows: counting.add(rows, self._limit, groups))
        return Coverage(RowKind.PROGRAMMES, share.in_database, counting.evaluated, share.ending, counting.not_utf8)

    def _run_players(self) -> Coverage:
        requests = [player.as_request() for player in PLAYERS]
        for counted in self._of(RowKind.PLAYERS):
            for tally in (counted.before, counted.after):
                if tally is not None and tally.compiled.running is not None:
                    self._limit.check()
                    applied = [tally.compiled.running.apply(request) for request in requests]
                    found = {
                        number: (requests[number], each)
                        for number, each in enumerate(applied)
                        if each.outcome.matches is not False
                    }
                    tally.add_steps(requests, found)
            counted.compare(requests)
        return Coverage(RowKind.PLAYERS, len(PLAYERS), len(PLAYERS))

    def _run(self, batches: Iterator[list[Row]], add: Callable[[list[Row]], object]) -> None:
        """Add all batches, until the time is used up."""

        def add_all() -> None:
            for rows in batches:
                self._limit.check()
                add(rows)
                self._done += len(rows)
                if self._progress is not None:
                    self._progress(self._done, self._total)

        self._within_time(add_all)

    def _within_time(self, work: Callable[[], None]) -> None:
        if self._stop is not None:
            return
        try:
            work()
        except EvaluationTooSlow:
            self._stop = Stop.TIME


def _stage(
    rules: Rules, domain: Domain, sides: Iterable[tuple[Item | None, Tally | None]], needed: Collection[str]
) -> Stage:
    """Return a stage that counts these items, in the place where they run, or where they would."""
    counted: dict[Item, list[Tally]] = defaultdict(list)
    observers: list[Observer] = []
    running = set(rules.items)
    for item, tally in sides:
        if item is None or tally is None:
            continue
        if item in running and not rules.refused:
            counted[item].append(tally)
        else:
            observers.append(Observer(item, tally))
    return Stage(rules, domain, counted=counted, observers=observers, needed=needed)


_OF_GROUPS = ("tvg_id", "group_title")
_NO_STAGE = Stage(Rules((), Compiler()), Domain.STREAM_MAPPING, counted={}, observers=(), needed=())
