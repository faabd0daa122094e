"""Receivers, their messages and the reported problems as data, for commands and the API. Secrets are never in it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tvarr_backup.operations.alert_models import Alert, OutboxMessage, Receiver


def receiver_as_data(receiver: Receiver) -> dict[str, Any]:
    """Return a receiver. `reason` is a `Sentence`, and times are ISO 8601."""
    return {
        "name": receiver.name,
        "kind": receiver.kind,
        "url": receiver.url,
        "from_environment": receiver.is_from_environment,
        "enabled": receiver.is_enabled,
        "daily_reminder": receiver.reminds_daily,
        "state": str(receiver.state),
        "failing_since": _time(receiver.failing_since),
        "failures": receiver.failures,
        "next_attempt_at": _time(receiver.next_attempt_at),
        "reason": receiver.problem,
        "error_code": receiver.error_code,
        "last_sent_at": _time(receiver.sent_at),
        "answer": receiver.answer,
    }


def message_as_data(message: OutboxMessage) -> dict[str, Any]:
    """Return a message. `reason` is a `Sentence`, and times are ISO 8601."""
    return {
        "id": str(message.pk),
        "receiver": message.receiver.name,
        "event": message.event,
        "is_over": message.is_over,
        "subject": message.subject,
        "text": message.text,
        "data": message.data,
        "state": message.state,
        "attempts": message.attempts,
        "next_attempt_at": _time(message.next_attempt_at),
        "created_at": _time(message.created_at),
        "sent_at": _time(message.sent_at),
        "answer": message.answer,
        "reason": message.problem,
        "error_code": message.error_code,
    }


def alert_as_data(alert: Alert) -> dict[str, Any]:
    """Return a problem that was reported and still holds. `message` is a `Sentence`, and times are ISO 8601."""
    return {
        "key": alert.key,
        "event": alert.event,
        "message": alert.message,
        "since": _time(alert.since),
        "reminded_at": _time(alert.reminded_at),
    }


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
