"""Authentication by token, by name and password, and by session, and the lockout after wrong passwords."""

from __future__ import annotations

import io
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from tests.admin.pages import text_of
from tests.factories import UserFactory
from tvarr_backup.access.models import ApiToken
from tvarr_backup.access.scopes import Scope
from tvarr_backup.access.tokens import create_token, revoke_token

pytestmark = pytest.mark.django_db

ADDRESS = "/api/v1/schema"


@pytest.fixture
def user() -> User:
    return UserFactory.create(username="marit", is_superuser=False)


@pytest.fixture
def token(user: User) -> str:
    return create_token("marit", "Harbour script", None)[1]


def basic(name: str, password: str) -> str:
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


def ask(address: str = ADDRESS, **headers: str) -> Any:
    return APIClient().get(address, headers=headers)


def refusal(response: Any) -> tuple[int, str, str]:
    """Return status, code and detail of an error answer."""
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == response.status_code
    return response.status_code, body["code"], body["detail"]


def test_a_request_without_credentials_is_refused() -> None:
    response = ask()

    assert refusal(response)[:2] == (401, "not_authenticated")
    assert response["WWW-Authenticate"] == 'Bearer realm="tvarr-backup"'


@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key"])
def test_a_token_authenticates_its_user(header: str, token: str) -> None:
    assert ask(**{header: f"Bearer {token}" if header == "Authorization" else token}).status_code == 200


def test_the_scheme_may_be_written_in_any_case(token: str) -> None:
    assert ask(Authorization=f"bearer {token}").status_code == 200


WRONG = {
    "empty": "",
    "another one": "0" * 64,
    "too short": "0" * 63,
    "too long": "0" * 65,
    "far too long": "0" * 8000,
    "in capitals": "A" * 64,
    "no hexadecimal": "z" * 64,
    "not ASCII": "é" * 64,
    "digits of another script": "٣".encode().decode("latin-1") * 32,
    "a null": "0" * 63 + "\0",
    "two words": "0" * 32 + " " + "0" * 32,
    "a wildcard": "%" * 64,
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key"])
def test_an_invalid_token_is_refused(header: str, wrong: str, token: str) -> None:
    response = ask(**{header: f"Bearer {wrong}" if header == "Authorization" else wrong})

    assert refusal(response)[:2] == (401, "authentication_failed")
    assert response["WWW-Authenticate"] == 'Bearer realm="tvarr-backup"'


def test_a_token_is_compared_as_a_whole(token: str) -> None:
    changed = token[:-1] + ("0" if token[-1] != "0" else "1")

    assert ask(Authorization=f"Bearer {changed}").status_code == 401


def test_what_is_stored_of_a_token_cannot_be_used_as_one(token: str) -> None:
    stored = ApiToken.objects.get()

    for wrong in (stored.digest, stored.digest[:64], stored.token_key):
        assert ask(Authorization=f"Bearer {wrong}").status_code == 401


def test_a_revoked_token_is_refused(token: str) -> None:
    revoke_token("marit", "Harbour script")

    assert refusal(ask(Authorization=f"Bearer {token}")) == (
        401,
        "authentication_failed",
        "This token does not exist. It may be mistyped or revoked.",
    )


def test_an_expired_token_is_refused_and_stays_listed(token: str) -> None:
    ApiToken.objects.update(expiry=datetime.now(UTC) - timedelta(seconds=1))

    assert refusal(ask(Authorization=f"Bearer {token}")) == (401, "authentication_failed", "This token has expired.")
    assert ApiToken.objects.count() == 1


def test_a_token_is_valid_until_it_expires(token: str) -> None:
    ApiToken.objects.update(expiry=datetime.now(UTC) + timedelta(minutes=1))

    assert ask(Authorization=f"Bearer {token}").status_code == 200


def test_a_token_of_an_inactive_user_is_refused(user: User, token: str) -> None:
    User.objects.update(is_active=False)

    assert refusal(ask(Authorization=f"Bearer {token}")) == (
        401,
        "authentication_failed",
        "The user of this token is not active.",
    )


def test_a_token_is_deleted_with_its_user(user: User, token: str) -> None:
    user.delete()

    assert ask(Authorization=f"Bearer {token}").status_code == 401


def test_a_token_outlives_a_change_of_password(user: User, token: str) -> None:
    user.set_password("another horse")
    user.save()

    assert ask(Authorization=f"Bearer {token}").status_code == 200


def test_a_token_costs_one_query(token: str, django_assert_num_queries: Any) -> None:
    create_token("marit", "Attic", "30d")
    ask(Authorization=f"Bearer {token}")

    with django_assert_num_queries(1):
        ask(Authorization=f"Bearer {token}")


def test_name_and_password_authenticate_a_user(user: User) -> None:
    assert ask(Authorization=basic("marit", "correct horse")).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        basic("marit", "wrong"),
        basic("nobody", "wrong"),
        basic("marit\0", "correct horse"),
        basic("", ""),
        "Basic",
        "Basic !!!",
        "Basic " + b64encode(b"no colon").decode(),
        "Basic " + b64encode(b"\xff\xfe:\xff").decode(),
        "Basic a b",
    ],
)
def test_a_wrong_name_or_password_is_refused(header: str, user: User) -> None:
    response = ask(Authorization=header)

    assert refusal(response)[:2] == (401, "authentication_failed")
    assert "WWW-Authenticate" in response


