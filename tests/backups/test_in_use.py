"""Find the program that has a file open, by its descriptors and locks."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.backups.makers import tvarrs
from tvarr_backup.backups.in_use import RunningProgram, find_locker, find_users

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute(sys.argv[2])
connection.execute("SELECT count(*) FROM filters").fetchone()
print("open", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(path: Path, statement: str = "BEGIN IMMEDIATE") -> Iterator[int]:
    """Another program that has the database open; its process number."""
    command = [sys.executable, "-c", HOLD, str(path), statement]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"open\n"
        yield program.pid
        program.communicate()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tvarrs(tmp_path / "copy.db")


def find_user(paths: list[Path]) -> RunningProgram | None:
    return next(find_users(paths), None)


def test_a_file_that_nobody_has_open_has_no_user(database: Path) -> None:
    assert find_user([database, database.with_name("missing")]) is None
    with database.open("rb") as file:
        assert find_locker(file) is None


def test_another_program_is_found_by_its_descriptor(database: Path) -> None:
    with held(database, "SELECT 1") as pid:
        found = find_user([database])
        assert found is not None
        assert (found.pid, str(found)) == (pid, f"{found.name} (pid {pid})")
        assert "python" in found.name


def test_it_is_found_by_the_journal_alone_and_by_another_name(database: Path) -> None:
    other = database.with_name("other.db")
    other.hardlink_to(database)
    with held(database) as pid:
        found = [find_user([path]) for path in (database.with_name("copy.db-wal"), other)]
    assert [program and program.pid for program in found] == [pid, pid]


@pytest.mark.parametrize("statement", ["SELECT 1", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_another_program_is_found_by_its_lock(database: Path, statement: str) -> None:
    with held(database, statement) as pid, database.open("rb") as file:
        found = find_locker(file)
        assert found is not None
        assert found.pid == pid


def test_this_program_is_found_as_well(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("SELECT * FROM filters").fetchone()
        found = find_user([database])
        assert found is not None
        assert found.pid == os.getpid()


def test_a_program_that_cannot_be_seen_has_no_number() -> None:
    assert str(RunningProgram("another program", 0)) == "another program"
