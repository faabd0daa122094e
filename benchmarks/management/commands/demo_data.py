"""The command `demo_data`."""

from __future__ import annotations

import random
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from django.core.management.base import CommandError
from django.db import connections, models, router, transaction

from tvarr_backup import conf, fields
from tvarr_backup.errors import DatabaseUnusable
from tvarr_backup.management.terminal import TerminalCommand
from tvarr_backup.models import (
    Channel,
    ClientDetectionRule,
    DataMappingRule,
    EncodingProfile,
    EpgProgram,
    EpgSource,
    Filter,
    PortableRow,
    ProxyFilter,
    SourceType,
    StreamProxy,
    StreamSource,
    TvarrRow,
)
from tvarr_backup.schema import DatabaseState
from tvarr_backup.timestamps import write_timestamp

LIMITS = {"channels": 1_000_000, "programmes": 10_000_000, "items": 100_000}
ROWS_PER_TRANSACTION = 50_000

_SOURCES = 4
_PROXIES = 5
_PLACES = ("Harbour", "Lighthouse", "Orchard", "Meadow", "Canyon", "Glacier", "Juniper", "Marble", "Willow", "Quarry")
_THEMES = ("News", "Sport", "Films", "Kids", "Music", "Nature", "Cooking", "Classics", "Science", "Travel")
_QUALITIES = ("", " HD", " FHD", " 4K")
_SHOWS = ("Tides", "The Long Table", "Night Train", "Seven Gardens", "Old Maps", "Paper Boats", "Market Day", "Echoes")
_SLOT = timedelta(minutes=30)


class Command(TerminalCommand):
    """Writes rows in large transactions. An interruption leaves complete ones."""

    help = "Add fictional channels, programmes, proxies and items to a database that tvarr-backup created."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--channels", type=int, default=1000, help="number of channels, in four stream sources")
        parser.add_argument("--programmes", type=int, default=10_000, help="number of programmes")
        parser.add_argument("--items", type=int, default=20, help="number of items of each kind")
        parser.add_argument("--seed", type=int, default=1, help="the same seed creates the same names and texts")

    def handle(self, *_args: Any, channels: int, programmes: int, items: int, seed: int, **_options: Any) -> None:
        for name, number in {"channels": channels, "programmes": programmes, "items": items}.items():
            if not 0 <= number <= LIMITS[name]:
                raise CommandError(f"--{name}: expected a whole number from 0 to {LIMITS[name]}, got {number}.")
        _require_our_database()
        self._add_items(items, _chance(seed, "items"))
        self._add_proxies(_chance(seed, "proxies"))
        self._add_channels(channels, _chance(seed, "channels"))
        self._add_programmes(programmes, max(1, channels), _chance(seed, "programmes"))
        self.line(f"Added {channels} channels, {programmes} programmes and {items} items of each kind.")

    def _add_items(self, number: int, chance: random.Random) -> None:
        for model in (Filter, DataMappingRule, ClientDetectionRule, EncodingProfile):
            start = _first_free_number(model)
            self._write(model, (_item(model, start + index, chance) for index in range(number)), number)

    def _add_proxies(self, chance: random.Random) -> None:
        start = _first_free_number(StreamProxy)
        proxies = [StreamProxy(name=f"Demo proxy {start + index}") for index in range(_PROXIES)]
        filters = list(Filter.objects.order_by("pk")[:100])
        self._write(StreamProxy, proxies, len(proxies))
        used = [
            ProxyFilter(proxy=proxy, filter=chosen, priority=place)
            for proxy in proxies
            for place, chosen in enumerate(chance.sample(filters, min(3, len(filters))), start=1)
        ]
        self._write(ProxyFilter, used, len(used))

    def _add_channels(self, number: int, chance: random.Random) -> None:
        start = _first_free_number(StreamSource)
        sources = [
            StreamSource(
                name=f"Demo provider {start + index}",
                type="xtream",
                url=f"http://provider-{start + index}.example.test:8080",
                username="demo",
                password=f"demo-password-{start + index}",
                status="success",
                channel_count=len(range(index, number, _SOURCES)),
            )
            for index in range(_SOURCES)
        ]
        self._write(StreamSource, sources, len(sources))
        self._insert(Channel, _CHANNEL_COLUMNS, _channels(number, sources, chance), number)

    def _add_programmes(self, number: int, guide_channels: int, chance: random.Random) -> None:
        start = _first_free_number(EpgSource)
        source = EpgSource(
            name=f"Demo guide {start}",
            type="xmltv",
            url=f"http://guide-{start}.example.test/guide.xml",
            status="success",
            program_count=number,
        )
        self._write(EpgSource, [source], 1)
        rows = _programmes(number, guide_channels, source.pk, chance)
        self._insert(EpgProgram, _PROGRAMME_COLUMNS, rows, number)

    def _write(self, model: type[TvarrRow], rows: Iterable[TvarrRow], total: int) -> None:
        waiting = iter(rows)
        while batch := list(islice(waiting, 5_000)):
            model.all_rows.bulk_create(batch)
        self._report(model, total, total)

    def _insert(self, model: type[TvarrRow], columns: Sequence[str], rows: Iterator[Any], total: int) -> None:
        """Insert stored values, four times as fast as through the models. Other columns get their defaults."""
        alias = router.db_for_write(model)
        others = [field for field in model._meta.concrete_fields if field.column not in columns]
        moment = write_timestamp(datetime.now(UTC))
        filling = tuple(
            moment if field.name in ("created_at", "updated_at") else _stored_default(field, alias) for field in others
        )
        names = [*columns, *(field.column for field in others)]
        table = connections[alias].ops.quote_name(model._meta.db_table)
        statement = (
            f"INSERT INTO {table} ({', '.join(map(connections[alias].ops.quote_name, names))}) "
            f"VALUES ({', '.join(['%s'] * len(names))})"
        )
        done = 0
        while batch := list(islice(rows, ROWS_PER_TRANSACTION)):
            with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
                cursor.executemany(statement, [row + filling for row in batch])
            done += len(batch)
            self._report(model, done, total)

    def _report(self, model: type[TvarrRow], done: int, total: int) -> None:
        self.message(f"{model._meta.verbose_name_plural}: {done} of {total}")


