"""Clients of users with the permissions of the three groups, and of a user without any."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from rest_framework.test import APIClient

from tests.factories import UserFactory
from tvarr_backup.access.groups import ADMINISTRATOR, OPERATOR, VIEWER


@pytest.fixture(autouse=True)
def _reset_throttle() -> None:
    """Writes are counted by user id, and each test starts with the same ids."""
    cache.clear()


def signed_in(names: Collection[str] = ()) -> APIClient:
    """Return a client of a user with only these permissions (`app.codename`)."""
    user = UserFactory.create(is_superuser=False, is_staff=False)
    user.user_permissions.set(
        permission
        for permission in Permission.objects.select_related("content_type")
        if f"{permission.content_type.app_label}.{permission.codename}" in names
    )
    client = APIClient()
    client.force_login(user)
    return client


@pytest.fixture
def unprivileged(db: None) -> APIClient:
    """A user without any permission."""
    return signed_in()


@pytest.fixture
def viewer(db: None) -> APIClient:
    return signed_in(VIEWER)


@pytest.fixture
def operator(db: None) -> APIClient:
    return signed_in(OPERATOR)


@pytest.fixture
def administrator(db: None) -> APIClient:
    return signed_in(ADMINISTRATOR)
