"""Starts operations, in this process or through a worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog
from django.db import DEFAULT_DB_ALIAS, Error, transaction

from tvarr_backup import conf
from tvarr_backup.backups.progress import Progress, no_progress
from tvarr_backup.errors import DatabaseUnusable, OperationForeign
from tvarr_backup.operations.app_database import require_app_database
from tvarr_backup.operations.kinds import KINDS
from tvarr_backup.operations.models import KINDS_BESIDE, Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.queue import require_reachable, wake_worker
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.track import create_operation, delete_old_operations, new_operation, track

logger = structlog.stdlib.get_logger(__name__)


def submit(
    kind: OperationKind, *, requested_by: Any, origin: Origin, arguments: Mapping[str, Any] | None = None
) -> Operation:
    """Queue an operation for a worker. Raises `OperationRunning` and `QueueUnreachable`, with nothing stored."""
    reconcile()
    require_reachable()
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        operation = queue_operation(kind, requested_by=requested_by, origin=origin, arguments=arguments)
    logger.info("operation.queued", **operation.as_context())
    return operation


def queue_operation(kind: OperationKind, **values: Any) -> Operation:
    """Store a queued operation and its task, or neither. Call it in a transaction. Raises what `create_operation` raises.

    Operations of `KINDS_BESIDE` have no task, because the worker looks for them itself and runs them beside the others.
    """
    operation = create_operation(kind, state=OperationState.QUEUED, **values)
    if kind not in KINDS_BESIDE:
        wake_worker(operation)
    return operation


def run_here(
    kind: OperationKind,
    *,
    requested_by: Any = None,
    origin: Origin,
    arguments: Mapping[str, Any] | None = None,
    watch: Progress = no_progress,
    on_begin: Callable[[Operation], object] = lambda _operation: None,
) -> Operation:
    """Run an operation in this process, and return it as it ended.

    `watch` gets the percentage of the whole operation. `on_begin` is called with the operation before it is run. A
    command's operation runs even if it cannot be recorded; then `Operation.unrecorded` says why. Raises
    `OperationRunning`, and the error that ended the operation.
    """
    operation = _begin(kind, requested_by=requested_by, origin=origin, arguments=arguments)
    on_begin(operation)
    perform(operation, watch)
    return operation


def _begin(kind: OperationKind, *, origin: Origin, **values: Any) -> Operation:
    if origin != Origin.COMMAND:
        reconcile()
        return create_operation(kind, origin=origin, state=OperationState.RUNNING, **values)
    try:
        require_app_database()
        reconcile()
        return create_operation(kind, origin=origin, state=OperationState.RUNNING, **values)
    except (DatabaseUnusable, Error) as problem:
        operation = new_operation(kind, origin=origin, state=OperationState.RUNNING, **values)
        operation.unrecorded = conf.in_a_line(problem)
        return operation


def perform(operation: Operation, watch: Progress = no_progress) -> None:
    """Run the handler of a running operation of this process. Raises the error that ended it, after recording it."""
    with track(operation, watch) as tracker:
        live = conf.protected_database()
        if operation.database != live:
            raise OperationForeign(
                "The operation was started for {database}, but tvarr's database on this machine is {live}. Nothing was "
                "done. Set TVARR_DATABASE_DSN to the same path on every machine, and try again.",
                database=_as_place(operation.database),
                live=_as_place(live),
            )
        KINDS[OperationKind(operation.kind)].handler(operation, tracker)
    if not operation.unrecorded:
        delete_old_operations()


def _as_place(database: str) -> Path | str:
    """Return a recorded database as a fact of a sentence: a path, or an address on a server."""
    return Path(database) if database.startswith("/") else database
