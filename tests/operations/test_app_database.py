"""The checks of this program's own database: each state has its code and advice, and nothing is created."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connections

from tests.operations.app_databases import UNUSABLE, change, damage, locked, make_newer, make_older, remove
from tvarr_backup.errors import DatabaseUnusable
from tvarr_backup.operations.app_database import find_problem, renew_connection, require_app_database, waiting_less

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


def refused() -> DatabaseUnusable:
    with pytest.raises(DatabaseUnusable) as refusal:
        require_app_database()
    return refusal.value


def test_one_that_fits_is_usable(app_database: Path) -> None:
    require_app_database()
    assert find_problem() is None


@pytest.mark.parametrize("state", UNUSABLE)
def test_each_other_state_has_its_code_and_nothing_is_created(state: str, app_database: Path) -> None:
    bring_about, code = UNUSABLE[state]
    assert find_problem() is None
    bring_about(app_database)
    before = sorted(path.name for path in app_database.parent.iterdir())
    assert refused().code == code
    found = find_problem()
    assert found is not None
    assert str(found) == str(refused())
    assert sorted(path.name for path in app_database.parent.iterdir()) == before


def test_each_sentence_has_advice(app_database: Path) -> None:
    make_older(app_database)
    assert (
        str(refused())
        == f"{app_database} is not up to date with this version of tvarr-backup. Run `manage.py prepare`."
    )
    make_newer(app_database)
    assert str(refused()) == (
        f"{app_database} was migrated by a newer version of tvarr-backup (it has 9999_later). Install that version "
        "again."
    )
    damage(app_database)
    assert str(refused()).endswith(
        "Put back a copy of it. Or stop tvarr-backup, move app.db, app.db-wal and app.db-shm to another folder, and "
        "create a new one with `manage.py prepare`. A new one has no users, settings or history. Your backups stay as "
        "they are."
    )


def test_others_locks_are_waited_for_less_only_for_a_while(app_database: Path) -> None:
    before = dict(connections.settings["default"]["OPTIONS"])
    with waiting_less(0.5):
        assert connections.settings["default"]["OPTIONS"] == before | {"timeout": 0.5}
    assert connections.settings["default"]["OPTIONS"] == before


def test_one_that_is_locked_is_waited_for_two_seconds(app_database: Path) -> None:
    with locked(app_database):
        began = time.monotonic()
        assert "another program has locked it" in str(refused())
        assert time.monotonic() - began < 4
    require_app_database()


def test_one_that_others_only_write_to_is_usable(app_database: Path) -> None:
    with locked(app_database.with_name("other.db")):
        require_app_database()


def test_while_it_stays_as_it_was_it_is_not_asked_again(app_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_problem() is None
    monkeypatch.setattr("tvarr_backup.operations.app_database.require_app_database", pytest.fail)
    assert find_problem() is None


def test_the_log_says_once_that_it_is_unusable_and_once_that_it_is_back(
    app_database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert find_problem() is None
    caplog.clear()
    kept = app_database.read_bytes()
    remove(app_database)
    assert (find_problem() is None, find_problem() is None) == (False, False)
    app_database.write_bytes(kept)
    assert (find_problem(), find_problem()) == (None, None)
    assert caplog.text.count("appdb.unusable") == 1
    assert caplog.text.count("appdb.usable") == 1


def test_a_connection_to_a_file_that_was_replaced_is_given_up(app_database: Path) -> None:
    connections["default"].settings_dict["CONN_MAX_AGE"] = None
    assert User.objects.filter(username="keeper").count() == 0
    copy = app_database.with_name("copy.db")
    copy.write_bytes(app_database.read_bytes())
    change(
        copy,
        "INSERT INTO auth_user (username, password, is_superuser, first_name, last_name, email, is_staff, is_active, "
        "date_joined) VALUES ('keeper', '', 0, '', '', '', 0, 1, '2026-01-01')",
    )
    copy.replace(app_database)
    renew_connection()
    assert User.objects.filter(username="keeper").count() == 1
