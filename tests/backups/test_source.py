"""Files from elsewhere are opened only if no program uses them, copied with their journals, and not changed."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.backups.makers import changed, died_in_wal_mode, packed, query, settled, state, tvarrs
from tests.backups.test_in_use import held
from tvarr_backup.backups.progress import Phase, no_progress
from tvarr_backup.backups.source import copy_aside, open_source, settle
from tvarr_backup.errors import ArchiveDamaged, JournalUnusable, SourceChanged, SourceInUse, UploadRefused

WRITE = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    (tmp_path / "incoming").mkdir()
    return tvarrs(tmp_path / "incoming" / "tvarr.db")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "staged.db"


def copied(path: Path, target: Path) -> bool:
    """Copy and recover; whether the copy was in WAL mode."""
    with open_source(path, path.name, None) as source:
        copy_aside(source, target, no_progress)
        was_wal, _ = settle(target, source, no_progress)
        return was_wal


def refused(path: Path, kind: type[UploadRefused]) -> str:
    """The sentence of a refusal that changes nothing."""
    before = {each.name: each.lstat().st_mtime_ns for each in path.parent.iterdir()}
    with pytest.raises(kind) as problem, open_source(path, path.name, None):
        pass
    assert type(problem.value) is kind
    assert {each.name: each.lstat().st_mtime_ns for each in path.parent.iterdir()} == before
    return str(problem.value)


@pytest.mark.parametrize("statement", ["SELECT 1", "BEGIN IMMEDIATE", "PRAGMA journal_mode=DELETE"])
def test_a_database_in_another_program_is_refused_with_its_name(database: Path, statement: str) -> None:
    with held(database, statement) as pid:
        words = refused(database, SourceInUse)
    assert words.startswith(f"{database} is open in python")
    assert f"(pid {pid}), so it may change at any moment. Nothing was saved. Stop that program" in words
    assert SourceInUse.code == "source_in_use"


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_database_of_this_process_keeps_its_locks(database: Path, mode: str) -> None:
    changed(database, f"PRAGMA journal_mode={mode}")
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert f"(pid {os.getpid()})" in refused(database, SourceInUse)
        other = subprocess.run([sys.executable, "-c", WRITE, database], capture_output=True, text=True, check=False)
        assert "database is locked" in other.stderr


def test_it_is_refused_under_another_name_as_well(database: Path) -> None:
    other = database.with_name("other.db")
    other.hardlink_to(database)
    with held(database):
        assert "other.db is open in" in refused(other, SourceInUse)


def test_a_program_that_only_its_lock_shows_is_refused(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tvarr_backup.backups.source.find_users", lambda _paths: iter(()))  # as in another container
    with held(database, "SELECT 1"):
        assert "is open in python" in refused(database, SourceInUse)


def test_a_database_that_changes_while_it_is_copied_is_refused(database: Path, target: Path) -> None:
    def progress(phase: Phase, _done: int, _total: int) -> None:
        assert phase is Phase.RECEIVE
        changed(database, "UPDATE filters SET name = 'changed'")

    with open_source(database, "tvarr.db", None) as source, pytest.raises(SourceChanged) as problem:
        copy_aside(source, target, progress)
    assert "tvarr.db changed while it was being copied, so a program is using it. Nothing was saved." in str(
        problem.value
    )


def test_the_shared_memory_of_a_dead_machine_is_left_where_it_is(database: Path, target: Path) -> None:
    died_in_wal_mode(database)
    database.with_name("tvarr.db-shm").write_bytes(b"rubbish" * 9999)
    before = state(database.parent)
    assert copied(database, target)
    assert state(database.parent) == before
    assert query(target, "SELECT count(*) FROM filters WHERE deleted_at IS NULL") == 3
    assert sorted(path.name for path in target.parent.iterdir()) == ["incoming", "staged.db"]


@pytest.mark.parametrize("end", [0.3, 0.5, 0.99])
def test_a_wal_that_ends_in_the_middle_gives_whole_commits(database: Path, target: Path, end: float) -> None:
    wal = died_in_wal_mode(database).with_name("tvarr.db-wal")
    os.truncate(wal, int(wal.stat().st_size * end))
    copied(database, target)
    assert query(target, "PRAGMA integrity_check") == "ok"


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_a_wal_of_any_page_size_is_applied(database: Path, target: Path, page_size: int) -> None:
    changed(settled(database), f"PRAGMA page_size={page_size}", "VACUUM", "PRAGMA journal_mode=WAL")
    content = database.read_bytes()
    died_in_wal_mode(database)
    wal = database.with_name("tvarr.db-wal")
    wal.unlink()
    database.with_name("tvarr.db-shm").unlink(missing_ok=True)
    database.write_bytes(content)
    subprocess.run([sys.executable, "-c", DIE, database], check=False)
    copied(database, target)
    assert (query(target, "SELECT name FROM filters"), query(target, "PRAGMA page_size")) == ("newest", page_size)


DIE = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("UPDATE filters SET name = 'newest'")
os._exit(0)
"""


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda _wal: b"not a journal" * 9, "tvarr.db-wal is not the write-ahead log of this database."),
        (lambda wal: wal[:8] + (8192).to_bytes(4) + wal[12:], "is not the write-ahead log of this database."),
    ],
)
def test_a_wal_of_something_else_is_refused(database: Path, spoil: object, words: str) -> None:
    wal = died_in_wal_mode(database).with_name("tvarr.db-wal")
    wal.write_bytes(spoil(wal.read_bytes()))  # type: ignore[operator]
    found = refused(database, JournalUnusable)
    assert words in found
    assert "Nothing was saved." in found


def test_a_journal_that_is_no_file_is_refused(database: Path) -> None:
    database.with_name("tvarr.db-wal").symlink_to("elsewhere" * 9)
    assert "tvarr.db-wal cannot be read: Too many levels of symbolic links." in refused(database, UploadRefused)


def test_what_sqlite_does_not_count_is_cut_off(database: Path, target: Path) -> None:
    size = settled(database).stat().st_size
    with database.open("ab") as file:
        file.write(bytes(8192) + b"left over")
    copied(database, target)
    assert target.stat().st_size == size


def test_two_databases_one_after_the_other_are_refused(database: Path, target: Path) -> None:
    database.write_bytes(settled(database).read_bytes() * 2)
    with pytest.raises(ArchiveDamaged, match="It contains two databases in a row"):
        copied(database, target)


def test_an_archive_that_another_program_reads_cannot_change_unseen(database: Path) -> None:
    archive = packed(database.with_name("tvarr.db.gz"), database)
    code = "import sys; file = open(sys.argv[1], 'rb'); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(archive)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        with open_source(archive, archive.name, None) as source:
            assert not source.is_database
        reader.communicate()