def _chance(seed: int, subject: str) -> random.Random:
    """Return a random generator for each subject, so that existing rows do not change other subjects."""
    return random.Random(f"{seed} {subject}")


def _require_our_database() -> None:
    try:
        state = conf.tvarr_state()
    except DatabaseUnusable as problem:
        raise CommandError(f"TVARR_DATABASE_DSN: {problem}") from problem
    if state is DatabaseState.ATTACHED:
        raise CommandError(
            "TVARR_DATABASE_DSN names tvarr's own database. Demo data needs a database that tvarr-backup created."
        )
    if state is not DatabaseState.OURS:
        raise CommandError("There is no database yet. Run `prepare` first.")


def _first_free_number(model: Any) -> int:
    """Return a number above those of earlier runs, including rows marked as deleted."""
    names = model.all_rows.filter(name__startswith="Demo ").values_list("name", flat=True)
    numbers = (name.rpartition(" ")[2] for name in names.iterator())
    return 1 + max((int(number) for number in numbers if number.isascii() and number.isdigit()), default=0)


def _stored_default(field: models.Field[Any, Any], alias: str) -> Any:
    return field.get_db_prep_save(field.get_default(), connections[alias])


def _item(model: type[PortableRow], number: int, chance: random.Random) -> PortableRow:
    place, theme = chance.choice(_PLACES), chance.choice(_THEMES)
    name = f"Demo {model._meta.verbose_name} {place} {number}"
    if model is Filter:
        return Filter(
            name=name,
            source_type=chance.choice(SourceType.values),
            action=chance.choice(Filter.Action.values),
            expression=f'title contains "{place}"' if number % 2 else f'group_title contains "{theme}"',
        )
    if model is DataMappingRule:
        expression = f'channel_name contains "{place}" SET group_title = "{theme}"'
        return DataMappingRule(name=name, expression=expression, priority=1000 + number % 500)
    if model is ClientDetectionRule:
        expression = f'@dynamic(request.headers):user-agent contains "{place}Player/{number}"'
        return ClientDetectionRule(name=name, expression=expression, priority=1000 + number % 500)
    return EncodingProfile(name=name, description=f"{theme} for the {place.lower()}.", quality_preset="high")


_CHANNEL_COLUMNS = (
    "id",
    "source_id",
    "ext_id",
    "tvg_id",
    "tvg_name",
    "group_title",
    "channel_name",
    "channel_number",
    "stream_url",
    "stream_type",
)


def _channels(number: int, sources: Sequence[StreamSource], chance: random.Random) -> Iterator[tuple[Any, ...]]:
    for index in range(number):
        source = sources[index % len(sources)]
        place, theme = chance.choice(_PLACES), chance.choice(_THEMES)
        name = f"{place} {theme} {index + 1}{chance.choice(_QUALITIES)}"
        yield (
            fields.new_ulid(),
            source.pk,
            str(index + 1),
            _guide_name(index),
            name,
            f"{theme} | {place}",
            name,
            index + 1,
            f"{source.url}/live/{source.username}/{source.password}/{index + 1}.ts",
            "ts",
        )


_PROGRAMME_COLUMNS = ("id", "source_id", "channel_id", "start", "stop", "title", "description", "category")


def _programmes(number: int, channels: int, source_id: str, chance: random.Random) -> Iterator[tuple[Any, ...]]:
    """Yield half-hours without gaps, channel by channel, so that indexes grow at their ends."""
    evening = datetime.now(UTC).replace(hour=18, minute=0, second=0, microsecond=0)
    slots = -(-number // channels)
    times = [write_timestamp(evening + slot * _SLOT) for slot in range(slots + 1)]
    for index in range(number):
        channel, slot = divmod(index, slots)
        show, place, theme = chance.choice(_SHOWS), chance.choice(_PLACES), chance.choice(_THEMES)
        yield (
            fields.new_ulid(),
            source_id,
            _guide_name(channel),
            times[slot],
            times[slot + 1],
            f"{show}: {place}, part {slot + 1}",
            f"{show} goes to the {place.lower()} and finds out what has changed there since the last visit.",
            theme,
        )


def _guide_name(index: int) -> str:
    return f"demo-{index + 1:07d}.example"
