"""The pages of receivers of alerts: forms, states, test messages, the outbox and the present problems."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.operations.alert_parts import add_alert, add_message, let_fail, stored_error
from tests.web.backup_parts import messages_on
from tests.web.browsing import person, text_of
from tests.web.conftest import SignIn
from tvarr_backup.operations import receivers
from tvarr_backup.operations.alert_models import AlertEvent, MessageState, OutboxMessage, Receiver
from tvarr_backup.receivers.addresses import ReceiverKind, make_signing_secret, parse_receiver
from tvarr_backup.receivers.mail_servers import parse_mail_server

pytestmark = pytest.mark.django_db

MANAGE = "operations.manage_receivers"
ALL = "/settings/receivers/"
HERE = f"{ALL}phone/"
SECRET = "wharf-lantern"
NTFY = f"ntfys://ntfy.example/{SECRET}"
HOOK = f"https://hooks.example/{SECRET}"


@pytest.fixture
def client(signed_in: SignIn) -> Client:
    """The administrator's."""
    return signed_in()


@pytest.fixture
def phone(client: Client) -> Receiver:
    """A receiver that was not tried yet."""
    return receivers.add_receiver("phone", NTFY).receiver


@pytest.fixture
def from_environment(client: Client, settings: Any) -> Receiver:
    settings.NOTIFY_ADDRESSES = (parse_receiver(NTFY),)
    receivers.store_environment()
    return Receiver.objects.get()


@pytest.fixture
def ping(client: Client, settings: Any) -> Receiver:
    settings.PING_URL = f"https://hc.example/{SECRET}"
    receivers.store_environment()
    return Receiver.objects.get()


def page_of(receiver: Receiver) -> str:
    return f"{ALL}{receiver.name}/"


def add(client: Client, kind: str, **values: str) -> Any:
    return client.post(f"{ALL}add/?kind={kind}", {"name": "phone"} | values)


# --- The list --------------------------------------------------------------------------------------------------------


def test_an_empty_list_says_that_problems_are_only_shown_here(client: Client) -> None:
    text = text_of(client.get(ALL))
    assert "No receiver is set up" in text
    assert "No monitor is set up" in text
    assert "No problem is reported." in text


def test_the_list_shows_state_reason_and_next_attempt(client: Client, phone: Receiver) -> None:
    assert "Not tried yet" in text_of(client.get(ALL))
    add_message(let_fail(phone), MessageState.WAITING)
    text = text_of(client.get(ALL))
    assert "Failing , since" in text
    assert "https://hooks.example did not accept the request: 500 Broken." in text.replace('"', "")
    assert "Apprise: ntfys://…" in text
    assert re.search(r" 1 Next attempt: .* \(in (2|3) hours\)", text)


def test_receivers_of_the_environment_are_shown_as_such(client: Client, from_environment: Receiver) -> None:
    assert "from the environment" in text_of(client.get(ALL))
    text = text_of(client.get(page_of(from_environment)))
    assert "In the environment, as TVARR_NOTIFY_URLS" in text
    assert "Remove" not in text


def test_the_monitor_is_shown_with_its_last_answer(client: Client, ping: Receiver) -> None:
    Receiver.objects.update(sent_at=datetime.now(UTC), answer="200 OK")
    for path in (ALL, page_of(ping)):
        text = text_of(client.get(path))
        assert "https://hc.example/…" in text
        assert "Last answer 200 OK" in text


def test_present_problems_are_shown(client: Client) -> None:
    add_alert()
    text = text_of(client.get(ALL))
    assert "Backup failed , since" in text
    assert "The last backup failed: the disk is full." in text


def test_only_the_place_itself_is_marked_in_the_menu(client: Client, phone: Receiver) -> None:
    for path in (ALL, HERE):
        places = client.get(path).context["navigation"]()
        assert [place.label for place in places if place.current] == ["Alerts"]
    assert [place.label for place in client.get("/settings/").context["navigation"]() if place.current] == ["Settings"]


@pytest.mark.parametrize("group", ["Viewer", "Operator"])
def test_others_do_not_see_receivers(signed_in: SignIn, group: str) -> None:
    other = signed_in(group)
    for path in (ALL, f"{ALL}messages/", f"{ALL}add/"):
        assert other.get(path).status_code == 403
    assert "Alerts" not in text_of(other.get("/account/"))


# --- Adding ----------------------------------------------------------------------------------------------------------


