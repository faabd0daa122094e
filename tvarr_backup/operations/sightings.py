"""Records the schemas of tvarr's database, and reports what an upgrade of tvarr has changed.

`prepare`, the worker (every ten seconds) and each backup record the schema if it has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from django.db import Error

from tvarr_backup import conf, tvarr_database
from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.versions import VersionVerdict, is_safety_backup, judge_versions
from tvarr_backup.errors import DatabaseUnusable
from tvarr_backup.operations import app_database
from tvarr_backup.operations.models import SchemaSighting
from tvarr_backup.quoting import name_some
from tvarr_backup.repeats import Repeats
from tvarr_backup.schema import RequiredSchema
from tvarr_backup.sentences import Sentence, join
from tvarr_backup.tvarr_database import Description

logger = structlog.stdlib.get_logger(__name__)
_repeats = Repeats()

REPORTED_FOR = timedelta(days=14)
"""How long health reports what an upgrade of tvarr has changed."""

_NAMED = 10


@dataclass(frozen=True)
class SchemaChange:
    """The changes between two schemas of tvarr's database; tables by name, columns as `table.column`."""

    before: str
    after: str
    noticed_at: datetime
    added: tuple[str, ...]
    removed: tuple[str, ...]

    def describe(self) -> Sentence:
        """Return sentences about the change, without its time."""
        parts = [
            Sentence("tvarr's database has changed from {before} to {after}.", before=self.before, after=self.after)
        ]
        parts += [Sentence("Added: {added}.", added=name_some(self.added, _NAMED))] if self.added else []
        parts += [Sentence("Removed: {removed}.", removed=name_some(self.removed, _NAMED))] if self.removed else []
        return join(parts)


def record_sighting() -> None:
    """Store the schema of tvarr's database if it has changed. Does nothing if either database cannot be used."""
    if not conf.has_our_tables():
        return
    try:
        found = _describe_live()
        if not found.schema:
            return
        database, columns = conf.protected_database(), _by_table(found)
        last = SchemaSighting.objects.filter(database=database).last()
        if last is not None and (last.schema, last.columns) == (found.schema, columns):
            return
        SchemaSighting.objects.create(
            database=database, schema=found.schema, columns=columns, seen_at=datetime.now(UTC)
        )
        logger.info("schema.seen", schema=found.schema, before=last.schema if last else None)
    except DatabaseUnusable:
        return
    except Error as problem:
        reason = conf.in_a_line(problem)
        if _repeats.is_due(reason):  # the worker tries again every few seconds
            logger.info("schema.not_recorded", reason=reason)


def recent_change(now: datetime) -> SchemaChange | None:
    """Return what upgrades of tvarr have changed within the last 14 days; `None` if nothing."""
    sightings = list(SchemaSighting.objects.filter(database=conf.protected_database()))
    recent = [sighting for sighting in sightings if now - sighting.seen_at <= REPORTED_FOR]
    if not recent or len(recent) == len(sightings) == 1:
        return None
    first = len(sightings) - len(recent)
    before, after = sightings[max(first - 1, 0)], sightings[-1]
    if not before.schema.startswith("tvarr ") or not after.schema.startswith("tvarr "):
        return None
    if (before.schema, before.columns) == (after.schema, after.columns):
        return None
    added, removed = _difference(after.columns, before.columns), _difference(before.columns, after.columns)
    return SchemaChange(before.schema, after.schema, after.seen_at, added, removed)


def verdict_on(backup: Backup, required: RequiredSchema | None = None) -> VersionVerdict:
    """Judge the restore of a backup across schema versions."""
    try:
        live = _describe_live().schema
    except (DatabaseUnusable, Error):
        live = ""
    required = required or conf.required_schema()
    return judge_versions(backup.sidecar.schema, live, required, is_safety=is_safety_backup(backup.sidecar))


def _describe_live() -> Description:
    alias = conf.tvarr_alias()
    if not conf.is_file(alias):
        return tvarr_database.describe_server(alias)
    return tvarr_database.describe(conf.database_path(alias), timeout_seconds=app_database.PATIENCE_SECONDS)


def _by_table(found: Description) -> dict[str, list[str]]:
    tables: dict[str, list[str]] = {}
    for table, column in found.columns:
        tables.setdefault(table, []).append(column)
    return tables


def _difference(these: Mapping[str, list[str]], those: Mapping[str, list[str]]) -> tuple[str, ...]:
    """Return the tables and columns that only the first schema has."""
    names = []
    for table, columns in sorted(these.items()):
        if table not in those:
            names.append(table)
        else:
            names += [f"{table}.{column}" for column in columns if column not in those[table]]
    return tuple(names)
