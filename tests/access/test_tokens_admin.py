"""Tokens in the admin: one's own to look at and to revoke, never made there, never shown."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from tests.admin.pages import change_url, delete_url, list_url, run_action, text_of
from tests.factories import UserFactory
from tvarr_backup.access.models import ApiToken
from tvarr_backup.access.tokens import create_token

pytestmark = pytest.mark.django_db


@pytest.fixture
def marit(client: Client) -> User:
    """Somebody with the right to see the admin and no other one, signed in."""
    user = UserFactory.create(username="marit", is_superuser=False)
    client.force_login(user)
    return user


def test_an_administrator_sees_everybodys_tokens(admin_client: Client) -> None:
    UserFactory.create(username="marit")
    create_token("marit", "Harbour script", None)

    page = text_of(admin_client.get(list_url(ApiToken)))
    assert "Harbour script" in page
    assert "marit" in page


def test_a_page_shows_neither_secret_nor_hash(admin_client: Client, admin_user: User) -> None:
    made, secret = create_token("admin", "Harbour script", "30d")

    for address in (list_url(ApiToken), change_url(made)):
        page = text_of(admin_client.get(address))
        assert secret not in page
        assert made.digest not in page


def test_nobody_makes_or_changes_a_token_here(admin_client: Client, admin_user: User) -> None:
    made, _ = create_token("admin", "Harbour script", None)

    assert admin_client.get(reverse("admin:access_apitoken_add")).status_code == 403
    assert admin_client.post(change_url(made), {"name": "Attic"}).status_code == 403
    assert "manage.py token create" in text_of(admin_client.get(list_url(ApiToken)))


def test_others_see_their_own_only(client: Client, marit: User) -> None:
    UserFactory.create(username="admin")
    create_token("admin", "Attic", None)
    create_token("marit", "Harbour script", None)

    page = text_of(client.get(list_url(ApiToken)))
    assert "Harbour script" in page
    assert "Attic" not in page


def test_others_revoke_their_own_only(client: Client, marit: User) -> None:
    UserFactory.create(username="admin")
    foreign, _ = create_token("admin", "Attic", None)
    own, _ = create_token("marit", "Harbour script", None)

    client.post(delete_url(foreign), {"post": "yes"})
    client.post(delete_url(own), {"post": "yes"})
    assert [token.name for token in ApiToken.objects.all()] == ["Attic"]


def test_a_choice_of_tokens_can_be_revoked(client: Client, marit: User) -> None:
    UserFactory.create(username="admin")
    foreign, _ = create_token("admin", "Attic", None)
    own, _ = create_token("marit", "Harbour script", None)

    run_action(client, "delete_selected", own, foreign, post="yes")
    assert [token.name for token in ApiToken.objects.all()] == ["Attic"]


def test_the_permission_to_see_shows_them_all(client: Client, marit: User) -> None:
    UserFactory.create(username="admin")
    create_token("admin", "Attic", None)
    marit.user_permissions.add(Permission.objects.get(codename="view_apitoken"))

    assert "Attic" in text_of(client.get(list_url(ApiToken)))
    assert client.get(delete_url(ApiToken.objects.get())).status_code == 403
