"""Ends the operations that a crash left open, so that they do not block the next one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from tvarr_backup import conf
from tvarr_backup.backups.restore import finish_restore
from tvarr_backup.errors import BackupBusy, TvarrBackupError
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.models import Operation, OperationState, sentence_columns
from tvarr_backup.operations.process import start_of, this_boot, this_host
from tvarr_backup.portable.tvarr_memory import EVERYTHING, RELOAD_ADVICE, needs_reload
from tvarr_backup.sentences import Sentence, join

logger = structlog.stdlib.get_logger(__name__)

SILENCE_OF_THE_LIVING = timedelta(minutes=5)
"""A process that lives but has not reported for this long, and does not hold the folder, has lost its operation."""

SILENCE_ON_ANOTHER_HOST = timedelta(seconds=60)

SILENCE_IN_ANOTHER_BOOT = timedelta(seconds=10)
"""Not at once: machines may share a name."""


_AS_SEEN = ("state", "host", "boot", "pid", "process_started", "heartbeat_at")


def reconcile() -> list[Operation]:
    """End running operations without a process as `interrupted`, and return them as they are now.

    One is ended when its process is gone and nobody holds the backup folder, which is cleaned up first. What is queued
    waits until a worker begins it.

    Can be called at any time and by several processes; costs one query when nothing is running.
    """
    ended = []
    for operation in Operation.open_ones():
        if operation.state == OperationState.RUNNING and _is_lost(operation, datetime.now(UTC)) and _end(operation):
            context = operation.as_context()
            operation.refresh_from_db()
            logger.warning("operation.interrupted", **context, reason=operation.message)
            ended.append(operation)
    return ended


def _is_lost(operation: Operation, now: datetime) -> bool:
    if operation.host != this_host():
        return _is_silent(operation, now, SILENCE_ON_ANOTHER_HOST)
    if operation.boot != this_boot():
        return _is_silent(operation, now, SILENCE_IN_ANOTHER_BOOT)
    if operation.pid is None or start_of(operation.pid) != operation.process_started:
        return True
    return _is_silent(operation, now, SILENCE_OF_THE_LIVING)


def _is_silent(operation: Operation, now: datetime, limit: timedelta) -> bool:
    """Compare in both directions: after a boot without a good clock the last sign of life may be in the future."""
    return operation.heartbeat_at is None or abs(now - operation.heartbeat_at) > limit


def _end(operation: Operation) -> bool:
    """Clean up and end the operation. Return whether this call ended it."""
    try:
        settled = finish_restore(backup_folder(), conf.required_schema())
        cleaned = Sentence("What was unfinished has been removed; a backup that is listed is complete.")
        if settled is not None and settled.safety is not None:
            cleaned = Sentence(
                "The content had been replaced by then; what was there before is {filename}.",
                filename=settled.safety.filename,
            )
            cleaned = join([cleaned, RELOAD_ADVICE]) if needs_reload(EVERYTHING) else cleaned
        elif settled is not None:
            cleaned = Sentence(
                "The offline restore has been finished; the old files were set aside: {paths}.",
                paths=_joined(settled.set_aside),
            )
    except BackupBusy:  # it lives after all, or somebody else is at work; that one cleans up
        return False
    except TvarrBackupError as problem:
        cleaned = Sentence(
            "What was unfinished is removed by the next operation, because now: {problem}", problem=problem
        )
    where = " in the phase “{phase}”" if operation.phase else ""
    message = Sentence(
        "The process that worked on it ended before its work was done" + where + ". {cleaned}",
        phase=operation.phase,
        cleaned=cleaned,
    )
    # One that has gone on since it was looked at is left alone.
    same = {name: getattr(operation, name) for name in _AS_SEEN}
    return bool(
        Operation.objects.filter(pk=operation.pk, **same).update(
            state=OperationState.INTERRUPTED, finished_at=datetime.now(UTC), **sentence_columns(message=message)
        )
    )


def _joined(paths: Iterable[str]) -> Sentence:
    return join(map(Path, paths), ", ") or Sentence("there were none")
