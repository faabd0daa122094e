"""Sends the messages of the outbox. Only the sending process imports this.

A message is claimed by an UPDATE before it is sent, and the result is stored afterwards. A process that is killed in between leaves a
claim that expires, and the message is sent again: at most one duplicate for each kill, with the same id.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from django.conf import settings

from tvarr_backup.errors import ReceiverError, ReceiverFailed
from tvarr_backup.operations.alert_models import PING, AlertEvent, MessageState, OutboxMessage, Receiver
from tvarr_backup.operations.models import Installation, sentence_columns
from tvarr_backup.operations.outbox import CLAIM, drop_messages, find_unclaimed
from tvarr_backup.operations.receivers import address_of
from tvarr_backup.receivers.messages import OutgoingMessage
from tvarr_backup.receivers.ping import PingKind, ping
from tvarr_backup.receivers.send import send
from tvarr_backup.sentences import Sentence

logger = structlog.stdlib.get_logger(__name__)

FIRST_DELAY = timedelta(minutes=1)
LONGEST_DELAY = timedelta(hours=1)
"""Between attempts, which double from the first delay to this one."""
DROPPED_AFTER = timedelta(days=2)
FAILURES_UNTIL_DROPPED = 8
"""Messages are dropped only after so many attempts in a row, because the machine may have been off or the clock wrong."""
MOST_IN_AN_HOUR = 30
"""Messages that one receiver gets in an hour. More wait, and are merged."""
_PINGS = {
    AlertEvent.BACKUP_STARTED.value: PingKind.START,
    AlertEvent.BACKUP_SUCCEEDED.value: PingKind.SUCCESS,
    AlertEvent.TEST.value: PingKind.TEST,
    AlertEvent.BACKUP_FAILED.value: PingKind.FAILURE,
}


def find_due(now: datetime) -> list[Receiver]:
    """Return the receivers to which a message can be sent now."""
    with_messages = Receiver.objects.filter(pk__in=find_unclaimed(now).order_by().values("receiver"))
    return [receiver for receiver in with_messages if _next_message(receiver, now) is not None]


def send_next(receiver_id: str, now: datetime | None = None) -> bool:
    """Send the oldest message of a receiver that is due. Return whether it was sent; if not, stop for now.

    Blocks for as long as the receiver takes to answer. Failures are stored, and are not raised.
    """
    moment = now or datetime.now(UTC)
    receiver = Receiver.objects.filter(pk=receiver_id).first()
    message = None if receiver is None else _next_message(receiver, moment)
    if receiver is None or message is None or not _claim(message, moment):
        return False
    started = datetime.now(UTC)
    try:
        answer = _deliver(receiver, message)
    except ReceiverError as problem:
        _record_failure(receiver, message, problem, moment)
        return False
    _record_success(receiver, message, answer, moment + (datetime.now(UTC) - started))
    return True


def _next_message(receiver: Receiver, now: datetime) -> OutboxMessage | None:
    """Return the oldest message that may be sent now. A test may always."""
    unclaimed = find_unclaimed(now).filter(receiver=receiver).order_by("pk")
    if not receiver.is_enabled or _must_wait(receiver, now) or _has_had_enough(receiver, now):
        unclaimed = unclaimed.filter(event=AlertEvent.TEST)
    return unclaimed.first()


def _must_wait(receiver: Receiver, now: datetime) -> bool:
    """Return whether the next attempt is later. A time that is too far away was computed with a wrong clock."""
    next_attempt = receiver.next_attempt_at
    return next_attempt is not None and now < next_attempt <= now + LONGEST_DELAY


def _has_had_enough(receiver: Receiver, now: datetime) -> bool:
    hour = {"sent_at__gt": now - timedelta(hours=1), "sent_at__lt": now + CLAIM}  # later ones have a wrong time
    sent = receiver.messages.filter(state=MessageState.SENT, **hour)
    return receiver.kind != PING and sent.count() >= MOST_IN_AN_HOUR


def _claim(message: OutboxMessage, now: datetime) -> bool:
    same = OutboxMessage.objects.filter(pk=message.pk, state=MessageState.WAITING, attempts=message.attempts)
    return bool(same.update(attempts=message.attempts + 1, claimed_until=now + CLAIM))


def _deliver(receiver: Receiver, message: OutboxMessage) -> str:
    address = address_of(receiver)
    if receiver.kind == PING:
        return ping(address.secret, _PINGS[message.event], message.text)
    outgoing = OutgoingMessage(
        id=str(message.pk),
        event=message.event,
        is_over=message.is_over,
        subject=message.subject,
        text=message.text,
        created_at=message.created_at,
        installation=settings.NOTIFY_NAME,
        data=message.data | {"installation_id": Installation.load()},
    )
    return send(address, outgoing, mail_server=settings.MAIL_SERVER)


_NO_ERROR: dict[str, Any] = {"error_code": "", "error": "", "sentences": None}


def _record_success(receiver: Receiver, message: OutboxMessage, answer: str, now: datetime) -> None:
    sent = {"state": MessageState.SENT, "sent_at": now, "claimed_until": None, "answer": answer}
    OutboxMessage.objects.filter(pk=message.pk).update(**sent, **_NO_ERROR)
    working = {"sent_at": now, "answer": answer, "failing_since": None, "failures": 0, "next_attempt_at": None}
    Receiver.objects.filter(pk=receiver.pk).update(**working, **_NO_ERROR)
    logger.info("message.sent", receiver=receiver.name, alert=message.event, message=str(message.pk))
    if receiver.failures:
        logger.info("receiver.works_again", receiver=receiver.name)


def _record_failure(receiver: Receiver, message: OutboxMessage, problem: ReceiverError, now: datetime) -> None:
    """Store why the message was not accepted, and let all messages of the receiver wait, longer each time.

    A message that the receiver will never accept is dropped. If nothing was sent, because of the settings here, all wait for an hour.
    """
    is_permanent = not isinstance(problem, ReceiverFailed) or problem.is_permanent
    delay = LONGEST_DELAY if is_permanent else min(FIRST_DELAY * 2 ** min(receiver.failures, 20), LONGEST_DELAY)
    error = {"error_code": problem.code, **sentence_columns(error=Sentence("{problem}", problem=problem))}
    is_last = message.event == AlertEvent.TEST or (
        isinstance(problem, ReceiverFailed) and is_permanent and problem.status
    )
    state = MessageState.DROPPED if is_last else MessageState.WAITING
    still_waiting = OutboxMessage.objects.filter(pk=message.pk, state=MessageState.WAITING)
    still_waiting.update(state=state, claimed_until=None, **error)
    failing = {
        "failures": receiver.failures + 1,
        "failing_since": receiver.failing_since or now,
        "next_attempt_at": now + delay,
    }
    Receiver.objects.filter(pk=receiver.pk).update(**failing, **error)
    logger.warning(
        "message.unsent",
        receiver=receiver.name,
        alert=message.event,
        message=str(message.pk),
        code=problem.code,
        reason=str(problem),
        retry_seconds=None if is_last else int(delay.total_seconds()),
    )
    if receiver.failures + 1 >= FAILURES_UNTIL_DROPPED:
        old = find_unclaimed(now).filter(receiver=receiver, created_at__lt=now - DROPPED_AFTER)
        drop_messages(receiver, old, "The receiver has failed for too long.")
