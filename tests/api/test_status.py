"""`/api/v1/status`: the checks of `/readyz`, always with 200, for programs that hide answers with other statuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.api.backup_parts import client_of, make, problem
from tvarr_backup.operations.health import Subject
from tvarr_backup.operations.heartbeat import Heartbeat

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Iterator[Path]:
    """A backup folder, and a running worker."""
    settings.STORAGE_BASE_DIR, settings.BACKUP_DIRECTORY = tmp_path, tmp_path / "backups"
    settings.BACKUP_DIRECTORY.mkdir()
    with Heartbeat():
        yield settings.BACKUP_DIRECTORY


def test_it_answers_as_readyz(viewer: APIClient, folder: Path) -> None:
    make(folder)
    status, ready = viewer.get("/api/v1/status").json(), viewer.get("/readyz").json()
    assert status["state"] == "ok"
    for each in (status, ready):
        del each["free_bytes"]
    assert status == ready


def test_a_failing_check_is_answered_with_200(viewer: APIClient, tmp_path: Path) -> None:
    (tmp_path / "worker").write_text("")
    response = viewer.get("/api/v1/status")
    assert (response.status_code, response.json()["state"]) == (200, "sick")
    assert [check["name"] for check in response.json()["checks"]] == list(Subject)


def test_it_shows_no_paths(viewer: APIClient, folder: Path, tmp_path: Path) -> None:
    folder.rmdir()
    assert str(tmp_path) not in viewer.get("/api/v1/status").content.decode()


@pytest.mark.parametrize("permissions", [(), ("view_backup",), ("view_operation",)])
def test_it_requires_the_permissions_to_view_backups_and_operations(permissions: tuple[str, ...]) -> None:
    problem(client_of(*permissions).get("/api/v1/status"), 403, "permission_denied")
