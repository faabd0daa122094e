"""Receivers: adding, changing and removing them, their secrets, and those of the environment."""

from typing import Any

import pytest

from tvarr_backup.errors import ReceiverInvalid, ReceiverNotFound, ReceiverReadOnly, ReceiverSecretsLost
from tvarr_backup.operations.alert_models import MessageState, OutboxMessage, Receiver, ReceiverState
from tvarr_backup.operations.outbox import queue_test
from tvarr_backup.operations.receivers import (
    add_receiver,
    address_of,
    change_receiver,
    find_receiver,
    remove_receiver,
    store_environment,
)
from tvarr_backup.receivers.addresses import make_signing_secret, parse_receiver
from tvarr_backup.receivers.mail_servers import parse_mail_server

pytestmark = pytest.mark.django_db

NTFY = "ntfys://tk_wharf-lantern@ntfy.example/backups"
WEBHOOK = "webhook+https://hooks.example/wharf-lantern"


def test_the_secret_is_encrypted_and_the_address_is_known_again() -> None:
    add_receiver("phone", NTFY)
    stored = Receiver.objects.get()
    assert "wharf-lantern" not in repr(Receiver.objects.values().get())
    assert address_of(stored) == parse_receiver(NTFY)


def test_a_webhook_without_a_signing_secret_gets_one_that_is_returned_once() -> None:
    saved = add_receiver("hook", WEBHOOK)
    assert address_of(Receiver.objects.get()).signing_secret == saved.new_signing_secret != ""
    assert change_receiver(saved.receiver, url=WEBHOOK + "/other").new_signing_secret == ""
    assert address_of(Receiver.objects.get()).signing_secret == saved.new_signing_secret


def test_a_webhook_keeps_the_signing_secret_that_the_user_gives() -> None:
    secret = make_signing_secret()
    saved = add_receiver("hook", WEBHOOK, signing_secret=secret)
    assert (saved.new_signing_secret, address_of(saved.receiver).signing_secret) == ("", secret)


def test_only_webhooks_have_a_signing_secret() -> None:
    with pytest.raises(ReceiverInvalid):
        add_receiver("phone", NTFY, signing_secret=make_signing_secret())


@pytest.mark.parametrize("name", ["add", "messages", "ping", "environment-1", "Phone", "", "a b", "x" * 51])
def test_some_names_are_refused(name: str) -> None:
    with pytest.raises(ReceiverInvalid):
        add_receiver(name, NTFY)
    assert not Receiver.objects.exists()


def test_a_name_is_used_once() -> None:
    add_receiver("phone", NTFY)
    with pytest.raises(ReceiverInvalid):
        add_receiver("phone", WEBHOOK)


def test_mail_needs_a_server(settings: Any) -> None:
    with pytest.raises(ReceiverInvalid):
        add_receiver("me", "mailto:me@example.com")
    settings.MAIL_SERVER = parse_mail_server("smtp://mail.example?from=backup@example.com")
    assert add_receiver("me", "mailto:me@example.com").receiver.url == "mailto:me@example.com"


def test_an_unknown_receiver_is_not_found() -> None:
    for name in ("phone", "a\0b"):
        with pytest.raises(ReceiverNotFound):
            find_receiver(name)


def test_another_address_has_not_been_tried() -> None:
    receiver = add_receiver("phone", NTFY).receiver
    Receiver.objects.update(failures=3, failing_since="2026-11-02T00:00Z", next_attempt_at="2026-11-02T01:00Z")
    receiver.refresh_from_db()
    assert receiver.state is ReceiverState.FAILING
    change_receiver(receiver, url=NTFY)
    assert Receiver.objects.get().failures == 3
    change_receiver(receiver, url=NTFY + "/other")
    assert (Receiver.objects.get().state, Receiver.objects.get().next_attempt_at) == (ReceiverState.UNTRIED, None)


def test_a_change_leaves_what_the_sending_process_has_written_in_the_meantime() -> None:
    read_before = add_receiver("phone", NTFY).receiver
    Receiver.objects.update(failures=3)
    change_receiver(read_before, reminds_daily=True)
    assert (Receiver.objects.get().failures, Receiver.objects.get().reminds_daily) == (3, True)


def test_after_the_secret_key_was_lost_the_address_is_entered_again(settings: Any) -> None:
    receiver = add_receiver("phone", NTFY).receiver
    settings.SECRET_KEY = "another"
    with pytest.raises(ReceiverSecretsLost):
        address_of(receiver)
    change_receiver(receiver, url=NTFY)
    assert address_of(Receiver.objects.get()) == parse_receiver(NTFY)


def test_pausing_drops_what_waits() -> None:
    receiver = add_receiver("phone", NTFY).receiver
    queue_test(receiver)
    change_receiver(receiver, is_enabled=False)
    assert OutboxMessage.objects.get().state == MessageState.DROPPED


def test_a_removed_receiver_takes_its_messages_along() -> None:
    receiver = add_receiver("phone", NTFY).receiver
    queue_test(receiver)
    remove_receiver(receiver)
    assert not OutboxMessage.objects.exists()


# --- Receivers of the environment ------------------------------------------------------------------------------------


def test_receivers_of_the_environment_have_no_secret_in_the_database(settings: Any) -> None:
    settings.NOTIFY_ADDRESSES = (parse_receiver(NTFY),)
    store_environment()
    assert "wharf-lantern" not in repr(Receiver.objects.values().get())
    assert address_of(Receiver.objects.get()) == parse_receiver(NTFY)


def test_a_receiver_of_the_environment_keeps_its_state_and_goes_with_its_address(settings: Any) -> None:
    settings.NOTIFY_ADDRESSES = (parse_receiver(NTFY),)
    store_environment()
    change_receiver(Receiver.objects.get(), reminds_daily=True)
    settings.NOTIFY_ADDRESSES = (parse_receiver(WEBHOOK), parse_receiver(NTFY))
    store_environment()
    assert set(Receiver.objects.values_list("kind", "reminds_daily")) == {("webhook", False), ("apprise", True)}
    settings.NOTIFY_ADDRESSES = ()
    store_environment()
    assert not Receiver.objects.exists()


def test_the_address_of_a_receiver_of_the_environment_is_changed_there(settings: Any) -> None:
    settings.NOTIFY_ADDRESSES = (parse_receiver(NTFY),)
    store_environment()
    receiver = Receiver.objects.get()
    with pytest.raises(ReceiverReadOnly):
        change_receiver(receiver, url=WEBHOOK)
    with pytest.raises(ReceiverReadOnly):
        change_receiver(receiver, name="phone")
    with pytest.raises(ReceiverReadOnly):
        remove_receiver(receiver)
    assert Receiver.objects.get().url == receiver.url


def test_the_monitor_of_pings_has_no_daily_reminder(settings: Any) -> None:
    settings.PING_URL = "https://hc-ping.com/5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278"
    store_environment()
    with pytest.raises(ReceiverInvalid, match="daily reminder"):
        change_receiver(Receiver.objects.get(), reminds_daily=True)
    assert not Receiver.objects.get().reminds_daily


def test_the_monitor_of_pings_can_be_paused(settings: Any) -> None:
    settings.PING_URL = "https://hc-ping.com/5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278"
    store_environment()
    change_receiver(Receiver.objects.get(), is_enabled=False)
    assert Receiver.objects.get().state == ReceiverState.PAUSED


def test_receivers_of_users_stay_when_the_environment_changes(settings: Any) -> None:
    add_receiver("phone", NTFY)
    settings.NOTIFY_ADDRESSES = ()
    store_environment()
    assert Receiver.objects.get().name == "phone"
