"""All data mapping rules together, as tvarr's mapping stage runs them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.evaluate import Applied, Program
from tvarr_backup.expressions.filter_stage import compile_all
from tvarr_backup.expressions.limits import Budget, Limit
from tvarr_backup.expressions.program_sets import ProgramSet
from tvarr_backup.expressions.rows import Row, find_slot
from tvarr_backup.expressions.values import read_value


@dataclass(frozen=True, slots=True)
class MappingRule:
    """A data mapping rule. Lower priorities come first; rules of one priority run in the given order, the oldest first."""

    expression: str
    domain: Domain
    priority: int = 0
    is_enabled: bool = True
    stop_on_match: bool = False


@dataclass(frozen=True, slots=True)
class MappedRow:
    """What all rules together do to a record.

    `after` has the columns whose text differs at the end. `steps` are the rules that matched or failed, as positions in the
    given sequence, with what each did to what the rules before it had left.
    """

    after: Mapping[str, str]
    steps: tuple[tuple[int, Applied], ...]


class MappingStage:
    """The compiled rules of an installation. All channels are mapped first, then all programmes."""

    def __init__(self, rules: Sequence[MappingRule], budget: Budget | None = None) -> None:
        """Compile the enabled rules. Raise `StageStopped` for the first that is refused, and `ExpressionTooLarge`."""
        enabled = [(position, rule) for position, rule in enumerate(rules) if rule.is_enabled]
        compiled = compile_all([(position, rule.expression, rule.domain) for position, rule in enabled], budget)
        ordered = sorted(zip(enabled, compiled, strict=True), key=lambda pair: pair[0][1].priority)
        programs = [(position, program) for (position, _), program in ordered if not program.is_blank]
        stops = any(rule.stop_on_match for _, rule in enabled)
        self._channels = _Part(programs, Domain.STREAM_MAPPING, stops)
        self._programmes = _Part(programs, Domain.EPG_MAPPING, stops)

    @property
    def channel_fields(self) -> tuple[str, ...]:
        return self._channels.fields

    @property
    def programme_fields(self) -> tuple[str, ...]:
        return self._programmes.fields

    def map_channels(self, rows: Iterable[Row], limit: Limit | None = None) -> Iterator[MappedRow]:
        """Yield what the rules do to each channel."""
        limit = limit or Limit()
        for row in rows:
            yield self._channels.apply(row, limit)

    def map_programmes(
        self, rows: Iterable[Row], groups: "ChannelGroups", limit: Limit | None = None
    ) -> Iterator[MappedRow]:
        """Yield what the rules do to each programme. Rows have a `channel_id` besides their columns."""
        limit = limit or Limit()
        for row in rows:
            group = groups.find(read_value(row.get("channel_id")))
            yield self._programmes.apply({**row, "channel_group_title": group}, limit)


class ChannelGroups:
    """The group of the channel that a programme belongs to, as it is after the channel rules.

    A programme finds a channel by the `tvg_id` before and after mapping. Of several channels with one id, the last after
    mapping counts, and only if there is none, the first before mapping.
    """

    def __init__(self) -> None:
        self._after: dict[str, str] = {}
        self._before: dict[str, str] = {}

    def add(self, row: Row, mapped: MappedRow) -> None:
        """Add a channel. Rows have `tvg_id` and `group_title`, whatever fields the rules need."""
        old_id, old_group = read_value(row.get("tvg_id")), read_value(row.get("group_title"))
        group = mapped.after.get("group_title", old_group)
        self._before.setdefault(old_id, group)
        self._after[mapped.after.get("tvg_id", old_id)] = group

    def find(self, channel_id: str) -> str:
        """Return the group, or empty text."""
        if not channel_id:
            return ""
        return self._after.get(channel_id, self._before.get(channel_id, ""))


class _Part:
    """The rules of one domain in their order. `stops` is whether a match with an assignment ends the rules of a record."""

    def __init__(self, programs: Iterable[tuple[int, Program]], domain: Domain, stops: bool) -> None:  # noqa: FBT001
        self._programs = [(position, program) for position, program in programs if program.domain is domain]
        self._reader = ProgramSet([program for _, program in self._programs], domain).reader
        self._slots = {column: find_slot(column, domain) for column in self._reader.columns}
        self._stops = stops

    @property
    def fields(self) -> tuple[str, ...]:
        return self._reader.columns

    def apply(self, row: Row, limit: Limit) -> MappedRow:
        before = self._reader.read(row)
        texts = list(before)
        steps: list[tuple[int, Applied]] = []
        for position, program in self._programs:
            limit.check()
            applied = program.apply_texts(texts)
            if applied.outcome.matches is False:
                continue
            steps.append((position, applied))
            for column, text in applied.after.items():
                texts[self._slots[column]] = text
            if applied.outcome.error is not None or (self._stops and applied.assigned):
                break
        after = {column: texts[slot] for column, slot in self._slots.items() if texts[slot] != before[slot]}
        return MappedRow(after, tuple(steps))
