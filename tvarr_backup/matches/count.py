"""What one expression matches here, and why it matches a row or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tvarr_backup.errors import RowNotFound
from tvarr_backup.expressions import Domain
from tvarr_backup.expressions.combination_warnings import CombinationWarning
from tvarr_backup.expressions.domains import RowKind
from tvarr_backup.expressions.evaluate import Applied, compile_expression
from tvarr_backup.expressions.explain import Explanation
from tvarr_backup.expressions.limits import Limit
from tvarr_backup.expressions.mapping_stage import ChannelGroups
from tvarr_backup.expressions.requests import read_request
from tvarr_backup.matches.items import Change, Item, item_of_row, read_mapping_rules, slug_of
from tvarr_backup.matches.players import PLAYERS
from tvarr_backup.matches.preview import SAMPLE, Preview, Progress, preview_changes
from tvarr_backup.matches.results import Coverage, Matches, NamedRow, Stop
from tvarr_backup.matches.rows import Row, find_row, read_channels
from tvarr_backup.matches.run import GROUP, LABELS
from tvarr_backup.matches.stage import Rules, row_before
from tvarr_backup.matches.tally import ADDRESS, Compiler, name_row
from tvarr_backup.models import PortableRow
from tvarr_backup.quoting import quoted


@dataclass(frozen=True, slots=True)
class Count:
    """What one expression matches, and the rows that were tried."""

    matches: Matches
    coverage: Coverage
    warnings: tuple[CombinationWarning, ...] = ()
    stop: Stop | None = None


def count_matches(
    text: str,
    domain: Domain,
    *,
    priority: int = 0,
    size: int = SAMPLE,
    limit: Limit | None = None,
    progress: Progress | None = None,
    may_read_addresses: bool = True,
) -> Count:
    """Count what an expression matches, as `preview_changes` does for a new item that is not stored.

    A mapping rule sees what the enabled rules before this `priority` wrote.
    """
    item = Item(slug_of(domain), "", domain, text, priority=priority)
    change = Change("", None, item, is_planned=False)
    preview = preview_changes(
        [change], limit=limit, progress=progress, size=size, may_read_addresses=may_read_addresses
    )
    (effect,) = preview.effects
    coverage = next((each for each in preview.coverage if each.row_kind is domain.row_kind), None)
    return Count(effect.current, coverage or Coverage(domain.row_kind), effect.warnings, preview.stop)


def count_item(
    row: PortableRow, *, size: int = SAMPLE, limit: Limit | None = None, may_read_addresses: bool = True
) -> Preview:
    """Return a preview with one effect: what a stored filter or rule matches. Raises what `preview_changes` raises."""
    change = Change("", None, item_of_row(row), is_planned=False)
    return preview_changes([change], limit=limit, size=size, may_read_addresses=may_read_addresses)


@dataclass(frozen=True, slots=True)
class Explained:
    """Why a row matches or not: the texts that the expression sees, the tree of its condition, and what its actions do."""

    row: NamedRow
    values: Mapping[str, str]
    explanation: Explanation
    applied: Applied


def reads_addresses(text: str, domain: Domain) -> bool:
    """Return whether an expression reads addresses of streams. Raises what `compile_expression` raises."""
    return ADDRESS in compile_expression(text, domain).fields


def explain_row(text: str, domain: Domain, name: str, *, priority: int = 0, limit: Limit | None = None) -> Explained:
    """Explain the result for a channel, programme or player with this id or name.

    A programme needs the groups of all channels, which may take long. Raises `RowNotFound`, `EvaluationTooSlow`,
    `EvaluationCanceled`, and what `compile_expression` raises.
    """
    program = compile_expression(text, domain)
    row_kind = domain.row_kind
    is_player = row_kind is RowKind.PLAYERS
    row = _find_player(name) if is_player else _map(find_row(row_kind, name), domain, priority, limit or Limit())
    texts = read_request(row) if is_player else row
    values = {column: texts.get(column, "") for column in program.fields}
    return Explained(name_row(row, LABELS[row_kind]), values, program.explain(row), program.apply(row))


def _find_player(name: str) -> Row:
    for player in PLAYERS:
        if player.name.casefold() == name.casefold():
            return player.as_request()
    raise RowNotFound("There is no player {name}.", name=quoted(name))


def _map(row: Row, domain: Domain, priority: int, limit: Limit) -> Row:
    """Return a row as an expression sees it: a filter after all mapping rules, a rule after those before it."""
    rules = Rules(read_mapping_rules(), Compiler())
    if domain.row_kind is RowKind.CHANNELS:
        (mapped,) = rules.stage.map_channels([row])
    else:
        groups = _read_groups(rules, limit)
        row = {**row, GROUP: groups.find(row["channel_id"])}
        (mapped,) = rules.stage.map_programmes([row], groups)
    if domain.is_filter:
        return {**row, **mapped.after}
    return row_before(row, mapped, rules.position(Item(slug_of(domain), "", domain, "", priority=priority)))


def _read_groups(rules: Rules, limit: Limit) -> ChannelGroups:
    groups = ChannelGroups()
    for rows in read_channels({*rules.stage.channel_fields, "tvg_id", "group_title"}):
        limit.check()
        for row, mapped in zip(rows, rules.stage.map_channels(rows), strict=True):
            groups.add(row, mapped)
    return groups
