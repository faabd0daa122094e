"""What the queue runs, and what the schedule runs."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import structlog
from django.db import DEFAULT_DB_ALIAS, transaction

from tvarr_backup.errors import OperationRunning, TvarrBackupError
from tvarr_backup.operations import schedule
from tvarr_backup.operations.models import OperationKind, Origin
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.run import perform, queue_operation
from tvarr_backup.operations.track import begin

logger = structlog.stdlib.get_logger(__name__)


def run_operation(operation_id: str) -> None:
    """The task: do the work if nobody has begun it, and be quiet otherwise; how it went is in the operation's row."""
    operation = begin(operation_id)
    if operation is None:
        return
    with contextlib.suppress(TvarrBackupError):
        perform(operation)


def scheduled_backup() -> None:
    """The schedule's task: ask for the backup that is due, and arm the schedule anew, or do neither.

    While another operation is open it is left as it was handed out, and becomes due again when this task has ended. One
    that cannot be asked for at all is logged, and the next comes as usual. A task that is delivered twice asks once.
    """
    reconcile()
    try:
        with transaction.atomic(using=DEFAULT_DB_ALIAS):
            due = schedule.take_up()
            if not due:
                return
            operation = queue_operation(OperationKind.BACKUP, requested_by=None, origin=Origin.SCHEDULE, due_at=due)
    except OperationRunning as problem:
        logger.info("schedule.waiting", reason=str(problem))
    except TvarrBackupError as problem:
        schedule.take_up()
        logger.error("schedule.skipped", reason=str(problem))  # noqa: TRY400  # the place in the code says nothing
    else:
        logger.info("schedule.due", **operation.as_context())


def scheduled_check() -> None:
    """The task of every night: ask for the check that is due, of the backup that was verified longest ago.

    While something else is open or due it is left to a later look of the worker. Delivered twice it asks once.
    """
    reconcile()
    try:
        with transaction.atomic(using=DEFAULT_DB_ALIAS):
            due = schedule.check_due(datetime.now(UTC))
            if not due:
                return
            arguments = {"longest_ago": True}
            operation = queue_operation(
                OperationKind.VERIFY, requested_by=None, origin=Origin.SCHEDULE, arguments=arguments, due_at=due
            )
    except OperationRunning as problem:
        logger.info("schedule.waiting", reason=str(problem))
    else:
        logger.info("schedule.due", **operation.as_context())
