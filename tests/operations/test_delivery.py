"""Sending: claims, delays, limits and what is dropped, with a real receiver."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.events import told
from tests.operations.alert_makers import NOON, ended, webhook
from tests.receivers.web_receiver import Reply, running_receiver
from tvarr_backup.operations.alert_models import PING, MessageState, OutboxMessage, Receiver, ReceiverState
from tvarr_backup.operations.delivery import MOST_IN_AN_HOUR, find_due, send_next
from tvarr_backup.operations.models import OperationState
from tvarr_backup.operations.outbox import (
    CLAIM,
    KEPT,
    MOST_WAITING,
    Content,
    delete_old_messages,
    queue_message,
    queue_test,
)
from tvarr_backup.operations.receivers import change_receiver, store_environment
from tvarr_backup.operations.watch import Watcher

pytestmark = pytest.mark.django_db
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NOWHERE = "http://127.0.0.1:9/"


def content(key: str = "worker", number: int = 0, **changes: Any) -> Content:
    values = {"event": "worker_stopped", "key": key, "subject": f"Subject {number}", "text": f"Text {number}"}
    return Content(**values | changes)


def queue(
    receiver: Receiver, key: str = "worker", number: int = 0, at: datetime = NOON, **changes: Any
) -> OutboxMessage:
    receiver.refresh_from_db()
    message = queue_message(receiver, content(key, number, **changes), at)
    assert message is not None
    return message


def send_all(receiver: Receiver, at: datetime = NOON) -> int:
    number = 0
    while send_next(str(receiver.pk), at):
        number += 1
    return number


def due(at: datetime = NOON) -> list[str]:
    return [receiver.name for receiver in find_due(at)]


def counts() -> dict[str, int]:
    return {str(state): OutboxMessage.objects.filter(state=state).count() for state in MessageState}


# --- One message -----------------------------------------------------------------------------------------------------


def test_a_message_is_sent_once_and_its_answer_is_kept() -> None:
    with running_receiver() as web:
        receiver = webhook("phone", web.url)
        message = queue(receiver, data={"key": "worker"})
        assert send_all(receiver) == 1
        assert due() == []
        (received,) = web.received
    body = json.loads(received.body)
    assert body["id"] == str(message.pk)
    assert (body["subject"], body["text"]) == ("Subject 0", "Text 0")
    message.refresh_from_db()
    assert (message.state, message.attempts, message.answer != "") == ("sent", 1, True)
    assert Receiver.objects.get().state is ReceiverState.WORKING


def test_messages_are_sent_in_order() -> None:
    with running_receiver() as web:
        receiver = webhook("phone", web.url)
        for number in range(3):
            queue(receiver, f"key {number}", number)
        assert send_all(receiver) == 3
        assert [json.loads(one.body)["text"] for one in web.received] == ["Text 0", "Text 1", "Text 2"]


def test_a_cause_is_reported_once_to_each_receiver() -> None:
    phone, tablet = webhook("phone"), webhook("tablet")
    for receiver in (phone, phone, tablet):
        queue_message(receiver, content(cause="operation 1"), NOON)
    assert counts()["waiting"] == 2


def test_hidden_characters_are_escaped_and_long_texts_are_cut() -> None:
    message = queue(webhook("phone"), text="a\x1b[2Jb\u202e" + "x" * 100_000, subject="c\r\nBcc: me")
    assert message.text.startswith("a\\x1b[2Jb\\u202exxx")
    assert len(message.text) <= 2_000
    assert "\n" not in message.subject


# --- A receiver that is down -----------------------------------------------------------------------------------------


def test_a_receiver_that_is_down_is_tried_again_less_and_less_often() -> None:
    receiver, now, waits = webhook("phone", NOWHERE), NOON, []
    queue(receiver)
    queue(receiver, "backups")
    for _ in range(8):
        assert due(now) == ["phone"]
        assert send_all(receiver, now) == 0
        next_attempt = Receiver.objects.get().next_attempt_at
        assert next_attempt is not None
        assert due(next_attempt - timedelta(seconds=1)) == []
        waits.append((next_attempt - now) // MINUTE)
        now = next_attempt
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert [message.attempts for message in OutboxMessage.objects.order_by("pk")] == [8, 0]
    stored = Receiver.objects.get()
    assert (stored.state, stored.error_code) == (ReceiverState.FAILING, "receiver_unreachable")
    assert stored.problem


def test_after_a_failure_the_messages_are_sent_and_the_receiver_works(caplog: pytest.LogCaptureFixture) -> None:
    replies = [Reply(500), Reply(200)]
    with running_receiver(lambda _received: replies.pop(0)) as web:
        receiver = webhook("phone", web.url)
        queue(receiver)
        assert send_all(receiver) == 0
        assert send_all(receiver, NOON + MINUTE) == 1
        first, second = (json.loads(one.body)["id"] for one in web.received)
        assert first == second
    assert (Receiver.objects.get().state, Receiver.objects.get().failures) == (ReceiverState.WORKING, 0)
    assert told(caplog, "receiver.works_again") == [
        {"level": "info", "event": "receiver.works_again", "receiver": "phone"}
    ]


def test_one_that_is_down_keeps_none_of_the_others_waiting() -> None:
    with running_receiver() as web:
        down, works = webhook("down", NOWHERE), webhook("works", web.url)
        queue(down)
        queue(works)
        assert due() == ["down", "works"]
        send_all(down)
        assert send_all(works) == 1


def test_a_message_that_will_never_be_accepted_is_dropped_and_the_next_one_is_sent() -> None:
    replies = [Reply(410), Reply(200)]
    with running_receiver(lambda _received: replies.pop(0)) as web:
        receiver = webhook("phone", web.url)
        queue(receiver)
        queue(receiver, "backups")
        assert send_all(receiver) == 0
        assert send_all(receiver, NOON + HOUR) == 1
    assert counts() == {"waiting": 0, "sent": 1, "dropped": 1}


def test_after_a_change_of_the_address_nothing_waits() -> None:
    receiver = webhook("phone", NOWHERE)
    queue(receiver)
    send_all(receiver)
    receiver.refresh_from_db()
    with running_receiver() as web:
        change_receiver(receiver, url=f"webhook+{web.url}")
        assert send_all(receiver, NOON + timedelta(seconds=1)) == 1


def test_a_message_is_dropped_after_two_days_of_failures_with_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    receiver, now = webhook("phone", NOWHERE), NOON
    queue(receiver)
    while counts()["waiting"]:
        send_all(receiver, now)
        next_attempt = Receiver.objects.get().next_attempt_at
        assert next_attempt is not None
        now = next_attempt
    assert timedelta(days=2) < now - NOON < timedelta(days=2, hours=3)
    (line,) = told(caplog, "message.dropped")
    assert (line["receiver"], line["count"], line["events"]) == ("phone", 1, ["worker_stopped"])


def test_a_message_that_is_old_because_the_machine_was_off_is_still_sent() -> None:
    with running_receiver() as web:
        receiver = webhook("phone", web.url)
        queue(receiver)
        assert send_all(receiver, NOON + timedelta(days=30)) == 1


def test_after_the_secret_key_was_lost_the_reason_is_shown(settings: Any) -> None:
    receiver = webhook("phone")
    queue(receiver)
    settings.SECRET_KEY = "another"
    send_all(receiver)
    assert OutboxMessage.objects.get().error_code == "receiver_secrets_lost"


# --- Kills and clocks ------------------------------------------------------------------------------------------------


def test_what_was_claimed_is_left_alone_until_the_claim_expires() -> None:
    with running_receiver() as web:
        receiver = webhook("phone", web.url)
        queue(receiver)
        OutboxMessage.objects.update(claimed_until=NOON + CLAIM, attempts=1)
        assert due() == []
        assert send_all(receiver, NOON + CLAIM - timedelta(seconds=1)) == 0
        assert send_all(receiver, NOON + CLAIM) == 1


@pytest.mark.parametrize("jump", [timedelta(days=-400), timedelta(days=400)])
def test_after_a_clock_that_was_wrong_nothing_waits_for_long(jump: timedelta) -> None:
    receiver = webhook("phone", NOWHERE)
    queue(receiver, at=NOON + jump)
    send_all(receiver, NOON + jump)
    OutboxMessage.objects.update(claimed_until=NOON + jump + CLAIM)
    assert due() == ["phone"]


def test_a_clock_that_was_ahead_does_not_use_up_the_hour() -> None:
    with running_receiver() as web:
        receiver = webhook("phone", web.url)
        for number in range(MOST_IN_AN_HOUR):
            queue(receiver, f"key {number}", at=NOON + timedelta(days=3))
            send_all(receiver, NOON + timedelta(days=3))
        queue(receiver)
        assert send_all(receiver) == 1


# --- Limits ----------------------------------------------------------------------------------------------------------


def test_a_receiver_gets_so_many_messages_in_an_hour_and_tests_always() -> None:
    with running_receiver() as web:
        receiver = webhook("phone", web.url)
        for number in range(MOST_IN_AN_HOUR + 5):
            queue(receiver, f"key {number}")
            send_all(receiver)
        assert len(web.received) == MOST_IN_AN_HOUR
        queue_test(receiver)
        assert send_all(receiver) == 1
        assert send_all(receiver, NOON + HOUR + MINUTE) == 5


def test_while_a_receiver_is_down_the_last_state_of_each_problem_waits() -> None:
    receiver = webhook("phone", NOWHERE)
    queue(receiver)
    send_all(receiver)
    for number in range(300):
        queue(receiver, f"key {number % 3}", number)
    waiting = OutboxMessage.objects.filter(state=MessageState.WAITING).order_by("pk")
    assert [message.text for message in waiting] == ["Text 0", "Text 297", "Text 298", "Text 299"]


def test_the_number_of_waiting_messages_is_limited() -> None:
    receiver = webhook("phone", NOWHERE)
    for number in range(MOST_WAITING + 7):
        queue(receiver, f"key {number}", number)
    assert counts() == {"waiting": MOST_WAITING, "sent": 0, "dropped": 7}
    first = OutboxMessage.objects.filter(state=MessageState.WAITING).earliest("pk")
    assert first.text == "Text 7"


def check_flapping(number: int) -> None:
    """Check that a problem that comes and goes so often within an hour leaves few messages, and the last one is right."""
    with running_receiver() as web:
        receiver = webhook("phone", web.url)
        step, now, watcher = HOUR / number, NOON, Watcher()
        for index in range(number):
            ended(state=OperationState.SUCCEEDED if index % 2 else OperationState.FAILED, at=now)
            now += step
            watcher.notice_endings(now)
            send_all(receiver, now)
        assert len(web.received) == MOST_IN_AN_HOUR
        assert OutboxMessage.objects.count() <= MOST_IN_AN_HOUR + MOST_WAITING
        send_all(receiver, now + HOUR)
        assert json.loads(web.received[-1].body)["is_over"]


def test_a_problem_that_comes_and_goes_is_bounded() -> None:
    check_flapping(100)


@pytest.mark.long
def test_ten_thousand_changes_in_an_hour_are_bounded() -> None:
    check_flapping(10_000)


def test_old_messages_are_deleted_and_waiting_ones_are_not() -> None:
    receiver = webhook("phone")
    rows = [
        OutboxMessage(
            receiver=receiver, event="restored", key="restored", subject="", text="", created_at=NOON, state=state
        )
        for state in [MessageState.WAITING, *[MessageState.SENT] * (KEPT + 3)]
    ]
    OutboxMessage.objects.bulk_create(rows)
    delete_old_messages()
    assert counts() == {"waiting": 1, "sent": KEPT, "dropped": 0}


# --- Tests and pings -------------------------------------------------------------------------------------------------


def test_a_test_message_is_sent_immediately_and_only_once() -> None:
    receiver = webhook("phone", NOWHERE, is_enabled=False)
    Receiver.objects.update(next_attempt_at=NOON + HOUR, failures=5)
    message = queue_test(receiver)
    assert due() == ["phone"]
    assert send_all(receiver) == 0
    message.refresh_from_db()
    assert (message.state, message.error_code) == ("dropped", "receiver_unreachable")
    assert due(NOON + timedelta(days=1)) == []


def test_a_test_that_succeeds_ends_the_waiting() -> None:
    with running_receiver() as web:
        receiver = webhook("phone", web.url)
        queue(receiver)
        Receiver.objects.update(next_attempt_at=NOON + HOUR, failing_since=NOON, failures=5)
        queue_test(receiver)
        assert send_all(receiver) == 2


def test_pings_call_the_address_of_the_environment(settings: Any) -> None:
    with running_receiver() as web:
        settings.PING_URL = f"{web.url}/wharf-lantern"
        store_environment()
        receiver = Receiver.objects.get()
        assert (receiver.kind, "lantern" in receiver.url) == (PING, False)
        ended()
        Watcher().notice_endings(NOON)
        send_all(receiver)
        (received,) = web.received
    assert (received.path, received.body) == ("/wharf-lantern/fail", b"The disk is full.")


def test_secrets_appear_in_no_column_of_messages_and_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    with running_receiver(lambda received: Reply(500, received.path.encode())) as web:
        receiver = webhook("phone", f"{web.url}/wharf-lantern")
        queue(receiver)
        queue_test(receiver)
        send_all(receiver)
        send_all(receiver, datetime.now(UTC) + HOUR)
    stored = repr([*OutboxMessage.objects.values(), *Receiver.objects.values()])
    assert "wharf-lantern" not in stored + repr([record.msg for record in caplog.records])
