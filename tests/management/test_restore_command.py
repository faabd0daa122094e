"""`backup restore`, `backup undo-restore` and `backup recover`, in real processes on real installations."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from tests.backups.makers import changed
from tests.installation import Installation
from tests.tvarr_own import build_tvarr_database, schema_of
from tvarr_backup.backups.catalogue import read_folder
from tvarr_backup.errors import RestoreRefused
from tvarr_backup.operations.models import Operation, OperationKind, Origin
from tvarr_backup.operations.run import run_here


def live_of(installation: Installation) -> Path:
    return Path(installation.environment.get("TVARR_DATABASE_DSN", str(installation.data / "tvarr.db")))


def content(path: Path) -> list[str]:
    """Every row and every table, in words of SQL."""
    with closing(sqlite3.connect(path)) as connection:
        return sorted(connection.iterdump())


def rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def created(installation: Installation) -> str:
    """The file name of a new backup."""
    return str(installation.json("backup", "create", "--json")["filename"])


def listed(installation: Installation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = installation.json("backup", "list", "--json")["backups"]
    return found


def operations(installation: Installation) -> list[Any]:
    return rows(installation.data / "app.db", "SELECT kind, state, origin FROM operations_operation ORDER BY id")


@pytest.fixture
def attached_installation(installation: Installation, tmp_path: Path) -> Installation:
    """Prepared on a database that tvarr made."""
    installation.environment["TVARR_DATABASE_DSN"] = str(build_tvarr_database(tmp_path / "tvarr.db"))
    changed(tmp_path / "tvarr.db", "PRAGMA journal_mode=WAL")
    return installation.prepared()


def test_without_a_yes_it_is_only_told(prepared: Installation) -> None:
    name = created(prepared)
    changed(live_of(prepared), "DELETE FROM filters")
    before, done_before = content(live_of(prepared)), operations(prepared)
    told = prepared.ok("backup", "restore", name).splitlines()
    assert told[0] == f"{name} would replace all that is in {live_of(prepared)}:"
    assert told[1].startswith("    filters: 0 -> ")
    assert "would be lost, but is kept in a copy that is made first." in told[-2]
    assert told[-1] == "Nothing was changed. Add --yes to do it."
    data = prepared.json("backup", "restore", name, "--json")
    assert set(data) == {"filename", "now", "after", "created_at"}
    assert (data["filename"], data["now"]["filters"]) == (name, 0)
    assert data["after"]["filters"] > 0
    assert content(live_of(prepared)) == before
    assert [found["filename"] for found in listed(prepared)] == [name]
    assert operations(prepared) == done_before


def test_with_a_yes_it_is_done_told_and_recorded_and_can_be_undone(attached_installation: Installation) -> None:
    live = live_of(attached_installation)
    then, tables = content(live), schema_of(live)
    name = created(attached_installation)
    changed(live, "DELETE FROM client_detection_rules", "UPDATE filters SET name = 'spoilt'")
    now = content(live)
    told = attached_installation.ok("backup", "restore", name, "--yes").splitlines()
    safety = listed(attached_installation)[0]
    assert told[0] == f"Restored {name}"
    assert told[1].startswith("    client_detection_rules: 0 -> ")
    assert told[2:] == [f"What was there before is {safety['filename']}; `backup undo-restore` goes back to it"]
    assert content(live) == then
    assert {(*row[:3], row[4]) for row in schema_of(live)} == {(*row[:3], row[4]) for row in tables}
    assert (safety["kind"], safety["protected"], safety["restored_from"]) == ("pre_restore", True, name)
    assert safety["note"] == f"before restoring {name}"
    assert attached_installation.ok("backup", "verify", safety["filename"]).endswith("good (9 checks)\n")
    assert f"{safety['filename']} would replace" in attached_installation.ok("backup", "undo-restore")
    assert content(live) == then
    undone = attached_installation.json("backup", "undo-restore", "--yes", "--json")
    assert content(live) == now
    assert set(undone) == {"outcome", "filename", "pre_restore_backup", "before", "after"}
    assert (undone["outcome"], undone["filename"]) == ("restored", safety["filename"])
    assert undone["pre_restore_backup"] == listed(attached_installation)[0]
    assert undone["before"]["client_detection_rules"] > undone["after"]["client_detection_rules"] == 0
    assert [found for found in operations(attached_installation) if found[0] == "restore"] == [
        ("restore", "succeeded", "command"),
        ("restore", "succeeded", "command"),
    ]


def test_there_must_be_something_to_undo(prepared: Installation) -> None:
    created(prepared)
    words = prepared.refused("backup", "undo-restore", "--yes")
    assert "There is no restore to undo: no backup was made before one." in words


def test_what_needs_attention_is_told(prepared: Installation) -> None:
    name = created(prepared)
    with closing(sqlite3.connect(live_of(prepared), isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM filters").fetchone()
        done = prepared.run("backup", "restore", name, "--yes", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["outcome"] == "attention"
    assert "A reader still uses the old content" in done.stderr
    assert operations(prepared)[-1] == ("restore", "attention", "command")


@pytest.mark.parametrize("yes", [(), ("--yes",)])
def test_what_is_not_there_is_refused(prepared: Installation, yes: tuple[str, ...]) -> None:
    name = created(prepared)
    before = content(live_of(prepared))
    prepared.ok("backup", "delete", name)
    assert f"There is no backup '{name}'." in prepared.refused("backup", "restore", name, *yes)
    assert "There is no backup '../tvarr.db'." in prepared.refused("backup", "restore", "../tvarr.db", *yes)
    assert content(live_of(prepared)) == before


def test_a_damaged_one_is_refused_and_the_failure_is_recorded(prepared: Installation) -> None:
    name = created(prepared)
    archive = prepared.data / "backups" / name
    raw = bytearray(archive.read_bytes())
    raw[len(raw) // 2] ^= 1
    archive.write_bytes(raw)
    before = content(live_of(prepared))
    words = prepared.refused("backup", "restore", name, "--yes")
    assert f"{name} cannot be relied on, and was not restored. The archive " in words
    assert content(live_of(prepared)) == before
    assert [found["filename"] for found in listed(prepared)] == [name]
    assert not list((prepared.data / "backups" / ".work").iterdir())
    assert operations(prepared)[-1] == ("restore", "failed", "command")


def test_an_older_one_of_ours_is_brought_up_to_date_on_the_way(prepared: Installation, tmp_path: Path) -> None:
    """Made by our first migration alone, as an older version of the program would have left it."""
    older = tmp_path / "older.db"
    changed(older, "PRAGMA journal_mode=WAL")
    done = prepared.run(
        *("migrate", "tvarr_backup", "0001", "--database", "tvarr", "--skip-checks"), TVARR_DATABASE_DSN=str(older)
    )
    assert done.returncode == 0, done.stderr
    assert rows(older, "SELECT count(*) FROM filters") == [(0,)]
    changed(older, "PRAGMA journal_mode=DELETE")
    unchanged = older.read_bytes()
    adopted = prepared.json("backup", "adopt", str(older), "--json")
    assert adopted["schema"] == "tvarr-backup 0001_tables"
    live = live_of(prepared)
    changed(live, "UPDATE filters SET name = 'now ' || id")
    now = content(live)
    system_rows = rows(live, "SELECT count(*) FROM filters WHERE is_system")
    done = prepared.run("backup", "restore", adopted["filename"], "--yes", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert rows(live, "SELECT name FROM django_migrations WHERE app = 'tvarr_backup' ORDER BY name") == [
        ("0001_tables",),
        ("0002_system_rows",),
    ]
    assert rows(live, "SELECT count(*) FROM filters WHERE is_system") == system_rows
    assert rows(live, "SELECT count(*) FROM filters WHERE name LIKE 'now %'") == [(0,)]
    assert result["after"]["filters"] == system_rows[0][0]
    assert prepared.json("backup", "show", adopted["filename"], "--json") == adopted
    assert older.read_bytes() == unchanged
    prepared.ok("prepare")
    prepared.ok("backup", "undo-restore", "--yes")
    assert content(live) == now


_BALLAST = ("CREATE TABLE ballast (data)", "INSERT INTO ballast VALUES (randomblob(100000000))")


def _kill_while_it_packs(prepared: Installation, name: str) -> None:
    """Then the new content is in place."""
    process = subprocess.Popen(
        prepared.command("backup", "restore", name, "--yes"),
        env=prepared.variables(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line == "Packing\n":
            process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_recovery_tells_of_a_restore_that_had_happened(prepared: Installation) -> None:
    """Killed while it packs what was there before, which a long line of bytes makes take its time."""
    name = created(prepared)
    live = live_of(prepared)
    then = content(live)
    changed(live, *_BALLAST)
    _kill_while_it_packs(prepared, name)
    assert content(live) == then
    assert [found["filename"] for found in listed(prepared)] == [name]
    told = prepared.ok("backup", "recover")
    safety = listed(prepared)[0]
    assert f"The restore had happened; what was there before is {safety['filename']}\n" in told
    assert (safety["kind"], safety["protected"], safety["table_counts"]["ballast"]) == ("pre_restore", True, 1)
    assert operations(prepared)[-1] == ("restore", "interrupted", "command")
    assert prepared.ok("backup", "recover") == "There was nothing to clean up.\n"


@pytest.mark.django_db
def test_inside_a_transaction_it_is_refused(attached: Path, tmp_path: Path, settings: Any) -> None:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    changed(attached, "PRAGMA journal_mode=WAL")
    made = run_here(OperationKind.BACKUP, origin=Origin.COMMAND).result
    assert made is not None
    arguments = {"filename": made["backup"]["filename"]}
    before = content(attached)
    with (
        transaction.atomic(using="tvarr"),
        pytest.raises(RestoreRefused, match="cannot be done inside a transaction on tvarr's database"),
    ):
        run_here(OperationKind.RESTORE, origin=Origin.COMMAND, arguments=arguments)
    assert Operation.objects.all()[0].state == "failed"
    assert content(attached) == before
    assert len(read_folder(settings.BACKUP_DIRECTORY).backups) == 1
    run_here(OperationKind.RESTORE, origin=Origin.COMMAND, arguments=arguments)
    assert Operation.objects.all()[0].state == "succeeded"


def _table_gone(live: Path) -> None:
    """The first pages of a table and of its indexes are empty, and nobody has the database open."""
    pages = rows(live, "SELECT rootpage FROM sqlite_master WHERE tbl_name = 'client_detection_rules'")
    ((size,),) = rows(live, "PRAGMA page_size")
    with live.open("r+b") as file:
        for (page,) in pages:
            file.seek((page - 1) * size)
            file.write(bytes(100))


def test_a_damaged_database_is_told_and_restored(prepared: Installation) -> None:
    name = created(prepared)
    before = content(live_of(prepared))
    _table_gone(live_of(prepared))
    told = prepared.ok("backup", "restore", name)
    assert "    client_detection_rules: no -> " in told
    done = prepared.run("backup", "restore", name, "--yes")
    assert (done.returncode, "What was live before was damaged" in done.stderr) == (0, True), done.stderr
    assert content(live_of(prepared)) == before
    salvage, _made = listed(prepared)
    assert (salvage["kind"], salvage["protected"], salvage["state"]) == ("pre_restore", True, "damaged")


def test_undo_after_a_restore_that_broke_off_goes_back_to_what_was_before_that_one(prepared: Installation) -> None:
    """And not to what was before the last one that was told as done."""
    name = created(prepared)
    changed(live_of(prepared), "UPDATE filters SET name = 'first ' || id")
    prepared.ok("backup", "restore", name, "--yes")
    changed(live_of(prepared), "UPDATE filters SET name = 'second ' || id", *_BALLAST)
    second = content(live_of(prepared))
    _kill_while_it_packs(prepared, name)
    assert content(live_of(prepared)) != second
    prepared.ok("backup", "undo-restore", "--yes")
    assert content(live_of(prepared)) == second
