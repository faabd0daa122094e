"""Channels and programmes of tvarr's database, read in batches, and joined as tvarr joins them when it makes a list.

Deleted rows and rows of sources that are deleted or disabled are left out. A text that is not UTF-8 is a `str` in which each bad
byte is a surrogate (`expressions/values.py`). Nothing is written, and no cursor stays open between two batches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import OperationalError, connections, router

from tvarr_backup.errors import RowNotFound
from tvarr_backup.expressions.domains import RowKind
from tvarr_backup.models import Channel, EpgProgram, EpgSource, Source, StreamSource, TvarrRow
from tvarr_backup.quoting import quoted
from tvarr_backup.timestamps import read_timestamp

Row = dict[str, str]
"""The columns of a record by their names in expressions, with its `id`, and `source_id` if it was asked for."""

BATCH = 1000
MOST_PROGRAMMES = 200_000
"""A larger guide is sampled."""
CHANNEL_COLUMNS = {
    name: name for name in ("source_id", "channel_name", "tvg_id", "tvg_name", "tvg_logo", "group_title", "stream_url")
}
PROGRAMME_COLUMNS = {
    "programme_title": "title",
    "programme_description": "description",
    "programme_category": "category",
    "programme_icon": "icon",
    "programme_start": "start",
    "programme_stop": "stop",
    "channel_id": "channel_id",
}
"""The columns of the tables, by their names in expressions. `channel_id` refers to the guide's id of a channel."""

_TIMES = ("start", "stop")
_USUAL_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.\d+)?([+-]\d\d:\d\d)", re.ASCII)
_ZERO_TIME = "0001-01-01T00:00:00Z"
_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ENDINGS = len(_DIGITS) ** 2
_NOT_UTF8 = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Share:
    """Which programmes are read: all, or those whose id ends in two characters below `ending`.

    The ends of ids are random, so these programmes are of all channels and times, and the same ones each time.
    """

    in_database: int
    ending: str = ""

    @property
    def is_all(self) -> bool:
        return not self.ending


