"""The outbox: messages to receivers, which the sending process sends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import DEFAULT_DB_ALIAS, IntegrityError, transaction
from django.db.models import Q

from tvarr_backup.errors import MessageNotFound
from tvarr_backup.operations.alert_models import AlertEvent, MessageState, OutboxMessage, Receiver
from tvarr_backup.quoting import cut, quoted
from tvarr_backup.receivers.messages import MOST_OF_SUBJECT, MOST_OF_TEXT
from tvarr_backup.texts import escape_hidden


@dataclass(frozen=True)
class Content:
    """What a message says. `cause` identifies what is reported, and "" has no limit (`OutboxMessage`)."""

    event: str
    key: str
    subject: str
    text: str
    is_over: bool = False
    cause: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


def find_message(key: str) -> OutboxMessage:
    """Return a message with its receiver. Raises `MessageNotFound`."""
    found = None if "\0" in key else OutboxMessage.objects.select_related("receiver").filter(pk=key).first()
    if found is None:
        raise MessageNotFound("There is no message {key}.", key=quoted(key))
    return found


def queue_message(receiver: Receiver, content: Content, now: datetime) -> OutboxMessage | None:
    """Store a message, or replace one about the same that still waits. Return `None` if its cause was reported already."""
    values = {
        "event": content.event,
        "cause": content.cause,
        "is_over": content.is_over,
        "subject": cut(escape_hidden(cut(content.subject, MOST_OF_SUBJECT)), MOST_OF_SUBJECT),
        "text": cut(escape_hidden(cut(content.text, MOST_OF_TEXT), keep="\n"), MOST_OF_TEXT),
        "data": dict(content.data),
        "created_at": now,
    }
    if content.cause and receiver.messages.filter(cause=content.cause).exists():
        return None
    try:
        with transaction.atomic(using=DEFAULT_DB_ALIAS):
            unclaimed(now).filter(receiver=receiver, key=content.key).delete()
            return OutboxMessage.objects.create(receiver=receiver, key=content.key, **values)
    except IntegrityError:  # another process reports the same
        return None


def unclaimed(now: datetime) -> Any:
    """Return the waiting messages that no process is sending."""
    waiting = OutboxMessage.objects.filter(state=MessageState.WAITING)
    return waiting.filter(Q(claimed_until__isnull=True) | Q(claimed_until__lte=now))


def queue_test(receiver: Receiver) -> OutboxMessage:
    """Store a test message, which is sent immediately and only once, also to a paused receiver. Its row has the answer."""
    content = Content(
        event=AlertEvent.TEST,
        key=f"test:{receiver.name}",
        subject="tvarr-backup: test message",
        text="This is a test message. Alerts about backups will be sent here.",
    )
    message = queue_message(receiver, content, datetime.now(UTC))
    assert message is not None  # it has no cause
    return message