def test_an_unknown_scheme_is_ignored(user: User) -> None:
    assert refusal(ask(Authorization="Digest username=marit"))[:2] == (401, "not_authenticated")


def test_an_inactive_user_is_refused_with_the_right_password(user: User) -> None:
    User.objects.update(is_active=False)

    assert refusal(ask(Authorization=basic("marit", "correct horse")))[:2] == (401, "authentication_failed")


def test_a_session_is_enough_for_reads(user: User) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(user)

    assert client.get(ADDRESS).status_code == 200


def test_a_write_with_a_session_needs_the_csrf_token(user: User) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(user)

    assert refusal(client.post(ADDRESS, {}, format="json"))[:2] == (403, "csrf_failed")


def test_a_write_with_the_csrf_token_reaches_the_view(user: User) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.get("/admin/login/")
    client.force_login(user)
    token = client.get("/admin/").cookies[settings.CSRF_COOKIE_NAME].value

    assert refusal(client.post(ADDRESS, {}, headers={"X-CSRFToken": token}, format="json"))[0] == 405


def test_the_csrf_token_in_a_form_is_not_enough(user: User) -> None:
    """Reading the form would read the whole upload."""
    client = APIClient(enforce_csrf_checks=True)
    client.get("/admin/login/")
    client.force_login(user)
    token = client.get("/admin/").cookies[settings.CSRF_COOKIE_NAME].value
    data = {"csrfmiddlewaretoken": token, "file": io.BytesIO(b"x")}

    assert refusal(client.post(ADDRESS, data, format="multipart"))[:2] == (403, "csrf_failed")


def test_a_token_needs_no_csrf_token(token: str) -> None:
    client = APIClient(enforce_csrf_checks=True)

    assert client.post(ADDRESS, {}, headers={"Authorization": f"Bearer {token}"}, format="json").status_code == 405


def test_a_wrong_token_is_refused_despite_a_session(user: User) -> None:
    client = APIClient()
    client.force_login(user)

    assert client.get(ADDRESS, headers={"Authorization": "Bearer " + "0" * 64}).status_code == 401


# --- Lockout ---------------------------------------------------------------------------------------------------------


def fail(times: int, name: str = "marit", **request: Any) -> Any:
    for _ in range(times):
        response = APIClient().get(ADDRESS, headers={"Authorization": basic(name, "wrong")}, **request)
    return response


def test_the_fifth_wrong_password_locks_the_name_for_15_minutes(user: User) -> None:
    assert fail(4).status_code == 401
    response = fail(1)

    assert refusal(response) == (
        429,
        "locked_out",
        "Too many wrong passwords for this name from this address. Try again in 15 minutes.",
    )
    assert 895 <= int(response["Retry-After"]) <= 900


def test_a_locked_name_is_refused_with_the_right_password(user: User) -> None:
    fail(5)

    assert ask(Authorization=basic("marit", "correct horse")).status_code == 429


def test_further_attempts_do_not_extend_the_lockout(user: User) -> None:
    fail(5)
    AccessAttempt.objects.update(attempt_time=datetime.now(UTC) - timedelta(minutes=14))

    assert int(fail(3)["Retry-After"]) <= 60


def test_the_lockout_ends_after_15_minutes(user: User) -> None:
    fail(5)
    AccessAttempt.objects.update(attempt_time=datetime.now(UTC) - timedelta(minutes=15, seconds=1))

    assert ask(Authorization=basic("marit", "correct horse")).status_code == 200


