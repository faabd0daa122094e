"""Backups, verifications and refused code as JSON data, for commands, results of operations, and the API."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from tvarr_backup import conf
from tvarr_backup.backups.backup_warnings import encode_warning
from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.sidecar import Sidecar, encode_sidecar
from tvarr_backup.backups.verify import Verification
from tvarr_backup.errors import CodeNotAccepted, FoundCode
from tvarr_backup.formatting import format_time
from tvarr_backup.operations.models import BackupState, Operation, OperationKind, OperationState
from tvarr_backup.schema import RequiredSchema, is_newer

_REFUSED_CODE = "refused_code"
_MOST_KEPT_CHARACTERS = 2**16
"""Longer SQL is not stored, because no user would read it. So it cannot be accepted on a page."""

SAME_NUMBER_OF_ROWS = "same number of rows"
"""The label of tables with equal row counts. Their contents may differ, so it does not say "no change"."""


def unknown_date(sidecar: Sidecar) -> str:
    """Return "date unknown", with the time of the newest row if there is one; empty for a backup with a date."""
    if sidecar.is_dated:
        return ""
    if sidecar.newest_row_at is None:
        return "date unknown"
    return f"date unknown, newest row {format_time(sidecar.newest_row_at)}"


def state_of(sidecar: Sidecar, required: RequiredSchema) -> BackupState:
    """Return the state of a complete backup; damage takes precedence."""
    if sidecar.problems:
        return BackupState.DAMAGED
    if is_newer(sidecar.schema, required):
        return BackupState.NEWER
    return BackupState.NOT_CHECKED if sidecar.checked is None else BackupState.CHECKED


def backup_as_data(backup: Backup, required: RequiredSchema | None = None) -> dict[str, Any]:
    """Return the metadata of a backup: tvarr's members and ours, sizes in bytes, times as RFC 3339 in UTC.

    `protected` is whether it is protected now, and `protected_until` is null if that has no end or has ended. Pass
    `required` for many backups, because it is otherwise looked up for each.
    """
    members = json.loads(encode_sidecar(backup.sidecar))
    del members["format"], members["configuration"]  # the one describes the file, the other may be large
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
    """Return the checks of a backup with their results; `problems` is empty if all passed."""
    return {
        "backup": backup_as_data(verification.backup, required),
        "checks": [
            {"name": str(check.name), "passed": check.passed, "detail": check.detail} for check in verification.checks
        ],
        "problems": list(verification.problems),
        "warnings": [str(warning) for warning in verification.warnings],
        "warning_details": [encode_warning(warning) for warning in verification.warnings],
    }


def operation_as_data(operation: Operation) -> dict[str, Any]:
    """Return an operation with the members of the API; times are ISO 8601."""
    times = {name: getattr(operation, name) for name in ("created_at", "started_at", "finished_at")}
    return {
        "id": str(operation.pk),
        **{
            name: getattr(operation, name)
            for name in ("kind", "state", "phase", "done_bytes", "total_bytes", "percent")
        },
        "message": operation.message,
        "result": operation.result,
        "error_code": operation.error_code,
        "error": operation.error,
        "requested_by": operation.requested_by.get_username() if operation.requested_by else None,
        "origin": operation.origin,
        **{name: time and time.isoformat() for name, time in times.items()},
        "cancel_requested": operation.cancel_requested,
    }


# --- Code in databases from elsewhere --------------------------------------------------------------------------------


def accepted_by(arguments: Mapping[str, Any]) -> bool | Collection[str]:
    """Return the code that an operation accepts: all, none, or the code with these identities."""
    given = arguments.get("accept_code", False)
    return bool(given) if isinstance(given, bool) else frozenset(map(str, given))


def refused_code(problem: CodeNotAccepted) -> dict[str, Any]:
    """Return the result of an operation that was refused because of code."""
    return {_REFUSED_CODE: code_as_data(problem.found)}


def code_as_data(found: Iterable[FoundCode]) -> list[dict[str, str]]:
    """Return code as pages and the API show it; empty if it is too long to read."""
    listed = [{name: getattr(one, name) for name in ("kind", "name", "sql", "identity")} for one in found]
    return listed if sum(len(one["sql"]) for one in listed) <= _MOST_KEPT_CHARACTERS else []


def code_refused_in(operation: Operation | None) -> list[dict[str, str]]:
    """Return the code because of which an operation was refused, as `code_as_data`."""
    return list(((operation.result if operation else None) or {}).get(_REFUSED_CODE) or ())


def last_refusal(filename: str) -> Operation | None:
    """Return the last restore of a backup if it was refused because of code."""
    last = Operation.objects.filter(kind=OperationKind.RESTORE, arguments__filename=filename).order_by("-pk").first()
    is_refusal = last is not None and last.state == OperationState.FAILED and last.error_code == CodeNotAccepted.code
    return last if is_refusal else None
