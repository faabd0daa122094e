"""View models of receivers and their messages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.urls import reverse

from tvarr_backup.operations.alert_models import PING, AlertEvent, MessageState, OutboxMessage, Receiver, ReceiverState
from tvarr_backup.operations.receivers import kind_label

_ICONS = {
    ReceiverState.WORKING: "check-circle",
    ReceiverState.FAILING: "x-circle",
    ReceiverState.UNTRIED: "info-circle",
    ReceiverState.PAUSED: "info-circle",
}
_LEVELS = {ReceiverState.WORKING: "good", ReceiverState.FAILING: "failing"}
_MESSAGE_ICONS = {
    MessageState.WAITING: "hourglass-split",
    MessageState.SENT: "check-circle",
    MessageState.DROPPED: "x-circle",
}
_TEST_SHOWN_FOR = timedelta(hours=1)
_SENT_WITHIN = timedelta(minutes=2)
"""A test message that waits longer than this is not sent soon, so the page stops asking for its answer."""


@dataclass(frozen=True)
class ReceiverRow:
    """A receiver, and how many messages wait for it."""

    receiver: Receiver
    waiting: int = 0

    @property
    def address(self) -> str:
        """The path of its page, with which the paths of its actions begin."""
        return reverse("receiver", args=[self.receiver.name])

    @property
    def kind(self) -> str:
        return kind_label(self.receiver)

    @property
    def is_ping(self) -> bool:
        return self.receiver.kind == PING

    @property
    def state(self) -> ReceiverState:
        return self.receiver.state

    @property
    def state_icon(self) -> str:
        return _ICONS[self.state]

    @property
    def level(self) -> str:
        """The class of its card."""
        return _LEVELS.get(self.state, "none")

    @property
    def next_attempt(self) -> datetime | None:
        """When messages are sent to a failing receiver again, or None for immediately."""
        return self.receiver.next_attempt_at if self.state is ReceiverState.FAILING else None


@dataclass(frozen=True)
class MessageRow:
    """A message. `is_awaited` says that its answer will probably come soon."""

    message: OutboxMessage

    @property
    def state(self) -> MessageState:
        return MessageState(self.message.state)

    @property
    def state_icon(self) -> str:
        return _MESSAGE_ICONS[self.state]

    @property
    def is_awaited(self) -> bool:
        return self.message.is_waiting and datetime.now(UTC) - self.message.created_at < _SENT_WITHIN


def find_test(receiver: Receiver) -> MessageRow | None:
    """Return the latest test message to a receiver, if it is recent."""
    since = datetime.now(UTC) - _TEST_SHOWN_FOR
    tests = receiver.messages.select_related("receiver").filter(event=AlertEvent.TEST, created_at__gt=since)
    newest = tests.first()
    return MessageRow(newest) if newest else None
