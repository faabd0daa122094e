"""The error page while this program's own database cannot be used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.templatetags.static import static
from django.test import Client

from tests.api.backup_parts import problem
from tests.operations.app_databases import UNUSABLE, locked, remove

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


@pytest.fixture
def keeper(app_database: Path) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("keeper"))
    return client


def put_back(path: Path, content: bytes) -> None:
    remove(path)
    path.write_bytes(content)


@pytest.mark.parametrize("state", UNUSABLE)
def test_every_page_shows_the_problem_and_commands_that_help(
    state: str, app_database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    UNUSABLE[state][0](app_database)
    client = Client()
    for address in ("/", "/sign-in/", "/backups/any/", "/admin/", "/nowhere/"):
        response = client.get(address)
        assert (response.status_code, response["Retry-After"]) == (503, "30")
        page = response.content.decode()
        assert "<code>manage.py backup restore NAME --yes</code>" in page
        assert "app.db" in page
        assert str(app_database.parent) not in page
        assert "<form" not in page
        assert re.findall(r'<a [^>]*href="([^"]*)"', page) == ["#content", "/", "/docs/"]
    assert client.post("/sign-in/", {"username": "x"}).status_code == 503
    assert client.get("/healthz").status_code == 200
    style = client.get(static("css/app.css"))
    assert style.status_code == 200
    style.close()
    assert caplog.text.count("appdb.unusable") == 1
    assert len(caplog.records) == 1


@pytest.mark.parametrize("state", UNUSABLE)
def test_the_documentation_can_be_read(state: str, app_database: Path) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("reader"))
    UNUSABLE[state][0](app_database)
    for name, status in (("", 200), ("guides/install", 200), ("screenshots/restore-wide.webp", 200), ("nothing", 404)):
        assert client.get(f"/docs/{name}").status_code == status
    page = client.get("/docs/guides/install")
    assert "<article" in page.content.decode()


@pytest.mark.parametrize("state", UNUSABLE)
def test_the_api_answers_with_a_problem(state: str, app_database: Path) -> None:
    bring_about, code = UNUSABLE[state]
    bring_about(app_database)
    for address in ("/api/v1/backups", "/api/v1/operations", "/readyz", "/metrics"):
        sentence = problem(Client().get(address), 503, code)
        assert str(app_database.parent) not in sentence


def test_it_recovers_without_a_restart(keeper: Client, app_database: Path) -> None:
    assert keeper.get("/account/").status_code == 200
    content = app_database.read_bytes()
    remove(app_database)
    assert keeper.get("/account/").status_code == 503
    put_back(app_database, content)
    assert keeper.get("/account/").status_code == 302  # the session was in the journal, which is lost


def test_a_page_waits_a_few_seconds_for_a_lock(keeper: Client, app_database: Path) -> None:
    connections["default"].close()
    with locked(app_database):
        response = keeper.get("/account/")
    assert response.status_code == 503
    assert "another program has locked it" in response.content.decode()
    assert keeper.get("/account/").status_code == 200
