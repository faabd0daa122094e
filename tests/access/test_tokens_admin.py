"""Tokens in the admin: users see and revoke their own. Tokens are not created or shown there."""

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
    """A signed-in user who may only see the admin."""
    user = UserFactory.create(username="marit", is_superuser=False)
    client.force_login(user)
    return user


def test_an_administrator_sees_all_tokens(admin_client: Client) -> None:
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


def test_tokens_are_not_created_or_changed_in_the_admin(admin_client: Client, admin_user: User) -> None:
    made, _ = create_token("admin", "Harbour script", None)

    assert admin_client.get(reverse("admin:access_apitoken_add")).status_code == 403
    assert admin_client.post(change_url(made), {"name": "Attic"}).status_code == 403
    assert "manage.py token create" in text_of(admin_client.get(list_url(ApiToken)))


def test_a_user_sees_only_their_own_tokens(client: Client, marit: User) -> None:
    UserFactory.create(username="admin")
    create_token("admin", "Attic", None)
    create_token("marit", "Harbour script", None)

    page = text_of(client.get(list_url(ApiToken)))
    assert "Harbour script" in page
    assert "Attic" not in page


def test_a_user_revokes_only_their_own_tokens(client: Client, marit: User) -> None:
    UserFactory.create(username="admin")
    foreign, _ = create_token("admin", "Attic", None)
    own, _ = create_token("marit", "Harbour script", None)

    client.post(delete_url(foreign), {"post": "yes"})
    client.post(delete_url(own), {"post": "yes"})
    assert [token.name for token in ApiToken.objects.all()] == ["Attic"]


def test_selected_tokens_can_be_revoked(client: Client, marit: User) -> None:
    UserFactory.create(username="admin")
    foreign, _ = create_token("admin", "Attic", None)
    own, _ = create_token("marit", "Harbour script", None)

    run_action(client, "delete_selected", own, foreign, post="yes")
    assert [token.name for token in ApiToken.objects.all()] == ["Attic"]


def test_the_permission_to_view_shows_all_tokens(client: Client, marit: User) -> None:
    UserFactory.create(username="admin")
    create_token("admin", "Attic", None)
    marit.user_permissions.add(Permission.objects.get(codename="view_apitoken"))

    assert "Attic" in text_of(client.get(list_url(ApiToken)))
    assert client.get(delete_url(ApiToken.objects.get())).status_code == 403
