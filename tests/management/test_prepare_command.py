"""The command `prepare`."""

from __future__ import annotations

import socket
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.installation import ROOT, Installation
from tests.tvarr_own import schema_of


def rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_it_makes_two_databases_a_key_and_an_administrator(installation: Installation) -> None:
    printed = installation.ok("prepare")
    password = (installation.data / "initial-password").read_text().strip()
    assert f"Administrator: admin\nOne-time password: {password}  (also in " in printed
    assert len(password) == 16
    assert rows(installation.data / "app.db", "SELECT username, is_superuser FROM auth_user") == [("admin", 1)]
    assert len((installation.data / "secret-key").read_text().strip()) == 50


def test_only_the_owner_can_read_the_files(installation: Installation) -> None:
    installation.prepared()
    assert stat.S_IMODE(installation.data.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in installation.data.iterdir()}
    assert set(modes) >= {"app.db", "tvarr.db", "secret-key", "initial-password"}
    assert set(modes.values()) == {0o600}


def test_our_databases_are_in_wal_mode(installation: Installation) -> None:
    installation.prepared()
    for name in ("app.db", "tvarr.db"):
        assert rows(installation.data / name, "PRAGMA journal_mode") == [("wal",)]


def test_each_database_has_its_own_tables_only(installation: Installation) -> None:
    installation.prepared()
    query = "SELECT name FROM sqlite_master WHERE type = 'table'"
    tvarr = {name for (name,) in rows(installation.data / "tvarr.db", query)}
    ours = {name for (name,) in rows(installation.data / "app.db", query)}
    assert {"filters", "epg_programs", "stream_proxies"} < tvarr
    assert {"auth_user", "django_session", "portable_heldreference"} < ours
    assert tvarr & ours == {"django_migrations", "sqlite_sequence"}


def test_a_second_run_changes_nothing(installation: Installation) -> None:
    installation.prepared()
    kept = {name: (installation.data / name).read_text() for name in ("secret-key", "initial-password")}
    users = rows(installation.data / "app.db", "SELECT * FROM auth_user")
    items = rows(installation.data / "tvarr.db", "SELECT * FROM filters")
    assert installation.ok("prepare") == ""
    assert {name: (installation.data / name).read_text() for name in kept} == kept
    assert rows(installation.data / "app.db", "SELECT * FROM auth_user") == users
    assert rows(installation.data / "tvarr.db", "SELECT * FROM filters") == items


