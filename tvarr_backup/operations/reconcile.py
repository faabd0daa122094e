"""Ends operations that a crash left running, so that they do not block the next one."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from tvarr_backup import conf
from tvarr_backup.backups.rehearsal import remove_scratch
from tvarr_backup.backups.restore import finish_restore
from tvarr_backup.errors import BackupBusy, TvarrBackupError
from tvarr_backup.operations.copying import delay_after_death
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.ending import end_operations
from tvarr_backup.operations.models import Operation, OperationKind, OperationState
from tvarr_backup.operations.process import start_of, this_boot, this_host
from tvarr_backup.operations.rehearsals import rehearsal_folder
from tvarr_backup.portable.tvarr_memory import EVERYTHING, RELOAD_ADVICE, needs_reload
from tvarr_backup.sentences import Sentence, join

logger = structlog.stdlib.get_logger(__name__)

SILENCE_OF_THE_LIVING = timedelta(minutes=5)
"""A process that runs but has not reported for this long, and has no lock on the folder, has lost its operation."""

SILENCE_ON_ANOTHER_HOST = timedelta(seconds=60)

SILENCE_IN_ANOTHER_BOOT = timedelta(seconds=10)
"""Not immediately, because two machines may have the same name."""


_COMPARED = ("state", "host", "boot", "pid", "process_started", "heartbeat_at")


def reconcile() -> list[Operation]:
    """End running operations whose process is gone as `interrupted`, and return them. Queued ones stay.

    Cleans up the backup folder first; while another process has it locked, an operation is left alone. Can be called at
    any time and by several processes. Costs one query if nothing is running.
    """
    ended = []
    for operation in Operation.objects.filter(state=OperationState.RUNNING).select_related("requested_by"):
        if _is_lost(operation, datetime.now(UTC)) and _end(operation):
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
    """Compare in both directions, because after a boot without a correct clock the heartbeat may be in the future."""
    return operation.heartbeat_at is None or abs(now - operation.heartbeat_at) > limit


def _end(operation: Operation) -> bool:
    """Clean up and end the operation. Return whether this call ended it."""
    if operation.kind == OperationKind.REHEARSE:
        with suppress(OSError):  # the next rehearsal tries again
            remove_scratch(rehearsal_folder())
        return _end_with(operation, Sentence("Its scratch files were removed. Live data and backups are unchanged."))
    if operation.location:
        delay_after_death(operation)
        return _end_with(operation, Sentence("Unfinished copies are not listed. The next attempt goes on."))
    try:
        settled = finish_restore(backup_folder(), conf.required_schema())
        cleaned = Sentence("Unfinished files were removed. Listed backups are complete.")
        if settled is not None and settled.safety is not None:
            cleaned = Sentence(
                "The data had already been replaced. The safety backup is {filename}.", filename=settled.safety.filename
            )
            cleaned = join([cleaned, RELOAD_ADVICE]) if needs_reload(EVERYTHING) else cleaned
        elif settled is not None:
            cleaned = Sentence(
                "The offline restore was finished. The old files were set aside: {paths}.",
                paths=_joined(settled.set_aside),
            )
    except BackupBusy:  # the process is alive after all, or another one is working in the folder and cleans up
        return False
    except TvarrBackupError as problem:
        cleaned = Sentence(
            "Unfinished files could not be removed: {problem} The next operation tries again.", problem=problem
        )
    return _end_with(operation, cleaned)


def _end_with(operation: Operation, cleaned: Sentence) -> bool:
    message = Sentence(
        'The process ended during the phase "{phase}". {cleaned}'
        if operation.phase
        else "The process ended before the operation had finished. {cleaned}",
        phase=operation.phase,
        cleaned=cleaned,
    )
    # Leave it alone if it has made progress in the meantime.
    same = {name: getattr(operation, name) for name in _COMPARED}
    rows = Operation.objects.filter(pk=operation.pk, **same)
    return end_operations(rows, OperationState.INTERRUPTED, message=message)


def _joined(paths: Iterable[str]) -> Sentence:
    return join(map(Path, paths), ", ") or Sentence("none")
