"""`backup rehearse`, `location key store` and `schedule set --rehearsal-interval`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.installation import Installation
from tests.locations.rebuilding import KEY, add_location, copy_now


@pytest.fixture
def made(prepared: Installation) -> str:
    """The name of a backup."""
    return str(prepared.json("backup", "create", "--json")["filename"])


def test_the_newest_good_backup_is_rehearsed(prepared: Installation, made: str) -> None:
    result = prepared.json("backup", "rehearse", "--json")
    assert (result["filename"], result["location"]) == (made, None)
    assert result["commits"] >= 2
    assert not (prepared.data / "rehearsals").exists()
    status = prepared.run("status", "--json")
    assert json.loads(status.stdout)["last_rehearsals"][0]["filename"] == made


def test_a_named_backup_is_rehearsed(prepared: Installation, made: str) -> None:
    prepared.ok("backup", "create")
    assert made in prepared.ok("backup", "rehearse", "latest~1")


def test_a_damaged_backup_fails(prepared: Installation, made: str) -> None:
    archive = prepared.data / "backups" / made
    archive.write_bytes(archive.read_bytes()[:-8] + bytes(8))
    assert made in prepared.refused("backup", "rehearse", made)


def test_without_its_own_database_a_backup_can_be_rehearsed(prepared: Installation, made: str) -> None:
    (prepared.data / "app.db").unlink()
    assert made in prepared.ok("backup", "rehearse")


def test_an_encrypted_copy_is_rehearsed_with_a_stored_identity(
    prepared: Installation, made: str, tmp_path: Path
) -> None:
    (tmp_path / "away").mkdir()
    add_location(prepared, f"folder:{tmp_path / 'away'}")
    copy_now(prepared)
    assert "identity" in prepared.refused("backup", "rehearse", "--location", "away")
    stored = prepared.run("location", "key", "store", "away", "--json", stdin=KEY.identity)
    assert json.loads(stored.stdout)["identity_stored"] is True
    assert "can decrypt the copies in away" in stored.stderr
    assert KEY.identity not in stored.stdout + stored.stderr
    assert made in prepared.ok("backup", "rehearse", "--location", "away")
    assert prepared.json("location", "key", "forget", "away", "--json")["identity_stored"] is False


def test_the_interval_is_set(prepared: Installation) -> None:
    shown = prepared.json("schedule", "set", "--rehearsal-interval", "30d", "--json")
    assert shown["rehearsal_interval"] == "30d"
    assert "--rehearsal-interval" in prepared.refused("schedule", "set", "--rehearsal-interval", "soon")
    assert "off" in prepared.ok("schedule", "set", "--rehearsal-interval", "none")


def test_recovery_removes_what_a_killed_rehearsal_has_left(prepared: Installation, made: str) -> None:
    left = prepared.data / "rehearsals" / "left"
    left.mkdir(parents=True)
    (left / "tvarr.db").write_bytes(b"x")
    assert prepared.json("backup", "recover", "--json")["removed"] == ["rehearsals/left"]
    assert not left.parent.exists()
