"""Messages and problems as the sending process stores them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tvarr_backup.operations.alert_models import Alert, AlertEvent, MessageState, OutboxMessage, Receiver
from tvarr_backup.operations.outbox import Content, queue_message
from tvarr_backup.sentences import Sentence

PROBLEM = Sentence(
    "{host} did not accept the request: {answer:clause}.", host='"https://hooks.example"', answer="500 Broken"
)


def stored_error(problem: Sentence = PROBLEM) -> dict[str, Any]:
    """Return the columns of a failure."""
    return {
        "error_code": "receiver_failed",
        "error": str(problem),
        "sentences": {"error": problem.as_data()},
    }


def add_message(receiver: Receiver, state: MessageState = MessageState.SENT, **columns: Any) -> OutboxMessage:
    """Store a message about a failed backup."""
    content = Content(
        AlertEvent.BACKUP_FAILED, "backup_failed", "tvarr-backup on harbour: backup failed", "The disk is full."
    )
    message = queue_message(receiver, content, datetime.now(UTC))
    assert message is not None
    OutboxMessage.objects.filter(pk=message.pk).update(state=state, **columns)
    message.refresh_from_db()
    return message


def let_fail(receiver: Receiver, problem: Sentence = PROBLEM, **columns: Any) -> Receiver:
    """Store that the last attempts failed."""
    now = datetime.now(UTC)
    values = stored_error(problem) | {
        "failing_since": now - timedelta(hours=2),
        "failures": 3,
        "next_attempt_at": now + timedelta(hours=3),
    }
    Receiver.objects.filter(pk=receiver.pk).update(**(values | columns))
    receiver.refresh_from_db()
    return receiver


FULL = Sentence("The last backup failed: the disk is full.")


def add_alert(key: str = "backup_failed", sentence: Sentence = FULL) -> Alert:
    """Store a problem that was reported two hours ago."""
    since = datetime.now(UTC) - timedelta(hours=2)
    event = AlertEvent(key.partition(":")[0])
    return Alert.objects.create(key=key, event=event, sentence=sentence.as_data(), since=since, reminded_at=since)