def test_other_names_and_addresses_are_not_locked(user: User) -> None:
    UserFactory.create(username="olav")
    fail(5)

    assert ask(Authorization=basic("olav", "correct horse")).status_code == 200
    response = APIClient().get(
        ADDRESS, headers={"Authorization": basic("marit", "correct horse")}, REMOTE_ADDR="192.0.2.7"
    )
    assert response.status_code == 200


def test_a_forwarded_address_is_ignored(user: User) -> None:
    fail(4)

    assert fail(1, HTTP_X_FORWARDED_FOR="192.0.2.7").status_code == 429


def test_the_right_password_resets_the_count(user: User) -> None:
    fail(4)
    ask(Authorization=basic("marit", "correct horse"))

    assert fail(4).status_code == 401


def test_a_token_is_valid_while_its_user_is_locked_out(token: str) -> None:
    fail(5)

    assert ask(Authorization=f"Bearer {token}").status_code == 200


def test_a_wrong_password_does_not_read_the_body(user: User) -> None:
    upload = {"file": io.BytesIO(b"x" * 100_000), "note": "between us"}
    APIClient().post(ADDRESS, upload, format="multipart", headers={"Authorization": basic("marit", "wrong")})

    attempt = AccessAttempt.objects.get()
    assert (attempt.username, attempt.post_data, attempt.get_data) == ("marit", "", "")


def sign_in(password: str) -> Any:
    return Client().post(reverse("sign-in"), {"username": "marit", "password": password})


def test_the_sign_in_page_counts_together_with_the_api(user: User) -> None:
    fail(4)
    page = sign_in("wrong")

    assert page.status_code == 429
    assert "Too many wrong passwords for this name from this address. Try again in 15 minutes." in text_of(page)
    assert 895 <= int(page["Retry-After"]) <= 900
    assert "Access-Control-Allow-Origin" not in page


def test_the_sign_in_page_answers_scripts_alike(user: User) -> None:
    fail(5)
    page = Client().post(
        reverse("sign-in"),
        {"username": "marit", "password": "wrong"},
        headers={"X-Requested-With": "XMLHttpRequest"},
    )

    assert page.status_code == 429
    assert "Access-Control-Allow-Origin" not in page


def test_a_sign_in_resets_the_count(user: User) -> None:
    fail(4)
    assert sign_in("correct horse").status_code == 302

    assert fail(4).status_code == 401


def test_a_failed_sign_in_is_logged_with_its_address_and_without_an_unknown_name(
    user: User, caplog: pytest.LogCaptureFixture
) -> None:
    """Users type passwords into the wrong field."""
    fail(1, name="hunter2", REMOTE_ADDR="192.0.2.7")

    assert "192.0.2.7" in caplog.text
    assert "hunter2" not in caplog.text


# --- Scope and last use ----------------------------------------------------------------------------------------------


def test_a_call_outside_the_scope_is_refused_with_its_name() -> None:
    UserFactory.create(username="joran")
    secret = create_token("joran", "Harbour script", None, Scope.READ)[1]
    response = APIClient().post("/api/v1/backups", headers={"X-Api-Key": secret})
    status, code, sentence = refusal(response)
    assert (status, code) == (403, "scope_exceeded")
    assert 'the scope "Read only"' in sentence


def test_without_the_permission_the_user_is_refused_not_the_scope(user: User) -> None:
    secret = create_token("marit", "Harbour script", None, Scope.READ)[1]
    assert refusal(ask("/api/v1/backups", **{"X-Api-Key": secret}))[:2] == (403, "permission_denied")


def test_the_last_use_is_stored_once_an_hour(token: str) -> None:
    for _ in range(2):
        ask(**{"X-Api-Key": token})
    first = ApiToken.objects.get().last_used
    assert datetime.now(UTC) - first < timedelta(minutes=1)
    ApiToken.objects.update(last_used=first - timedelta(minutes=59))
    ask(**{"X-Api-Key": token})
    assert ApiToken.objects.get().last_used == first - timedelta(minutes=59)
    ApiToken.objects.update(last_used=first - timedelta(minutes=61))
    ask(**{"X-Api-Key": token})
    assert ApiToken.objects.get().last_used > first


def test_a_refused_token_is_not_used(token: str) -> None:
    ApiToken.objects.update(expiry=datetime.now(UTC) - timedelta(hours=1))
    ask(**{"X-Api-Key": token})
    assert ApiToken.objects.get().last_used is None
