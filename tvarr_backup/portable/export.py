"""Export of rows as a stream of bytes, with constant memory for any number of rows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
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
from tvarr_backup.models import ClientDetectionRule, EncodingProfile, EpgSource, PortableRow, StreamSource
from tvarr_backup.portable.envelope import BUNDLE, BUNDLE_VERSION, FORMAT_VERSION
from tvarr_backup.portable.export_findings import ExportFinding, find_in_row
from tvarr_backup.portable.items import describe_unreadable, exported_item, readable_rows, unreadable_rows
from tvarr_backup.portable.kinds import IN_ORDER_OF_IMPORT, KINDS, Kind, ReferenceTarget, Slug
from tvarr_backup.portable.references import References
from tvarr_backup.quoting import cut, quoted
from tvarr_backup.sentences import Sentence
from tvarr_backup.texts import escape_for_json

logger = structlog.stdlib.get_logger(__name__)

WRITTEN_BY = f"tvarr-backup {__version__}"
"""The `tvarr_version` of our files."""

MAX_IDS = 10_000
TVARR_MAX_BYTES = 2**20
"""The size of the largest file that tvarr imports."""
_BLOCK_ITEMS = 500
_BETWEEN, _END = b",\n", b"\n  ]\n}\n"


@dataclass(frozen=True)
class _Rows:
    """The rows of one kind in an export."""

    kind: Kind
    queryset: QuerySet[PortableRow]
    references: References
    moment: datetime

    def __iter__(self) -> Iterator[PortableRow]:
        return self.queryset.iterator(chunk_size=_BLOCK_ITEMS)

    def render(self, row: PortableRow) -> bytes:
        return _indented(exported_item(self.kind, row, self.references.exported(row)))


class Export(Iterator[bytes]):
    """The blocks of a file, sentences about what it leaves out in `warnings`, and the `rows` of each kind."""

    def __init__(self, blocks: Generator[bytes], warnings: tuple[str, ...], rows: Sequence[_Rows]) -> None:
        self.warnings = warnings
        self.rows = rows
        self._blocks = blocks

    def split(self, most_bytes: int = TVARR_MAX_BYTES) -> Iterator[bytes]:
        """Yield the rows of one kind as whole files of at most this size, instead of the blocks. One file is in memory at a time.

        An item that is larger than this is alone in a file.
        """
        (rows,) = self.rows
        return _split(rows, most_bytes)

    def check_rows(self) -> Iterator[ExportFinding]:
        """Yield what a user should check before sharing the file. Each call reads all rows and checks their expressions."""
        for rows in self.rows:
            for row in rows:
                yield from find_in_row(rows.kind, row)

    def __next__(self) -> bytes:
        return next(self._blocks)

    def close(self) -> None:
        """End the query."""
        self._blocks.close()


def stream_export(
    kind: Kind, ids: Collection[str] | None = None, *, skip_missing: bool = False, references_problem: str = ""
) -> Export:
    """Export the rows with these ids, or all user-created ones, as UTF-8 blocks that tvarr can import.

    Rows are sorted as in tvarr, so two exports of the same data differ only in `exported_at`. One query reads them all.
    `skip_missing` ignores ids without a live user-created row, as tvarr does. Unreadable rows are left out with a warning, or
    refused if their ids are given. Waiting references are left out if there is a `references_problem`, which says why.

    Before the first block, raises `SelectionEmpty`, `ItemNotFound`, `SystemRowSelected`, `RowUnreadable` or
    `DatabaseIncomplete`.
    """
    unknown = require_columns(kind.model)
    rows = kind.model.objects.filter(is_system=False)
    if ids is not None:
        rows = rows.filter(pk__in=_bounded(ids) if skip_missing else _exportable_ids(kind, _bounded(ids)))
    unreadable = unreadable_rows(kind, rows)
    if unreadable and ids is not None and not skip_missing:
        raise RowUnreadable(describe_unreadable(unreadable[0]))
    rows = readable_rows(kind, rows) if unreadable else rows
    rows = rows.annotate(exported_rows=_count_of(rows)).order_by(*_order(kind))
    warnings = _omissions(unknown, unreadable)
    if kind.reference is not None and references_problem:
        omission = (
            "References to missing sources and encoding profiles are left out, because they are unreadable: {problem}"
        )
        warnings += (Sentence(omission, problem=references_problem),)
    exported = _Rows(kind, rows, References(kind, with_waiting=not references_problem), timezone.now())
    return Export(_stream(exported), warnings, (exported,))


def stream_bundle(
    selection: Mapping[Slug, Collection[str] | None], *, with_profiles: bool = True, references_problem: str = ""
) -> Export:
    """Export items of several kinds in one file: those with the ids of a kind, or all of a kind for None.

    `with_profiles` adds the encoding profiles to which the selected rules refer. Raises what `stream_export` raises. The items
    are in memory, because the number of items comes first in the file.
    """
    chosen = dict(selection)
    if with_profiles:
        _add_profiles(chosen)
    exports = [
        (slug, stream_export(KINDS[slug], chosen[slug], references_problem=references_problem))
        for slug in IN_ORDER_OF_IMPORT
        if slug in chosen
    ]
    warnings = tuple(warning for _, export in exports for warning in export.warnings)
    rows = [each for _, export in exports for each in export.rows]
    return Export(_bundle(exports, timezone.now()), warnings, rows)


def _add_profiles(chosen: dict[Slug, Collection[str] | None]) -> None:
    """Add the user-created profiles of the selected rules, unless all profiles are selected anyway."""
    rules = ClientDetectionRule.objects.filter(is_system=False, encoding_profile__is_system=False)
    if Slug.CLIENT_DETECTION_RULES not in chosen or chosen.get(Slug.ENCODING_PROFILES, ()) is None:
        return
    ids = chosen[Slug.CLIENT_DETECTION_RULES]
    needed = set((rules if ids is None else rules.filter(pk__in=ids)).values_list("encoding_profile_id", flat=True))
    if needed:
        chosen[Slug.ENCODING_PROFILES] = {*(chosen.get(Slug.ENCODING_PROFILES) or ()), *needed}


def _bundle(exports: Sequence[tuple[Slug, Export]], moment: datetime) -> Generator[bytes]:
    yield write_bundle({slug: orjson.loads(b"".join(export))["items"] for slug, export in exports}, moment)


def write_bundle(sections: Mapping[Slug, Sequence[Mapping[str, Any]]], moment: datetime) -> bytes:
    """Return a file with these items, by kind. `moment` is the time of the export."""
    metadata = _metadata(BUNDLE, BUNDLE_VERSION, sum(map(len, sections.values())), moment)
    value = {"metadata": metadata, "sections": {slug.value: items for slug, items in sections.items()}}
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return escape_for_json(text).encode() + b"\n"


def _omissions(unknown: Collection[str], unreadable: Collection[PortableRow]) -> tuple[str, ...]:
    omission = "The column {column} is left out, because tvarr-backup {version} does not know it."
    columns = [Sentence(omission, column=column, version=__version__) for column in unknown]
    return (*columns, *map(describe_unreadable, unreadable))


@dataclass(frozen=True)
class ExportableRow:
    """A row that can be selected. `needs` is the name of its target, which the file does not contain."""

    row_id: str
    name: str
    description: str
    needs: str = ""


@dataclass(frozen=True)
class Exportable:
    """The number of a kind's user-created rows, and `needs`: how many of them have a target that the file lacks, by its name."""

    kind: Kind
    number: int
    needs: Mapping[str, int]
    built_in: list[str]
    warnings: tuple[str, ...] = ()


