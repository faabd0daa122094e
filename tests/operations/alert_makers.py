"""Receivers and ended operations for tests of alerts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tvarr_backup.operations.alert_models import OutboxMessage, Receiver
from tvarr_backup.operations.ending import end_operations
from tvarr_backup.operations.models import COMPLETED_STATES, Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.receivers import add_receiver
from tvarr_backup.operations.track import create_operation
from tvarr_backup.receivers.addresses import make_signing_secret
from tvarr_backup.sentences import NOTHING, Sentence

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def webhook(name: str, url: str = "http://127.0.0.1:9/", **columns: Any) -> Receiver:
    return add_receiver(name, f"webhook+{url}", signing_secret=make_signing_secret(), **columns).receiver


def ended(
    kind: OperationKind = OperationKind.BACKUP,
    state: OperationState = OperationState.FAILED,
    *,
    reason: str = "The disk is full.",
    origin: Origin = Origin.SCHEDULE,
    at: datetime = NOON,
    requested_by: Any = None,
    **columns: Any,
) -> Operation:
    """An operation that has ended as the tracker ends one."""
    operation = create_operation(
        kind,
        origin=origin,
        state=OperationState.RUNNING,
        requested_by=requested_by,
        arguments=columns.pop("arguments", None),
        due_at=at if origin == Origin.SCHEDULE else None,
    )
    row, text = Operation.objects.filter(pk=operation.pk), Sentence(reason)
    if state == OperationState.FAILED:
        assert end_operations(row, state, error=text, **columns)
    else:
        assert end_operations(row, state, message=text if state not in COMPLETED_STATES else NOTHING, **columns)
    Operation.objects.filter(pk=operation.pk).update(finished_at=at + timedelta(seconds=5))
    return Operation.objects.get(pk=operation.pk)


def stored() -> list[tuple[str, str, bool]]:
    """The receiver, event and end of each message, oldest first."""
    messages = OutboxMessage.objects.select_related("receiver").order_by("pk")
    return [(message.receiver.name, message.event, message.is_over) for message in messages]
