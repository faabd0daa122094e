"""`/receivers`: setting up, testing, messages and problems, and that no answer has a secret."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.operations.alert_parts import add_alert, add_message, let_fail
from tvarr_backup.api.receivers import (
    ALERT_EXAMPLE,
    MESSAGE_EXAMPLE,
    RECEIVER_EXAMPLE,
    SAVED_EXAMPLE,
    AlertSerializer,
    ReceiverMessageSerializer,
    ReceiverSerializer,
    SavedReceiverSerializer,
)
from tvarr_backup.operations.alert_models import MessageState, OutboxMessage, Receiver
from tvarr_backup.operations.receivers import address_of, store_environment
from tvarr_backup.receivers.addresses import make_signing_secret, parse_receiver

pytestmark = pytest.mark.django_db

ADDRESS = "/api/v1/receivers"
SECRET = "tide-table-1912"
HOOK = {"name": "hook", "url": f"webhook+https://hooks.example/{SECRET}"}
PHONE = {"name": "phone", "url": f"ntfys://ntfy.example/{SECRET}"}


def post(client: APIClient, body: Any, path: str = "") -> Any:
    return client.post(f"{ADDRESS}{path}", body, format="json")


def add(client: APIClient, body: Any = HOOK) -> Receiver:
    assert post(client, body).status_code == 201
    return Receiver.objects.get(name=body["name"])


@pytest.fixture
def from_environment(settings: Any) -> Receiver:
    settings.NOTIFY_ADDRESSES = (parse_receiver(PHONE["url"]),)
    store_environment()
    return Receiver.objects.get()


# --- Setting up ------------------------------------------------------------------------------------------------------


def test_a_receiver_is_added_and_shown(administrator: APIClient) -> None:
    response = post(administrator, PHONE | {"daily_reminder": True})
    assert (response.status_code, response["Location"]) == (201, f"{ADDRESS}/phone")
    shown = administrator.get(response["Location"]).json()
    assert shown | {"new_signing_secret": ""} == response.json()
    assert (shown["kind"], shown["url"], shown["state"]) == ("apprise", "ntfys://…", "untried")
    assert (shown["daily_reminder"], shown["enabled"], shown["from_environment"]) == (True, True, False)
    assert address_of(Receiver.objects.get()) == parse_receiver(PHONE["url"])


def test_answers_have_the_documented_members(administrator: APIClient) -> None:
    saved = post(administrator, HOOK).json()
    assert list(saved) == list(SavedReceiverSerializer().fields) == list(SAVED_EXAMPLE)
    assert (
        list(administrator.get(f"{ADDRESS}/hook").json()) == list(ReceiverSerializer().fields) == list(RECEIVER_EXAMPLE)
    )
    message = post(administrator, {}, "/hook/test").json()
    assert list(message) == list(ReceiverMessageSerializer().fields) == list(MESSAGE_EXAMPLE)
    add_alert()
    (alert,) = administrator.get(f"{ADDRESS}/alerts").json()["results"]
    assert list(alert) == list(AlertSerializer().fields) == list(ALERT_EXAMPLE)


def test_a_new_signing_secret_is_answered_once(administrator: APIClient) -> None:
    made = post(administrator, HOOK).json()["new_signing_secret"]
    assert address_of(Receiver.objects.get()).signing_secret == made != ""
    for response in (administrator.get(ADDRESS), administrator.get(f"{ADDRESS}/hook")):
        assert made not in response.content.decode()


def test_a_webhook_keeps_its_own_signing_secret(administrator: APIClient) -> None:
    own = make_signing_secret()
    response = post(administrator, HOOK | {"signing_secret": own})
    assert (own in response.content.decode(), response.json()["new_signing_secret"]) == (False, "")
    assert address_of(Receiver.objects.get()).signing_secret == own


def test_no_answer_has_a_secret(administrator: APIClient) -> None:
    receiver = add(administrator)
    let_fail(receiver)
    add_message(receiver, MessageState.DROPPED, answer="500 Broken")
    answers = [post(administrator, HOOK), administrator.patch(f"{ADDRESS}/hook", {"name": "other"}, format="json")]
    answers += [administrator.get(f"{ADDRESS}{path}") for path in ("", "/other", "/messages", "/alerts")]
    answers += [
        post(administrator, {"name": "x", "url": f"x:{SECRET}"}),
        post(administrator, {"name": "x", "url": [SECRET]}),
    ]
    assert not any(SECRET in answer.content.decode() for answer in answers)


def test_members_that_are_left_out_stay(administrator: APIClient) -> None:
    add(administrator)
    changed = administrator.patch(f"{ADDRESS}/hook", {"daily_reminder": True, "name": "bell"}, format="json").json()
    assert (changed["name"], changed["daily_reminder"], changed["enabled"]) == ("bell", True, True)
    assert SECRET in address_of(Receiver.objects.get()).secret


def test_another_address_replaces_the_stored_one(administrator: APIClient) -> None:
    add(administrator)
    administrator.patch(f"{ADDRESS}/hook", {"url": PHONE["url"]}, format="json")
    assert address_of(Receiver.objects.get()) == parse_receiver(PHONE["url"])


@pytest.mark.parametrize(
    "body",
    [
        {"name": "No name", "url": PHONE["url"]},
        {"name": "messages", "url": PHONE["url"]},
        {"name": "alerts", "url": PHONE["url"]},
        {"name": "phone", "url": "nonsense"},
        {"name": "phone", "url": "https://hooks.example/"},
        PHONE | {"signing_secret": "whsec_"},
        HOOK | {"signing_secret": "short"},
    ],
)
def test_an_invalid_receiver_is_refused(administrator: APIClient, body: Any) -> None:
    response = post(administrator, body)
    assert (response.status_code, response.json()["code"]) == (400, "receiver_invalid")
    assert not Receiver.objects.exists()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": "x"}, "/url"),
        (PHONE | {"enabled": 1}, "/enabled"),
        (PHONE | {"password": "x"}, "/password"),
    ],
)
def test_an_invalid_member_is_refused_with_its_pointer(administrator: APIClient, body: Any, pointer: str) -> None:
    response = post(administrator, body)
    assert response.json()["code"] == "invalid"
    assert pointer in [error["pointer"] for error in response.json()["errors"]]


def test_an_unknown_receiver_is_not_found(administrator: APIClient) -> None:
    for response in (
        administrator.get(f"{ADDRESS}/nobody"),
        administrator.delete(f"{ADDRESS}/nobody"),
        administrator.patch(f"{ADDRESS}/nobody", {}, format="json"),
        post(administrator, {}, "/nobody/test"),
        administrator.get(f"{ADDRESS}/messages?receiver=nobody"),
    ):
        assert (response.status_code, response.json()["code"]) == (404, "receiver_not_found")


def test_a_receiver_is_removed_with_its_messages(administrator: APIClient) -> None:
    add_message(add(administrator))
    assert administrator.delete(f"{ADDRESS}/hook").status_code == 204
    assert not Receiver.objects.exists()
    assert not OutboxMessage.objects.exists()


def test_a_receiver_of_the_environment_is_only_paused(administrator: APIClient, from_environment: Receiver) -> None:
    address = f"{ADDRESS}/{from_environment.name}"
    assert administrator.get(address).json()["from_environment"] is True
    for response in (
        administrator.delete(address),
        administrator.patch(address, {"url": PHONE["url"]}, format="json"),
    ):
        assert (response.status_code, response.json()["code"]) == (409, "receiver_read_only")
    assert administrator.patch(address, {"enabled": False}, format="json").json()["state"] == "paused"


@pytest.mark.parametrize("who", ["viewer", "operator"])
def test_only_administrators_see_receivers(who: str, request: pytest.FixtureRequest) -> None:
    client = request.getfixturevalue(who)
    for path in ("", "/messages", "/alerts"):
        assert client.get(f"{ADDRESS}{path}").status_code == 403
    assert post(client, PHONE).status_code == 403


# --- Messages and problems -------------------------------------------------------------------------------------------


def test_the_answer_to_a_test_message_is_at_its_address(administrator: APIClient) -> None:
    add(administrator)
    response = post(administrator, {}, "/hook/test")
    assert (response.status_code, response.json()["state"]) == (202, "waiting")
    OutboxMessage.objects.update(state=MessageState.SENT, answer="204 No Content", attempts=1)
    shown = administrator.get(response["Location"]).json()
    assert (shown["id"], shown["state"], shown["answer"]) == (response.json()["id"], "sent", "204 No Content")


def test_messages_are_filtered(administrator: APIClient) -> None:
    hook, phone = add(administrator), add(administrator, PHONE)
    add_message(hook)
    add_message(phone, MessageState.WAITING)
    for query, receivers in (("", ["phone", "hook"]), ("?receiver=hook", ["hook"]), ("?state=waiting", ["phone"])):
        found = administrator.get(f"{ADDRESS}/messages{query}").json()["results"]
        assert [one["receiver"] for one in found] == receivers


def test_an_unknown_state_is_refused(administrator: APIClient) -> None:
    response = administrator.get(f"{ADDRESS}/messages?state=lost")
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (400, "/state")


def test_a_failed_message_has_its_reason_and_the_next_attempt(administrator: APIClient) -> None:
    receiver = let_fail(add(administrator))
    add_message(receiver, MessageState.WAITING, attempts=3)
    (shown,) = administrator.get(f"{ADDRESS}/messages").json()["results"]
    assert shown["attempts"] == 3
    assert shown["next_attempt_at"] == administrator.get(f"{ADDRESS}/hook").json()["next_attempt_at"] is not None


def test_an_unknown_message_is_not_found(administrator: APIClient) -> None:
    response = administrator.get(f"{ADDRESS}/messages/01JQ4Z6V9M3N8W5X2Y7T1K0CDE")
    assert (response.status_code, response.json()["code"]) == (404, "message_not_found")


def test_present_problems_are_listed(administrator: APIClient) -> None:
    add_alert("location_behind:nas")
    (shown,) = administrator.get(f"{ADDRESS}/alerts").json()["results"]
    assert (shown["key"], shown["event"]) == ("location_behind:nas", "location_behind")
