"""`backup restore`, `backup undo-restore` and `backup recover`, in real processes on real installations."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.backends.dummy import base as dummy

from tests.backups.makers import changed, on_small_disk, required, settled, state
from tests.exports import exports_of
from tests.installation import Installation
from tests.portable.files import (
    CLIENTS,
    FILTERS,
    MAPPING,
    PROFILES,
    client_item,
    document,
    filter_item,
    mapping_item,
    profile_item,
)
from tests.tvarr_own import build_tvarr_database, schema_of
from tvarr_backup.backups.catalogue import read_folder
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.errors import BackupUnsupported, RestoreRefused
from tvarr_backup.operations.models import Operation, OperationKind, Origin
from tvarr_backup.operations.run import run_here
from tvarr_backup.portable.tvarr_memory import RELOAD_ADVICE


def live_of(installation: Installation) -> Path:
    return Path(installation.environment.get("TVARR_DATABASE_DSN", str(installation.data / "tvarr.db")))


def content(path: Path) -> list[str]:
    """Every table and row, as SQL."""
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


def test_without_yes_a_restore_is_only_previewed(prepared: Installation) -> None:
    name = created(prepared)
    changed(live_of(prepared), "DELETE FROM filters")
    before, done_before = content(live_of(prepared)), operations(prepared)
    lines = prepared.ok("backup", "restore", name).splitlines()
    assert lines[0] == f"{name} would replace the data in {live_of(prepared)}:"
    assert lines[1].startswith("    filters: 0 -> ")
    assert lines[-2].endswith(" would be lost. The safety backup keeps them.")
    assert lines[-1] == "Nothing was changed. Add --yes to restore."
    data = prepared.json("backup", "restore", name, "--json")
    assert set(data) == {
        *("filename", "now", "after", "created_at", "created_at_source", "newest_row_at"),
        *("facts", "needs_accept_newer", "restart_required", "offline_required", "damage"),
    }
    assert (data["facts"], data["needs_accept_newer"]) == ([], False)
    assert (data["offline_required"], data["damage"]) == (False, "")
    assert (data["filename"], data["now"]["filters"]) == (name, 0)
    assert data["after"]["filters"] > 0
    assert content(live_of(prepared)) == before
    assert [found["filename"] for found in listed(prepared)] == [name]
    assert operations(prepared) == done_before


def test_with_yes_it_is_done_reported_and_recorded_and_can_be_undone(attached_installation: Installation) -> None:
    live = live_of(attached_installation)
    then, tables = content(live), schema_of(live)
    name = created(attached_installation)
    changed(live, "DELETE FROM client_detection_rules", "UPDATE filters SET name = 'spoilt'")
    now = content(live)
    lines = attached_installation.ok("backup", "restore", name, "--yes").splitlines()
    safety = listed(attached_installation)[0]
    assert lines[0] == f"Restored {name}"
    assert lines[1].startswith("    client_detection_rules: 0 -> ")
    assert lines[2] == "    every other table: same number of rows; contents may differ"
    assert lines[3:] == [
        f"The previous data is in {safety['filename']}. `backup undo-restore` restores it.",
        RELOAD_ADVICE,
    ]
    assert content(live) == then
    assert {(*row[:3], row[4]) for row in schema_of(live)} == {(*row[:3], row[4]) for row in tables}
    assert (safety["kind"], safety["protected"], safety["restored_from"]) == ("pre_restore", True, name)
    assert safety["note"] == f"before restoring {name}"
    assert ", protected until " in attached_installation.ok("backup", "list").splitlines()[1]
    assert attached_installation.ok("backup", "verify", safety["filename"]).endswith("OK (9 checks)\n")
    assert f"{safety['filename']} would replace" in attached_installation.ok("backup", "undo-restore")
    assert content(live) == then
    undone = attached_installation.json("backup", "undo-restore", "--yes", "--json")
    assert content(live) == now
    assert set(undone) == {
        *(
            "outcome",
            "filename",
            "pre_restore_backup",
            "before",
            "after",
            "restart_required",
            "set_aside",
            "facts",
            "event",
        ),
    }
    assert undone["facts"] == []
    assert undone["restart_required"]
    assert (undone["outcome"], undone["filename"]) == ("restored", safety["filename"])
    assert undone["pre_restore_backup"] == listed(attached_installation)[0]
    assert undone["before"]["client_detection_rules"] > undone["after"]["client_detection_rules"] == 0
    assert [found for found in operations(attached_installation) if found[0] == "restore"] == [
        ("restore", "succeeded", "command"),
        ("restore", "succeeded", "command"),
    ]


def _garbage(live: Path) -> None:
    content = live.read_bytes()
    live.write_bytes(bytes(range(256)) * 256 + content[65536:])


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "garbage": _garbage,
    "cut": lambda live: live.write_bytes(live.read_bytes()[:20480]),
    "empty": lambda live: live.write_bytes(b""),
    "missing": lambda live: live.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_database_file_that_cannot_be_written_is_replaced_offline(
    attached_installation: Installation, damage: str
) -> None:
    live = live_of(attached_installation)
    then, exported = content(live), exports_of(attached_installation)
    name = created(attached_installation)
    DAMAGES[damage](live)
    spoilt = live.read_bytes() if live.exists() else None
    command = f"manage.py backup restore {name} --yes --offline`"
    preview = attached_installation.ok("backup", "restore", name)
    assert command in preview.splitlines()[-1]
    data = attached_installation.json("backup", "restore", name, "--json")
    assert (data["offline_required"], data["now"]) == (True, {})
    assert command in attached_installation.refused("backup", "restore", name, "--yes")
    assert (live.read_bytes() if live.exists() else None) == spoilt
    done = attached_installation.json("backup", "restore", name, "--yes", "--offline", "--json")
    assert content(live) == then
    assert exports_of(attached_installation) == exported
    assert (done["outcome"], done["pre_restore_backup"]) == ("restored", None)
    assert not done["restart_required"]  # tvarr is stopped
    assert [Path(path).read_bytes() for path in done["set_aside"]] == ([] if spoilt is None else [spoilt])
    assert operations(attached_installation)[-1] == ("restore", "succeeded", "command")


def test_what_was_set_aside_is_named(attached_installation: Installation) -> None:
    name = created(attached_installation)
    live_of(attached_installation).write_bytes(b"")
    lines = attached_installation.ok("backup", "restore", name, "--yes", "--offline").splitlines()
    assert lines[-2].startswith(f"The old file is kept as {live_of(attached_installation)}.set-aside-")
    assert lines[-1] == "You can start tvarr again."


def test_offline_is_refused_where_it_is_not_needed(attached_installation: Installation) -> None:
    name = created(attached_installation)
    words = attached_installation.refused("backup", "restore", name, "--yes", "--offline")
    assert "so an offline restore is not needed. Nothing was changed." in words


def test_a_database_in_rollback_journal_mode_is_restored(attached_installation: Installation) -> None:
    live = live_of(attached_installation)
    then, name = content(live), created(attached_installation)
    changed(live, "DELETE FROM client_detection_rules")
    settled(live)
    printed = attached_installation.ok("backup", "restore", name, "--yes")
    assert printed.startswith(f"Restored {name}\n")
    assert content(live) == then


def test_there_must_be_something_to_undo(prepared: Installation) -> None:
    created(prepared)
    words = prepared.refused("backup", "undo-restore", "--yes")
    assert "There is no restore to undo, because there is no safety backup." in words


def test_equal_numbers_of_rows_do_not_pass_for_equal_contents(attached_installation: Installation) -> None:
    name = created(attached_installation)
    changed(live_of(attached_installation), "UPDATE filters SET name = 'spoilt'")
    sentence = "    every table: same number of rows; contents may differ"
    assert sentence in attached_installation.ok("backup", "restore", name).splitlines()
    assert sentence in attached_installation.ok("backup", "restore", name, "--yes").splitlines()


def test_success_with_warnings_is_reported(prepared: Installation) -> None:
    name = created(prepared)
    with closing(sqlite3.connect(live_of(prepared), isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM filters").fetchone()
        done = prepared.run("backup", "restore", name, "--yes", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["outcome"] == "attention"
    assert "Another program still reads the old data" in done.stderr
    assert operations(prepared)[-1] == ("restore", "attention", "command")


@pytest.mark.parametrize("yes", [(), ("--yes",)])
def test_what_is_not_there_is_refused(prepared: Installation, yes: tuple[str, ...]) -> None:
    name = created(prepared)
    before = content(live_of(prepared))
    prepared.ok("backup", "delete", name, "--yes")
    assert f'There is no backup "{name}".' in prepared.refused("backup", "restore", name, *yes)
    assert 'There is no backup "../tvarr.db".' in prepared.refused("backup", "restore", "../tvarr.db", *yes)
    assert content(live_of(prepared)) == before


def test_a_damaged_one_is_refused_and_the_failure_is_recorded(prepared: Installation) -> None:
    name = created(prepared)
    archive = prepared.data / "backups" / name
    raw = bytearray(archive.read_bytes())
    raw[-5] ^= 1  # in the checksum: elsewhere, the message depends on what the changed bit meant
    archive.write_bytes(raw)
    before = content(live_of(prepared))
    words = prepared.refused("backup", "restore", name, "--yes")
    assert f"{name} was not restored, because verification found a problem. The archive " in words
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
    adopted = prepared.json("backup", "add", str(older), "--json")
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


def test_recovery_reports_a_restore_that_had_succeeded(attached_installation: Installation) -> None:
    """Killed while it packs the previous data, which is large."""
    name = created(attached_installation)
    live = live_of(attached_installation)
    then = content(live)
    changed(live, *_BALLAST)
    _kill_while_it_packs(attached_installation, name)
    assert content(live) == then
    assert [found["filename"] for found in listed(attached_installation)] == [name]
    printed = attached_installation.ok("backup", "recover")
    safety = listed(attached_installation)[0]
    assert f"The restore had succeeded. The previous data is in {safety['filename']}.\n{RELOAD_ADVICE}\n" in printed
    (message,) = rows(
        attached_installation.data / "app.db", "SELECT message FROM operations_operation WHERE state = 'interrupted'"
    )[0]
    assert message.endswith(RELOAD_ADVICE)
    assert (safety["kind"], safety["protected"], safety["table_counts"]["ballast"]) == ("pre_restore", True, 1)
    assert operations(attached_installation)[-1] == ("restore", "interrupted", "command")
    assert attached_installation.ok("backup", "recover") == "There was nothing to clean up.\n"


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
        pytest.raises(RestoreRefused, match="cannot run inside a transaction on tvarr's database"),
    ):
        run_here(OperationKind.RESTORE, origin=Origin.COMMAND, arguments=arguments)
    assert Operation.objects.all()[0].state == "failed"
    assert content(attached) == before
    assert len(read_folder(settings.BACKUP_DIRECTORY).backups) == 1
    run_here(OperationKind.RESTORE, origin=Origin.COMMAND, arguments=arguments)
    assert Operation.objects.all()[0].state == "succeeded"


def _table_gone(live: Path) -> None:
    """Overwrite the first pages of a table and of its indexes."""
    pages = rows(live, "SELECT rootpage FROM sqlite_master WHERE tbl_name = 'client_detection_rules'")
    ((size,),) = rows(live, "PRAGMA page_size")
    with live.open("r+b") as file:
        for (page,) in pages:
            file.seek((page - 1) * size)
            file.write(bytes(100))


def test_a_damaged_database_is_reported_and_restored(prepared: Installation) -> None:
    name = created(prepared)
    before = content(live_of(prepared))
    _table_gone(live_of(prepared))
    assert "    client_detection_rules: no -> " in prepared.ok("backup", "restore", name)
    done = prepared.run("backup", "restore", name, "--yes")
    assert (done.returncode, "The previous data was damaged" in done.stderr) == (0, True), done.stderr
    assert content(live_of(prepared)) == before
    salvage, _made = listed(prepared)
    assert (salvage["kind"], salvage["protected"], salvage["state"]) == ("pre_restore", True, "damaged")


def test_undo_after_an_interrupted_restore_restores_the_data_before_that_one(prepared: Installation) -> None:
    """And not the data before the last restore that reported success."""
    name = created(prepared)
    changed(live_of(prepared), "UPDATE filters SET name = 'first ' || id")
    prepared.ok("backup", "restore", name, "--yes")
    changed(live_of(prepared), "UPDATE filters SET name = 'second ' || id", *_BALLAST)
    second = content(live_of(prepared))
    _kill_while_it_packs(prepared, name)
    assert content(live_of(prepared)) != second
    prepared.ok("backup", "undo-restore", "--yes")
    assert content(live_of(prepared)) == second


# --- The way back ----------------------------------------------------------------------------------------------------


def counts(path: Path) -> dict[str, int]:
    """How many rows each table has, those that tvarr has marked as deleted included."""
    tables = [name for (name,) in rows(path, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {table: rows(path, f"SELECT count(*) FROM {table}")[0][0] for table in tables}


def test_an_undo_and_its_own_undo_bring_back_exports_and_numbers_of_rows(attached_installation: Installation) -> None:
    live = live_of(attached_installation)

    def look() -> tuple[str, dict[str, int]]:
        return exports_of(attached_installation), counts(live)

    then, name = look(), created(attached_installation)
    changed(
        live, "DELETE FROM channels", "UPDATE filters SET deleted_at = 'now'", "UPDATE encoding_profiles SET name = id"
    )
    now = look()
    assert now[0] != then[0]
    assert now[1] != then[1]
    attached_installation.ok("backup", "restore", name, "--yes")
    assert look() == then
    for before in (now, then):
        attached_installation.ok("backup", "undo-restore", "--yes")
        assert look() == before


# --- Older and newer ones --------------------------------------------------------------------------------------------


def with_rules(installation: Installation, folder: Path) -> Installation:
    """One item of each kind, imported."""
    items = {FILTERS: filter_item(), MAPPING: mapping_item(), CLIENTS: client_item(), PROFILES: profile_item()}
    for kind, item in items.items():
        file = folder / f"{kind.slug}.json"
        file.write_text(json.dumps(document(kind, item)))
        installation.ok("portable", "import", kind.slug, str(file))
    return installation


def test_a_backup_that_an_older_version_made_comes_back_with_its_rules(prepared: Installation, tmp_path: Path) -> None:
    """Its database has our first migration alone, and rules in it."""
    live, older = live_of(with_rules(prepared, tmp_path)), tmp_path / "older.db"
    exports, system_rows = exports_of(prepared), counts(live)
    changed(older, "PRAGMA journal_mode=WAL")
    migrate = ("migrate", "tvarr_backup", "0001", "--database", "tvarr", "--skip-checks")
    assert prepared.run(*migrate, TVARR_DATABASE_DSN=str(older)).returncode == 0
    kinds = ("encoding_profiles", "filters", "data_mapping_rules", "client_detection_rules")
    changed(
        older,
        f"ATTACH '{live}' AS live",
        *(f"INSERT INTO {kind} SELECT * FROM live.{kind} WHERE NOT is_system" for kind in kinds),
    )
    knows = replace(required(), migrations=frozenset({"0001_tables"}))
    made = create_backup(older, prepare_folder(prepared.data / "backups"), knows, kind=BackupKind.MANUAL)
    assert made.sidecar.schema == "tvarr-backup 0001_tables"
    changed(live, *(f"DELETE FROM {kind}" for kind in reversed(kinds)))
    assert exports_of(prepared) != exports
    prepared.ok("backup", "restore", made.filename, "--yes")
    assert exports_of(prepared) == exports
    assert counts(live) == system_rows
    prepared.ok("prepare")


@pytest.mark.parametrize(
    ("fixture", "statement", "newer", "made_by"),
    [
        (
            "prepared",
            "INSERT INTO django_migrations (app, name, applied) VALUES ('tvarr_backup', '0099_later', 'now')",
            {"migrations": required().migrations | {"0099_later"}},
            "tvarr-backup 0099_later",
        ),
        (
            "attached_installation",
            "INSERT INTO schema_migrations VALUES ('030', 'm', 'now')",
            {"tvarr_newest": "030"},
            "tvarr 030",
        ),
    ],
)
def test_one_that_a_newer_version_made_needs_a_word(
    request: pytest.FixtureRequest, tmp_path: Path, fixture: str, statement: str, newer: dict[str, Any], made_by: str
) -> None:
    installation: Installation = request.getfixturevalue(fixture)
    copy, folder = tmp_path / "newer.db", installation.data / "backups"
    created(installation)
    changed(live_of(installation), f"VACUUM INTO '{copy}'")
    made = create_backup(changed(copy, statement), folder, replace(required(), **newer), kind=BackupKind.MANUAL)
    shown = installation.json("backup", "restore", made.filename, "--json")
    assert shown["needs_accept_newer"]
    assert shown["facts"][0].startswith(f"This backup has the schema {made_by}. ")
    refused_and_nothing_changed(
        installation,
        made.filename,
        f"{made.filename} was not restored. {' '.join(shown['facts'])} Nothing was changed. To restore it anyway, accept "
        "the newer schema: with --accept-newer in the command, accept_newer in a request, or the box on the restore page.",
    )
    assert shown["facts"][0] in installation.ok("backup", "restore", made.filename, "--yes", "--accept-newer")


# --- Invalid requests and obstacles ----------------------------------------------------------------------------------


def refused_and_nothing_changed(installation: Installation, name: str, words: str) -> None:
    """It ends with 1 and this sentence; the live database, its exports and the backup folder are as they were."""
    live, folder = live_of(installation), installation.data / "backups"

    def look() -> Any:
        return exports_of(installation), content(live), live.read_bytes(), state(folder)

    before = look()
    done = installation.run("backup", "restore", name, "--yes")
    assert (done.returncode, done.stdout, done.stderr.splitlines()[-1]) == (1, "", f"error: {words}")
    assert look() == before


@pytest.mark.parametrize("protected", [False, True])
def test_the_only_backup_may_be_restored_and_stays_as_it_is(prepared: Installation, protected: bool) -> None:
    name = created(prepared)
    if protected:
        prepared.ok("backup", "protect", name)
    described = prepared.json("backup", "show", name, "--json")
    assert described["protected"] is protected
    then = content(live_of(prepared))
    changed(live_of(prepared), "DELETE FROM filters")
    prepared.ok("backup", "restore", name, "--yes")
    assert content(live_of(prepared)) == then
    assert [found for found in listed(prepared) if found["kind"] != "pre_restore"] == [described]


def test_an_archive_of_no_bytes_is_refused(prepared: Installation, tmp_path: Path) -> None:
    name = created(prepared)
    archive = prepared.data / "backups" / name
    size = archive.stat().st_size
    archive.write_bytes(b"")
    words = f"{name} cannot be used: it has 0 bytes, but its metadata says {size}."
    refused_and_nothing_changed(prepared, name, words)
    assert prepared.refused("backup", "restore", name) == f"error: {words}\n"


def test_an_archive_of_no_bytes_is_not_taken_in_for_a_restore(prepared: Installation, tmp_path: Path) -> None:
    created(prepared)
    file = tmp_path / "downloaded.db.gz"
    file.touch()
    before = content(live_of(prepared)), state(prepared.data / "backups")
    words = prepared.refused("backup", "add", str(file))
    assert (
        words
        == "error: downloaded.db.gz was not added. This file is not a backup. It looks like an empty file. Nothing was saved.\n"
    )
    assert (content(live_of(prepared)), state(prepared.data / "backups")) == before


def test_while_a_backup_is_made_it_is_told_which_operation_runs(prepared: Installation) -> None:
    name, live = created(prepared), live_of(prepared)
    changed(live, "CREATE TABLE ballast (data)", "INSERT INTO ballast VALUES (randomblob(200000000))")
    before = hashlib.sha256(live.read_bytes()).digest()
    making = subprocess.Popen(
        prepared.command("backup", "create"),
        env=prepared.variables(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert making.stderr is not None
    making.stderr.readline()
    done = prepared.run("backup", "restore", name, "--yes")
    assert making.poll() is None
    making.communicate()
    assert (done.returncode, making.returncode) == (1, 0)
    assert done.stderr.startswith("error: A backup has been running since ")
    assert done.stderr.endswith(" (Command). Try again when it has finished.\n")
    assert hashlib.sha256(live.read_bytes()).digest() == before
    assert [found[:2] for found in operations(prepared)] == [("backup", "succeeded"), ("backup", "succeeded")]
    assert len(listed(prepared)) == 2


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (Path.unlink, "does not exist, so an offline restore is needed."),
        (lambda live: live.write_bytes(b""), "is empty, so an offline restore is needed."),
        (lambda live: live.write_bytes(b"garbage " * 999), "is not an SQLite database, or its header is damaged"),
        (lambda live: live.chmod(0o444), "cannot be written. It belongs to "),
    ],
)
def test_what_is_live_must_be_fit_for_it(prepared: Installation, spoil: Callable[[Path], object], words: str) -> None:
    name, live, folder = created(prepared), live_of(prepared), prepared.data / "backups"
    spoil(live)
    before = live.read_bytes() if live.exists() else None, state(folder)
    prepared.heeds_modes = True
    done = prepared.run("backup", "restore", name, "--yes")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {live} {words}")
    assert (live.read_bytes() if live.exists() else None, state(folder)) == before


def test_a_database_that_is_lost_comes_back_by_prepare_and_restore(prepared: Installation) -> None:
    live = changed(live_of(prepared), "UPDATE filters SET name = 'mine ' || id")
    then, name = content(live), created(prepared)
    live.unlink()
    prepared.ok("prepare")
    assert content(live) != then
    prepared.ok("backup", "restore", name, "--yes")
    assert content(live) == then


def test_a_database_of_another_kind_is_refused_first(prepared: Installation) -> None:
    name = created(prepared)
    dsn = "mysql://db.example/tvarr"
    message = prepared.refused("backup", "restore", name, "--yes", TVARR_DATABASE_DSN=dsn)
    assert message.startswith(
        "error: TVARR_DATABASE_DSN: expected an SQLite file (PATH, file:PATH or sqlite:///PATH), or"
    )
    assert message.endswith(f', got "{dsn}".\n')


_RESTORE = """
import json, os, shutil, subprocess, sys
disk, backups, command, environment = sys.argv[1:]
shutil.copytree(backups, f"{disk}/backups")
done = subprocess.run(json.loads(command), env=json.loads(environment), capture_output=True, text=True)
left = os.listdir(f"{disk}/backups/.work")
print(json.dumps([done.returncode, done.stderr, left]))
"""


def test_without_room_for_it_nothing_is_begun(prepared: Installation, tmp_path: Path) -> None:
    name, live = created(prepared), live_of(prepared)
    before = live.read_bytes()
    disk = tmp_path / "disk"
    disk.mkdir()
    command = json.dumps(prepared.command("backup", "restore", name, "--yes"))
    environment = json.dumps(prepared.variables() | {"TVARR_BACKUP_DIRECTORY": str(disk / "backups")})
    status, words, left = on_small_disk(
        _RESTORE, disk, prepared.data / "backups", command, environment, options="size=300k"
    )
    assert (status, left) == (1, [])
    assert re.fullmatch(
        rf"error: The restore needs about [\d.]+ [MG]B of free space in {disk}/backups, but only [\d.]+ [MG]B is free.\n",
        words,
    )
    assert live.read_bytes() == before


@pytest.mark.django_db
def test_the_right_tool_is_named_for_a_database_that_is_not_sqlite(tmp_path: Path, settings: Any) -> None:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    usual = connections["tvarr"]
    connections["tvarr"] = dummy.DatabaseWrapper(usual.settings_dict, "tvarr")
    try:
        with pytest.raises(
            BackupUnsupported, match=r"Only SQLite databases can be backed up here\. Use pg_dump for PostgreSQL"
        ):
            run_here(OperationKind.RESTORE, origin=Origin.COMMAND, arguments={"filename": "any"})
    finally:
        connections["tvarr"] = usual
    assert not Operation.objects.exists()
    assert not (tmp_path / "backups").exists()
