"""Locations of the environment: what `prepare` stores, changes, tests and refuses."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.installation import Installation
from tvarr_backup.locations.encryption import new_key

SECRET = "tide-table-1912"


@pytest.fixture
def nas(prepared: Installation, tmp_path: Path) -> Installation:
    """An installation whose environment names a folder."""
    folder = tmp_path / "nas"
    folder.mkdir()
    prepared.environment |= {"TVARR_BACKUP_LOCATION_NAS_URL": f"folder:{folder}"}
    return prepared


def shown(installation: Installation, name: str = "nas") -> Any:
    return installation.json("location", "show", name, "--json")


def queued(installation: Installation) -> list[Any]:
    with closing(sqlite3.connect(installation.data / "app.db")) as connection:
        return connection.execute("SELECT kind FROM operations_operation WHERE state = 'queued'").fetchall()


def test_a_location_is_added_and_its_test_queued(nas: Installation, tmp_path: Path) -> None:
    nas.ok("prepare")
    found = shown(nas)
    assert (found["options"], found["key_saved"]) == ({"path": str(tmp_path / "nas")}, True)
    assert queued(nas) == [("test_location",)]


def test_a_second_run_changes_nothing(nas: Installation) -> None:
    nas.ok("prepare")
    before = shown(nas)
    done = nas.run("prepare")
    assert (done.returncode, "location." in done.stderr) == (0, False)
    assert shown(nas) == before
    assert len(queued(nas)) == 1


def test_a_change_is_stored(nas: Installation) -> None:
    nas.ok("prepare")
    nas.environment |= {"TVARR_BACKUP_LOCATION_NAS_KEEP": "5", "TVARR_BACKUP_LOCATION_NAS_MONTHLY": "12"}
    nas.ok("prepare")
    assert (shown(nas)["keep"], shown(nas)["monthly"]) == (5, 12)


def test_a_tested_location_stays_tested(nas: Installation) -> None:
    nas.environment |= {"TVARR_BACKUP_LOCATION_NAS_RECIPIENT": new_key().recipient}
    nas.ok("prepare")
    nas.ok("operation", "cancel", nas.json("operation", "list", "--json")[0]["id"])
    nas.ok("location", "test", "nas")
    nas.ok("prepare")
    assert (shown(nas)["state"], queued(nas)) == ("behind", [])


def test_a_location_stays_paused(nas: Installation) -> None:
    nas.ok("prepare")
    nas.ok("location", "change", "nas", "--pause")
    nas.ok("prepare")
    assert shown(nas)["state"] == "paused"


def test_a_secret_is_read_from_its_file_and_stored_encrypted(prepared: Installation, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{SECRET}\n")
    prepared.environment |= {
        "TVARR_BACKUP_LOCATION_NAS_URL": "sftp://marit@nas.example.com/srv",
        "TVARR_BACKUP_LOCATION_NAS_PASSWORD_FILE": str(tmp_path / "password"),
        "TVARR_LOGGING_LEVEL": "debug",
    }
    done = prepared.run("prepare")
    assert (done.returncode, shown(prepared)["has_secrets"]) == (0, ["password"])
    assert SECRET not in done.stdout + done.stderr
    assert SECRET.encode() not in (prepared.data / "app.db").read_bytes()


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"URL": "nonsense"}, "NAS_URL: "),
        ({"RECIPIENT": "age1wrong"}, "NAS_RECIPIENT: "),
        ({"MAX_AGE": "soon"}, "NAS_MAX_AGE: "),
        ({"URL": '"folder:/mnt"'}, "NAS_URL: "),
        ({"URL": "sftp://marit@nas/srv", "PASSWORD_FILE": "/missing"}, "NAS_PASSWORD_FILE: "),
    ],
)
def test_an_invalid_variable_stops_it(nas: Installation, variables: dict[str, str], named: str) -> None:
    nas.environment |= {"TVARR_BACKUP_LOCATION_NAS_KEEP": "3"}
    said = nas.refused("prepare", **{f"TVARR_BACKUP_LOCATION_NAS_{name}": text for name, text in variables.items()})
    assert f"TVARR_BACKUP_LOCATION_{named}" in said
    assert nas.json("location", "list", "--json") == []


def test_another_kind_needs_another_name(nas: Installation) -> None:
    nas.ok("prepare")
    url = "webdav+https://cloud.example.com/dav"
    assert "of another kind" in nas.refused("prepare", TVARR_BACKUP_LOCATION_NAS_URL=url)
