"""Settings and databases, read at the time of the call."""

import hashlib
import os
import sqlite3
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.apps import apps
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, router
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from tvarr_backup import models, tvarr_database
from tvarr_backup.backups.catalogue import read_folder
from tvarr_backup.backups.folder import find_folder
from tvarr_backup.backups.retention import Period, Policy
from tvarr_backup.backups.sharing import Sharing
from tvarr_backup.backups.sidecar import MADE_HERE
from tvarr_backup.cron import Timetable, parse_zone
from tvarr_backup.errors import (
    BackupFolderUnusable,
    BackupUnsupported,
    DatabaseForeign,
    DatabaseMissing,
    DatabaseUnusable,
    RestoreRefused,
)
from tvarr_backup.schema import DatabaseState, RequiredSchema, table_names
from tvarr_backup.sentences import Advice
from tvarr_backup.tvarr_database import (
    APP_LABEL,
    inspect,
    inspect_server,
    is_attached,
    is_tvarrs_own,
)

_PATIENCE_SECONDS = 2.0
"""How long to wait at most for locks on this program's own database."""


def tvarr_alias() -> str:
    return router.db_for_write(models.Filter)


def storage_folder() -> Path:
    return Path(settings.STORAGE_BASE_DIR)


def is_file(alias: str) -> bool:
    return connections[alias].vendor == "sqlite"


def database_path(alias: str) -> Path:
    name = str(connections[alias].settings_dict["NAME"])
    return Path(unquote(urlsplit(name).path) if name.startswith("file:") else name)


def database_name(alias: str) -> Path | str:
    """Return the path, or the address without user and password."""
    if is_file(alias):
        return database_path(alias)
    entry = connections[alias].settings_dict
    port = f":{entry['PORT']}" if entry["PORT"] else ""
    return f"postgresql://{entry['HOST'] or 'localhost'}{port}/{entry['NAME']}"


def tvarr_state() -> DatabaseState:
    """Inspect the database behind the `tvarr` alias. Raise `DatabaseUnusable`."""
    alias = tvarr_alias()
    return inspect(database_path(alias)) if is_file(alias) else inspect_server(alias, str(database_name(alias)))


def require_separate_databases() -> None:
    """Raise `DatabaseForeign` if both settings name one database, or ours names tvarr's own. Raise `DatabaseUnusable`."""
    name, ours = database_name(tvarr_alias()), database_name(DEFAULT_DB_ALIAS)
    try:
        if _are_one_database():
            kind = "file" if is_file(DEFAULT_DB_ALIAS) else "database"
            raise DatabaseForeign(
                "DATABASE_URL and TVARR_DATABASE_DSN are the same {kind}, {name}. Set them to two {kind}s.",
                kind=kind,
                name=name,
            )
        path = database_path(DEFAULT_DB_ALIAS) if is_file(DEFAULT_DB_ALIAS) else None
        if is_tvarrs_own(path) if path else is_attached(DEFAULT_DB_ALIAS):
            raise DatabaseForeign(
                "DATABASE_URL names tvarr's own database, {ours}. Set TVARR_DATABASE_DSN to it, and DATABASE_URL to another one.",
                ours=ours,
            )
    except DatabaseError as problem:
        raise DatabaseUnusable(
            "DATABASE_URL names {ours}, which cannot be read: {reason}", ours=ours, reason=in_a_line(problem)
        ) from problem


def require_usable_tvarr(*, may_be_missing: bool) -> DatabaseState:
    """Inspect the database behind the `tvarr` alias. Raise `DatabaseUnusable` that names the variable."""
    require_separate_databases()
    name = database_name(tvarr_alias())
    try:
        state = tvarr_state()
    except DatabaseUnusable as problem:
        raise type(problem)("TVARR_DATABASE_DSN: {problem}", problem=problem) from problem
    if state in (DatabaseState.MISSING, DatabaseState.EMPTY) and not may_be_missing:
        raise DatabaseMissing(
            "TVARR_DATABASE_DSN names {name}, which {what}. {advice}",
            name=name,
            what="does not exist" if state is DatabaseState.MISSING else "is empty",
            advice=Advice.NAME_OR_CREATE,
        )
    return state


def _are_one_database() -> bool:
    aliases = (DEFAULT_DB_ALIAS, tvarr_alias())
    if all(map(is_file, aliases)):
        return len({database_path(alias).resolve() for alias in aliases}) == 1
    if any(map(is_file, aliases)):
        return False
    return len({_identity_on_server(alias) for alias in aliases}) == 1


def _identity_on_server(alias: str) -> Any:
    """Return what identifies a database under any address, or its address if the server does not answer."""
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT oid, pg_postmaster_start_time() FROM pg_database WHERE datname = current_database()")
            return cursor.fetchone()
    except DatabaseError:
        return database_name(alias)


def in_a_line(problem: Exception) -> str:
    """Return a message, which may have several lines, as one line."""
    return " ".join(str(problem).split())


