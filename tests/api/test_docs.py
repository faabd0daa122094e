"""The OpenAPI document, its page, and the commands of `docs/guides/api.md`."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.test import Client
from rest_framework.test import APIClient

from tests.factories import UserFactory
from tests.installation import ROOT, Installation
from tests.processes import wait_until
from tests.ups import Up, free_port, start_up

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    """A user without any permission."""
    return UserFactory.create(username="marit", is_superuser=False, is_staff=False)


@pytest.fixture
def browser(user: User) -> Client:
    client = Client(headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    client.force_login(user)
    return client


def schema_as(user: User, accept: str) -> Any:
    client = APIClient()
    client.force_login(user)
    return client.get("/api/v1/schema", headers={"Accept": accept})


def test_the_document_is_yaml_by_default(user: User) -> None:
    schema = yaml.safe_load(schema_as(user, "*/*").content)

    assert schema["openapi"].startswith("3.1.")
    assert schema["info"]["title"] == "tvarr-backup"


def test_the_document_is_json_if_accept_says_so(user: User) -> None:
    response = schema_as(user, "application/json")

    assert response["Content-Type"] == "application/json"
    assert json.loads(response.content) == yaml.safe_load(schema_as(user, "*/*").content)


@pytest.mark.parametrize("address", ["/api/v1/schema", "/api/v1/docs", "/api/v1/docs?script="])
def test_document_and_page_require_a_user(address: str) -> None:
    response = Client().get(address)

    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")


def test_the_page_has_no_inline_script_and_style(browser: Client) -> None:
    page = browser.get("/api/v1/docs").content.decode()

    assert 'id="swagger-ui"' in page
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page))


def test_the_page_loads_nothing_from_elsewhere(browser: Client) -> None:
    page = browser.get("/api/v1/docs").content.decode()
    addresses = re.findall(r'<(?!a )[^>]*(?:src|href)="([^"]+)"', page)

    assert all(address.startswith("/") and not address.startswith("//") for address in addresses)
    for address in addresses:
        if address.startswith(settings.STATIC_URL):
            found = finders.find(address.removeprefix(settings.STATIC_URL))
            assert Path(str(found)).is_file()


def test_the_script_loads_only_our_document(browser: Client) -> None:
    script = browser.get("/api/v1/docs?script=")

    assert script["Content-Type"].startswith("application/javascript")
    assert 'url: "/api/v1/schema"' in script.content.decode()
    assert '"validatorUrl": null' in script.content.decode()


@pytest.mark.parametrize("parameters", ["version=a%0d%0aSet-Cookie:b", "lang=%00", "format=json", "url=//evil.example"])
@pytest.mark.parametrize("address", ["/api/v1/schema?", "/api/v1/docs?", "/api/v1/docs?script=&"])
def test_parameters_are_refused(address: str, parameters: str, browser: Client) -> None:
    response = browser.get(address + parameters)

    assert (response.status_code, response.json()["code"]) == (400, "invalid")


def test_the_admin_links_to_the_page(admin_client: Client) -> None:
    assert 'href="/api/v1/docs"' in admin_client.get("/admin/").content.decode()


# --- docs/guides/api.md ----------------------------------------------------------------------------------------------

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_END_OF_BLOCK = "--- the end of block"


def blocks() -> list[tuple[str, str]]:
    """Return the commands of the section "Tasks", each with its documented output (or nothing)."""
    tasks = (ROOT / "docs" / "guides" / "api.md").read_text(encoding="utf-8").partition("\n## Tasks\n")[2]
    found: list[tuple[str, str]] = []
    for language, text in _BLOCK.findall(tasks):
        if language == "sh":
            found.append((text, ""))
        elif language == "text":
            found[-1] = (found[-1][0], text.strip())
    return found


def pattern_of(stated: str) -> str:
    return ".*".join(re.escape(part) for part in stated.split("..."))


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    running = start_up(Installation(tmp_path_factory.mktemp("docs") / "data"), free_port())
    try:
        wait_until(lambda: running.process.poll() is not None or running.is_complete(), "it is complete", seconds=60)
        yield running
    finally:
        running.process.terminate()
        running.process.wait(timeout=30)


def test_every_task_of_the_guide_works(up: Up, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.fail(
            "The commands of docs/guides/api.md need curl; install it (Debian: apt-get install curl).", pytrace=False
        )
    installation = Installation(up.log_path.parent / "data")
    token = installation.json("token", "create", "Documentation", "--user", "admin", "--expires", "1d", "--json")[
        "token"
    ]
    commands = blocks()
    script = "\n".join(f"{text}\necho\necho '{_END_OF_BLOCK} {number}'" for number, (text, _) in enumerate(commands))

    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "URL": up.address, "TOKEN": token},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, f"After:\n{done.stdout[-2000:]}\n{done.stderr}\n{up.log[-3000:]}"
    assert done.stderr == ""
    printed = re.split(rf"\n{_END_OF_BLOCK} \d+\n", done.stdout)
    assert len(printed) == len(commands) + 1
    for (text, stated), output in zip(commands, printed, strict=False):
        assert re.fullmatch(pattern_of(stated), output.strip(), re.DOTALL), f"{text}\nprinted\n{output}"


def test_the_commands_for_tokens_work(prepared: Installation) -> None:
    text = (ROOT / "docs" / "guides" / "api.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\$ tvarr-backup (token .*)$", text, re.MULTILINE)

    assert [shlex.split(line)[1] for line in lines] == ["create", "list", "revoke"]
    for line in lines:
        prepared.ok(*shlex.split(line))
