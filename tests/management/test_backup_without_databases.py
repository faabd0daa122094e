"""`backup` where this program's own database, or tvarr's, cannot be used: an action asks only for what it needs."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.installation import Installation
from tests.operations.app_databases import UNUSABLE, locked
from tests.operations.live_databases import UNUSABLE_LIVE, remove
from tests.workers import rows

HISTORY = "This operation could not be recorded in the history: "
LOCKED = "locked"


@pytest.fixture
def backed_up(prepared: Installation) -> tuple[Installation, str]:
    """An installation and the name of its one backup."""
    return prepared, str(prepared.json("backup", "create", "--json")["filename"])


def ran(installation: Installation, *arguments: str) -> tuple[str, str]:
    """Standard output and standard error of a command that does its work."""
    done = installation.run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def lines(text: str, start: str) -> int:
    return sum(line.startswith(start) for line in text.splitlines())


# --- Without this program's own database -----------------------------------------------------------------------------


@pytest.mark.parametrize("state", UNUSABLE)
def test_in_no_state_of_app_db_a_backup_is_refused(state: str, backed_up: tuple[Installation, str]) -> None:
    installation, name = backed_up
    app = installation.data / "app.db"
    UNUSABLE[state][0](app)
    before = app.read_bytes() if app.exists() else None
    out, err = ran(installation, "backup", "create")
    assert (out.startswith("Created "), lines(err, HISTORY)) == (True, 1)
    assert "The backup is complete. Cleanup was skipped: the retention settings are unknown" in err
    out, err = ran(installation, "backup", "list")
    assert (name in out, err) == (True, "")
    assert (app.read_bytes() if app.exists() else None) == before


def test_without_app_db_all_but_cleanup_is_done_and_not_recorded(backed_up: tuple[Installation, str]) -> None:
    installation, name = backed_up
    (installation.data / "app.db").unlink()
    for action in (("show", name), ("protect", name), ("protect", name, "--off"), ("recover",)):
        assert HISTORY not in ran(installation, "backup", *action)[1]
    for action, words in (
        (("verify", name), "OK"),
        (("restore", name, "--yes"), "Restored"),
        (("undo-restore", "--yes"), "Restored"),
        (("delete", name, "--yes"), f"Deleted {name}"),
    ):
        out, err = ran(installation, "backup", *action)
        assert (words in out, lines(err, HISTORY)) == (True, 1)
    assert not (installation.data / "app.db").exists()


def test_a_locked_app_db_keeps_nobody_from_work(backed_up: tuple[Installation, str]) -> None:
    installation, name = backed_up
    with locked(installation.data / "app.db"):
        out, err = ran(installation, "backup", "verify", name)
        assert "OK" in out
        assert f"{HISTORY}{installation.data}/app.db cannot be read, because another program has locked it" in err
        assert name in ran(installation, "backup", "list")[0]
    assert rows(installation, "SELECT kind FROM operations_operation") == [("backup",)]


def test_one_that_is_only_read_by_others_meanwhile_is_written(backed_up: tuple[Installation, str]) -> None:
    installation, name = backed_up
    with closing(sqlite3.connect(installation.data / "app.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM auth_user").fetchall()
        assert ran(installation, "backup", "verify", name)[1].count(HISTORY) == 0
    assert rows(installation, "SELECT kind FROM operations_operation") == [("backup",), ("verify",)]


def test_cleanup_without_app_db_only_shows_what_it_would_delete(backed_up: tuple[Installation, str]) -> None:
    installation, name = backed_up
    installation.ok("backup", "create")
    (installation.data / "app.db").unlink()
    shows = ("backup", "prune", "--dry-run", "--json")
    installation.environment["TVARR_BACKUP_SCHEDULE_RETENTION"] = "1"
    out, err = ran(installation, *shows)
    assert json.loads(out) == {"removed": [], "dry_run": True}  # both are manual
    words = "Nothing is deleted, and the list uses the retention of the environment, because the retention settings are"
    assert words in err
    out, err = ran(installation, "backup", "prune")
    assert (out, words in err) == ("There is nothing to delete.\n", True)
    assert name in installation.ok("backup", "list")
    assert not (installation.data / "app.db").exists()


# --- Without tvarr's database ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", UNUSABLE_LIVE)
def test_without_tvarrs_database_backups_are_seen_verified_and_deleted(
    state: str, backed_up: tuple[Installation, str]
) -> None:
    installation, name = backed_up
    live = installation.data / "tvarr.db"
    UNUSABLE_LIVE[state](live)
    before = live.read_bytes() if live.exists() else None
    assert name in ran(installation, "backup", "list")[0]
    assert "OK" in ran(installation, "backup", "verify", name)[0]
    words = installation.refused("backup", "create")
    assert str(live) in words
    ran(installation, "backup", "delete", name, "--yes")
    assert (live.read_bytes() if live.exists() else None) == before


def test_a_missing_one_is_named_with_the_way_out_when_a_backup_is_made(prepared: Installation) -> None:
    remove(prepared.data / "tvarr.db")
    words = prepared.refused("backup", "create")
    assert "`manage.py backup restore NAME --yes --offline`" in words
    assert not (prepared.data / "tvarr.db").exists()


def test_without_it_all_else_works_too(backed_up: tuple[Installation, str], tmp_path: Path) -> None:
    installation, name = backed_up
    elsewhere = tmp_path / "elsewhere.db.gz"
    elsewhere.write_bytes((installation.data / "backups" / name).read_bytes())
    remove(installation.data / "tvarr.db")
    for action in (("show", name), ("protect", name), ("protect", name, "--off"), ("recover",), ("prune",)):
        ran(installation, "backup", *action)
    ran(installation, "backup", "delete", name, "--yes")
    ran(installation, "backup", "add", str(elsewhere))


def test_with_neither_database_backups_are_seen_verified_and_deleted(backed_up: tuple[Installation, str]) -> None:
    installation, name = backed_up
    remove(installation.data / "tvarr.db")
    remove(installation.data / "app.db")
    assert name in ran(installation, "backup", "list")[0]
    assert "OK" in ran(installation, "backup", "verify", "--all")[0]
    ran(installation, "backup", "delete", name, "--yes")
    assert [path.name for path in installation.data.glob("*.db*")] == ["app.db.reserve"]
