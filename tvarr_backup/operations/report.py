"""Backups and checks as JSON data, the same for commands, results of operations, and the API."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from tvarr_backup import conf
from tvarr_backup.backups.backup_warnings import encode_warning
from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.sidecar import Sidecar, encode_sidecar
from tvarr_backup.backups.verify import Verification
from tvarr_backup.formatting import format_time
from tvarr_backup.operations.models import BackupState
from tvarr_backup.schema import RequiredSchema, is_newer

SAME_NUMBER_OF_ROWS = "same number of rows"
"""Said of tables whose row counts are equal. Their contents may differ, so it is never "no change"."""


def unknown_date(sidecar: Sidecar) -> str:
    """Return what replaces the date of a backup whose date is unknown, such as "date unknown, newest row 1 Mar 2026, 15:00".

    Empty for a backup with a date.
    """
    if sidecar.is_dated:
        return ""
    if sidecar.newest_row_at is None:
        return "date unknown"
    return f"date unknown, newest row {format_time(sidecar.newest_row_at)}"


def state_of(sidecar: Sidecar, required: RequiredSchema) -> BackupState:
    """What is known of a complete backup: damage first, then whether this program is too old for it."""
    if sidecar.checked is not None and sidecar.checked.problems:
        return BackupState.DAMAGED
    if is_newer(sidecar.schema, required):
        return BackupState.NEWER
    return BackupState.NOT_CHECKED if sidecar.checked is None else BackupState.CHECKED


def backup_as_data(backup: Backup, required: RequiredSchema | None = None) -> dict[str, Any]:
    """The metadata of a backup: tvarr's members and ours; sizes are bytes, times RFC 3339 in UTC.

    `protected` is so now, and `protected_until` null where it has no end, or is over.
    Who shows many passes `required`, which is otherwise looked up for each.
    """
    members = json.loads(encode_sidecar(backup.sidecar))
    del members["format"]  # of the sidecar as a file
    protected = backup.sidecar.is_protected(datetime.now(UTC))
    return {
        "filename": backup.filename,
        "file_size": backup.sidecar.compressed_size,
        "state": str(state_of(backup.sidecar, required or conf.required_schema())),
        **members,
        "protected": protected,
        "protected_until": members["protected_until"] if protected else None,
    }


def verification_as_data(verification: Verification, required: RequiredSchema | None = None) -> dict[str, Any]:
    """Every check of a backup with its outcome; `problems` is empty where all is well."""
    return {
        "backup": backup_as_data(verification.backup, required),
        "checks": [
            {"name": str(check.name), "passed": check.passed, "detail": check.detail} for check in verification.checks
        ],
        "problems": list(verification.problems),
        "warnings": [str(warning) for warning in verification.warnings],
        "warning_details": [encode_warning(warning) for warning in verification.warnings],
    }
