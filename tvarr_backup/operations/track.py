"""Creates, starts, tracks, cancels and ends operations.

Each of these is one short transaction. The work itself is done outside of transactions, so that it locks no database.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import itertools
import json
import logging
import signal
import sqlite3
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import structlog
from django.db import DEFAULT_DB_ALIAS, Error, IntegrityError, connections, transaction
from django.db.models import QuerySet
from django_q.exceptions import TimeoutException
from structlog.contextvars import bound_contextvars

from tvarr_backup import conf
from tvarr_backup.backups.progress import Phase, Progress, no_progress
from tvarr_backup.errors import (
    CodeNotAccepted,
    InternalError,
    LocationBusy,
    NoRoom,
    OperationCancelled,
    OperationEnded,
    OperationInterrupted,
    OperationNotFound,
    OperationRunning,
    OperationTimedOut,
    TvarrBackupError,
)
from tvarr_backup.formatting import format_time
from tvarr_backup.operations.ending import end_columns, end_operations
from tvarr_backup.operations.heartbeat import worker_seems_alive
from tvarr_backup.operations.imports import delete_old_imports
from tvarr_backup.operations.kinds import KINDS, Percentage
from tvarr_backup.operations.models import (
    COMPLETED_STATES,
    OPEN_STATES,
    Operation,
    OperationKind,
    OperationState,
    Origin,
    delete_oldest,
)
from tvarr_backup.operations.process import this_process
from tvarr_backup.operations.report import refused_code
from tvarr_backup.operations.reserve import release_if_full
from tvarr_backup.quoting import quoted
from tvarr_backup.sentences import NOTHING, Advice, Sentence, join

logger = structlog.stdlib.get_logger(__name__)

SECONDS_BETWEEN_WRITES = 0.5
KEPT = 5000
"""Number of finished operations in the history."""
_ATTEMPTS_TO_END = 3
_SECONDS_FOR_A_SERVER = 60
_SECONDS_BETWEEN_ATTEMPTS = 0.5
_FULL = (errno.ENOSPC, errno.EDQUOT)

_STOPPED = "The operation was interrupted because its process was stopped."


class StopFlag:
    """Whether this process must stop; its operation then ends at the next report of progress."""

    is_set = False  # no event: a second signal could find its lock taken

    def request(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """Handle a signal."""
        self.is_set = True


stop_flag = StopFlag()


def stop_on_sigterm() -> None:
    """Let SIGTERM end the running operation gracefully. Call it in the main thread."""
    signal.signal(signal.SIGTERM, stop_flag.request)


def stop_on_first_sigint() -> None:
    """Let the first Ctrl+C end a command's operation gracefully, and not in the middle of a transaction."""

    def request_stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.default_int_handler)
        stop_flag.request()

    signal.signal(signal.SIGINT, request_stop)


# --- Creating and starting -------------------------------------------------------------------------------------------


def create_operation(kind: OperationKind, **values: Any) -> Operation:
    """Store an operation with the `values` of `new_operation`. Raises `OperationRunning`."""
    operation = new_operation(kind, **values)
    try:
        with transaction.atomic(using=DEFAULT_DB_ALIAS):
            operation.save(force_insert=True)
    except IntegrityError:
        if operation.location:
            raise _busy(operation) from None
        open_ones = Operation.objects.filter(state__in=OPEN_STATES)
        if operation.is_exclusive:
            open_ones = open_ones.filter(is_exclusive=True, database=operation.database)
        else:
            open_ones = open_ones.filter(kind=kind)
        open_one = open_ones.select_related("requested_by").first()
        if open_one is None:  # it has ended since
            raise OperationRunning("Another operation was still running. It has ended now. Try again.") from None
        raise OperationRunning(
            _describe_open(open_one), str(open_one.pk), is_repeated=_is_same(open_one, operation)
        ) from None
    return operation


def _busy(operation: Operation) -> LocationBusy:
    open_one = Operation.objects.filter(state__in=OPEN_STATES, location=operation.location).first()
    if open_one is None:
        return LocationBusy("Another operation of the location was still running. It has ended now. Try again.")
    return LocationBusy(_describe_open(open_one))