def count_exportable(kind: Kind) -> Exportable:
    """Count what can be exported, with queries and results of the same size for any number of rows."""
    unknown = require_columns(kind.model)
    rows, reference = kind.model.objects.filter(is_system=False), kind.reference
    built_in = list(kind.model.objects.filter(is_system=True).order_by("name").values_list("name", flat=True))
    unreadable = unreadable_rows(kind, rows)
    warnings = _omissions(unknown, unreadable)
    if reference is None:
        return Exportable(kind, rows.count() - len(unreadable), {}, built_in, warnings)
    rows = readable_rows(kind, rows) if unreadable else rows
    counts = dict(rows.values_list(reference.column).annotate(Count("pk")))
    names = _target_names(reference.target) if any(counts) else {}
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
    needed = _target_names(reference.target) if reference else {}
    return [
        ExportableRow(row_id, name, description or "", needed.get(target[0] or "", "") if target else "")
        for row_id, name, description, *target in rows.order_by(*_order(kind)).values_list(*columns)
    ]


def _target_names(target: ReferenceTarget) -> dict[str, str]:
    """Return the names by id of targets that another tvarr may lack: sources and user-created profiles."""
    if target is ReferenceTarget.PROFILE_NAME:
        return dict(EncodingProfile.objects.filter(is_system=False).values_list("pk", "name"))
    return {**dict(StreamSource.objects.values_list("pk", "name")), **dict(EpgSource.objects.values_list("pk", "name"))}


def _order(kind: Kind) -> tuple[Any, ...]:
    return (*kind.order, Instant(F("created_at")), "id")


def export_file_name(kind: Kind, moment: datetime, part: int | None = None) -> str:
    """Return a name for an export file, with the time in UTC, and its number if it is one of several."""
    ending = "" if part is None else f"-{part}"
    return f"tvarr-{kind.url_slug}-{moment.astimezone(UTC):%Y-%m-%dT%H-%M-%S}{ending}.json"


