"""Pages are not stored, and cookies of an HTTPS address stay on HTTPS."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.templatetags.static import static
from django.test import Client

from tests.backups.makers import required, tvarrs
from tests.factories import UserFactory
from tvarr_backup import conf
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.sidecar import BackupKind

pytestmark = pytest.mark.django_db


def sign_in(client: Client, *, secure: bool) -> Any:
    user = UserFactory.create(username="marit")
    user.set_password("a long secret")
    user.save()
    return client.post("/sign-in/", {"username": "marit", "password": "a long secret"}, secure=secure)


def test_session_and_csrf_cookies_of_https_requests_are_secure() -> None:
    client = Client()

    answer = sign_in(client, secure=True)

    assert {name: bool(cookie["secure"]) for name, cookie in answer.cookies.items()} == {
        settings.SESSION_COOKIE_NAME: True,
        settings.CSRF_COOKIE_NAME: True,
    }


def test_cookies_of_http_requests_are_not_because_browsers_would_drop_them() -> None:
    assert not any(cookie["secure"] for cookie in sign_in(Client(), secure=False).cookies.values())


def test_the_cookie_of_messages_is_secure_too() -> None:
    client = Client()
    client.force_login(UserFactory.create())

    answer = client.post("/operations/00000000000000000000000000/cancel/", secure=True)  # says that there is none

    assert answer.status_code == 302
    assert answer.cookies[settings.MESSAGES_COOKIE_NAME]["secure"]


@pytest.mark.parametrize("address", ["/", "/sign-in/", "/import/", "/history/", "/admin/", "/nothing", "/healthz"])
def test_no_page_is_stored(address: str) -> None:
    client = Client()
    client.force_login(UserFactory.create())

    assert "no-store" in client.get(address)["Cache-Control"]


def test_an_archive_is_not_stored_and_not_transformed_on_its_way(tmp_path: Path, settings: Any) -> None:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    folder = prepare_folder(conf.backup_path())
    backup = create_backup(tvarrs(tmp_path / "live.db"), folder, required(), kind=BackupKind.MANUAL)
    client = Client()
    client.force_login(UserFactory.create())

    with closing(client.get(f"/backups/{backup.filename}/download/")) as answer:
        assert answer.status_code == 200
    assert set(answer["Cache-Control"].split(", ")) == {"no-store", "no-transform"}


def test_static_files_are_stored() -> None:
    with closing(Client().get(static("css/admin.css"))) as answer:
        assert "immutable" in answer["Cache-Control"]