def new_operation(
    kind: OperationKind,
    *,
    origin: Origin,
    state: OperationState,
    requested_by: Any = None,
    arguments: Mapping[str, Any] | None = None,
    due_at: datetime | None = None,
) -> Operation:
    """Return an unsaved operation: `queued`, or `running` in this process. Raises `BackupUnsupported`."""
    if KINDS[kind].needs_file:
        conf.live_database()
    now = datetime.now(UTC)
    operation = Operation(
        kind=kind,
        origin=origin,
        state=state,
        requested_by=requested_by,
        arguments=dict(arguments or {}),
        database=conf.protected_database(),
        location=(arguments or {})["location"] if KINDS[kind].has_location else "",
        is_exclusive=KINDS[kind].is_exclusive,
        due_at=due_at,
        created_at=now,
    )
    if state == OperationState.RUNNING:
        for name, value in _start_by_this_process(now).items():
            setattr(operation, name, value)
    return operation


def _is_same(one: Operation, other: Operation) -> bool:
    """Return whether the same user has requested the same."""
    names = ("kind", "arguments", "requested_by_id", "origin")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def begin(operation_id: str) -> Operation | None:
    """Claim a queued operation for this process. Return `None` if another process has claimed it, or it has ended."""
    now = datetime.now(UTC)
    begun = Operation.objects.filter(pk=operation_id, state=OperationState.QUEUED).update(
        state=OperationState.RUNNING, **_start_by_this_process(now)
    )
    return Operation.objects.select_related("requested_by").get(pk=operation_id) if begun else None


def _start_by_this_process(now: datetime) -> dict[str, Any]:
    return {**dataclasses.asdict(this_process()), "started_at": now, "heartbeat_at": now, "percent": 0}


def _describe_open(operation: Operation) -> Sentence:
    user, origin = operation.requested_by, operation.get_origin_display()
    facts = {
        "operation": operation.kind_with_article.capitalize(),
        "since": format_time(operation.started_at or operation.created_at),
        "who": Sentence("{user}, {origin}", user=user, origin=origin) if user else origin,
    }
    if operation.state == OperationState.RUNNING:
        return Sentence("{operation} has been running since {since} ({who}). Try again when it has finished.", **facts)
    if worker_seems_alive():
        return Sentence(
            "{operation} has been queued since {since} ({who}). A worker will start it. Try again when it has "
            "finished.",
            **facts,
        )
    return Sentence(
        "{operation} has been queued since {since} ({who}). No worker is running. {advice} Or cancel the operation.",
        **facts,
        advice=Advice.START_WORKER,
    )


# --- Canceling -------------------------------------------------------------------------------------------------------


def find_operation(operation_id: str) -> Operation:
    """Return an operation with the user who started it. Raises `OperationNotFound`."""
    wanted = str(operation_id)
    is_possible = "\0" not in wanted  # PostgreSQL refuses to look for it
    found = Operation.objects.select_related("requested_by").filter(pk=wanted).first() if is_possible else None
    if found is None:
        raise OperationNotFound("There is no operation {wanted}.", wanted=quoted(wanted))
    return found


def cancel(operation: Operation) -> Operation:
    """End a queued operation, or ask a running one to end. Return it as it is now. Raises `OperationEnded`."""
    row = Operation.objects.filter(pk=operation.pk)
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        cancelled = end_operations(
            row.filter(state=OperationState.QUEUED),
            OperationState.CANCELLED,
            message=Sentence("Canceled before it started."),
        )
        requested = not cancelled and row.filter(state=OperationState.RUNNING).update(cancel_requested=True)
        operation = row.get()
    if not cancelled and not requested:
        kind, state = operation.get_kind_display().lower(), operation.get_state_display().lower()
        raise OperationEnded(
            "The {kind} cannot be canceled because it has already ended ({state}).", kind=kind, state=state
        )
    context = {"operation": str(operation.pk), "kind": str(operation.kind)}
    if cancelled:
        logger.info("operation.cancelled", **context)
    else:
        logger.info("operation.cancel_requested", **context)
    return operation


# --- Tracking and ending ---------------------------------------------------------------------------------------------


