"""The command `backup`, in real processes."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import termios
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.backups.makers import died_in_wal_mode, settled, state, tvarrs
from tests.installation import Installation
from tests.management.terminals import type_into
from tests.tvarr_own import build_tvarr_database, schema_of
from tvarr_backup.backups.archive_header import HEADER_BYTES, add_metadata
from tvarr_backup.backups.catalogue import find_backup


@pytest.fixture
def attached_installation(installation: Installation, tmp_path: Path) -> Installation:
    """Prepared on a database that tvarr made."""
    installation.environment["TVARR_DATABASE_DSN"] = str(build_tvarr_database(tmp_path / "tvarr.db"))
    return installation.prepared()


def folder_of(installation: Installation) -> Path:
    return installation.data / "backups"


def names_in(folder: Path) -> set[str]:
    if not folder.exists():  # no backup has been made
        return set()
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def create(installation: Installation, *arguments: str) -> dict[str, Any]:
    made: dict[str, Any] = installation.json("backup", "create", "--json", *arguments)
    return made


def operations(installation: Installation) -> list[tuple[str, str, str]]:
    with closing(sqlite3.connect(installation.data / "app.db")) as connection:
        rows = connection.execute("SELECT kind, state, origin FROM operations_operation ORDER BY id").fetchall()
        return [(kind, state, origin) for kind, state, origin in rows]


def test_a_backup_is_what_its_metadata_says(attached_installation: Installation, tmp_path: Path) -> None:
    before = schema_of(tmp_path / "tvarr.db")
    made = create(attached_installation, "--note", "before the new provider")
    archive = folder_of(attached_installation) / made["filename"]
    subprocess.run(["gzip", "-t", archive], check=True)
    assert made["checksum"] == "sha256:" + hashlib.sha256(archive.read_bytes()).hexdigest()
    assert (
        json.loads(archive.with_name(made["filename"].replace(".db.gz", ".meta.json")).read_text())["note"]
        == made["note"]
    )
    copy = tmp_path / "copy.db"
    copy.write_bytes(gzip.decompress(archive.read_bytes()))
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for table, number in made["table_counts"].items():
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            live = " WHERE deleted_at IS NULL" if "deleted_at" in columns else ""
            assert connection.execute(f"SELECT count(*) FROM {table}{live}").fetchone() == (number,), table
    assert schema_of(tmp_path / "tvarr.db") == before
    assert made["table_counts"]["filters"] > 0


def test_a_fresh_installation_can_be_backed_up(prepared: Installation) -> None:
    made = create(prepared)
    assert made["schema"].startswith("tvarr-backup 0002")
    assert (made["kind"], made["state"], made["seq"]) == ("manual", "checked", 1)


def test_every_operation_is_recorded(prepared: Installation) -> None:
    name = create(prepared)["filename"]
    prepared.ok("backup", "verify", name)
    prepared.ok("backup", "prune")
    prepared.refused("backup", "add", "nothing-here.gz")
    prepared.ok("backup", "delete", name, "--yes")
    assert operations(prepared) == [
        ("backup", "succeeded", "command"),
        ("verify", "succeeded", "command"),
        ("prune", "succeeded", "command"),
        ("adopt", "failed", "command"),
        ("delete", "succeeded", "command"),
    ]


def test_backups_are_listed_as_text_and_as_json(prepared: Installation) -> None:
    assert prepared.ok("backup", "list") == f"There are no backups in {folder_of(prepared)} yet.\n"
    first, second = create(prepared, "--note", "one"), create(prepared)
    (folder_of(prepared) / "holiday.jpg").write_bytes(b"")
    (folder_of(prepared) / "tvarr-backup-2026-01-01T00-00-00.db.gz").write_bytes(b"half")
    listed = prepared.json("backup", "list", "--json")
    assert [backup["filename"] for backup in listed["backups"]] == [second["filename"], first["filename"]]
    assert listed["foreign"] == ["holiday.jpg"]
    assert "is missing" in listed["broken"][0]["reason"]
    headings, *rows, total, broken, others = prepared.ok("backup", "list").splitlines()
    assert headings.split() == ["#", "Created", "Kind", "Size", "State", "Note", "Name"]
    assert [row.split()[0] for row in rows] == ["1", "2"]
    assert re.fullmatch(rf"2  20\S+ \S+ \S+ +Manual  [0-9.]+ kB  Verified  one +{first['filename']}", rows[1])
    assert re.fullmatch(r"2 backups, [0-9.]+ kB", total)
    assert "BROKEN: its metadata file" in broken
    assert others == f"Other files in {folder_of(prepared)}: 1"


def test_the_list_cuts_long_notes_and_says_what_is_protected(prepared: Installation) -> None:
    name = create(prepared, "--note", "n" * 100)["filename"]
    prepared.ok("backup", "protect", "latest")
    row = prepared.ok("backup", "list").splitlines()[1]
    assert row.endswith(f"Verified, protected  {'n' * 39}…  {name}")


def test_one_can_be_shown(prepared: Installation) -> None:
    made = create(prepared)
    assert prepared.json("backup", "show", made["filename"], "--json") == made
    assert f"checksum: {made['checksum']}" in prepared.ok("backup", "show", made["filename"])


def test_what_is_shown_has_no_words_of_python(prepared: Installation) -> None:
    shown = prepared.ok("backup", "show", create(prepared)["filename"])
    assert "\nprotected: no\n" in shown
    assert "\nprotected_until: -\n" in shown
    assert not re.search(r"\b(?:None|True|False)\b|[{}]", shown)


# --- Names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["latest", "latest~0", "1", "{start}"])
def test_every_action_knows_several_names_of_a_backup(prepared: Installation, name: str) -> None:
    create(prepared)
    made = create(prepared)["filename"]
    name = name.format(start=made[:-5])
    assert prepared.json("backup", "show", name, "--json")["filename"] == made
    assert prepared.ok("backup", "verify", name).startswith(f"{made}: OK")
    assert prepared.ok("backup", "protect", name, "--off") == f"{made} is not protected\n"
    assert prepared.ok("backup", "note", name, "x") == f"Changed the note of {made}\n"
    assert prepared.ok("backup", "restore", name).startswith(f"{made} would replace")
    if name != "1":
        assert prepared.ok("backup", "delete", name, "--yes") == f"Deleted {made}\n"


@pytest.mark.parametrize("action", ["delete", "restore"])
def test_a_number_is_refused_where_nobody_is_asked(prepared: Installation, action: str) -> None:
    create(prepared)
    assert "may be another backup by now" in prepared.refused("backup", action, "1", "--yes")
    assert operations(prepared) == [("backup", "succeeded", "command")]


def test_a_start_of_several_names_is_refused_with_some_of_them(prepared: Installation) -> None:
    names = [create(prepared)["filename"] for _ in range(2)]
    words = prepared.refused("backup", "show", "tvarr-backup-2")
    assert all(name in words for name in names)


def test_a_note_is_replaced_and_removed(prepared: Installation) -> None:
    create(prepared, "--note", "old")
    assert prepared.json("backup", "note", "latest", "new", "--json")["note"] == "new"
    assert prepared.ok("backup", "note", "latest", "").startswith("Removed the note of ")
    assert prepared.json("backup", "show", "latest", "--json")["note"] == ""
    assert "at most 500 characters" in prepared.refused("backup", "note", "latest", "x" * 501)


# --- Deleting several ------------------------------------------------------------------------------------------------


def test_several_backups_are_deleted_once_each(prepared: Installation) -> None:
    first, second, third = (create(prepared)["filename"] for _ in range(3))
    done = prepared.json("backup", "delete", "latest", first, third, "--yes", "--json")
    assert done == {"removed": [third, first]}
    assert [backup["filename"] for backup in prepared.json("backup", "list", "--json")["backups"]] == [second]


@pytest.mark.parametrize("bad", ["protected", "missing"])
def test_if_one_cannot_be_deleted_none_is(prepared: Installation, bad: str) -> None:
    first, second = (create(prepared)["filename"] for _ in range(2))
    if bad == "protected":
        prepared.ok("backup", "protect", second)
    other = second if bad == "protected" else "tvarr-backup-2026-01-01T00-00-00.db.gz"
    prepared.refused("backup", "delete", first, other, "--yes")
    assert len(prepared.json("backup", "list", "--json")["backups"]) == 2


def test_without_yes_and_a_terminal_nothing_is_deleted(prepared: Installation) -> None:
    name = create(prepared)["filename"]
    words = prepared.refused("backup", "delete", "latest")
    assert name in words
    assert "Add --yes to delete." in words
    assert len(prepared.json("backup", "list", "--json")["backups"]) == 1


@pytest.mark.parametrize(
    ("typed", "left"), [(b"y\n", 0), (b"Yes\n", 0), (b"n\n", 1), (b"\n", 1), (b"\xff\n", 1), (b"\x03", 1), (b"\x04", 1)]
)
def test_a_terminal_is_asked_before_a_deletion(prepared: Installation, typed: bytes, left: int) -> None:
    create(prepared)
    status, shown = type_into(prepared, typed, "backup", "delete", "1")
    assert "Delete 1 backup? [y/N]" in shown
    assert "Traceback" not in shown
    assert (status == 0) is (left == 0)
    assert len(prepared.json("backup", "list", "--json")["backups"]) == left


def test_verification_finds_a_damaged_backup(prepared: Installation) -> None:
    good, bad = create(prepared)["filename"], create(prepared)["filename"]
    archive = folder_of(prepared) / bad
    raw = bytearray(archive.read_bytes())
    raw[len(raw) // 2] ^= 1
    archive.write_bytes(raw)
    assert prepared.ok("backup", "verify", good) == f"{good}: OK (9 checks)\n"
    assert prepared.json("backup", "show", good, "--json")["checked"]["level"] == "full"
    done = prepared.run("backup", "verify", "--all")
    assert (done.returncode, f"{bad}: DAMAGED" in done.stdout) == (1, True)
    assert "1 of 2 backups has problems." in done.stderr
    assert prepared.json("backup", "show", bad, "--json")["state"] == "damaged"
    assert operations(prepared)[-1][:2] == ("verify", "attention")


def test_without_backups_nothing_is_verified(prepared: Installation) -> None:
    assert prepared.ok("backup", "verify", "--all") == "There are no backups.\n"
    assert prepared.json("backup", "verify", "--all", "--json") == {"verified": [], "broken": []}


def test_a_protected_one_is_not_deleted_until_the_protection_is_lifted(prepared: Installation) -> None:
    name = create(prepared)["filename"]
    assert prepared.json("backup", "protect", name, "--note", "keep me", "--json")["protected"] is True
    assert f"{name} is protected. Unprotect it first" in prepared.refused("backup", "delete", name, "--yes")
    assert prepared.ok("backup", "protect", name, "--off") == f"{name} is not protected\n"
    assert prepared.json("backup", "show", name, "--json")["note"] == "keep me"
    assert prepared.ok("backup", "delete", name, "--yes") == f"Deleted {name}\n"
    assert names_in(folder_of(prepared)) == set()


@pytest.mark.parametrize("action", ["add", "adopt"])
def test_a_backup_moves_to_another_installation(action: str, prepared: Installation, tmp_path: Path) -> None:
    made = create(prepared, "--note", "from the attic")
    prepared.ok("backup", "protect", made["filename"])
    other = Installation(tmp_path / "other").prepared()
    added = other.json("backup", action, str(folder_of(prepared) / made["filename"]), "--json")
    for member in ("table_counts", "schema", "note", "database_checksum", "created_at"):
        assert added[member] == made[member], member
    assert (added["kind"], added["imported"], added["protected"]) == ("uploaded", True, True)
    assert added["original_kind"] == "manual"


def test_a_downloaded_file_has_everything(prepared: Installation, tmp_path: Path) -> None:
    made = create(prepared, "--note", "from the attic")
    prepared.ok("backup", "protect", made["filename"])
    backup, other = find_backup(folder_of(prepared), made["filename"]), Installation(tmp_path / "other").prepared()
    stored = (folder_of(prepared) / made["filename"]).read_bytes()
    (tmp_path / "x.gz").write_bytes(add_metadata(stored[:HEADER_BYTES], backup.sidecar) + stored[HEADER_BYTES:])
    added = other.json("backup", "add", str(tmp_path / "x.gz"), "--json")
    for member in ("filename", "note", "tvarr_version", "created_at", "checksum", "protected_until"):
        assert added[member] == made[member], member
    assert (added["protected"], added["original_kind"]) == (True, "manual")
    again = other.run("backup", "add", str(tmp_path / "x.gz"))
    assert (again.returncode, made["filename"] in again.stderr) == (1, True)


def test_a_dead_machines_database_is_added_with_its_date_unknown(prepared: Installation, tmp_path: Path) -> None:
    (tmp_path / "dead").mkdir()
    source = died_in_wal_mode(tmp_path / "dead" / "tvarr.db")
    before = state(tmp_path / "dead")
    added = prepared.json("backup", "add", str(source), "--json")
    assert (added["created_at_source"], added["newest_row_at"]) == ("newest_row", "2026-03-01T15:00:00.123456Z")
    assert (added["table_counts"]["filters"], added["wal_missing"]) == (3, False)
    assert state(tmp_path / "dead") == before
    assert "date unknown, newest row 1 Mar 2026, 15:00" in prepared.ok("backup", "list")
    assert prepared.ok("backup", "show", added["filename"]).startswith("Date unknown, newest row 1 Mar 2026, 15:00\n")


def test_without_the_journal_the_command_warns(prepared: Installation, tmp_path: Path) -> None:
    source = died_in_wal_mode(tmp_path / "tvarr.db")
    source.with_name("tvarr.db-wal").unlink()
    done = prepared.run("backup", "add", str(source))
    assert "warning: date unknown, newest row 1 Mar 2026, 15:00" in done.stdout
    assert "came without its -wal file" in done.stderr
    assert done.returncode == 0


def test_what_a_restore_loses_is_counted_from_the_newest_row(
    attached_installation: Installation, tmp_path: Path
) -> None:
    source = settled(tvarrs(tmp_path / "copy.db"))
    name = attached_installation.json("backup", "add", str(source), "--json")["filename"]
    preview = attached_installation.ok("backup", "restore", name)
    assert " of changes (since 2026-03-01 15:00:00 UTC; date unknown, newest row 1 Mar 2026, 15:00) would be" in preview
    shown = attached_installation.json("backup", "restore", name, "--json")
    assert (shown["created_at_source"], shown["newest_row_at"]) == ("newest_row", "2026-03-01T15:00:00.123456Z")


def test_a_database_in_use_is_refused_with_the_programs_name(prepared: Installation, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tvarrs(tmp_path / "tvarr.db"))) as connection:
        connection.execute("SELECT * FROM filters").fetchone()
        words = prepared.refused("backup", "add", str(tmp_path / "tvarr.db"))
    assert "is open in python" in words
    assert f"(pid {os.getpid()})" in words


def test_our_own_database_is_not_even_opened(prepared: Installation) -> None:
    words = prepared.refused("backup", "add", str(prepared.data / "app.db"))
    assert "app.db is open in" in words


def test_the_live_database_is_not_added(prepared: Installation) -> None:
    words = prepared.refused("backup", "add", str(prepared.data / "tvarr.db"))
    assert "is the live database. Nothing was saved. To back it up, run `backup create`." in words


@pytest.mark.parametrize("setting", ["environment", "settings page"])
def test_cleanup_deletes_what_a_dry_run_lists(prepared: Installation, setting: str) -> None:
    create(prepared)
    names = [create(prepared)["filename"] for _ in range(3)]
    _make_scheduled(prepared, names)
    if setting == "environment":
        prepared.environment["TVARR_BACKUP_SCHEDULE_RETENTION"] = "1"
    else:
        with closing(sqlite3.connect(prepared.data / "app.db")) as connection, connection:
            connection.execute(
                "INSERT INTO operations_backupsettings (id, cron, time_zone, keep, keep_all, max_age, rehearsal_interval) "
                "VALUES (1, '', '', 1, false, '', '')"
            )
    announced = prepared.json("backup", "prune", "--dry-run", "--json")["removed"]
    assert announced == names[:2]
    assert prepared.ok("backup", "prune").splitlines() == [f"Deleted {name}" for name in announced]
    assert prepared.ok("backup", "prune") == "There is nothing to delete.\n"


def _make_scheduled(installation: Installation, names: list[str]) -> None:
    for name in names:
        path = folder_of(installation) / name.replace(".db.gz", ".meta.json")
        path.write_text(path.read_text().replace('"kind": "manual"', '"kind": "scheduled"'))


def test_recovery_lists_what_it_removed(prepared: Installation) -> None:
    name = create(prepared)["filename"]
    (folder_of(prepared) / ".work" / "snapshot.db").write_bytes(b"half")
    assert prepared.ok("backup", "recover") == "Removed .work/snapshot.db\n"
    assert prepared.ok("backup", "recover") == "There was nothing to clean up.\n"
    assert prepared.json("backup", "verify", name, "--json")["problems"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "../../etc/passwd"), 'There is no backup "../../etc/passwd".'),
        (
            ("show", "tvarr-backup-2026-01-01T00-00-00.db.gz"),
            'There is no backup "tvarr-backup-2026-01-01T00-00-00.db.gz".',
        ),
        (("verify", "tvarr-backup-2026-01-01T00-00-00.db.gz"), "There is no backup"),
        (("protect", "x"), 'There is no backup "x".'),
        (("delete", "x", "--yes"), 'There is no backup "x".'),
        (("create", "--note", "x" * 501), "Expected a note of at most 500 characters, got 501 characters."),
        (("create", "--note", "two\nlines"), "Expected a note of one line without control characters"),
        (("add", "missing.db.gz"), "missing.db.gz cannot be read: No such file or directory."),
    ],
)
def test_invalid_input_is_refused(prepared: Installation, arguments: tuple[str, ...], words: str) -> None:
    assert words in prepared.refused("backup", *arguments)
    assert names_in(folder_of(prepared)) == set()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("TVARR_BACKUP_SCHEDULE_RETENTION", "0", "a whole number from 1 to 100000"),
        ("TVARR_BACKUP_SCHEDULE_MAX_AGE", "soon", "a duration from 1h to 9999w"),
    ],
)
def test_an_invalid_setting_stops_it(prepared: Installation, name: str, value: str, expected: str) -> None:
    message = prepared.refused("backup", "create", **{name: value})
    assert message.startswith(f"error: {name}: expected {expected}")
    assert f'got "{value}"' in message


def test_nothing_is_done_before_the_first_preparation(installation: Installation) -> None:
    words = installation.refused("backup", "create")
    assert f"{installation.data}/tvarr.db does not exist." in words
    assert "`manage.py prepare` creates an empty one" in words
    assert not installation.data.exists()


def test_a_second_operation_is_refused_and_names_the_first(prepared: Installation) -> None:
    with closing(sqlite3.connect(prepared.data / "tvarr.db")) as connection, connection:
        connection.execute("CREATE TABLE ballast (data)")
        connection.executemany("INSERT INTO ballast VALUES (randomblob(1000000))", [()] * 200)
    first = subprocess.Popen(
        prepared.command("backup", "create"),
        env=prepared.variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert first.stderr is not None
    first.stderr.readline()
    words = prepared.refused("backup", "create")
    assert "A backup has been running since" in words
    assert first.wait(timeout=60) == 0
    first.communicate()
    assert len(prepared.json("backup", "list", "--json")["backups"]) == 1


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_and_nothing_is_left_behind(prepared: Installation, signal_number: int) -> None:
    with closing(sqlite3.connect(prepared.data / "tvarr.db")) as connection, connection:
        connection.execute("CREATE TABLE ballast (data)")
        connection.executemany("INSERT INTO ballast VALUES (randomblob(1000000))", [()] * 300)
    process = subprocess.Popen(
        prepared.command("backup", "create"),
        env=prepared.variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal_number)
    _out, words = process.communicate(timeout=30)
    assert (process.returncode, "No partial files are left." in words) == (130, True), words
    assert names_in(folder_of(prepared)) == set()
    assert not list((folder_of(prepared) / ".work").iterdir())
    assert operations(prepared) == [("backup", "interrupted", "command")]


def test_a_terminal_shows_a_bar(prepared: Installation) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 80))
    process = subprocess.Popen(
        prepared.command("backup", "create"), env=prepared.variables(), stdout=subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
    process.communicate()
    os.close(ours)
    assert process.returncode == 0
    assert b"Packing:" in shown
    assert b"\r" in shown


def test_without_a_terminal_there_are_plain_lines(prepared: Installation) -> None:
    done = prepared.run("backup", "create")
    lines = done.stderr.splitlines()
    if "Verifying" in lines:  # shown only if it takes longer than packing
        lines.remove("Verifying")
    assert lines == ["Copying the database", "Packing", "Saving to the backup folder"]
    assert done.stdout.startswith("Created tvarr-backup-")