def test_three_at_once_make_one_installation(installation: Installation) -> None:
    command = [sys.executable, str(ROOT / "manage.py"), "prepare"]
    running = [
        subprocess.Popen(command, env=installation.variables(), stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    printed = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert sum("One-time password" in text for text in printed) == 1
    assert rows(installation.data / "app.db", "SELECT count(*) FROM auth_user") == [(1,)]
    assert rows(installation.data / "tvarr.db", "SELECT count(*) FROM filters") == [(8,)]


def test_the_administrator_can_be_named_and_given_a_password(installation: Installation) -> None:
    installation.environment |= {"TVARR_ADMIN_USERNAME": "harbourmaster", "TVARR_ADMIN_PASSWORD": "tide-table-1912"}
    printed = installation.ok("prepare")
    assert "Administrator: harbourmaster" in printed
    assert "tide-table" not in printed
    assert not (installation.data / "initial-password").exists()
    assert rows(installation.data / "app.db", "SELECT username FROM auth_user") == [("harbourmaster",)]


@pytest.mark.parametrize("password", ["short", "1234567890", "password"])
def test_a_weak_password_is_refused_before_anything_is_made(installation: Installation, password: str) -> None:
    words = installation.refused("prepare", TVARR_ADMIN_PASSWORD=password)
    assert "TVARR_ADMIN_PASSWORD is not strong enough: " in words
    assert not installation.data.exists()


class TestIgnoredVariables:
    """Variables for the first administrator, when there is one."""

    @pytest.fixture
    def named(self, installation: Installation) -> Installation:
        installation.environment |= {"TVARR_ADMIN_USERNAME": "harbourmaster", "TVARR_ADMIN_PASSWORD": "tide-table-1912"}
        return installation.prepared()

    def test_a_password_that_is_still_right_is_not_mentioned(self, named: Installation) -> None:
        assert "ignored" not in named.run("prepare").stderr

    def test_a_password_that_was_changed_is_reported(self, named: Installation) -> None:
        done = named.run("prepare", TVARR_ADMIN_PASSWORD="moon-table-1912")
        assert done.returncode == 0
        assert 'TVARR_ADMIN_PASSWORD is ignored, because the user "harbourmaster" exists' in done.stderr
        assert "`manage.py changepassword harbourmaster` changes it.\n" in done.stderr

    def test_a_second_name_is_reported_and_creates_nobody(self, named: Installation) -> None:
        done = named.run("prepare", TVARR_ADMIN_USERNAME="pilot", TVARR_ADMIN_PASSWORD="")
        assert done.returncode == 0
        assert 'are ignored, because an administrator exists. "pilot" was not created.' in done.stderr
        assert "`manage.py changepassword harbourmaster` changes the password of this one." in done.stderr
        assert rows(named.data / "app.db", "SELECT username FROM auth_user") == [("harbourmaster",)]

    def test_without_variables_nothing_is_reported(self, named: Installation) -> None:
        done = named.run("prepare", TVARR_ADMIN_USERNAME="", TVARR_ADMIN_PASSWORD="")
        assert "ignored" not in done.stderr


def test_a_name_of_a_user_who_is_no_administrator_is_refused(installation: Installation) -> None:
    installation.prepared()
    with closing(sqlite3.connect(installation.data / "app.db")) as connection, connection:
        connection.execute("UPDATE auth_user SET is_superuser = 0")
    message = installation.refused("prepare")
    assert 'The administrator "admin" cannot be created' in message
    assert "Set TVARR_ADMIN_USERNAME to another name." in message


def test_a_key_that_is_given_is_not_kept(installation: Installation) -> None:
    installation.environment["SECRET_KEY"] = "given-by-hand-" * 5
    installation.ok("prepare")
    assert not (installation.data / "secret-key").exists()


def test_an_attached_database_is_left_as_it_is(installation: Installation, tvarr_own: Path) -> None:
    installation.environment["TVARR_DATABASE_DSN"] = str(tvarr_own)
    before = (schema_of(tvarr_own), tvarr_own.read_bytes())
    assert f"Using tvarr's database: {tvarr_own}" in installation.ok("prepare")
    assert (schema_of(tvarr_own), tvarr_own.read_bytes()) == before
    assert not (installation.data / "tvarr.db").exists()


def test_a_backup_folder_that_cannot_be_written_to_is_a_warning(installation: Installation) -> None:
    closed = installation.data.with_name("closed")
    closed.mkdir(mode=0o500)
    installation.heeds_modes = True
    done = installation.run("prepare", TVARR_BACKUP_DIRECTORY=str(closed))
    assert done.returncode == 0, done.stderr
    assert (
        f"warning: (tvarr_backup.E003) TVARR_BACKUP_DIRECTORY names {closed}, but {closed} is not a folder"
        in done.stderr
    )


def test_a_database_of_ours_that_cannot_be_used_is_named(installation: Installation) -> None:
    installation.data.mkdir()
    (installation.data / "app.db").write_text("not a database " * 100)
    words = installation.refused("prepare")
    assert f"{installation.data / 'app.db'} is not an SQLite database. Put back a copy of it" in words
    assert (installation.data / "app.db").read_text().startswith("not a database ")
    assert (installation.data / "tvarr.db").exists()


class TestOneTimePassword:
    """Its file is deleted when the administrator's password is changed."""

    @pytest.fixture
    def file(self, settings: Any, tmp_path: Path) -> Path:
        settings.INITIAL_PASSWORD_PATH = tmp_path / "initial-password"
        settings.INITIAL_PASSWORD_PATH.write_text("made-at-first\n")
        path: Path = settings.INITIAL_PASSWORD_PATH
        return path

    @pytest.fixture
    def administrator(self, db: None, file: Path) -> User:
        return User.objects.create_superuser("admin", password="made-at-first")

    def test_it_stays_when_the_administrator_is_made(self, administrator: User, file: Path) -> None:
        assert file.exists()

    def test_it_is_deleted_when_the_password_is_changed_in_the_admin(
        self, administrator: User, file: Path, client: Client
    ) -> None:
        client.force_login(administrator)
        new = {"new_password1": "tide-table-1912", "new_password2": "tide-table-1912"}
        answer = client.post("/admin/password_change/", {"old_password": "made-at-first"} | new)
        assert answer.status_code == 302
        assert not file.exists()

    def test_it_stays_when_another_user_changes_theirs(self, administrator: User, file: Path) -> None:
        other = User.objects.create_user("guest", password="first-one-here")
        other.set_password("another-one-here")
        other.save()
        assert file.exists()

    def test_changing_a_password_without_a_file_is_fine(self, administrator: User, file: Path) -> None:
        file.unlink()
        administrator.set_password("tide-table-1912")
        administrator.save()
        assert administrator.check_password("tide-table-1912")


def test_interrupted_operations_are_ended(prepared: Installation) -> None:
    with closing(sqlite3.connect(prepared.data / "app.db")) as connection, connection:
        connection.execute(
            "INSERT INTO operations_operation (id, kind, state, database, arguments, origin, phase, done_bytes, message, "
            "error_code, error, cancel_requested, host, boot, pid, process_started, is_exclusive, is_noticed, location, created_at) "
            "VALUES ('01KAEHXEGJ5GMS392SP1ZYMK50', 'backup', 'running', 'x', '{}', 'web', '', 0, '', '', '', 0, ?, ?, 1, -1, 1, 0, '', "
            "'2026-01-01')",
            (socket.gethostname(), Path("/proc/sys/kernel/random/boot_id").read_text().strip()),
        )
    assert "Backup 01KAEHXEGJ5GMS392SP1ZYMK50: Interrupted." in prepared.ok("prepare")
    assert "Interrupted" not in prepared.ok("prepare")
