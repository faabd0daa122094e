"""The status badge, `/status.svg`: states, tokens in the address, headers."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from rest_framework.test import APIClient

from tests.api.backup_parts import client_of, make, problem
from tests.api.conftest import signed_in
from tests.factories import UserFactory
from tvarr_backup.access.groups import VIEWER
from tvarr_backup.access.scopes import Scope
from tvarr_backup.access.tokens import create_token
from tvarr_backup.operations.heartbeat import Heartbeat

pytestmark = pytest.mark.django_db

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Iterator[Path]:
    """A backup folder, and a running worker."""
    settings.STORAGE_BASE_DIR, settings.BACKUP_DIRECTORY = tmp_path, tmp_path / "backups"
    settings.BACKUP_DIRECTORY.mkdir()
    with Heartbeat():
        yield settings.BACKUP_DIRECTORY


def token(scope: Scope, user: User | None = None) -> str:
    return create_token((user or UserFactory.create()).username, f"of scope {scope}", None, scope)[1]


def word_of(response: Any) -> str:
    """Return the state that a badge shows, which its title and its text agree on."""
    assert response["Content-Type"] == "image/svg+xml"
    badge = ET.fromstring(response.content)
    assert (badge.tag, badge.get("role")) == (f"{SVG}svg", "img")
    title = badge.find(f"{SVG}title")
    assert title is not None
    assert badge.get("aria-labelledby") == title.get("id")
    texts = [text.text for text in badge.iter(f"{SVG}text")]
    assert title.text == ": ".join(map(str, texts))
    name, word = texts
    assert name == "tvarr-backup"
    return str(word)


# --- States ----------------------------------------------------------------------------------------------------------


def test_everything_is_ok(viewer: APIClient, folder: Path) -> None:
    make(folder)
    response: Any = viewer.get("/status.svg")
    assert (response.status_code, word_of(response)) == (200, "OK")


def test_a_warning_is_shown(viewer: APIClient, folder: Path) -> None:
    (folder / make(folder).name.sidecar).unlink()
    response: Any = viewer.get("/status.svg")
    assert (response.status_code, word_of(response)) == (200, "warning")


def test_a_failing_check_is_shown_with_200_because_programs_hide_images_with_other_statuses(
    viewer: APIClient, tmp_path: Path
) -> None:
    (tmp_path / "worker").write_text("")
    response: Any = viewer.get("/status.svg")
    assert (response.status_code, word_of(response)) == (200, "failing")


@pytest.mark.sqlite
@pytest.mark.parametrize("content", [None, b"no database " * 99])
def test_without_our_own_database_the_state_is_unknown(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No token can be checked then."""
    if content is not None:
        (tmp_path / "app.db").write_bytes(content)
    monkeypatch.setitem(connections["default"].settings_dict, "NAME", str(tmp_path / "app.db"))
    for address in ("/status.svg", f"/status.svg?token={'0' * 64}"):
        response: Any = APIClient().get(address)
        assert (response.status_code, word_of(response)) == (503, "unknown")
        assert response["Cache-Control"] == "no-store"


@pytest.mark.sqlite
def test_if_tokens_cannot_be_read_the_state_is_unknown() -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("ALTER TABLE access_apitoken RENAME TO gone")
    response: Any = APIClient().get(f"/status.svg?token={'0' * 64}")
    assert (response.status_code, word_of(response)) == (503, "unknown")


# --- Permissions -----------------------------------------------------------------------------------------------------


def test_without_a_token_or_a_user_it_is_refused() -> None:
    problem(APIClient().get("/status.svg"), 401, "not_authenticated")


def test_a_token_of_its_scope_can_be_in_the_address(folder: Path) -> None:
    make(folder)
    assert word_of(Client().get("/status.svg", {"token": token(Scope.BADGE)})) == "OK"


@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key"])
@pytest.mark.parametrize("scope", [Scope.BADGE, Scope.READ, Scope.ALL])
def test_a_token_can_be_in_a_header(scope: Scope, header: str, folder: Path) -> None:
    make(folder)
    value = f"{'Bearer ' if header == 'Authorization' else ''}{token(scope)}"
    assert word_of(Client().get("/status.svg", headers={header: value})) == "OK"


@pytest.mark.parametrize("scope", [scope for scope in Scope if scope != Scope.BADGE])
def test_a_token_with_more_rights_must_not_be_in_the_address(scope: Scope) -> None:
    response = Client().get("/status.svg", {"token": token(scope)})
    assert scope.label in problem(response, 403, "scope_too_wide")


@pytest.mark.parametrize("address", ["/readyz", "/metrics", "/api/v1/status", "/api/v1/backups", "/api/v1/filters"])
def test_its_token_can_do_nothing_else(address: str) -> None:
    secret = token(Scope.BADGE)
    problem(Client().get(address, headers={"X-Api-Key": secret}), 403, "scope_exceeded")
    assert Client().get(address, {"token": secret}).status_code == 401


@pytest.mark.parametrize("permissions", [(), ("view_backup",), ("view_operation",)])
def test_the_user_needs_the_permissions_to_view_backups_and_operations(permissions: tuple[str, ...]) -> None:
    problem(client_of(*permissions, username="marit").get("/status.svg"), 403, "permission_denied")
    secret = token(Scope.BADGE, User.objects.get(username="marit"))
    problem(Client().get("/status.svg", {"token": secret}), 403, "permission_denied")


def test_a_wrong_token_is_refused_also_with_a_session(viewer: APIClient) -> None:
    for wrong in ("0" * 64, "short", "", f"{token(Scope.BADGE)}0"):
        for client in (viewer, APIClient()):
            problem(client.get(f"/status.svg?token={quote(wrong)}"), 401, "authentication_failed")


def test_a_token_that_was_revoked_is_refused() -> None:
    user = UserFactory.create()
    secret = token(Scope.BADGE, user)
    user.auth_token_set.all().delete()
    problem(Client().get("/status.svg", {"token": secret}), 401, "authentication_failed")


# --- Requests --------------------------------------------------------------------------------------------------------


def test_nobody_caches_it(viewer: APIClient) -> None:
    for response in (viewer.get("/status.svg"), Client().get("/status.svg", {"token": token(Scope.BADGE)})):
        assert response["Cache-Control"] == "no-store"
        assert not response.has_header("ETag")


def test_it_has_its_address_only_once(viewer: APIClient) -> None:
    assert viewer.get("/status.svg/").status_code == 200
    problem(viewer.post("/status.svg"), 405, "method_not_allowed")
    problem(viewer.get("/status.svg?style=flat"), 400, "invalid")
    assert viewer.head("/status.svg").content == b""


def test_browsers_apply_its_style_and_nothing_else(viewer: APIClient) -> None:
    response: Any = viewer.get("/status.svg")
    (style,) = re.findall(r"<style>(.*?)</style>", response.content.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = response["Content-Security-Policy"].split("; ")
    assert "default-src 'none'" in policy
    assert f"style-src 'sha256-{digest}'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "prefers-color-scheme: dark" in style


def test_images_accept_it(viewer: APIClient) -> None:
    accept = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
    assert viewer.get("/status.svg", headers={"Accept": accept}).status_code == 200


def test_viewers_see_it() -> None:
    assert signed_in(VIEWER).get("/status.svg").status_code == 200
