"""The settings that this package reads, at the moment of the call."""

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
from tvarr_backup.backups.retention import Policy
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
"""For so long, at most, others' locks on this program's own database are waited for here."""


def tvarr_alias() -> str:
    """The alias of the database that holds tvarr's tables."""
    return router.db_for_write(models.Filter)


def storage_folder() -> Path:
    """Where everything that we write lives."""
    return Path(settings.STORAGE_BASE_DIR)


def is_file(alias: str) -> bool:
    """Whether the database is an SQLite file, and not on a server."""
    return connections[alias].vendor == "sqlite"


def database_path(alias: str) -> Path:
    """The file behind an SQLite alias."""
    name = str(connections[alias].settings_dict["NAME"])
    return Path(unquote(urlsplit(name).path) if name.startswith("file:") else name)


def database_name(alias: str) -> Path | str:
    """What a database is called in sentences: its path, or its address without user and password."""
    if is_file(alias):
        return database_path(alias)
    entry = connections[alias].settings_dict
    port = f":{entry['PORT']}" if entry["PORT"] else ""
    return f"postgresql://{entry['HOST'] or 'localhost'}{port}/{entry['NAME']}"


def tvarr_state() -> DatabaseState:
    """What lies behind the `tvarr` alias, by looking at it; raises `DatabaseUnusable`."""
    alias = tvarr_alias()
    return inspect(database_path(alias)) if is_file(alias) else inspect_server(alias, str(database_name(alias)))


def require_separate_databases() -> None:
    """Raise `DatabaseForeign` where the settings name one database for both, or tvarr's own for ours; changes nothing.

    Raises `DatabaseUnusable` where a server that must be asked for that does not answer.
    """
    name, ours = database_name(tvarr_alias()), database_name(DEFAULT_DB_ALIAS)
    try:
        if _are_one_database():
            kind = "file" if is_file(DEFAULT_DB_ALIAS) else "database"
            raise DatabaseForeign(
                "DATABASE_URL and TVARR_DATABASE_DSN are the same {kind}, {name}; allowed are two {kind}s.",
                kind=kind,
                name=name,
            )
        if _holds_tvarrs_own(DEFAULT_DB_ALIAS):
            raise DatabaseForeign(
                "DATABASE_URL names tvarr's own database, {ours}; allowed is one of ours. tvarr's belongs into "
                "TVARR_DATABASE_DSN.",
                ours=ours,
            )
    except DatabaseError as problem:
        raise DatabaseUnusable(
            "DATABASE_URL names {ours}, which cannot be read: {reason}", ours=ours, reason=in_a_line(problem)
        ) from problem


def require_usable_tvarr(*, may_be_missing: bool) -> DatabaseState:
    """What lies behind the `tvarr` alias, or `DatabaseUnusable` in words that name the variable; changes nothing."""
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
    """By whatever name the server is addressed; where it cannot be reached nobody can tell."""
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT oid, pg_postmaster_start_time() FROM pg_database WHERE datname = current_database()")
            return cursor.fetchone()
    except DatabaseError:
        return database_name(alias)


def _holds_tvarrs_own(alias: str) -> bool:
    return is_tvarrs_own(database_path(alias)) if is_file(alias) else is_attached(alias)


def in_a_line(problem: Exception) -> str:
    """What a server or its driver says, which may be several lines."""
    return " ".join(str(problem).split())


def is_up_to_date(alias: str) -> bool:
    """Whether every migration of this version has been applied to the database, which exists."""
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT app, name FROM django_migrations")
            applied = frozenset(cursor.fetchall())
    except DatabaseError:  # there is no such table, or it cannot be asked: this tells the two apart
        applied = frozenset(MigrationRecorder(connections[alias]).applied_migrations())
    return applied >= known_migrations(alias)


def has_our_tables() -> bool:
    """Whether Django may open this program's own database: as a file, it must be there and contain our tables.

    Django would create a missing file, and set the journal mode of one that belongs to another program. Nothing is
    changed by asking.
    """
    if not is_file(DEFAULT_DB_ALIAS):
        return True
    patience = min(
        _PATIENCE_SECONDS, connections[DEFAULT_DB_ALIAS].settings_dict["OPTIONS"].get("timeout", _PATIENCE_SECONDS)
    )
    try:
        return tvarr_database.ask_again(database_path(DEFAULT_DB_ALIAS), _has_operations, timeout_seconds=patience)
    except DatabaseUnusable:
        return False