def is_up_to_date(alias: str) -> bool:
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT app, name FROM django_migrations")
            applied = frozenset(cursor.fetchall())
    except DatabaseError:  # `applied_migrations` is empty without this table, and raises for other errors
        applied = frozenset(MigrationRecorder(connections[alias]).applied_migrations())
    return applied >= known_migrations(alias)


def has_our_tables() -> bool:
    """Return whether Django may open our own database. It would create a missing file, and change another program's."""
    if not is_file(DEFAULT_DB_ALIAS):
        return True
    patience = min(
        _PATIENCE_SECONDS, connections[DEFAULT_DB_ALIAS].settings_dict["OPTIONS"].get("timeout", _PATIENCE_SECONDS)
    )
    try:
        return tvarr_database.query_cached(database_path(DEFAULT_DB_ALIAS), _has_operations, timeout_seconds=patience)
    except DatabaseUnusable:
        return False


def _has_operations(_path: Path, connection: sqlite3.Connection) -> bool:
    return "operations_operation" in table_names(connection)


@cache
def known_migrations(alias: str) -> frozenset[tuple[str, str]]:
    nodes = MigrationLoader(None).graph.nodes
    return frozenset(node for node in nodes if (node[0] == APP_LABEL) == (alias == tvarr_alias()))


def live_database() -> Path:
    """Return the real path of the database to back up. Raise `BackupUnsupported` if it is not SQLite."""
    alias = tvarr_alias()
    if not is_file(alias):
        raise BackupUnsupported(
            "tvarr's database is on {server}. Only SQLite databases can be backed up here. Use pg_dump for PostgreSQL, or "
            "mysqldump for MySQL.",
            server=connections[alias].display_name,
        )
    return database_path(alias).resolve()


def protected_database() -> str:
    """Return the real path of tvarr's database, or its address on a server."""
    alias = tvarr_alias()
    return str(database_path(alias).resolve()) if is_file(alias) else str(database_name(alias))


def backup_path() -> Path:
    """Return the backup folder as set, without resolving links."""
    return Path(settings.BACKUP_DIRECTORY)


def backup_folder() -> Path:
    """Return the real path of the backup folder, which may not exist. Actions use `operations.disk` instead."""
    return find_folder(backup_path())


def scratch_folder(folder: Path) -> Path:
    """Return the folder where backups of a read-only folder are unpacked. It may not exist."""
    return storage_folder() / "work" / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]


def required_schema() -> RequiredSchema:
    """Return the known schema. It does not depend on the live database, so that every earlier version can be restored."""
    required = tvarr_database.required_schema()
    everywhere, here = _seen_schemas(protected_database())
    newest = [schema.removeprefix("tvarr ") for schema in everywhere if schema.startswith("tvarr ")]
    return replace(
        required,
        tvarr_newest=max([required.tvarr_newest, *newest]),
        last_seen=here[-1] if here else "",
        was_ours=any(schema.startswith("tvarr-backup ") for schema in here),
    )


def _seen_schemas(live: str) -> tuple[list[str], list[str]]:
    """Return all schemas ever seen, and those of this database, oldest first. Fall back to metadata of our backups."""
    if not has_our_tables():
        return _backed_up_schemas()
    try:
        sightings = apps.get_model("operations", "SchemaSighting").objects  # this module cannot import that app
        rows = list(sightings.order_by("pk").values_list("database", "schema"))
    except DatabaseError:
        return _backed_up_schemas()
    return [schema for _, schema in rows], [schema for database, schema in rows if database == live]


def _backed_up_schemas() -> tuple[list[str], list[str]]:
    try:
        backups = read_folder(backup_path().resolve(strict=True)).backups
    except (OSError, BackupFolderUnusable):
        return [], []
    sidecars = [
        backup.sidecar for backup in backups if backup.sidecar.kind in MADE_HERE and not backup.sidecar.imported
    ]
    schemas = [sidecar.schema for sidecar in sorted(sidecars, key=lambda sidecar: sidecar.seq)]
    return schemas, schemas


def sharing() -> Sharing:
    return Sharing(settings.BACKUP_FILE_MODE, settings.BACKUP_GROUP)


def default_policy() -> Policy:
    periods = {
        Period.DAILY: settings.BACKUP_RETENTION_DAILY,
        Period.WEEKLY: settings.BACKUP_RETENTION_WEEKLY,
        Period.MONTHLY: settings.BACKUP_RETENTION_MONTHLY,
        Period.YEARLY: settings.BACKUP_RETENTION_YEARLY,
    }
    return Policy(settings.BACKUP_RETENTION, settings.BACKUP_MAX_AGE, periods, parse_zone(settings.TIME_ZONE))


def default_timetable() -> Timetable:
    return Timetable(settings.BACKUP_SCHEDULE_CRON, parse_zone(settings.TIME_ZONE))


def require_no_transaction() -> None:
    """Raise `RestoreRefused` inside a transaction on tvarr's database, where a restore would wait forever."""
    if connections[tvarr_alias()].in_atomic_block:
        raise RestoreRefused("A restore cannot run inside a transaction on tvarr's database. Nothing was changed.")