def test_first_the_kind_is_chosen(client: Client) -> None:
    page = client.get(f"{ALL}add/").content.decode()
    for kind in ReceiverKind:
        assert f'href="{ALL}add/?kind={kind}"' in page
    assert "Where will alerts be sent?" in text_of(client.get(f"{ALL}add/?kind=pigeon"))


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("mail", ["name", "address", "reminds_daily"]),
        ("webhook", ["name", "address", "signing_secret", "reminds_daily"]),
        ("apprise", ["name", "address", "reminds_daily"]),
    ],
)
def test_the_form_of_a_kind_has_its_fields(client: Client, kind: str, fields: list[str]) -> None:
    assert list(client.get(f"{ALL}add/?kind={kind}").context["form"].fields) == fields


def test_a_service_of_apprise_is_added(client: Client) -> None:
    answer = add(client, "apprise", address=NTFY, reminds_daily="on")
    assert (answer.status_code, answer["Location"]) == (302, HERE)
    stored = Receiver.objects.get()
    assert (receivers.address_of(stored), stored.reminds_daily) == (parse_receiver(NTFY), True)


def test_a_mail_address_is_added(client: Client, settings: Any) -> None:
    settings.MAIL_SERVER = parse_mail_server("smtp://mail.example?from=me@example.com")
    add(client, "mail", address="me@example.com")
    assert Receiver.objects.get().url == "mailto:me@example.com"
    assert client.get(f"{HERE}change/").context["form"]["address"].value() == "me@example.com"
    assert "Mail is sent from me@example.com by the server mail.example" in text_of(client.get(f"{ALL}add/?kind=mail"))


def test_mail_without_a_server_is_refused(client: Client) -> None:
    answer = add(client, "mail", address="me@example.com")
    assert "Set EMAIL_URL in the environment" in " ".join(answer.context["form"].non_field_errors())
    assert not Receiver.objects.exists()


def test_the_new_signing_secret_of_a_webhook_is_shown_once(client: Client) -> None:
    shown = add(client, "webhook", address=HOOK)
    secret = receivers.address_of(Receiver.objects.get()).signing_secret
    assert secret in shown.content.decode()
    for path in (ALL, HERE, f"{HERE}change/"):
        assert secret not in client.get(path).content.decode()


def test_a_webhook_with_its_own_signing_secret_has_no_new_one(client: Client) -> None:
    own = make_signing_secret()
    assert add(client, "webhook", address=HOOK, signing_secret=own).status_code == 302
    assert receivers.address_of(Receiver.objects.get()).signing_secret == own


@pytest.mark.parametrize(
    ("kind", "values", "field", "expected"),
    [
        ("apprise", {"name": "My phone"}, "name", "Expected a name of lower-case letters"),
        ("apprise", {"name": ""}, "name", "Expected a name"),
        ("apprise", {"name": "messages"}, "name", "Expected another name"),
        ("apprise", {"name": "environment-1"}, "name", "Expected another name"),
        ("apprise", {"name": "other"}, "name", "There is already a receiver"),
        ("apprise", {"address": ""}, "address", "Expected an address of apprise"),
        ("apprise", {"address": "https://hooks.example/"}, "address", "webhook+https"),
        ("apprise", {"address": "mailto:me@example.com"}, "address", "Expected an address of apprise"),
        ("webhook", {"address": "hooks.example"}, "address", "Expected an address"),
        ("webhook", {"address": "ntfys://x/y"}, "address", "Expected an address"),
        ("webhook", {"address": HOOK, "signing_secret": "short"}, "signing_secret", "Expected a signing secret"),
        ("mail", {"address": "me"}, "address", "Expected one mail address"),
    ],
)
def test_a_mistake_is_shown_beside_its_field(
    client: Client, kind: str, values: dict[str, str], field: str, expected: str
) -> None:
    receivers.add_receiver("other", "ntfys://ntfy.example/other")
    answer = add(client, kind, **({"address": NTFY} | values))
    assert answer.status_code == 200
    assert expected in " ".join(answer.context["form"].errors[field])
    assert Receiver.objects.count() == 1


def test_secrets_are_never_sent_back(client: Client) -> None:
    refused = add(client, "apprise", name="My phone", address=NTFY)
    refused_hook = add(client, "webhook", name="My phone", address=HOOK, signing_secret=make_signing_secret())
    add(client, "apprise", address=NTFY)
    add_message(let_fail(Receiver.objects.get()), MessageState.WAITING, attempts=3, **stored_error())
    paths = (ALL, HERE, f"{HERE}change/", f"{HERE}remove/", f"{ALL}messages/")
    for page in (refused, refused_hook, *map(client.get, paths)):
        assert page.status_code == 200
        assert SECRET not in page.content.decode()
        assert "whsec_" not in page.content.decode()


