"""Pages and API while tvarr's database cannot be used: backups work, and the rest says what is wrong."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from tests.api.backup_parts import problem
from tests.factories import UserFactory
from tests.operations.live_databases import UNUSABLE_LIVE, spoil_pages
from tests.portable.files import FILTERS, document, filter_item
from tests.web.backup_parts import administrator, make, present, text_of
from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.operations.heartbeat import Heartbeat
from tvarr_backup.operations.models import Operation

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

WAY_OUT = ("backup restore NAME", "Set TVARR_DATABASE_DSN to tvarr's database", "Restore a backup that has it")
"""One of them is in each sentence."""


@pytest.fixture
def backup(folder: Path, attached: Path) -> Backup:
    return make(folder)


@pytest.fixture(params=UNUSABLE_LIVE)
def live(request: pytest.FixtureRequest, backup: Backup, attached: Path) -> Path:
    """tvarr's database in each of the states."""
    UNUSABLE_LIVE[request.param](attached)
    return attached


def names_a_way_out(text: str) -> bool:
    return any(words in text for words in WAY_OUT)


def test_pages_about_backups_work(live: Path, backup: Backup, folder: Path) -> None:
    client = administrator(raise_request_exception=False)
    for address in ("/", f"/backups/{backup.filename}/", "/backups/upload/", "/history/", "/settings/", "/account/"):
        response = client.get(address)
        assert response.status_code == 200, address
        assert "cannot be used now" not in text_of(response)
    assert names_a_way_out(text_of(client.get(f"/backups/{backup.filename}/")))
    download: Any = client.get(f"/backups/{backup.filename}/download/")
    content = gzip.decompress(b"".join(download.streaming_content))
    assert content == gzip.decompress((folder / backup.filename).read_bytes())
    assert client.get("/backups/delete/", {"name": backup.filename}).status_code == 200
    assert client.post(f"/backups/{backup.filename}/verify/").status_code == 302


def test_the_card_of_the_home_page_is_red_and_names_a_button_instead_of_a_command(live: Path) -> None:
    page = administrator(raise_request_exception=False).get("/")
    assert b"status-failing" in page.content
    assert "backup restore" not in text_of(page)
    assert any(words in text_of(page) for words in ('"Restore" next to', *WAY_OUT[1:]))


def test_a_backup_is_deleted_and_uploaded(live: Path, backup: Backup, folder: Path) -> None:
    client = administrator(raise_request_exception=False)
    archive = SimpleUploadedFile("mine.db.gz", (folder / backup.filename).read_bytes())
    client.post("/backups/delete/", {"name": backup.filename})
    assert present(folder) == []
    client.post("/backups/upload/", {"file": archive})
    assert len(present(folder)) == 1


def test_pages_about_its_content_say_what_is_wrong_and_the_way_out(live: Path) -> None:
    client = administrator(raise_request_exception=False)
    assert names_a_way_out(text_of(client.get("/export/")))
    filters = SimpleUploadedFile("filters.json", json.dumps(document(FILTERS, filter_item())).encode())
    for response in (
        client.post("/export/download/", {"all": "filters"}),
        client.post("/import/", {"file": filters}, follow=True),
        client.get("/admin/tvarr_backup/filter/"),
    ):
        assert response.status_code in (200, 409, 503)
        assert names_a_way_out(text_of(response))


def test_the_api_about_backups_works(live: Path, backup: Backup, folder: Path) -> None:
    client = APIClient(raise_request_exception=False)
    client.force_login(UserFactory.create())
    for address in ("/api/v1/backups", f"/api/v1/backups/{backup.filename}", "/api/v1/operations"):
        assert client.get(address).status_code == 200, address
    assert client.post(f"/api/v1/backups/{backup.filename}/verify", {}).status_code == 202
    Operation.objects.all().delete()
    assert client.delete(f"/api/v1/backups/{backup.filename}").status_code == 200
    assert present(folder) == []


def test_calls_about_its_content_are_refused_with_the_way_out(live: Path) -> None:
    client = APIClient(raise_request_exception=False)
    client.force_login(UserFactory.create())
    for response in (
        client.get("/api/v1/filters"),
        client.post("/api/v1/filters", filter_item()),
        client.post("/api/v1/export/filters", {"export_all": True}),
    ):
        sentence = problem(response, 503, response.json()["code"])
        assert names_a_way_out(sentence)
        assert str(live.parent) not in sentence


def test_health_names_the_way_out(live: Path, tmp_path: Path) -> None:
    with Heartbeat():
        response = administrator(raise_request_exception=False).get("/readyz")
    assert response.status_code == 503
    (check,) = [one for one in response.json()["checks"] if one["name"] == "tvarr_database"]
    assert check["state"] == "sick"
    assert names_a_way_out(check["message"])


def test_damage_behind_the_pages_that_are_looked_at_is_said_too(backup: Backup, attached: Path) -> None:
    spoil_pages(attached)
    assert names_a_way_out(text_of(administrator(raise_request_exception=False).get("/export/")))
