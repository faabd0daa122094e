"""The columns of tvarr's tables that an action needs, and whether the live database has them."""

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
"""The models whose names an export or an import looks up, by the field that refers to them."""

_ON_SQLITE = 'SELECT %s, name, "notnull" AND dflt_value IS NULL AND pk = 0 FROM pragma_table_info(%s)'
_ON_SERVER = (
    "SELECT %s, column_name, is_nullable = 'NO' AND column_default IS NULL FROM information_schema.columns "
    "WHERE table_name = %s AND table_schema = ANY (current_schemas(false))"
)


def require_columns(model: type[TvarrRow], *, adds_rows: bool = False, with_related: bool = False) -> tuple[str, ...]:
    """Return the columns of the table that this program does not know, as `table.column`; require those that it needs.

    Of tables that it refers to, only the columns that name a row are required, or with `with_related` all. Raises
    `DatabaseMissing` or `DatabaseForeign` for a database that is empty or not tvarr's, `DatabaseIncomplete`, or with
    `adds_rows` `DatabaseNewer` where each new row needs a value in an unknown column. One query, of the schema alone.
    """
    needed = _needed(model, with_related=with_related)
    live = _live_columns(needed)
    for table, columns in needed.items():
        if table not in live:
            _require_tvarrs()
        missing = [name for name in columns if name not in live.get(table, {})]
        if missing:
            raise DatabaseIncomplete(_sentence_of_missing(model, table, missing if table in live else []))
    table = model._meta.db_table
    known = {field.column for field in model._meta.concrete_fields}
    demanded = sorted(name for name, is_demanded in live[table].items() if is_demanded and name not in known)
    if adds_rows and demanded:
        raise DatabaseNewer(
            "No {label} can be added: {schema} needs a value in {table}.{column}, a column that "
            "tvarr-backup {version} does not know. Nothing was changed. Add them in tvarr, or install a version of "
            "tvarr-backup that knows this column.",
            label=_label(model),
            schema=_schema_here(),
            table=table,
            column=demanded[0],
            version=__version__,
        )
    return tuple(f"{table}.{name}" for name in sorted(live[table]) if name not in known)


def _require_tvarrs() -> None:
    """Raise `DatabaseMissing` or `DatabaseForeign` where a table is missing because this is not tvarr's database."""
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
    """Return the columns of each table that exists, and whether each new row must have a value in it."""
    names = list(tables)
    connection = connections[router.db_for_write(EncodingProfile)]
    one = _ON_SQLITE if connection.vendor == "sqlite" else _ON_SERVER
    found: dict[str, dict[str, bool]] = {}
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join([one] * len(names)), [name for name in names for _ in range(2)])
        for table, column, is_demanded in cursor.fetchall():
            found.setdefault(table, {})[column] = bool(is_demanded)
    return found


def _sentence_of_missing(model: _Model, table: str, columns: list[str]) -> Sentence:
    found = _schema_here()
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
        way_out = Sentence(
            "Start tvarr {newest} or later on this database once: it adds what is missing.", newest=TVARRS_NEWEST
        )
    return Sentence(
        "{label} cannot be shown, edited, exported or imported: {found} does not have {what}, which "
        "tvarr-backup {version} needs (made for tvarr {newest}). Nothing was changed; backups and other kinds "
        "work. {way_out}",
        label=_label(model).capitalize(),
        found=found,
        what=what,
        version=__version__,
        newest=TVARRS_NEWEST,
        way_out=way_out,
    )


def _label(model: _Model) -> str:
    return str(model._meta.verbose_name_plural)


def _schema_here() -> str:
    """Return the schema of the live database as sentences name it."""
    return schema_connected(router.db_for_write(EncodingProfile)) or "this database"