class Tracker:
    """Records the progress and the end of an operation. Not thread-safe."""

    def __init__(self, operation: Operation, watch: Progress = no_progress) -> None:
        self._operation = operation
        self._watch = watch
        self._written_at = float("-inf")
        self._furthest: dict[str, int] = {}
        self._percentage = Percentage(OperationKind(operation.kind))
        self._phase: dict[str, Any] = {}
        self._running_message = ""
        self._is_write_failing = False
        self._started = time.monotonic()
        self.warnings: list[Sentence] = []
        self.data: dict[str, Any] | None = None

    def progress(self, phase: Phase, done: int, total: int) -> None:
        """Record progress (a `backups.progress.Progress`) at most twice a second, with a heartbeat.

        Progress within a phase never decreases, and neither does the percentage of the whole operation, which `watch`
        gets as done of 100. Raises `OperationCancelled` after a cancel request, and `OperationInterrupted` if this
        process must stop or no longer owns the operation.
        """
        if stop_flag.is_set:
            raise OperationInterrupted(_STOPPED)
        total = max(0, total)
        done = max(self._furthest.get(phase, 0), min(max(0, done), total))
        self._furthest[phase] = done
        percent = self._percentage.report(phase, done, total)
        self._phase = {
            "phase": str(phase),
            "done_bytes": min(done, total),
            "total_bytes": total or None,
            "percent": percent,
        }
        self._watch(phase, percent, 100)
        if time.monotonic() - self._written_at >= SECONDS_BETWEEN_WRITES:
            self._write()
            self._written_at = time.monotonic()

    def step(self, message: str, number: int = 1, count: int = 1) -> None:
        """Start the phases again for the next of `count` items, which have equal shares; 1 is the first."""
        self._furthest.clear()
        self._percentage.begin_item(number, count)
        self._running_message = message

    def add_warning(self, sentence: Sentence) -> None:
        """Add a warning; the operation ends in `attention` instead of `succeeded`."""
        self.warnings.append(sentence)

    def set_result(self, data: Mapping[str, Any]) -> None:
        """Set the result. Raises `TypeError` immediately if it is not JSON data."""
        self.data = json.loads(json.dumps(data))

    def remember(self, **arguments: Any) -> None:
        """Add to the arguments of the operation."""
        self._operation.arguments |= arguments
        if not self._operation.unrecorded:
            self._operation.save(update_fields=["arguments"])

    @property
    def seconds(self) -> float:
        """How long the operation has been running."""
        return round(time.monotonic() - self._started, 3)

    def log(self, level: int, event: str, **members: Any) -> None:
        """Log an event; for a command only as information, because the command prints the problem."""
        logger.log(logging.INFO if self._operation.origin == Origin.COMMAND else level, event, **members)

    def end(
        self, state: OperationState, message: Sentence = NOTHING, error: Sentence = NOTHING, error_code: str = ""
    ) -> None:
        """Store and log the final state. If this process no longer owns the operation, only log it."""
        columns = (
            self._phase
            | ({"percent": 100} if state in COMPLETED_STATES else {})
            | {"error_code": error_code, "result": self.data}
        )
        changes = end_columns(state, message=message, error=error) | columns
        if self._operation.unrecorded:
            self._end_unrecorded(state, changes)
            return
        own, started = False, time.monotonic()
        for attempt in itertools.count(1):
            try:
                own = end_operations(self._own_row(), state, message=message, error=error, **columns) or own
                self._operation.refresh_from_db()
            except Error as problem:
                if attempt >= _ATTEMPTS_TO_END and time.monotonic() - started > _retry_seconds():
                    if self._operation.origin != Origin.COMMAND:
                        raise
                    self._operation.unrecorded = conf.in_a_line(problem)
                    self._end_unrecorded(state, changes)
                    return
                release_if_full()
                time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
                _renew_connection()
            else:
                self._log_end(state, changes, own=own)
                return

    def _end_unrecorded(self, state: OperationState, changes: Mapping[str, Any]) -> None:
        for name, value in changes.items():
            setattr(self._operation, name, value)
        self._log_end(state, changes, own=True)

    def _log_end(self, state: OperationState, changes: Mapping[str, Any], *, own: bool) -> None:
        if not own:
            logger.warning("operation.lost", state=str(state), seconds=self.seconds)
        elif state == OperationState.SUCCEEDED:
            logger.info("operation.succeeded", seconds=self.seconds)
        elif state == OperationState.ATTENTION:
            self.log(logging.WARNING, "operation.attention", sentences=self.warnings, seconds=self.seconds)
        elif state == OperationState.FAILED:
            code, reason = changes["error_code"], changes["error"]
            event = KINDS[OperationKind(self._operation.kind)].failure_event
            self.log(logging.ERROR, event, code=code, reason=reason, seconds=self.seconds)
        elif state == OperationState.CANCELLED:
            logger.info("operation.cancelled", seconds=self.seconds)
        else:
            self.log(logging.WARNING, "operation.interrupted", reason=changes["message"], seconds=self.seconds)

    def _write(self) -> None:
        if self._operation.unrecorded:
            return
        try:
            with transaction.atomic(using=DEFAULT_DB_ALIAS):
                own = self._own_row().update(
                    heartbeat_at=datetime.now(UTC), message=self._running_message, **self._phase
                )
                cancelled = self._own_row().values_list("cancel_requested", flat=True).first()
        except Error as problem:  # the operation itself can still succeed
            if not self._is_write_failing:  # log it once, because a server may be down for long
                logger.warning("operation.progress_unwritten", reason=conf.in_a_line(problem))
            self._is_write_failing = True
            _renew_connection()
            return
        self._is_write_failing = False
        if not own:
            raise OperationInterrupted("Another process ended this operation because it had stopped reporting.")
        if cancelled:
            raise OperationCancelled("Canceled on request.")

    def _own_row(self) -> QuerySet[Operation]:
        operation = self._operation
        return Operation.objects.filter(
            pk=operation.pk,
            state=OperationState.RUNNING,
            host=operation.host,
            boot=operation.boot,
            pid=operation.pid,
            process_started=operation.process_started,
        )


