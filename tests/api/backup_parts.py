"""Clients and backups for the tests of backups over the API."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Permission
from rest_framework.test import APIClient

from tests.factories import UserFactory
from tests.ups import Up
from tvarr_backup import conf
from tvarr_backup.backups.catalogue import Backup, read_folder
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.sidecar import BackupKind

ROOT = "/api/v1"
BACKUPS = f"{ROOT}/backups"
OPERATIONS = f"{ROOT}/operations"
NO_BACKUP = "tvarr-backup-2026-01-01T00-00-00.db.gz"


def client_of(*permissions: str, **user: Any) -> APIClient:
    """Return a client of a user with only these permissions on backups and operations."""
    account = UserFactory.create(is_superuser=False, is_staff=False, **user)
    wanted = Permission.objects.filter(content_type__app_label="operations", codename__in=permissions)
    assert len(wanted) == len(permissions)
    account.user_permissions.set(wanted)
    client = APIClient()
    client.force_login(account)
    return client


def administrator() -> APIClient:
    client = APIClient()
    client.force_login(UserFactory.create())
    return client


def raw(
    client: APIClient, method: str, address: str, body: bytes = b"", content_type: str = "application/json", **more: Any
) -> Any:
    """Send a request with exactly this body. `more` is added to its environment, except `headers`."""
    generic: Any = client.generic  # its stub takes texts for bodies only
    return generic(method, address, body, content_type, **more)


def make(folder: Path, **changes: Any) -> Backup:
    """Back up the test database."""
    return create_backup(conf.live_database(), folder, conf.required_schema(), **{"kind": BackupKind.MANUAL} | changes)


def present(folder: Path) -> list[str]:
    return [backup.filename for backup in read_folder(folder).backups]


def problem(response: Any, status: int, code: str) -> str:
    """Return the detail of an error answer with this status and code, which must not contain paths."""
    body = response.json()
    assert (response.status_code, body.get("code")) == (status, code), body
    assert response["Content-Type"] == "application/problem+json"
    for place in (conf.storage_folder().parent, Path(settings.BACKUP_DIRECTORY).parent):
        assert str(place) not in response.content.decode()
    return str(body["detail"])


def archives_open(up: Up) -> list[str]:
    """Return files in the backup folder that the web server has open, including deleted ones."""
    found = []
    for process in [up.program("gunicorn"), *up.program("gunicorn").children()]:
        for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.append(str(descriptor.readlink()))
    return [name for name in found if "/backups/" in name]
