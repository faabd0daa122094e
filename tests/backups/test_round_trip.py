"""A backup of one installation can be added, verified and restored by another one, and by the first."""

from __future__ import annotations

import gzip
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from tests.backups.makers import backup, changed, ours, query, required, settled, tvarrs, with_ballast
from tests.backups.test_examine import in_encoding
from tvarr_backup.backups.adopt import adopt_backup
from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.restore import restore_backup
from tvarr_backup.backups.verify import verify_backup

SHAPES: dict[str, Callable[[Path], Path]] = {
    "in WAL mode": tvarrs,
    "in rollback-journal mode": lambda path: settled(tvarrs(path)),
    "pages of 512 bytes": lambda path: in_pages(path, 512),
    "pages of 64 KiB": lambda path: in_pages(path, 65536),
    "auto_vacuum": lambda path: changed(
        settled(tvarrs(path)), "PRAGMA auto_vacuum=1", "VACUUM", "PRAGMA journal_mode=WAL"
    ),
    "incremental auto_vacuum": lambda path: changed(
        settled(tvarrs(path)), "PRAGMA auto_vacuum=2", "VACUUM", "PRAGMA journal_mode=WAL"
    ),
    "UTF-16": lambda path: in_encoding(tvarrs(path), path.with_name("utf16.db"), "UTF-16le").replace(path),
    "free pages": lambda path: changed(with_ballast(tvarrs(path), 1), "DROP TABLE ballast"),
    "a STRICT table": lambda path: tvarrs(path, "CREATE TABLE own (a INTEGER) STRICT", "INSERT INTO own VALUES (1)"),
    "a table WITHOUT ROWID": lambda path: tvarrs(
        path, "CREATE TABLE own (a PRIMARY KEY, b) WITHOUT ROWID", "INSERT INTO own VALUES (1, 2)"
    ),
    "a generated column and a check": lambda path: tvarrs(
        path, "CREATE TABLE own (a INTEGER CHECK (a > 0), b AS (a + 1))", "INSERT INTO own VALUES (1)"
    ),
    "an index on an expression": lambda path: tvarrs(path, "CREATE INDEX own ON filters (lower(name))"),
    "marks of its own": lambda path: tvarrs(path, "PRAGMA user_version=77", "PRAGMA application_id=88"),
    "names that need quotes": lambda path: tvarrs(path, 'CREATE TABLE "a ""b"" [c]" ("updated_at" datetime)'),
    "texts that are not UTF-8": lambda path: tvarrs(path, "UPDATE filters SET name = CAST(x'ff41' AS TEXT)"),
    "ours": ours,
}


def in_pages(path: Path, size: int) -> Path:
    return changed(settled(tvarrs(path)), f"PRAGMA page_size={size}", "VACUUM", "PRAGMA journal_mode=WAL")


def rows(path: Path) -> list[tuple[object, ...]]:
    """Every row of every table, whatever its form in the file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        quoted = [table.decode().replace('"', '""') for (table,) in tables]
        return [row for table in quoted for row in connection.execute(f'SELECT * FROM "{table}"')]


def unpacked(folder: Path, made: Backup) -> Path:
    path = folder.with_name(f"{folder.name}.db")
    path.write_bytes(gzip.decompress((folder / made.filename).read_bytes()))
    return path


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("entrance", ["archive", "database"])
def test_what_is_backed_up_here_is_added_there(tmp_path: Path, shape: str, entrance: str) -> None:
    live = SHAPES[shape](tmp_path / "live.db")
    here, there = (prepare_folder(tmp_path / name) for name in ("here", "there"))
    made = backup(live, here)
    source = tmp_path / made.filename
    shutil.copy(here / made.filename, source)
    if entrance == "database":
        source = Path(shutil.copy(unpacked(here, made), tmp_path / "copy.db"))
    added = adopt_backup(source, there, required())
    assert added.sidecar.database_checksum == made.sidecar.database_checksum
    assert added.sidecar.table_counts == made.sidecar.table_counts
    assert verify_backup(there, added.filename, required()).problems == ()
    assert rows(unpacked(there, added)) == rows(live)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_copy_of_the_file_itself_is_added_as_well(tmp_path: Path, shape: str) -> None:
    live = SHAPES[shape](tmp_path / "live.db")
    there = prepare_folder(tmp_path / "there")
    added = adopt_backup(Path(shutil.copy(live, tmp_path / "copy.db")), there, required(), live=live)
    assert rows(unpacked(there, added)) == rows(live)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape not in ("UTF-16", "ours")])
def test_what_was_added_is_restored_on_the_other_server(tmp_path: Path, shape: str) -> None:
    made = backup(SHAPES[shape](tmp_path / "first.db"), prepare_folder(tmp_path / "here"))
    live, there = tvarrs(tmp_path / "second.db", "DELETE FROM filters"), prepare_folder(tmp_path / "there")
    added = adopt_backup(tmp_path / "here" / made.filename, there, required())
    restore_backup(live, there, added.filename, required(), migrate=lambda _copy: None)
    assert rows(live) == rows(tmp_path / "first.db")
    assert query(live, "PRAGMA integrity_check") == "ok"


def test_the_time_survives_two_servers(tmp_path: Path) -> None:
    moment = datetime(2026, 3, 2, 2, tzinfo=UTC)
    folders = [prepare_folder(tmp_path / name) for name in ("first", "second", "third")]
    found = backup(tvarrs(tmp_path / "live.db"), folders[0], now=moment)
    for here, there in pairwise(folders):
        found = adopt_backup(here / found.filename, there, required())
    assert (found.sidecar.created_at, found.sidecar.created_at_source) == (moment, "metadata")