@contextlib.contextmanager
def track(operation: Operation, watch: Progress = no_progress) -> Iterator[Tracker]:
    """Track a running operation of this process, and record its end.

    Updates `operation`, and adds it to log events in between. Failures are raised as a `TvarrBackupError`: a full disk
    becomes `NoRoom`, and an unexpected exception is logged and becomes an `InternalError`.
    """
    with (
        bound_contextvars(**operation.as_context()),
        _record_end(Tracker(operation, watch), operation) as tracker,
    ):
        logger.info("operation.started")
        yield tracker


@contextlib.contextmanager
def _record_end(tracker: Tracker, operation: Operation) -> Iterator[Tracker]:
    try:
        yield tracker
    except OperationCancelled as problem:
        tracker.end(OperationState.CANCELLED, message=problem.sentence)
        raise
    except OperationInterrupted as problem:
        tracker.end(OperationState.INTERRUPTED, message=problem.sentence)
        raise
    except TvarrBackupError as problem:
        _end_failed(tracker, problem)
        raise
    except TimeoutException as problem:
        timed_out = OperationTimedOut("The operation took longer than the worker allows, and was stopped.")
        _end_failed(tracker, timed_out)
        raise timed_out from problem
    except Exception as problem:
        explained = _explain(problem, operation)
        _end_failed(tracker, explained)
        raise explained from problem
    except BaseException:  # Ctrl+C, or the interpreter exits
        tracker.end(OperationState.INTERRUPTED, message=Sentence(_STOPPED))
        raise
    else:
        state = OperationState.ATTENTION if tracker.warnings else OperationState.SUCCEEDED
        tracker.end(state, message=join(tracker.warnings, "\n"))


def _retry_seconds() -> float:
    """Return for how long to retry storing the end. A server may be restarting."""
    return 0 if conf.is_file(DEFAULT_DB_ALIAS) or stop_flag.is_set else _SECONDS_FOR_A_SERVER


def _renew_connection() -> None:
    """Close a broken connection, so that the next statement opens a new one."""
    connections[DEFAULT_DB_ALIAS].close_if_unusable_or_obsolete()


def delete_old_operations() -> None:
    """Delete finished operations beyond the `KEPT` newest, and imports that have expired."""
    with contextlib.suppress(Error):  # the next operation tries again
        delete_oldest(Operation.objects.exclude(state__in=OPEN_STATES), KEPT)
        delete_old_imports()


def _end_failed(tracker: Tracker, problem: TvarrBackupError) -> None:
    if isinstance(problem, CodeNotAccepted):
        tracker.set_result(refused_code(problem))
    tracker.end(OperationState.FAILED, error_code=problem.code, error=problem.sentence)


def _explain(problem: Exception, operation: Operation) -> TvarrBackupError:
    """Return the failure as a `TvarrBackupError`; log an unexpected one with its traceback."""
    full = isinstance(problem, OSError) and problem.errno in _FULL
    if full or getattr(problem, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return NoRoom(
            "The disk is full. Unfinished files were removed, and your existing backups are unchanged. {advice}",
            advice=Advice.FREE_SPACE,
        )
    logger.error("operation.fault", exc_info=problem)
    return InternalError(
        "The operation failed because of an error in tvarr-backup ({fault}). The log has details about operation {id}.",
        fault=type(problem).__name__,
        id=operation.pk,
    )
