"""Databases on a disk that is mounted read-only."""

from __future__ import annotations

from pathlib import Path

from tests.backups.makers import on_small_disk
from tests.tvarr_own import build_tvarr_database
from tvarr_backup.sqlite_uri import uri_of

_READ = """
import json, shutil, sqlite3, subprocess, sys
from pathlib import Path
from tvarr_backup.sqlite_uri import uri_of
disk, source, has_changes = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "True"
live = disk / "tvarr.db"
with_changes = sqlite3.connect(source, isolation_level=None)
with_changes.execute("PRAGMA journal_mode=WAL")
with_changes.execute("UPDATE filters SET name = 'changed'")
if not has_changes:
    with_changes.execute("PRAGMA wal_checkpoint(TRUNCATE)")
shutil.copyfile(source, live)
shutil.copyfile(f"{source}-wal", f"{live}-wal")
subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
try:
    connection = sqlite3.connect(uri_of(live, "rw"), uri=True)
    found = connection.execute("SELECT DISTINCT name FROM filters").fetchall()
except sqlite3.Error as problem:
    found = str(problem)
print(json.dumps(found))
"""


def test_an_ordinary_disk_needs_nothing_special(tmp_path: Path) -> None:
    assert uri_of(tmp_path / "tvarr.db", "rw") == f"file:{tmp_path}/tvarr.db?mode=rw"
    assert uri_of(tmp_path / "missing" / "tvarr.db", "ro").endswith("?mode=ro")


def test_a_database_without_changes_in_its_wal_is_read(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    source = build_tvarr_database(tmp_path / "tvarr.db")
    assert on_small_disk(_READ, tmp_path / "disk", source, False) == [["changed"]]


def test_changes_in_its_wal_are_never_passed_over(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    source = build_tvarr_database(tmp_path / "tvarr.db")
    assert on_small_disk(_READ, tmp_path / "disk", source, True) == "unable to open database file"
