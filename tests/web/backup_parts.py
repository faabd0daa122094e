"""Helpers of the tests of backup pages: users, backups and messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.test import Client

from tests.admin.pages import text_of
from tests.factories import UserFactory
from tvarr_backup import conf
from tvarr_backup.backups.catalogue import Backup, read_folder
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.sidecar import BackupKind, encode_sidecar

NO_BACKUP = "tvarr-backup-2026-01-01T00-00-00.db.gz"

__all__ = ["NO_BACKUP", "administrator", "client_of", "described", "make", "messages_on", "present", "text_of"]


def client_of(*permissions: str, **options: Any) -> Client:
    """Return a client of a user with only these permissions."""
    person = UserFactory.create(is_superuser=False, is_staff=False)
    wanted = Permission.objects.filter(content_type__app_label="operations", codename__in=permissions)
    assert len(wanted) == len(permissions)
    person.user_permissions.set(wanted)
    client = Client(**options)
    client.force_login(person)
    return client


def administrator(**options: Any) -> Client:
    client = Client(**options)
    client.force_login(UserFactory.create())
    return client


def make(folder: Path, **changes: Any) -> Backup:
    """Make a backup of the test database."""
    return create_backup(conf.live_database(), folder, conf.required_schema(), **{"kind": BackupKind.MANUAL} | changes)


def described(folder: Path, backup: Backup, **changes: Any) -> None:
    """Change the metadata file of a backup."""
    (folder / backup.name.sidecar).write_bytes(encode_sidecar(backup.sidecar.with_changes(**changes)))


def present(folder: Path) -> list[str]:
    return [backup.filename for backup in read_folder(folder).backups]


def messages_on(client: Client, response: Any) -> str:
    """Return the messages of the page that an answer redirects to."""
    assert response.status_code == 302, response.content
    messages = [str(message) for message in get_messages(response.wsgi_request)]
    assert client.get(response["Location"]).status_code in (200, 404)
    return "\n".join(messages)
