"""The audit log of sign-ins and tokens, which never contains secrets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.admin.pages import delete_url
from tests.events import told
from tests.factories import UserFactory
from tvarr_backup.access.tokens import create_token, revoke_token

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def marit(caplog: pytest.LogCaptureFixture) -> User:
    caplog.set_level("INFO")
    return UserFactory.create(username="marit")


def sign_in(name: str, password: str, *, address: str = "192.0.2.7") -> None:
    form = {"username": name, "password": password}
    Client().post(reverse("sign-in"), form, REMOTE_ADDR=address)


def test_a_sign_in_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    sign_in("marit", "correct horse")
    (event,) = told(caplog)
    assert (event["level"], event["event"]) == ("info", "login.succeeded")
    assert (event["user"], event["address"]) == ("marit", "192.0.2.7")


@pytest.mark.parametrize(("name", "user"), [("marit", "marit"), ("hunter2", None), ("", None), ("a\nforged", None)])
def test_a_failed_sign_in_is_logged_with_a_name_only_if_a_user_has_it(
    name: str, user: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    sign_in(name or " ", "wrong")
    found = [(event["event"], event["user"], event["address"]) for event in told(caplog, "login.failed")]
    assert found == ([("login.failed", user, "192.0.2.7")] if name else [])
    assert "hunter2" not in caplog.text


def test_a_lockout_is_logged_from_the_attempt_that_causes_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(6):
        sign_in("marit", "wrong")
    assert [event["event"] for event in told(caplog)] == ["login.failed"] * 4 + ["login.locked_out"] * 2
    assert told(caplog)[-1] == told(caplog)[-2] | {"level": "warning", "user": "marit", "address": "192.0.2.7"}


def test_a_new_token_is_logged_without_its_secret(
    caplog: pytest.LogCaptureFixture, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        made, secret = create_token("marit", "Harbour script", "30d")
        assert told(caplog) == []
    (event,) = told(caplog)
    assert (event["event"], event["owner"], event["name"]) == ("token.created", "marit", "Harbour script")
    assert event["scope"] == "all"
    assert timedelta(days=29) < event["expires"] - timezone.now() < timedelta(days=31)
    assert secret not in caplog.text
    assert made.digest not in caplog.text


@pytest.mark.parametrize("way", ["command", "page", "user"])
def test_a_revoked_token_is_logged_however_it_is_revoked(
    way: str,
    marit: User,
    admin_client: Client,
    caplog: pytest.LogCaptureFixture,
    django_capture_on_commit_callbacks: Any,
) -> None:
    made, _ = create_token("marit", "Harbour script", None)
    with django_capture_on_commit_callbacks(execute=True):
        if way == "command":
            revoke_token("marit", "Harbour script")
        elif way == "page":
            admin_client.post(delete_url(made), {"post": "yes"})
        else:
            marit.delete()
    (event,) = told(caplog, "token.revoked")
    assert (event["owner"], event["name"]) == ("marit", "Harbour script")