# --- Changing and removing -------------------------------------------------------------------------------------------


def test_an_empty_address_keeps_the_stored_one(client: Client, phone: Receiver) -> None:
    answer = client.post(f"{HERE}change/", {"name": "bell", "address": "", "reminds_daily": "on"})
    assert answer["Location"] == f"{ALL}bell/"
    stored = Receiver.objects.get()
    assert (receivers.address_of(stored), stored.reminds_daily) == (parse_receiver(NTFY), True)


def test_another_address_replaces_the_stored_one(client: Client, phone: Receiver) -> None:
    client.post(f"{HERE}change/", {"name": "phone", "address": "ntfys://ntfy.example/other"})
    assert receivers.address_of(Receiver.objects.get()) == parse_receiver("ntfys://ntfy.example/other")


def test_another_signing_secret_is_made_and_shown_once(client: Client) -> None:
    before = receivers.add_receiver("phone", f"webhook+{HOOK}").new_signing_secret
    shown = client.post(f"{HERE}change/", {"name": "phone", "address": "", "makes_signing_secret": "on"})
    made = receivers.address_of(Receiver.objects.get()).signing_secret
    assert (made != before, made in shown.content.decode()) == (True, True)


def test_after_the_secret_key_has_changed_the_address_has_to_be_entered_again(
    client: Client, phone: Receiver, settings: Any
) -> None:
    settings.SECRET_KEY = "another key, as after a move"
    other = person([MANAGE])  # sessions depend on the key, too
    assert other.post(f"{HERE}change/", {"name": "bell", "address": ""}).status_code == 302
    assert other.post(f"{ALL}bell/change/", {"name": "bell", "address": NTFY}).status_code == 302
    assert receivers.address_of(Receiver.objects.get()) == parse_receiver(NTFY)


def test_of_the_environment_only_the_reminder_is_changed(client: Client, from_environment: Receiver) -> None:
    address = f"{page_of(from_environment)}change/"
    assert list(client.get(address).context["form"].fields) == ["reminds_daily"]
    client.post(address, {"reminds_daily": "on", "name": "bell", "address": NTFY})
    stored = Receiver.objects.get()
    assert (stored.name, stored.reminds_daily) == (from_environment.name, True)


def test_a_receiver_is_paused_and_resumed(client: Client, phone: Receiver) -> None:
    for enabled, state in (("false", "Paused"), ("true", "Not tried yet")):
        answer = client.post(f"{HERE}pause/", {"enabled": enabled})
        assert state in text_of(client.get(answer["Location"]))


def test_removing_asks_first(client: Client, phone: Receiver) -> None:
    add_message(phone, MessageState.WAITING)
    assert "with 1 message that was not sent yet" in text_of(client.get(f"{HERE}remove/"))
    assert messages_on(client, client.post(f"{HERE}remove/")) == "Receiver phone removed."
    assert not Receiver.objects.exists()


def test_one_of_the_environment_is_not_removed(client: Client, from_environment: Receiver) -> None:
    address = f"{page_of(from_environment)}remove/"
    assert "it cannot be removed here" in text_of(client.get(address))
    assert client.post(address).status_code == 409
    assert Receiver.objects.exists()


def test_an_unknown_receiver_is_not_found(client: Client) -> None:
    for path in ("", "change/", "remove/"):
        assert client.get(f"{HERE}{path}").status_code == 404
    for path in ("test/", "pause/", "change/", "remove/"):
        assert client.post(f"{HERE}{path}").status_code == 404


# --- The test message ------------------------------------------------------------------------------------------------


def test_a_test_message_is_queued_and_the_page_waits_for_its_answer(client: Client, phone: Receiver) -> None:
    assert client.post(f"{HERE}test/")["Location"] == HERE
    assert OutboxMessage.objects.get().event == AlertEvent.TEST
    page = client.get(HERE)
    assert "The test message is being sent." in text_of(page)
    assert 'hx-trigger="every 1s"' in page.content.decode()


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            {"state": MessageState.SENT, "answer": "204 No Content", "sent_at": datetime.now(UTC)},
            "Answer: 204 No Content",
        ),
        ({"state": MessageState.DROPPED, **stored_error()}, "did not accept the request: 500 Broken."),
        ({"created_at": datetime.now(UTC) - timedelta(minutes=10)}, "Is it running?"),
    ],
)
def test_the_page_shows_the_answer_and_waits_no_longer(
    client: Client, phone: Receiver, columns: dict[str, Any], expected: str
) -> None:
    client.post(f"{HERE}test/")
    OutboxMessage.objects.update(**columns)
    page = client.get(HERE)
    assert expected in text_of(page)
    assert "hx-trigger" not in page.content.decode().split('id="overview"')[1]


