"""The outbox: messages to receivers, stored until the sending process sends them (`delivery`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, IntegrityError, transaction
from django.db.models import Q, QuerySet

from tvarr_backup.errors import MessageNotFound
from tvarr_backup.operations.alert_models import AlertEvent, MessageState, OutboxMessage, Receiver
from tvarr_backup.operations.models import delete_oldest
from tvarr_backup.quoting import cut, quoted
from tvarr_backup.receivers.messages import MOST_OF_SUBJECT, MOST_OF_TEXT
from tvarr_backup.texts import escape_hidden

logger = structlog.stdlib.get_logger(__name__)

CLAIM = timedelta(minutes=2)
"""Longer than an attempt can take."""
_MERGED_FROM = 10
"""Waiting messages of a receiver from which a new one replaces one with the same key."""
MOST_WAITING = 100
KEPT = 1000
"""Number of messages in the history that are not waiting."""


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


# --- Storing ---------------------------------------------------------------------------------------------------------


def queue_message(receiver: Receiver, content: Content, now: datetime) -> OutboxMessage | None:
    """Store a message. Return `None` if its cause was reported already.

    While a receiver fails, or many messages wait for it, the message replaces a waiting one with the same key. If too many
    wait even so, the oldest is dropped.
    """
    if content.cause and receiver.messages.filter(cause=content.cause).exists():
        return None
    waiting = find_unclaimed(now).filter(receiver=receiver)
    values = {
        "event": content.event,
        "key": content.key,
        "cause": content.cause,
        "is_over": content.is_over,
        "subject": cut(escape_hidden(cut(content.subject, MOST_OF_SUBJECT)), MOST_OF_SUBJECT),
        "text": cut(escape_hidden(cut(content.text, MOST_OF_TEXT), keep="\n"), MOST_OF_TEXT),
        "data": dict(content.data),
        "created_at": now,
    }
    try:
        with transaction.atomic(using=DEFAULT_DB_ALIAS):
            count = waiting.count()
            if receiver.failures or count >= _MERGED_FROM:
                count -= waiting.filter(key=content.key).delete()[0]
            if count >= MOST_WAITING:
                oldest = waiting.order_by("pk").values_list("pk", flat=True)[: count + 1 - MOST_WAITING]
                drop_messages(receiver, waiting.filter(pk__in=list(oldest)), "Too many messages wait.")
            return OutboxMessage.objects.create(receiver=receiver, **values)
    except IntegrityError:  # another process reports the same
        return None


def queue_test(receiver: Receiver) -> OutboxMessage:
    """Store a test message, which is sent immediately and only once, also to a paused receiver. Its row has the answer."""
    content = Content(
        event=AlertEvent.TEST,
        key=f"test:{receiver.name}",
        subject=f"Test message (tvarr-backup on {settings.NOTIFY_NAME})",
        text="This is a test message. Alerts about backups will be sent here.",
    )
    message = queue_message(receiver, content, datetime.now(UTC))
    assert message is not None  # it has no cause
    return message


def find_unclaimed(now: datetime) -> QuerySet[OutboxMessage]:
    """Return the waiting messages that no process is sending. A claim that ends too late was made with a wrong clock."""
    waiting = OutboxMessage.objects.filter(state=MessageState.WAITING)
    return waiting.filter(Q(claimed_until=None) | Q(claimed_until__lte=now) | Q(claimed_until__gt=now + 2 * CLAIM))


def drop_messages(receiver: Receiver, messages: QuerySet[OutboxMessage], reason: str) -> None:
    """Drop waiting messages, with a line in the log."""
    events = list(messages.values_list("event", flat=True))
    if messages.update(state=MessageState.DROPPED):
        logger.warning("message.dropped", receiver=receiver.name, count=len(events), events=events, reason=reason)


def delete_old_messages() -> None:
    """Delete messages that were sent or dropped, beyond the newest `KEPT`."""
    delete_oldest(OutboxMessage.objects.exclude(state=MessageState.WAITING), KEPT)
