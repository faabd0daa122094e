"""The channels in the list of each proxy, before and after its filters change, as tvarr's filter stage makes it.

The stage sees channels after the mapping rules. Active filters run by priority: an include adds the channels that it matches, an
exclude takes them out, and an error at run time does neither. Without any active filter, all channels stay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import connections, router

from tvarr_backup.expressions import Domain
from tvarr_backup.expressions.filter_stage import FilterAction, decide
from tvarr_backup.matches.items import Item
from tvarr_backup.matches.results import ProxyOutput
from tvarr_backup.matches.rows import Row
from tvarr_backup.matches.tally import Compiled, NameCounter
from tvarr_backup.models import ProxyFilter, StreamProxy, StreamSource

_SOURCES = """
    SELECT proxy_sources.proxy_id, proxy_sources.source_id FROM proxy_sources
    JOIN stream_sources ON stream_sources.id = proxy_sources.source_id
    WHERE proxy_sources.deleted_at IS NULL AND stream_sources.deleted_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, the ids of its enabled sources (None if the database does not say), and of its active filters in order."""

    proxy_id: str
    name: str
    sources: frozenset[str] | None
    filters: tuple[str, ...]


def read_proxies(filter_ids: Iterable[str] | None = None) -> list[Proxy]:
    """Return the active proxies by name: those that use one of these filters, or all that use any."""
    filters: dict[str, list[str]] = defaultdict(list)
    used = ProxyFilter.objects.filter(is_active=True, filter__deleted_at__isnull=True, proxy__deleted_at__isnull=True)
    for proxy_id, filter_id in used.order_by("priority", "filter__name", "pk").values_list("proxy_id", "filter_id"):
        filters[proxy_id].append(filter_id)
    wanted = None if filter_ids is None else set(filter_ids)
    chosen = [key for key, ids in filters.items() if wanted is None or wanted.intersection(ids)]
    sources = _read_sources()
    enabled = set(StreamSource.objects.filter(enabled=True).values_list("pk", flat=True))
    return [
        Proxy(
            proxy.pk,
            proxy.name,
            None if sources is None else frozenset(sources.get(proxy.pk, set()) & enabled),
            tuple(filters[proxy.pk]),
        )
        for proxy in StreamProxy.objects.filter(pk__in=chosen, is_active=True).order_by("name")
    ]


def _read_sources() -> dict[str, set[str]] | None:
    """Return the sources of each proxy, or None in a database that this program created, which has no such table."""
    connection = connections[router.db_for_read(StreamProxy)]
    if "proxy_sources" not in connection.introspection.table_names():
        return None
    found: dict[str, set[str]] = defaultdict(set)
    with connection.cursor() as cursor:
        cursor.execute(_SOURCES)
        for proxy_id, source_id in cursor.fetchall():
            found[proxy_id].add(source_id)
    return dict(found)


Flags = Callable[[Compiled], Sequence[bool | None]]
"""Returns for each row of a batch whether an expression matches it."""


class Chain:
    """The filters of a proxy on one side of a change."""

    def __init__(self, filters: Sequence[tuple[Item, Compiled]]) -> None:
        self.refused = next((item.name for item, compiled in filters if compiled.problem is not None), "")
        self._is_empty = not filters
        self._filters = [
            (FilterAction(item.action), compiled)
            for item, compiled in filters
            if item.domain is Domain.STREAM_FILTER and compiled.running is not None and item.action in set(FilterAction)
        ]

    @property
    def compiled(self) -> list[Compiled]:
        return [compiled for _, compiled in self._filters]

    def keep(self, count: int, flags: Flags) -> list[bool]:
        """Return for each of `count` rows whether it stays."""
        if self._is_empty or not self._filters:
            return [self._is_empty] * count
        actions = [action for action, _ in self._filters]
        matches = zip(*(flags(compiled) for _, compiled in self._filters), strict=True)
        return [decide(zip(actions, each, strict=True)) for each in matches]


class OutputCounter:
    """Counts the list of one proxy before and after a change."""

    def __init__(self, proxy: Proxy, before: Chain, after: Chain, *, size: int) -> None:
        self._proxy, self._before, self._after = proxy, before, after
        self._channels = self._count_before = self._count_after = 0
        self._added, self._removed = NameCounter(size, "channel_name"), NameCounter(size, "channel_name")

    @property
    def compiled(self) -> list[Compiled]:
        """The filters of both sides."""
        return [*self._before.compiled, *self._after.compiled]

    def add(self, rows: Sequence[Row], flags_before: Flags, flags_after: Flags) -> None:
        """Count a batch of channels."""
        sources = self._proxy.sources
        own = [sources is None or row["source_id"] in sources for row in rows]
        kept_before = self._before.keep(len(rows), flags_before)
        kept_after = self._after.keep(len(rows), flags_after)
        self._channels += own.count(True)
        before = [has and kept for has, kept in zip(own, kept_before, strict=True)]
        after = [has and kept for has, kept in zip(own, kept_after, strict=True)]
        self._count_before += before.count(True)
        self._count_after += after.count(True)
        if before != after:
            pairs = list(zip(rows, before, after, strict=True))
            self._added.add([row for row, was, is_now in pairs if is_now and not was])
            self._removed.add([row for row, was, is_now in pairs if was and not is_now])

    def result(self) -> ProxyOutput:
        refused = bool(self._before.refused), bool(self._after.refused)
        return ProxyOutput(
            self._proxy.proxy_id,
            self._proxy.name,
            self._channels,
            None if refused[0] else self._count_before,
            None if refused[1] else self._count_after,
            self._added.result(),
            self._removed.result(),
            self._before.refused,
            self._after.refused,
            has_sources=self._proxy.sources is not None,
        )


def chain_of(proxy: Proxy, filters: Mapping[str, Item], compile_item: Callable[[Item], Compiled]) -> Chain:
    """Return the chain of a proxy's filters."""
    items = [filters[filter_id] for filter_id in proxy.filters if filter_id in filters]
    return Chain([(item, compile_item(item)) for item in items])
