"""Names with escape sequences, line breaks and marks of direction on every page and in every answer: shown, and harmless."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import Model
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from tests import factories
from tests.admin.pages import change_url, form_data, list_url, problems_of
from tests.portable.files import FILTERS, PROFILES, document, filter_item, profile_item
from tests.web.backup_parts import administrator, described, make
from tests.web.browsing import fields_of
from tvarr_backup import models
from tvarr_backup.access.models import ApiToken
from tvarr_backup.operations.models import ImportRecord, ImportState, Operation, OperationKind, OperationState, Origin
from tvarr_backup.texts import find_hidden

pytestmark = pytest.mark.django_db

EVIL = "Evil\x1b[2K\r\n\x9b\u202eNews\u200b"
SHOWN = r"Evil\x1b[2K\r\n\x9b\u202eNews\u200b"
SENTENCE = (
    "Expected a name without control characters, line breaks, text direction marks and invisible characters, got U+200B at "
    "character 5."
)
RIGHT_TO_LEFT = "\u05d7\u05d3\u05e9\u05d5\u05ea \U0001f468\u200d\U0001f469"


def hidden_on(response: Any) -> list[str]:
    """Hidden characters of a page outside of what forms send back as it is."""
    assert response.status_code == 200, response.content
    sent_back = r' (?:value|data-[a-z]+)="[^"]*"|<textarea[^>]*>[^<]*</textarea>'
    page = html.unescape(re.sub(sent_back, "", b"".join(response).decode()))
    return [found.point for found in find_hidden(page) if found.character not in "\n\t"]


@pytest.fixture
def rows(folder: Path) -> list[Model]:
    """One row of each kind and of our own tables, whose texts are all evil."""
    profile = factories.EncodingProfileFactory.create(name=EVIL, target_video_codec=EVIL, description=EVIL)
    factories.StreamSourceFactory.create(name=EVIL)
    factories.EpgSourceFactory.create(name=EVIL)
    item = factories.FilterFactory.create(name=EVIL, description=EVIL)
    models.Filter.objects.filter(pk=item.pk).update(expression=EVIL)
    return [
        profile,
        item,
        factories.FilterFactory.create(name=RIGHT_TO_LEFT),
        factories.DataMappingRuleFactory.create(name=EVIL),
        factories.ClientDetectionRuleFactory.create(name=EVIL, encoding_profile=profile, preferred_format=EVIL),
        ImportRecord.objects.create(
            kind="filters",
            file_name=EVIL,
            state=ImportState.APPLIED,
            origin=Origin.WEB,
            added=1,
            created_at=timezone.now(),
            finished_at=timezone.now(),
        ),
        Operation.objects.create(
            kind=OperationKind.ADOPT,
            state=OperationState.FAILED,
            origin=Origin.WEB,
            arguments={"source": EVIL},
            error=f"{EVIL} was not added.",
            created_at=timezone.now(),
            finished_at=timezone.now(),
        ),
    ]


def test_no_page_of_the_admin_holds_them(rows: list[Model]) -> None:
    client = administrator()
    ApiToken.objects.create(user=factories.UserFactory.create(), name=EVIL)
    looked_at = 0
    for row in [*rows, ApiToken.objects.get()]:
        for address in (list_url(type(row)), change_url(row)):
            response = client.get(address)
            assert hidden_on(response) == [], address
            looked_at += SHOWN.replace("\\r\\n", "") in response.content.decode() or SHOWN in response.content.decode()
    assert looked_at > len(rows)
    assert admin.site.is_registered(models.Filter)


def test_a_read_only_page_shows_each_column_once_and_escaped() -> None:
    row = factories.FilterFactory.create(name="Built-in", expression=f'name equals "{EVIL}"', is_system=True)
    response = administrator().get(change_url(row))
    columns = [line.fields[0] for fieldset in response.context["adminform"] for line in fieldset]
    names = [getattr(column, "__name__", column) for column in columns]
    assert len(names) == len(set(names))
    assert response.content.decode().count("name equals") == 1
    assert hidden_on(response) == []


@pytest.mark.sqlite  # it makes a backup
def test_no_page_holds_them(rows: list[Model], folder: Path) -> None:
    client = administrator()
    backup = make(folder)
    described(folder, backup, note=EVIL.removesuffix("\u200b"), tvarr_version=EVIL, restored_from=EVIL)
    (folder / "Evil\x1b[2J\u202e.txt").touch()
    for address in (
        reverse("home"),
        reverse("backup", args=[backup.filename]),
        reverse("restore", args=[backup.filename]),
        reverse("delete-backups") + f"?name={backup.filename}",
        reverse("history"),
        reverse("account"),
        *(f"{reverse('export')}?open={slug}" for slug in ("filters", "encoding-profiles", "client-detection-rules")),
    ):
        assert hidden_on(client.get(address)) == [], address
    preview = client.post(reverse("export-preview"), {"all": "filters"})
    assert hidden_on(preview) == []
    text = re.search(r"<textarea[^>]*>(.*?)</textarea>", preview.content.decode(), re.DOTALL)
    assert text is not None
    assert [found.point for found in find_hidden(html.unescape(text[1])) if found.character != "\n"] == []
    assert EVIL in [item["name"] for item in json.loads(html.unescape(text[1]))["items"]]


def test_a_review_and_its_result_show_them_and_names_from_right_to_left_stay_apart(folder: Path) -> None:
    client = administrator()
    items = [filter_item(EVIL, description=EVIL, source_id=EVIL) | {f"new{EVIL}": 1}, filter_item(RIGHT_TO_LEFT)]
    content = json.dumps(document(FILTERS, *items, tvarr_version=EVIL)).encode()
    file = SimpleUploadedFile("evil\u202e.json", content, "application/json")
    page = client.post(reverse("import"), {"file": file}, follow=True)
    assert hidden_on(page) == []
    shown = page.content.decode()
    assert f"<bdi>{html.escape(SHOWN)}</bdi>" in shown
    assert f"<bdi>{RIGHT_TO_LEFT}</bdi>" in shown
    assert "got U+001B at character 5" in shown
    done = client.post(f"{page.request['PATH_INFO']}apply/", fields_of(page, "import-form"), follow=True)
    assert hidden_on(done) == []
    assert models.Filter.objects.filter(name=EVIL).exists()


def test_a_form_refuses_them_with_their_place_and_an_edit_of_something_else_is_stored() -> None:
    client = administrator()
    row = factories.FilterFactory.create(name=EVIL)
    data = form_data(client.get(change_url(row)))
    assert client.post(change_url(row), data | {"description": "new"}).status_code == 302
    row.refresh_from_db()
    assert (row.name, row.description) == (EVIL, "new")
    refused = client.post(change_url(row), data | {"name": "News\u200b 2"})
    assert problems_of(refused) == {"name": [SENTENCE]}


def test_a_call_refuses_them_and_a_patch_of_something_else_is_stored() -> None:
    client = APIClient()
    client.force_login(factories.UserFactory.create())
    row = factories.EncodingProfileFactory.create(name=EVIL)
    address = f"/api/v1/encoding-profiles/{row.pk}"
    assert client.patch(address, {"description": "new"}, format="json").status_code == 200
    row.refresh_from_db()
    assert (row.name, row.description) == (EVIL, "new")
    answer = client.patch(address, {"name": "News\u202e"}, format="json")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/name")
    assert answer.json()["errors"][0]["code"] == "hidden_characters"
    assert "got U+202E at character 5." in answer.json()["detail"]


def test_answers_of_the_api_are_json_that_a_terminal_can_show(rows: list[Model]) -> None:
    client = APIClient()
    client.force_login(factories.UserFactory.create())
    file = document(PROFILES, profile_item(EVIL + "2"), profile_item("x", hw_accel=EVIL))
    for answer in (
        client.get("/api/v1/filters"),
        client.get("/api/v1/filters/export?all=true"),
        client.post("/api/v1/import/encoding-profiles/preview", file, format="json"),
        client.post("/api/v1/encoding-profiles/import", {"export": file}, format="json"),
        client.post("/api/v1/filters", {"name": EVIL, EVIL: 1}, format="json"),
        client.get(f"/api/v1/filters?{EVIL}=1"),
    ):
        body = b"".join(answer).decode()
        assert [found.point for found in find_hidden(body) if found.character not in "\n\t"] == [], answer.wsgi_request
        assert json.loads(body)
    assert EVIL in [row["name"] for row in client.get("/api/v1/filters").json()["results"]]
