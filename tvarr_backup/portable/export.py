"""Export of the rows of a kind as a stream of bytes that needs the same memory for any number of rows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from django.core.exceptions import ValidationError
from django.db.models import Count, DateTimeField, F, Func, QuerySet, Subquery, Value
from django.utils import timezone

from tvarr_backup import __version__
from tvarr_backup.columns import require_columns
from tvarr_backup.errors import ItemNotFound, RowUnreadable, SelectionEmpty, SystemRowSelected
from tvarr_backup.fields import parse_ulid
from tvarr_backup.models import EncodingProfile, EpgSource, PortableRow, StreamSource
from tvarr_backup.portable.envelope import FORMAT_VERSION
from tvarr_backup.portable.items import exported_item, readable_rows, sentence_of_unreadable, unreadable_rows
from tvarr_backup.portable.kinds import Kind, ReferenceTarget
from tvarr_backup.portable.references import References
from tvarr_backup.texts import escape_for_json, escape_hidden

logger = structlog.stdlib.get_logger(__name__)

WRITTEN_BY = f"tvarr-backup {__version__}"
"""The `tvarr_version` of our files."""

_HELD_UNKNOWN = (
    "References to sources and encoding profiles that are not here are left out, because they cannot be read"
)
MAX_IDS = 10_000
_BLOCK_ITEMS = 500


class Export(Iterator[bytes]):
    """The blocks of a file, and `warnings`: sentences about what it leaves out."""

    def __init__(self, blocks: Generator[bytes], warnings: tuple[str, ...]) -> None:
        self.warnings = tuple(map(escape_hidden, warnings))
        self._blocks = blocks

    def __next__(self) -> bytes:
        return next(self._blocks)

    def close(self) -> None:
        """End the query."""
        self._blocks.close()


def stream_export(
    kind: Kind, ids: Collection[str] | None = None, *, skip_missing: bool = False, references_problem: str = ""
) -> Export:
    """Export the rows with these ids, or all user-created ones, as UTF-8 blocks.

    Members and their order are tvarr's, so that tvarr can import the file. Rows are sorted as tvarr does (priority or name, then
    creation time, then id): two exports of the same data differ only in `exported_at`. All rows come from one query, so from
    one state of the database.

    Raises before the first block: `SelectionEmpty`, `ItemNotFound`, `SystemRowSelected`, `RowUnreadable` or
    `DatabaseIncomplete`. With `skip_missing`, ids of no live user-created row are ignored, as in tvarr. Unreadable rows are left
    out with a warning, or refused if their ids are given. `references_problem` is the reason why references that wait cannot
    be read; they are left out with a warning.
    """
    unknown = require_columns(kind.model)
    rows = kind.model.objects.filter(is_system=False)
    if ids is not None:
        rows = rows.filter(pk__in=_bounded(ids) if skip_missing else _exportable_ids(kind, _bounded(ids)))
    unreadable = unreadable_rows(kind, rows)
    if unreadable and ids is not None and not skip_missing:
        raise RowUnreadable(sentence_of_unreadable(unreadable[0]))
    rows = readable_rows(kind, rows) if unreadable else rows
    rows = rows.annotate(exported_rows=_count_of(rows)).order_by(*_order(kind))
    warnings = _what_is_left_out(unknown, unreadable)
    if kind.reference is not None and references_problem:
        warnings += (f"{_HELD_UNKNOWN}: {references_problem}",)
    references = References(kind, with_held=not references_problem)
    return Export(_stream(kind, rows, references, timezone.now()), warnings)


def _what_is_left_out(unknown: Collection[str], unreadable: Collection[PortableRow]) -> tuple[str, ...]:
    columns = [
        f"Exports leave out the column {column}, because tvarr-backup {__version__} does not know it."
        for column in unknown
    ]
    return (*columns, *map(sentence_of_unreadable, unreadable))


@dataclass(frozen=True)
class ExportableRow:
    """A row that can be selected; `needs` names what it refers to and the file cannot contain."""

    row_id: str
    name: str
    description: str
    needs: str = ""


@dataclass(frozen=True)
class Exportable:
    """The number of user-created rows of a kind, and the names of the built-in ones.

    `needs` counts the rows that refer to what the file cannot contain, by its name. `warnings` are sentences about what the
    file leaves out.
    """

    kind: Kind
    number: int
    needs: Mapping[str, int]
    built_in: list[str]
    warnings: tuple[str, ...] = ()


def count_exportable(kind: Kind) -> Exportable:
    """Return what can be exported, with queries and results whose size does not depend on the number of rows."""
    unknown = require_columns(kind.model)
    rows, reference = kind.model.objects.filter(is_system=False), kind.reference
    built_in = list(kind.model.objects.filter(is_system=True).order_by("name").values_list("name", flat=True))
    unreadable = unreadable_rows(kind, rows)
    warnings = _what_is_left_out(unknown, unreadable)
    if reference is None:
        return Exportable(kind, rows.count() - len(unreadable), {}, built_in, warnings)
    rows = readable_rows(kind, rows) if unreadable else rows
    counts = dict(rows.values_list(reference.column).annotate(Count("pk")))
    names = _not_carried(reference.target) if any(counts) else {}
    needs = Counter[str]()
    for row_id, number in counts.items():
        if row_id in names:
            needs[names[row_id]] += number
    return Exportable(kind, sum(counts.values()), needs, built_in, warnings)


def list_exportable(kind: Kind) -> list[ExportableRow]:
    """Return the rows that can be selected, in the order of the file, with a fixed number of queries."""
    reference = kind.reference
    columns = ["pk", "name", "description", *([reference.column] if reference else [])]
    rows = kind.model.objects.filter(is_system=False)
    if unreadable_rows(kind, rows):
        rows = readable_rows(kind, rows)
    needed = _not_carried(reference.target) if reference else {}
    return [
        ExportableRow(row_id, name, description or "", needed.get(target[0] or "", "") if target else "")
        for row_id, name, description, *target in rows.order_by(*_order(kind)).values_list(*columns)
    ]


def _not_carried(target: ReferenceTarget) -> dict[str, str]:
    """Return names by id of what another tvarr may not have: sources and user-created profiles."""
    if target is ReferenceTarget.PROFILE_NAME:
        return dict(EncodingProfile.objects.filter(is_system=False).values_list("pk", "name"))
    return {**dict(StreamSource.objects.values_list("pk", "name")), **dict(EpgSource.objects.values_list("pk", "name"))}


def _order(kind: Kind) -> tuple[Any, ...]:
    return (*kind.order, Instant(F("created_at")), "id")


def export_file_name(kind: Kind, moment: datetime) -> str:
    """Return a name for an export file, with the time in UTC."""
    return f"tvarr-{kind.slug.replace('_', '-')}-{moment.astimezone(UTC):%Y-%m-%dT%H-%M-%S}.json"


def _count_of(rows: QuerySet[PortableRow]) -> Subquery:
    """Return the number of rows as a column of each: one query gives both, and a window function would keep all rows."""
    return Subquery(rows.order_by().annotate(all=Value(1)).values("all").annotate(count=Count("pk")).values("count"))


class Instant(Func):
    """A time that sorts by time: stored texts do not where offsets or fractions differ in length."""

    output_field = DateTimeField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return super().as_sql(compiler, connection, function="julianday", **extra)

    def as_sql(self, compiler: Any, connection: Any, **extra: Any) -> Any:  # type: ignore[override]
        return super().as_sql(compiler, connection, template="%(expressions)s", **extra)


def _bounded(ids: Collection[str]) -> Collection[str]:
    if len(ids) > MAX_IDS:
        raise SelectionEmpty(f"{len(ids)} ids were given; allowed are at most {MAX_IDS}, or all.")
    return ids


def _exportable_ids(kind: Kind, texts: Collection[str]) -> set[str]:
    if not texts:
        raise SelectionEmpty(f"No {kind.label} were chosen; name at least one, or all.")
    ids = {_read_id(kind, text) for text in texts}
    found = {row.pk: row for row in kind.model.objects.filter(pk__in=ids).only("pk", "name", "is_system")}
    for row_id in sorted(ids):
        if row_id not in found:
            raise ItemNotFound(f"There is none of the {kind.label} with the id {row_id}.")
        if found[row_id].is_system:
            raise SystemRowSelected(
                f"“{found[row_id].name}” ({row_id}) is one of tvarr's own {kind.label}, which every tvarr has; "
                "only user-created ones are exported."
            )
    return ids


def _read_id(kind: Kind, text: str) -> str:
    try:
        return parse_ulid(text)
    except ValidationError as problem:
        raise ItemNotFound(f"There is none of the {kind.label} with the id {text[:80]}.") from problem


def _stream(kind: Kind, rows: QuerySet[PortableRow], references: References, moment: datetime) -> Generator[bytes]:
    began = time.monotonic()
    count = written = 0
    block = b""
    for number, row in enumerate(rows.iterator(chunk_size=_BLOCK_ITEMS)):
        if number == 0:
            count = row.exported_rows  # type: ignore[attr-defined]  # annotated
            block = _head(kind, count, moment)
        block += (b",\n" if number else b"\n") + _indented(exported_item(kind, row, references.exported(row)))
        if number % _BLOCK_ITEMS == _BLOCK_ITEMS - 1:
            written += len(block)
            yield block
            block = b""
    block = block + b"\n  ]\n}\n" if count else _head(kind, 0, moment) + b"]\n}\n"
    written += len(block)
    yield block
    seconds = round(time.monotonic() - began, 3)
    logger.info("export.made", kind=kind.slug.value, items=count, file_bytes=written, seconds=seconds)


def _head(kind: Kind, count: int, moment: datetime) -> bytes:
    metadata = {
        "version": FORMAT_VERSION,
        "tvarr_version": WRITTEN_BY,
        "export_type": kind.slug,
        "exported_at": f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "item_count": count,
    }
    text = orjson.dumps({"metadata": metadata}, option=orjson.OPT_INDENT_2)
    return text.removesuffix(b"\n}") + b',\n  "items": ['


def _indented(item: dict[str, Any]) -> bytes:
    text = b"    " + orjson.dumps(item, option=orjson.OPT_INDENT_2).replace(b"\n", b"\n    ")
    has_only_seen = text.isascii() and b"\x7f" not in text  # others are escaped already
    return text if has_only_seen else escape_for_json(text.decode()).encode()  # a file may be shown on a terminal