def test_an_old_answer_is_only_among_the_messages(client: Client, phone: Receiver) -> None:
    client.post(f"{HERE}test/")
    OutboxMessage.objects.update(state=MessageState.SENT, created_at=datetime.now(UTC) - timedelta(hours=2))
    page = client.get(HERE)
    assert (page.context["test"], len(page.context["messages_shown"])) == (None, 1)


def test_a_monitor_gets_a_test_ping(client: Client, ping: Receiver) -> None:
    assert "Send a test ping" in text_of(client.get(page_of(ping)))
    assert client.post(f"{page_of(ping)}test/")["Location"] == page_of(ping)


# --- The outbox ------------------------------------------------------------------------------------------------------


def test_messages_are_shown_with_their_state(client: Client, phone: Receiver) -> None:
    add_message(phone, MessageState.SENT, attempts=1, answer="ntfy accepted the message.", sent_at=datetime.now(UTC))
    add_message(let_fail(phone), MessageState.WAITING, attempts=3, **stored_error())
    text = text_of(client.get(f"{ALL}messages/"))
    assert "tvarr-backup on harbour: backup failed The disk is full." in text
    assert "Answer: ntfy accepted the message." in text
    assert "Waiting , 3 attempts Next attempt: " in text
    assert "500 Broken" in text


def test_messages_have_pages_and_states(client: Client, phone: Receiver) -> None:
    for number in range(27):
        add_message(phone, MessageState.DROPPED, key=f"backup_failed:{number}")
    first = client.get(f"{ALL}messages/?state=dropped")
    assert (len(first.context["messages_shown"]), "Page 1 of 2" in text_of(first)) == (25, True)
    assert 'href="?state=dropped&amp;page=2"' in first.content.decode()
    assert len(client.get(f"{ALL}messages/?state=dropped&page=2").context["messages_shown"]) == 2
    assert "No messages." in text_of(client.get(f"{ALL}messages/?state=sent"))


def test_the_number_of_queries_does_not_depend_on_the_number_of_messages(
    client: Client, phone: Receiver, django_assert_num_queries: Any
) -> None:
    client.get(f"{ALL}messages/")
    for number in range(5):
        other = receivers.add_receiver(f"phone-{number}", NTFY).receiver
        add_message(other)
    with django_assert_num_queries(7):
        client.get(f"{ALL}messages/")
    with django_assert_num_queries(7):
        client.get(ALL)


def test_a_message_from_others_is_escaped(client: Client, phone: Receiver) -> None:
    add_message(phone, MessageState.SENT, attempts=1, answer="<b>no</b>\u202e", subject="<script>", text="<i>\u202e")
    page = client.get(f"{ALL}messages/").content.decode()
    for part in ("<b>no", "<script>x", "<i>", "\u202e"):
        assert part not in page


# --- The start page --------------------------------------------------------------------------------------------------

ADVICE = "No receiver of alerts is set up"


@pytest.fixture
def _folder(folder: Path) -> None:
    """The start page reads the backup folder."""


@pytest.mark.usefixtures("_folder")
def test_the_start_page_advises_to_add_a_receiver_until_the_advice_is_dismissed(client: Client) -> None:
    assert ADVICE in text_of(client.get("/"))
    assert client.post(f"{ALL}advice/")["Location"] == "/"
    assert ADVICE not in text_of(client.get("/"))


@pytest.mark.usefixtures("_folder")
def test_with_a_receiver_there_is_no_advice(client: Client, phone: Receiver) -> None:
    assert "Alerts are sent to 1 receiver , of which 1 is paused or not tried yet." in text_of(client.get("/"))
    Receiver.objects.update(sent_at=phone.created_at)
    text = text_of(client.get("/"))
    assert ADVICE not in text
    assert "Alerts are sent to 1 receiver ." in text


@pytest.mark.usefixtures("_folder")
def test_the_start_page_shows_present_problems(client: Client, signed_in: SignIn) -> None:
    add_alert()
    assert "1 alert : Backup failed, since" in text_of(client.get("/"))
    other = text_of(signed_in("Operator").get("/"))
    assert ("1 alert" in other, ADVICE in other) == (False, False)
