"""Clients of signed-in users."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from tests.factories import UserFactory
from tvarr_backup import conf
from tvarr_backup.backups.folder import prepare_folder

SignIn = Callable[..., Client]


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    """The backup folder of a test."""
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    return prepare_folder(conf.backup_path())


@pytest.fixture
def signed_in(db: None) -> SignIn:
    """Return a function that signs in a user of a group: Viewer, Operator, Administrator, or "" for none."""

    def sign_in(group: str = "Administrator") -> Client:
        user = UserFactory.create(is_superuser=False, is_staff=False)
        user.groups.set(Group.objects.filter(name=group))
        client = Client()
        client.force_login(user)
        return client

    return sign_in
