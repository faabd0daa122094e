"""Sign-in, password and API tokens of the user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from knox.models import get_token_model

from tests.admin.pages import messages_of, text_of
from tests.factories import UserFactory
from tvarr_backup import __version__
from tvarr_backup.quoting import quoted

pytestmark = pytest.mark.django_db

PASSWORD = "wharf-lantern-41"
OTHER = "quay-barometer-62"


@pytest.fixture
def user() -> User:
    made: User = UserFactory.create(username="marit", is_superuser=False, is_staff=False)
    made.set_password(PASSWORD)
    made.save()
    return made


@pytest.fixture
def signed_in(user: User, client: Client) -> Client:
    client.force_login(user)
    return client


def sign_in(client: Client, password: str = PASSWORD, **more: str) -> Any:
    return client.post("/sign-in/", {"username": "marit", "password": password, **more})


# --- Signing in ------------------------------------------------------------------------------------------------------


def test_a_stranger_is_asked_to_sign_in_and_comes_where_they_wanted_to_go(client: Client, user: User) -> None:
    answer: Any = client.get("/history/")
    assert answer.url == "/sign-in/?next=/history/"
    assert sign_in(client, next="/history/").url == "/history/"


def test_nobody_is_led_to_another_site(client: Client, user: User) -> None:
    assert sign_in(client, next="https://evil.example/").url == "/"


def test_a_wrong_password_says_so_and_keeps_the_name(client: Client, user: User) -> None:
    page = sign_in(client, "wrong")
    assert page.status_code == 200
    assert "Please enter a correct username and password." in text_of(page)
    assert 'value="marit"' in page.content.decode()
    assert "wrong" not in page.content.decode()


def test_too_many_wrong_passwords_say_for_how_long(client: Client, user: User) -> None:
    for _ in range(5):
        page = sign_in(client, "wrong")
    assert page.status_code == 429
    assert "Too many wrong passwords for this name from this address. Try again in 15 minutes." in text_of(page)
    assert sign_in(client).status_code == 429


@pytest.fixture
def password_file(settings: Any, tmp_path: Path) -> Path:
    """The file with the one-time password of marit, the first administrator."""
    settings.ADMIN_USERNAME = "marit"
    settings.INITIAL_PASSWORD_PATH = tmp_path / "initial-password"
    settings.INITIAL_PASSWORD_PATH.write_text(PASSWORD)
    path: Path = settings.INITIAL_PASSWORD_PATH
    return path


def test_the_sign_in_page_names_the_file_with_the_one_time_password_while_it_exists(
    client: Client, password_file: Path
) -> None:
    assert f"The password is also in the file {password_file} ." in text_of(client.get("/sign-in/"))
    password_file.unlink()
    assert "First sign-in" not in text_of(client.get("/sign-in/"))


@pytest.mark.parametrize("origin", [{"REMOTE_ADDR": "192.0.2.7"}, {"HTTP_X_FORWARDED_FOR": "192.0.2.7"}])
def test_other_machines_do_not_see_the_folder_of_that_file(client: Client, password_file: Path, origin: Any) -> None:
    text = text_of(client.get("/sign-in/", **origin))
    assert "in the file initial-password in the storage folder." in text
    assert str(password_file.parent) not in text


def test_the_one_time_password_leads_to_a_new_one_and_then_to_the_requested_page(
    client: Client, user: User, password_file: Path
) -> None:
    password_page = sign_in(client, next="/account/").url
    assert password_page == "/account/password/?next=%2Faccount%2F"
    page = client.get(password_page)
    assert "You signed in with the one-time password" in text_of(page)
    answer: Any = change_password(client, password_page)
    assert answer.url == "/account/"
    assert "one-time password" not in text_of(client.get("/account/"))


def test_every_page_warns_until_the_one_time_password_is_changed(signed_in: Client, password_file: Path) -> None:
    source = signed_in.get("/account/").content.decode()
    assert "You still use the one-time password." in source
    assert 'href="/account/password/?next=/account/"' in source


def test_other_users_choose_no_password(client: Client, user: User, password_file: Path, settings: Any) -> None:
    settings.ADMIN_USERNAME = "joran"
    assert sign_in(client).url == "/"
    assert "one-time password" not in text_of(client.get("/account/"))


def test_the_footer_has_the_version_and_links_to_the_documentation(signed_in: Client) -> None:
    footer = signed_in.get("/account/").content.decode().partition("<footer")[2]
    assert f"tvarr-backup {__version__}" in footer
    assert '<a href="/docs/">Documentation</a>' in footer
    assert '<a href="/api/v1/docs">API documentation</a>' in footer


def test_strangers_get_no_link_to_the_api_documentation_which_they_may_not_read(client: Client) -> None:
    footer = client.get("/sign-in/").content.decode().partition("<footer")[2]
    assert __version__ in footer
    assert "API" not in footer


def test_whoever_is_signed_in_already_goes_on(signed_in: Client) -> None:
    answer: Any = signed_in.get("/sign-in/?next=/account/")
    assert answer.url == "/account/"


def test_the_admins_own_page_to_sign_in_leads_to_ours(client: Client) -> None:
    answer: Any = client.get("/admin/operations/backup/", follow=True)
    assert answer.redirect_chain[-1][0] == "/sign-in/?next=/admin/operations/backup/"


def test_a_user_who_may_not_see_the_admin_gets_403_and_no_redirect_loop(signed_in: Client) -> None:
    answer: Any = signed_in.get("/admin/", follow=True)
    assert answer.status_code == 403
    assert "You do not have permission to do this." in text_of(answer)


def test_signing_out_takes_a_form_and_leads_to_the_sign_in(signed_in: Client) -> None:
    assert signed_in.get("/sign-out/").status_code == 405
    answer: Any = signed_in.post("/sign-out/")
    assert answer.url == "/sign-in/"
    assert signed_in.get("/account/").status_code == 302


# --- The password ----------------------------------------------------------------------------------------------------


def change_password(
    client: Client, address: str = "/account/password/", old: str = PASSWORD, new: str = OTHER, again: str = OTHER
) -> Any:
    return client.post(address, {"old_password": old, "new_password1": new, "new_password2": again})


def test_a_new_password_counts_and_the_session_goes_on(signed_in: Client, user: User) -> None:
    answer = change_password(signed_in)
    assert answer.url == "/account/"
    assert messages_of(answer) == [
        "Password changed. Your API tokens still work: revoke those you do not trust.",
    ]
    assert signed_in.get("/account/").status_code == 200
    assert sign_in(Client(), OTHER).status_code == 302


def test_a_new_password_ends_other_sessions(signed_in: Client, user: User) -> None:
    other = Client()
    other.force_login(user)
    change_password(signed_in)
    assert other.get("/account/").status_code == 302


def test_the_administrators_new_password_deletes_the_file_with_the_first(
    signed_in: Client, password_file: Path
) -> None:
    change_password(signed_in, new="short", again="short")
    assert password_file.exists()
    change_password(signed_in)
    assert not password_file.exists()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"old": "wrong"}, "Your old password was entered incorrectly."),
        ({"again": "quay-barometer-63"}, "The two password fields didn’t match."),
        ({"new": "4711", "again": "4711"}, "This password is too short."),
        ({"new": "marit", "again": "marit"}, "The password is too similar to the username."),
    ],
)
def test_a_password_that_will_not_do_is_refused(signed_in: Client, given: dict[str, str], sentence: str) -> None:
    page = change_password(signed_in, **given)
    assert page.status_code == 200
    assert sentence in text_of(page)
    assert sign_in(Client()).status_code == 302


# --- Tokens ----------------------------------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_works(signed_in: Client) -> None:
    page = signed_in.post("/account/", {"name": "Harbour script", "lifetime": "", "scope": "all"})
    secret = page.context["secret"]
    assert secret in text_of(page)
    assert "no-store" in page["Cache-Control"]
    assert secret not in text_of(signed_in.get("/account/"))
    bearer = {"Authorization": f"Bearer {secret}"}
    assert Client().get("/api/v1/backups", headers=bearer).status_code == 403  # known, and of no group


def test_a_token_for_the_badge_is_shown_with_the_address_of_the_badge(signed_in: Client) -> None:
    page = signed_in.post("/account/", {"name": "Wall display", "scope": "badge"})
    address = f"http://testserver/status.svg?token={page.context['secret']}"
    assert page.context["badge_url"] == address
    assert page.content.decode().count(address) == 2  # as a text and as an image
    assert "status.svg" not in signed_in.post("/account/", {"name": "Other", "scope": "read"}).content.decode()


def test_sent_again_it_makes_no_second_token(signed_in: Client) -> None:
    for _ in range(2):
        page = signed_in.post("/account/", {"name": "Harbour script", "lifetime": "30d", "scope": "all"})
    assert get_token_model().objects.count() == 1
    assert page.context["secret"] == ""
    assert "Harbour script" in text_of(page)
    assert page.context["form"].non_field_errors()


@pytest.mark.parametrize("lifetime", ["soon", "0h", "3 days"])
def test_a_lifetime_that_makes_no_sense_is_refused_and_nothing_typed_is_lost(signed_in: Client, lifetime: str) -> None:
    page = signed_in.post("/account/", {"name": "Harbour script", "lifetime": lifetime, "scope": "read"})
    assert lifetime in text_of(page)
    assert 'value="Harbour script"' in page.content.decode()
    assert not get_token_model().objects.exists()


def test_a_revoked_token_is_gone(signed_in: Client) -> None:
    secret = signed_in.post("/account/", {"name": "Harbour script", "scope": "all"}).context["secret"]
    answer: Any = signed_in.post("/account/tokens/revoke/", {"name": "Harbour script"})
    assert answer.url == "/account/"
    assert messages_of(answer) == [f"Token {quoted('Harbour script')} revoked."]
    bearer = {"Authorization": f"Bearer {secret}"}
    assert Client().get("/api/v1/backups", headers=bearer).status_code == 401


def test_revoking_a_token_twice_says_that_it_does_not_exist(signed_in: Client) -> None:
    answer: Any = signed_in.post("/account/tokens/revoke/", {"name": "Harbour script"})
    assert messages_of(answer) == [f"You have no token {quoted('Harbour script')}. Nothing was changed."]


def test_nobody_can_revoke_anothers(signed_in: Client) -> None:
    other = Client()
    other.force_login(UserFactory.create(username="joran"))
    other.post("/account/", {"name": "Joran's", "scope": "all"})
    assert "Joran's" not in text_of(signed_in.get("/account/"))
    signed_in.post("/account/tokens/revoke/", {"name": "Joran's"})
    assert get_token_model().objects.count() == 1


def test_a_token_has_the_scope_that_was_selected_and_its_last_use_is_shown(signed_in: Client) -> None:
    secret = signed_in.post("/account/", {"name": "Harbour script", "scope": "backups"}).context["secret"]
    assert get_token_model().objects.get().scope == "backups"
    assert "Never used" in text_of(signed_in.get("/account/"))
    Client().get("/api/v1/schema", headers={"X-Api-Key": secret})
    assert "Never used" not in text_of(signed_in.get("/account/"))


@pytest.mark.parametrize("scope", ["", "everything"])
def test_without_a_known_scope_no_token_is_made(signed_in: Client, scope: str) -> None:
    page = signed_in.post("/account/", {"name": "Harbour script", "scope": scope})
    assert page.context["form"].errors["scope"]
    assert not get_token_model().objects.exists()