def _count_of(rows: QuerySet[PortableRow]) -> Subquery:
    """Return the number of rows, as a column of each row. A window function would keep all rows in memory."""
    return Subquery(rows.order_by().annotate(all=Value(1)).values("all").annotate(count=Count("pk")).values("count"))


class Instant(Func):
    """A stored time that sorts correctly. As text, times with other offsets or fractions would not."""

    output_field = DateTimeField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return super().as_sql(compiler, connection, function="julianday", **extra)

    def as_sql(self, compiler: Any, connection: Any, **extra: Any) -> Any:  # type: ignore[override]
        return super().as_sql(compiler, connection, template="%(expressions)s", **extra)


def _bounded(ids: Collection[str]) -> Collection[str]:
    if len(ids) > MAX_IDS:
        raise SelectionEmpty(
            "Expected at most {limit} ids, got {count}. Export everything instead.", limit=MAX_IDS, count=len(ids)
        )
    return ids


def _exportable_ids(kind: Kind, texts: Collection[str]) -> set[str]:
    if not texts:
        raise SelectionEmpty("Select at least one of the {kind}, or export all.", kind=kind.label)
    ids = {_read_id(kind, text) for text in texts}
    found = {row.pk: row for row in kind.model.objects.filter(pk__in=ids).only("pk", "name", "is_system")}
    for row_id in sorted(ids):
        if row_id not in found:
            raise _not_found(kind, row_id)
        if found[row_id].is_system:
            sentence = "{name} ({id}) is one of tvarr's built-in {kind}. Only user-created ones can be exported."
            raise SystemRowSelected(sentence, name=quoted(found[row_id].name), id=row_id, kind=kind.label)
    return ids


def _not_found(kind: Kind, row_id: str) -> ItemNotFound:
    return ItemNotFound("None of the {kind} has the id {id}.", kind=kind.label, id=cut(row_id))


def _read_id(kind: Kind, text: str) -> str:
    try:
        return parse_ulid(text)
    except ValidationError as problem:
        raise _not_found(kind, text) from problem


def _stream(rows: _Rows) -> Generator[bytes]:
    began = time.monotonic()
    count = written = 0
    block = b""
    for number, row in enumerate(rows):
        if number == 0:
            count = row.exported_rows  # type: ignore[attr-defined]  # annotated
            block = _head(rows.kind, count, rows.moment)
        block += (_BETWEEN if number else b"\n") + rows.render(row)
        if number % _BLOCK_ITEMS == _BLOCK_ITEMS - 1:
            written += len(block)
            yield block
            block = b""
    block = block + _END if count else _empty_file(rows)
    written += len(block)
    yield block
    _log_export(rows, count, written, began)


def _split(rows: _Rows, most_bytes: int) -> Iterator[bytes]:
    began = time.monotonic()
    items: list[bytes] = []
    size_bytes = len(_END) + 1
    for row in rows:
        item = rows.render(row)
        added_bytes = len(item) + (len(_BETWEEN) if items else 0)
        head_bytes = len(_head(rows.kind, len(items) + 1, rows.moment))
        if items and head_bytes + size_bytes + added_bytes > most_bytes:
            yield _file(rows, items, began)
            items, size_bytes, added_bytes, began = [], len(_END) + 1, len(item), time.monotonic()
        items.append(item)
        size_bytes += added_bytes
    yield _file(rows, items, began)


def _file(rows: _Rows, items: Sequence[bytes], began: float) -> bytes:
    content = (
        _head(rows.kind, len(items), rows.moment) + b"\n" + _BETWEEN.join(items) + _END if items else _empty_file(rows)
    )
    _log_export(rows, len(items), len(content), began)
    return content


def _empty_file(rows: _Rows) -> bytes:
    return _head(rows.kind, 0, rows.moment) + b"]\n}\n"


def _log_export(rows: _Rows, count: int, written: int, began: float) -> None:
    seconds = round(time.monotonic() - began, 3)
    logger.info("export.made", kind=rows.kind.slug.value, items=count, file_bytes=written, seconds=seconds)


def _head(kind: Kind, count: int, moment: datetime) -> bytes:
    text = orjson.dumps({"metadata": _metadata(kind.slug, FORMAT_VERSION, count, moment)}, option=orjson.OPT_INDENT_2)
    return text.removesuffix(b"\n}") + b',\n  "items": ['


def _metadata(export_type: str, version: str, count: int, moment: datetime) -> dict[str, Any]:
    return {
        "version": version,
        "tvarr_version": WRITTEN_BY,
        "export_type": export_type,
        "exported_at": f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "item_count": count,
    }


def _indented(item: dict[str, Any]) -> bytes:
    text = b"    " + orjson.dumps(item, option=orjson.OPT_INDENT_2).replace(b"\n", b"\n    ")
    is_plain = text.isascii() and b"\x7f" not in text  # orjson has escaped other control characters
    return text if is_plain else escape_for_json(text.decode()).encode()  # users may display the file on a terminal
