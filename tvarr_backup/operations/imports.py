"""Imports with their history: what `portable` does, and a row that says who has done it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import structlog
from django.db import DEFAULT_DB_ALIAS, DatabaseError, OperationalError, transaction

from tvarr_backup.errors import DatabaseBusy
from tvarr_backup.operations.models import ImportRecord, Origin, forget_oldest
from tvarr_backup.portable.answers import Answers
from tvarr_backup.portable.apply import ImportResult, apply_import
from tvarr_backup.portable.envelope import Envelope
from tvarr_backup.portable.steps import Action

logger = structlog.stdlib.get_logger(__name__)

KEPT = 5000
"""So many imports are kept."""
_LONGEST_NAME = 255


def import_file(
    envelope: Envelope,
    answers: Answers | None,
    fingerprint: str | None,
    *,
    requested_by: Any,
    origin: Origin,
    file_name: str = "",
) -> ImportResult:
    """`apply_import`, with what it raises, and a row of the history; `DatabaseBusy` where that could not be written. Where only the row fails, the log has it: the import is done."""
    _require_writable()
    done = apply_import(envelope, answers, fingerprint)
    try:
        _keep(done, requested_by=requested_by, origin=origin, file_name=file_name)
    except DatabaseError:
        logger.exception("import.unrecorded", kind=done.kind.slug.value)
    return done


def _require_writable() -> None:
    """Raise `DatabaseBusy` where nothing can be written to our own database, before anything is imported."""
    try:
        with transaction.atomic(using=DEFAULT_DB_ALIAS):
            pass
    except OperationalError as problem:
        raise DatabaseBusy(
            "Another program keeps this program's own database locked; nothing was imported. Try again."
        ) from problem


def _keep(done: ImportResult, *, requested_by: Any, origin: Origin, file_name: str) -> None:
    ImportRecord.objects.create(
        kind=done.kind.slug,
        file_name=file_name[:_LONGEST_NAME],
        requested_by=requested_by,
        origin=origin,
        added=done.count(Action.CREATE),
        overwritten=done.count(Action.OVERWRITE),
        copied=done.count(Action.RENAME),
        skipped=done.skipped,
        unchanged=done.unchanged,
        created_at=datetime.now(UTC),
    )
    forget_oldest(ImportRecord.objects.all(), KEPT)
