"""Check that the live database has the columns of tvarr's tables that an action needs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.db import connections, models, router
from django.db.models.base import ModelBase

from tvarr_backup import __version__
from tvarr_backup.errors import DatabaseIncomplete, DatabaseMissing, DatabaseNewer, DatabaseUnusable
from tvarr_backup.models import EncodingProfile, EpgSource, StreamSource, TvarrRow
from tvarr_backup.schema import TVARRS_NEWEST, DatabaseState
from tvarr_backup.sentences import Sentence
from tvarr_backup.tvarr_database import judge_connected, schema_connected
from tvarr_backup.way_out import with_way_out

_Model = type[models.Model]
_NAMED = ("id", "name", "deleted_at")
_REFERRED: dict[str, tuple[_Model, ...]] = {
    "encoding_profile": (EncodingProfile,),
    "source_id": (StreamSource, EpgSource),
}
"""The models whose names an export or import looks up, by the field that refers to them."""

_ON_SQLITE = 'SELECT %s, name, "notnull" AND dflt_value IS NULL AND pk = 0 FROM pragma_table_info(%s)'
_ON_SERVER = (
    "SELECT %s, column_name, is_nullable = 'NO' AND column_default IS NULL FROM information_schema.columns "
    "WHERE table_name = %s AND table_schema = ANY (current_schemas(false))"
)


def require_columns(model: type[TvarrRow], *, adds_rows: bool = False, with_related: bool = False) -> tuple[str, ...]:
    """Require the known columns of the table, and return its unknown ones as `table.column`. Makes one query of the schema.

    Tables that it refers to need only the columns that name a row, or all of them `with_related`. Raises `DatabaseMissing` for
    an empty database, `DatabaseForeign`, `DatabaseIncomplete`, or with `adds_rows`, `DatabaseNewer` if new rows need a value
    in an unknown column.
    """
    needed = _needed(model, with_related=with_related)
    live = _live_columns(needed)
    for table, columns in needed.items():
        if table not in live:
            _require_tvarrs()
        missing = [name for name in columns if name not in live.get(table, {})]
        if missing:
            raise DatabaseIncomplete(_describe_missing(model, table, missing if table in live else []))
    table = model._meta.db_table
    known = {field.column for field in model._meta.concrete_fields}
    unknown = sorted(name for name, needs_value in live[table].items() if needs_value and name not in known)
    if adds_rows and unknown:
        raise DatabaseNewer(
            "{label} cannot be added: {schema} needs a value in {table}.{column}, a column that tvarr-backup {version} does not "
            "know. Nothing was changed. Add them in tvarr, or install a version of tvarr-backup that knows this column.",
            label=_label(model).capitalize(),
            schema=_live_schema(),
            table=table,
            column=unknown[0],
            version=__version__,
        )
    return tuple(f"{table}.{name}" for name in sorted(live[table]) if name not in known)


def _require_tvarrs() -> None:
    """Raise `DatabaseMissing` or `DatabaseForeign` if a table is missing because this is not tvarr's database."""
    alias = router.db_for_write(EncodingProfile)
    address = str(connections[alias].settings_dict["NAME"])
    name = Path(unquote(urlsplit(address).path)) if address.startswith("file:") else address
    try:
        if judge_connected(alias, name) is DatabaseState.EMPTY:
            raise DatabaseMissing("{name} is empty.", name=name)
    except DatabaseUnusable as problem:
        raise with_way_out(problem) from problem


def _needed(model: _Model, *, with_related: bool) -> dict[str, tuple[str, ...]]:
    needed = {model._meta.db_table: tuple(field.column for field in model._meta.concrete_fields)}
    for field in model._meta.concrete_fields:
        for referred in _REFERRED.get(field.name, ()):
            needed[referred._meta.db_table] = _NAMED
        other = field.related_model
        if with_related and isinstance(other, ModelBase):
            needed[other._meta.db_table] = tuple(column.column for column in other._meta.concrete_fields)
    return needed


def _live_columns(tables: Iterable[str]) -> dict[str, dict[str, bool]]:
    """Return the columns of each existing table, and whether new rows need a value in them."""
    names = list(tables)
    connection = connections[router.db_for_write(EncodingProfile)]
    query = _ON_SQLITE if connection.vendor == "sqlite" else _ON_SERVER
    found: dict[str, dict[str, bool]] = {}
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join([query] * len(names)), [name for name in names for _ in range(2)])
        for table, column, needs_value in cursor.fetchall():
            found.setdefault(table, {})[column] = bool(needs_value)
    return found


def _describe_missing(model: _Model, table: str, columns: list[str]) -> Sentence:
    found = _live_schema()
    what = (
        Sentence("the column {table}.{column}", table=table, column=columns[0])
        if columns
        else Sentence("the table {table}", table=table)
    )
    if not found.startswith("tvarr "):
        way_out = Sentence("Restore a backup that has it.")
    elif found > f"tvarr {TVARRS_NEWEST}":
        way_out = Sentence("Install a version of tvarr-backup that knows {found}.", found=found)
    else:
        way_out = Sentence("Start tvarr {newest} or later on this database once to add it.", newest=TVARRS_NEWEST)
    return Sentence(
        "{label} cannot be shown, edited, exported or imported: {found} does not have {what}, which tvarr-backup {version} needs "
        "(made for tvarr {newest}). Nothing was changed. Backups and other kinds work. {way_out}",
        label=_label(model).capitalize(),
        found=found,
        what=what,
        version=__version__,
        newest=TVARRS_NEWEST,
        way_out=way_out,
    )


def _label(model: _Model) -> str:
    return str(model._meta.verbose_name_plural)


def _live_schema() -> str:
    """Return the schema of the live database for messages."""
    return schema_connected(router.db_for_write(EncodingProfile)) or "this database"