def _has_operations(_path: Path, connection: sqlite3.Connection) -> bool:
    return "operations_operation" in table_names(connection)


@cache
def known_migrations(alias: str) -> frozenset[tuple[str, str]]:
    """The migrations of this version for a database, as pairs of application and name. They are read from files once."""
    nodes = MigrationLoader(None).graph.nodes
    return frozenset(node for node in nodes if (node[0] == APP_LABEL) == (alias == tvarr_alias()))


def live_database() -> Path:
    """The database that backups are made of, by its real path. Raises `BackupUnsupported` where it is not SQLite."""
    alias = tvarr_alias()
    if not is_file(alias):
        raise BackupUnsupported(
            "tvarr's database is on {server}, and only SQLite databases are backed up here: use "
            "pg_dump for PostgreSQL, or mysqldump for MySQL.",
            server=connections[alias].display_name,
        )
    return database_path(alias).resolve()


def protected_database() -> str:
    """What operations are about: the real path of tvarr's database, or its name where it is on a server."""
    alias = tvarr_alias()
    return str(database_path(alias).resolve()) if is_file(alias) else str(database_name(alias))


def backup_path() -> Path:
    """Where backups lie, or will lie, as it was named."""
    return Path(settings.BACKUP_DIRECTORY)


def backup_folder() -> Path:
    """Where backups are, or will be, by its real path; nothing is created. Raises `BackupFolderUnusable`.

    Actions ask `operations.disk`, which also knows whether its disk is mounted.
    """
    return find_folder(backup_path())


def scratch_folder(folder: Path) -> Path:
    """Where the backups of a read-only folder are unpacked, in the storage folder; it may not exist yet."""
    return storage_folder() / "work" / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]


def required_schema() -> RequiredSchema:
    """Return the schema that this program knows, with what was seen of tvarr's database before.

    What is live now makes no difference: a restore must be possible back to whatever was live here.
    """
    required = tvarr_database.required_schema()
    seen, here = _schemas_seen(sighted_database())
    newest = [schema.removeprefix("tvarr ") for schema in seen if schema.startswith("tvarr ")]
    return replace(
        required,
        tvarr_newest=max([required.tvarr_newest, *newest]),
        last_seen=here[-1] if here else "",
        was_ours=any(schema.startswith("tvarr-backup ") for schema in here),
    )


def sighted_database() -> str:
    """Return what sightings call tvarr's database: the resolved path, or the address on a server."""
    alias = tvarr_alias()
    return str(database_path(alias).resolve()) if is_file(alias) else str(database_name(alias))


def _schemas_seen(live: str) -> tuple[list[str], list[str]]:
    """Return the schemas that were ever seen, and of these those of this database, in the order of sighting.

    Where our own database cannot say, the metadata of backups that were made here does.
    """
    if not has_our_tables():
        return _schemas_backed_up()
    try:
        sightings = apps.get_model("operations", "SchemaSighting").objects  # the app lies above this module
        rows = list(sightings.order_by("pk").values_list("database", "schema"))
    except DatabaseError:
        return _schemas_backed_up()
    return [schema for _, schema in rows], [schema for database, schema in rows if database == live]


def _schemas_backed_up() -> tuple[list[str], list[str]]:
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
    """Group and mode of published backups, as the environment says."""
    return Sharing(settings.BACKUP_FILE_MODE, settings.BACKUP_GROUP)


def default_policy() -> Policy:
    """How many automatic backups are kept, as the environment says."""
    return Policy(settings.BACKUP_RETENTION, settings.BACKUP_MAX_AGE)


def default_timetable() -> Timetable:
    """When scheduled backups are made, as the environment says."""
    return Timetable(settings.BACKUP_SCHEDULE_CRON, parse_zone(settings.TIME_ZONE))


def require_no_transaction() -> None:
    """Raise `RestoreRefused` inside a transaction on tvarr's database: it would wait for its own end for ever."""
    if connections[tvarr_alias()].in_atomic_block:
        raise RestoreRefused("A restore cannot be done inside a transaction on tvarr's database; nothing was changed.")