def choose_share(most: int = MOST_PROGRAMMES) -> Share:
    """Return the share of the guide that has at most about this many programmes."""
    count = EpgProgram.objects.count()
    if count <= most:
        return Share(count)
    first, second = divmod(max(1, _ENDINGS * most // count), len(_DIGITS))
    return Share(count, _DIGITS[first] + _DIGITS[second])


def count_channels() -> int:
    """Return the number of channels, with those of disabled sources."""
    return Channel.objects.count()


def find_sources(model: type[Source], *, with_disabled: bool = False) -> list[str]:
    """Return the ids of the sources that tvarr uses."""
    sources = model.objects.all() if with_disabled else model.objects.filter(enabled=True)
    return list(sources.order_by("pk").values_list("pk", flat=True))


def read_channels(columns: Collection[str], sources: Sequence[str] | None = None) -> Iterator[list[Row]]:
    """Yield the channels of these sources, or of all that are enabled, by their ids, with these columns of expressions."""
    sources = find_sources(StreamSource) if sources is None else sources
    wanted = {name: column for name, column in CHANNEL_COLUMNS.items() if name in columns}
    yield from _read(Channel, wanted, sources)


def read_programmes(
    columns: Collection[str], share: Share, sources: Sequence[str] | None = None
) -> Iterator[list[Row]]:
    """Yield programmes as `read_channels` yields channels."""
    sources = find_sources(EpgSource) if sources is None else sources
    wanted = {name: column for name, column in PROGRAMME_COLUMNS.items() if name in columns}
    yield from _read(EpgProgram, wanted, sources, share.ending)


def find_row(row_kind: RowKind, name: str) -> Row:
    """Return the channel or programme with this id, or the first one with this name or title, with all columns.

    Those of disabled sources are found too. Raises `RowNotFound`.
    """
    model, columns = (Channel, CHANNEL_COLUMNS) if row_kind is RowKind.CHANNELS else (EpgProgram, PROGRAMME_COLUMNS)
    label = columns["channel_name" if row_kind is RowKind.CHANNELS else "programme_title"]
    found = None
    if "\0" not in name:  # PostgreSQL refuses NUL
        found = model.objects.filter(pk=name).first() or model.objects.filter(**{label: name}).order_by("pk").first()
    if found is not None:
        sources = [found.source_id]
        for rows in _read(model, columns, sources, only=found.pk):
            return rows[0]
    raise RowNotFound("There is no {kind} {name}.", kind=model._meta.verbose_name, name=quoted(name))


def count_not_utf8(rows: Sequence[Row]) -> int:
    """Return how many rows have a text that is not UTF-8."""
    if "".join([text for row in rows for text in row.values()]).isascii():
        return 0
    return sum(_NOT_UTF8.search("".join(row.values())) is not None for row in rows)


def _read(
    model: type[TvarrRow], wanted: Mapping[str, str], sources: Sequence[str], ending: str = "", only: str = ""
) -> Iterator[list[Row]]:
    if not sources:
        return
    connection = connections[router.db_for_read(model)]
    quote, is_sqlite = connection.ops.quote_name, connection.vendor == "sqlite"
    names = ("id", *wanted)
    selected = [quote("id")]
    selected += [_select(quote(column), is_time=column in _TIMES, is_sqlite=is_sqlite) for column in wanted.values()]
    # With a plus sign, SQLite uses no other index than that of the ids, which is in the order of the rows.
    no_index = "+" if is_sqlite else ""
    conditions = [
        f"{quote('id')} > %s",
        f"{no_index}{quote('deleted_at')} IS NULL",
        f"{no_index}{quote('source_id')} IN ({', '.join(['%s'] * len(sources))})",
    ]
    if only:
        conditions.append(f"{quote('id')} = %s")
    if ending:
        collation = "BINARY" if is_sqlite else '"C"'
        conditions.append(f"substr({quote('id')}, 25, 2) COLLATE {collation} < %s")
    query = (
        f"SELECT {', '.join(selected)} FROM {quote(model._meta.db_table)} WHERE {' AND '.join(conditions)} "  # noqa: S608
        f"ORDER BY {quote('id')} LIMIT {BATCH}"
    )
    times = [name for name, column in wanted.items() if column in _TIMES] if is_sqlite else []
    last = ""
    while True:
        values = _fetch(connection, query, [last, *sources, *filter(None, (only, ending))])
        rows = [dict(zip(names, each, strict=True)) for each in values]
        for name in times:
            for row in rows:
                row[name] = write_time(row[name])
        if rows:
            yield rows
        if len(rows) < BATCH:
            return
        last = rows[-1]["id"]


def _select(column: str, *, is_time: bool, is_sqlite: bool) -> str:
    """Return the SQL for a column as text; NULL is empty. On a server, times are in UTC."""
    if is_time and not is_sqlite:
        return f"COALESCE(to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), '')"
    return f"CAST(COALESCE({column}, '') AS TEXT)"


def _fetch(connection: Any, query: str, parameters: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the rows of a query, with all bytes of their texts. Few texts are not UTF-8, and `str` is the fastest for others."""
    if connection.vendor != "sqlite":
        return _fetch_all(connection, query, parameters)
    try:
        with _decoding(connection, str):
            return _fetch_all(connection, query, parameters)
    except OperationalError:
        with _decoding(connection, _decode):
            return _fetch_all(connection, query, parameters)


def _fetch_all(connection: Any, query: str, parameters: Sequence[str]) -> list[tuple[str, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        found: list[tuple[str, ...]] = cursor.fetchall()
    return found


@contextmanager
def _decoding(connection: Any, decode: Callable[[bytes], str] | type[str]) -> Iterator[None]:
    """Let SQLite's rows have texts that `decode` makes, within this block only."""
    connection.ensure_connection()
    usual: Callable[[bytes], Any] = connection.connection.text_factory
    connection.connection.text_factory = decode
    try:
        yield
    finally:
        connection.connection.text_factory = usual


def _decode(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode(errors="surrogateescape")


def write_time(stored: str) -> str:
    """Return a stored time as expressions see it: in RFC 3339 without fractions, with its own offset. A zero time is empty."""
    usual = _USUAL_TIME.fullmatch(stored)
    if usual:
        offset = "Z" if usual[3] in {"+00:00", "-00:00"} else usual[3]
        text = f"{usual[1]}T{usual[2]}{offset}"
    else:
        moment = read_timestamp(stored)
        text = "" if moment is None else f"{moment.replace(microsecond=0, tzinfo=None).isoformat()}Z"
    return "" if text == _ZERO_TIME else text
