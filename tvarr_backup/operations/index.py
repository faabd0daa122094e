"""The admin's index of the backup folder."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import DEFAULT_DB_ALIAS, transaction

from tvarr_backup import conf
from tvarr_backup.backups import catalogue
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.models import Backup, BackupState
from tvarr_backup.operations.report import state_of
from tvarr_backup.schema import RequiredSchema

_DELETED_TOGETHER = 500  # SQLite allows 999 parameters or more
_COLUMNS = [field.attname for field in Backup._meta.concrete_fields if not field.primary_key]


def refresh_index() -> catalogue.Listing:
    """Update the table from the folder, and return the listing. Raises `BackupFolderUnusable`."""
    listing = catalogue.read_folder(backup_folder())
    required, now = conf.required_schema(), datetime.now(UTC)
    wanted = {backup.filename: _row(backup, required, now) for backup in listing.backups}
    wanted |= {
        one.filename: Backup(filename=one.filename, state=str(BackupState.BROKEN), problem=one.reason)
        for one in listing.broken
    }
    known = Backup.objects.in_bulk()
    changed = [row for name, row in wanted.items() if name not in known or _values(known[name]) != _values(row)]
    gone = sorted(known.keys() - wanted.keys())
    if changed or gone:
        with transaction.atomic(using=DEFAULT_DB_ALIAS):
            Backup.objects.bulk_create(
                changed, update_conflicts=True, unique_fields=["filename"], update_fields=_COLUMNS
            )
            for start in range(0, len(gone), _DELETED_TOGETHER):
                Backup.objects.filter(pk__in=gone[start : start + _DELETED_TOGETHER]).delete()
    return listing


def _values(row: Backup) -> list[Any]:
    return [getattr(row, column) for column in _COLUMNS]


def _row(backup: catalogue.Backup, required: RequiredSchema, now: datetime) -> Backup:
    sidecar = backup.sidecar
    protected = sidecar.is_protected(now)
    return Backup(
        filename=backup.filename,
        kind=str(sidecar.kind),
        note=sidecar.note,
        created_at=sidecar.created_at if sidecar.is_dated else None,
        seq=sidecar.seq,
        database_size=sidecar.database_size,
        compressed_size=sidecar.compressed_size,
        protected=protected,
        protected_until=sidecar.protected_until if protected else None,
        imported=sidecar.imported,
        state=str(state_of(sidecar, required)),
        checked_at=sidecar.checked.at if sidecar.checked else None,
        problem="\n".join(sidecar.problems),
    )
