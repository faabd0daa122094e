"""What the end of an operation, and an undone import, mean for alerts."""

from __future__ import annotations

from datetime import UTC, datetime

from tvarr_backup.formatting import format_time
from tvarr_backup.operations.alert_models import AlertEvent
from tvarr_backup.operations.alerts import Effect, Ending
from tvarr_backup.operations.kinds import KINDS
from tvarr_backup.operations.models import (
    COMPLETED_STATES,
    ImportRecord,
    Operation,
    OperationKind,
    OperationState,
    Origin,
)
from tvarr_backup.sentences import NOTHING, Sentence, join

_FAILURES = {OperationState.FAILED.value: "failed", OperationState.INTERRUPTED.value: "was interrupted"}


def ending_of(operation: Operation) -> Ending | None:
    """Return what the end of an operation means; `None` if its kind has no alerts, or it was canceled."""
    kind = KINDS[OperationKind(operation.kind)]
    failed, completed = operation.state in _FAILURES, operation.state in COMPLETED_STATES
    at, cause = operation.finished_at or datetime.now(UTC), str(operation.pk)
    key = f"operation_{operation.kind}"
    if kind.success_alert and completed:
        return Ending(Effect.HAPPENS, key, kind.success_alert, _describe_success(operation, at), at, cause)
    if kind.failure_alert and failed:
        effect = Effect.HAPPENS if kind.success_alert else Effect.BEGINS
        return Ending(effect, key, kind.failure_alert, _describe_failure(operation), at, cause)
    if kind.failure_alert and completed:
        return Ending(Effect.ENDS, key, kind.failure_alert, _describe_success(operation, at), at, cause)
    return None


def ending_of_undo(record: ImportRecord) -> Ending:
    """Return the alert about an import that was undone."""
    at, undone = record.finished_at or record.created_at, record.undoes
    message = Sentence(
        "The import of {name}, made on {made}, was undone on {time} ({who})."
        if undone
        else "An import of {name} was undone on {time} ({who}).",
        name=record.file_name or record.kind,
        made=format_time(undone.finished_at or undone.created_at) if undone else "",
        time=format_time(at),
        who=_describe_user(record),
    )
    return Ending(Effect.HAPPENS, "import_undone", AlertEvent.IMPORT_UNDONE, message, at, str(record.pk))


def _describe_failure(operation: Operation) -> Sentence:
    what = _describe_run(operation)
    return Sentence("{what} {ended}: {outcome}", what=what, ended=_FAILURES[operation.state], outcome=operation.outcome)


def _describe_run(operation: Operation) -> Sentence:
    kind = operation.get_kind_display().lower()
    if operation.origin == Origin.SCHEDULE:
        due = format_time(operation.due_at or operation.created_at)
        return Sentence("The automatic {kind} of {due}", kind=kind, due=due)
    filename = operation.arguments.get("filename")
    if filename:
        return Sentence("The {kind} of {filename} ({who})", kind=kind, filename=filename, who=_describe_user(operation))
    created = format_time(operation.created_at)
    return Sentence("The {kind} of {created} ({who})", kind=kind, created=created, who=_describe_user(operation))


def _describe_success(operation: Operation, at: datetime) -> Sentence:
    time = format_time(at)
    if operation.kind == OperationKind.BACKUP:
        return Sentence("A backup was made on {time}.", time=time)
    if operation.kind != OperationKind.RESTORE:
        return Sentence("The last {kind} succeeded on {time}.", kind=operation.get_kind_display().lower(), time=time)
    result = operation.result or {}
    restored = Sentence(
        "The backup {filename} was restored on {time} ({who}).",
        filename=result.get("filename") or operation.arguments.get("filename", ""),
        time=time,
        who=_describe_user(operation),
    )
    safety = (result.get("pre_restore_backup") or {}).get("filename")
    previous = (
        Sentence("The data from before is in the safety backup {filename}.", filename=safety) if safety else NOTHING
    )
    return join([part for part in (restored, previous, operation.outcome) if part])


def _describe_user(run: Operation | ImportRecord) -> Sentence:
    origin = Origin(run.origin).label
    if run.requested_by is None:
        return Sentence("{origin}", origin=origin)
    return Sentence("{user}, {origin}", user=run.requested_by.get_username(), origin=origin)
