"""What the queue runs, and how it gets there; what the schedule runs."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from typing import Any

from django.db import DEFAULT_DB_ALIAS, transaction

from tvarr_backup.errors import OperationRunning, TvarrBackupError
from tvarr_backup.operations import schedule
from tvarr_backup.operations.models import Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.queue import hand_over, require_reachable
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.run import perform
from tvarr_backup.operations.track import begin, create_operation

logger = logging.getLogger(__name__)


def submit(
    kind: OperationKind, *, requested_by: Any, origin: Origin, arguments: Mapping[str, Any] | None = None
) -> Operation:
    """Ask for an operation that a worker will do; once it is stored, it will be, whatever becomes of the queue.

    Raises `OperationRunning` while another one is open, and `QueueUnreachable`; then nothing is stored.
    """
    reconcile()
    require_reachable()
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        return _queue(kind, requested_by=requested_by, origin=origin, arguments=arguments)


def _queue(
    kind: OperationKind, *, requested_by: Any, origin: Origin, arguments: Mapping[str, Any] | None = None
) -> Operation:
    operation = create_operation(
        kind, origin=origin, state=OperationState.QUEUED, requested_by=requested_by, arguments=arguments
    )
    hand_over(operation)
    return operation


def run_operation(operation_id: str) -> None:
    """The task: do the work if nobody has begun it, and be quiet otherwise; how it went is in the operation's row."""
    operation = begin(operation_id)
    if operation is None:
        return
    with contextlib.suppress(TvarrBackupError):
        perform(operation)
    level = logging.ERROR if operation.state == OperationState.FAILED else logging.INFO
    logger.log(level, "%s. %s", operation, operation.error or operation.message)


def scheduled_backup() -> None:
    """The schedule's task: ask for the backup that is due, and arm the schedule anew, or do neither.

    While another operation is open it is left as it was handed out, and becomes due again when this task has ended. One
    that cannot be asked for at all is logged, and the next comes as usual. A task that is delivered twice asks once.
    """
    reconcile()
    try:
        with transaction.atomic(using=DEFAULT_DB_ALIAS):
            if schedule.take_up():
                _queue(OperationKind.BACKUP, requested_by=None, origin=Origin.SCHEDULE)
    except OperationRunning as problem:
        logger.info("The scheduled backup waits, and is tried again within a minute: %s", problem)
    except TvarrBackupError as problem:
        schedule.take_up()
        logger.error("The scheduled backup was not begun: %s", problem)  # noqa: TRY400  # the place in the code says nothing
