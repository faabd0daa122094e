"""Malicious files: the reasons for refusing them, and the cost of finding out."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.backups.hostile import COSTLY, HIDDEN_CODE, hostile
from tests.backups.makers import NOW, packed, required, settled, slow_to_check, state, tvarrs, tvarrs_old_backup
from tvarr_backup.backups import apart
from tvarr_backup.backups.adopt import adopt_backup
from tvarr_backup.backups.apart import Apart, examining_apart, settle_and_date
from tvarr_backup.backups.examine import Examined, examine
from tvarr_backup.backups.limits import limits_for
from tvarr_backup.backups.progress import Phase
from tvarr_backup.backups.restore import restore_backup
from tvarr_backup.backups.sidecar import CheckLevel
from tvarr_backup.backups.verify import verify_backup
from tvarr_backup.errors import ExaminationTooCostly, OperationCancelled, RestoreRefused, UploadRefused

A_SECOND = 1.0


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    (tmp_path / "incoming").mkdir()
    return tmp_path / "incoming"


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """One second of computing time for each file, so that the tests need not wait for the real limit."""
    from tvarr_backup.backups import limits  # noqa: PLC0415

    monkeypatch.setattr(limits, "_LEAST_CPU_SECONDS", 1)


def without(folder: Path, call: Callable[[], object], error: type[Exception]) -> str:
    """The words of a refusal that leaves everything as it was."""
    before = state(folder)
    with pytest.raises(error) as problem:
        call()
    assert state(folder) == before
    return str(problem.value)


@pytest.mark.parametrize("name", HIDDEN_CODE)
@pytest.mark.parametrize("accept_code", [False, True])
def test_a_schema_table_that_sqlite_has_not_written_is_refused_always(
    name: str, folder: Path, incoming: Path, *, accept_code: bool
) -> None:
    file = hostile(incoming / "copy.db", HIDDEN_CODE[name])
    words = without(folder, lambda: adopt_backup(file, folder, required(), accept_code=accept_code), UploadRefused)
    assert "was not written by SQLite" in words
    assert "Such a file cannot be accepted." in words


@pytest.mark.parametrize("name", ["a trigger of the type Trigger", "a virtual table with a false root page"])
def test_such_an_archive_in_the_folder_is_not_restored(name: str, live: Path, folder: Path, incoming: Path) -> None:
    archive = tvarrs_old_backup(folder, hostile(incoming / "copy.db", HIDDEN_CODE[name]))
    (problem,) = verify_backup(folder, archive.name, required()).problems
    assert "was not written by SQLite" in problem
    before = live.read_bytes()
    with pytest.raises(RestoreRefused, match="was not written by SQLite"):
        restore_backup(live, folder, archive.name, required(), accept_code=True)
    assert live.read_bytes() == before


@pytest.mark.parametrize("name", COSTLY)
@pytest.mark.usefixtures("patience")
def test_a_file_that_costs_is_refused_within_its_limits(name: str, folder: Path, incoming: Path) -> None:
    file = hostile(incoming / "copy.db", COSTLY[name])
    words = without(folder, lambda: adopt_backup(file, folder, required()), ExaminationTooCostly)
    assert words.startswith("copy.db was not added. Nothing was saved. Verification of the database (")


@pytest.mark.usefixtures("patience")
def test_an_archive_in_the_folder_that_costs_is_neither_verified_nor_restored(
    live: Path, folder: Path, incoming: Path
) -> None:
    file = hostile(incoming / "copy.db", COSTLY["a check that takes minutes"])
    name = tvarrs_old_backup(folder, file).name
    words = without(folder, lambda: verify_backup(folder, name, required()), ExaminationTooCostly)
    assert words.startswith(f"{name} was not verified.")
    words = without(folder, lambda: restore_backup(live, folder, name, required()), ExaminationTooCostly)
    assert words.startswith(f"{name} was not restored. Your data is unchanged.")


def test_it_can_be_cancelled_within_a_second(folder: Path, incoming: Path) -> None:
    file = hostile(incoming / "copy.db", COSTLY["a check that takes minutes"])
    asked_at = 0.0

    def cancel(phase: Phase, done: int, _total: int) -> None:
        nonlocal asked_at
        if phase is Phase.CHECK and not asked_at:
            asked_at = time.monotonic() + 0.5
        if asked_at and time.monotonic() > asked_at:
            raise OperationCancelled("Cancelled on request.")

    with pytest.raises(OperationCancelled):
        adopt_backup(file, folder, required(), progress=cancel)
    assert time.monotonic() - asked_at < A_SECOND


def test_nothing_is_left_of_an_examination_that_was_given_up(incoming: Path) -> None:
    file = slow_to_check(settled(tvarrs(incoming / "copy.db")))
    with examining_apart(file, required(), CheckLevel.FULL) as examination:
        pid = examination._process.pid
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_process_of_an_examination_has_limits(incoming: Path) -> None:
    file = slow_to_check(settled(tvarrs(incoming / "copy.db")))
    limits = limits_for(file.stat().st_size)
    with examining_apart(file, required(), CheckLevel.FULL) as examination:
        deadline = time.monotonic() + 20
        while str(limits.memory_bytes) not in (found := limits_of(examination)) and time.monotonic() < deadline:
            time.sleep(0.01)
    assert [line.split()[-3:-1] for line in found.splitlines() if line.startswith(("Max cpu", "Max address"))] == [
        [str(limits.cpu_seconds), str(limits.cpu_seconds + 5)],
        [str(limits.memory_bytes)] * 2,
    ]


def limits_of(examination: Apart[Examined]) -> str:
    return Path(f"/proc/{examination._process.pid}/limits").read_text()


def test_the_same_is_found_apart_as_here(incoming: Path) -> None:

    file = settled(tvarrs(incoming / "copy.db", "CREATE VIEW seen AS SELECT 1", "DELETE FROM stream_sources"))
    with examining_apart(file, required(), CheckLevel.FULL) as examination:
        assert examination.result() == examine(file, required(), CheckLevel.FULL)


def test_large_files_have_more_time() -> None:
    assert limits_for(258_000).cpu_seconds == 15
    assert limits_for(10 * 10**9).cpu_seconds == 2015


def test_a_gzip_of_a_file_that_hides_code_is_refused_too(folder: Path, incoming: Path) -> None:
    file = hostile(incoming / "copy.db", HIDDEN_CODE["a trigger whose type is a BLOB"])
    with pytest.raises(UploadRefused, match="was not written by SQLite"):
        adopt_backup(packed(incoming / "copy.db.gz", file), folder, required())


def test_an_answer_that_is_too_long_ends_the_examination(
    folder: Path, incoming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "_LONGEST_ANSWER_BYTES", 100)
    with pytest.raises(ExaminationTooCostly, match="the list of what is in its schema is too long"):
        adopt_backup(settled(tvarrs(incoming / "copy.db")), folder, required())


def test_an_examination_that_the_system_ends_refuses_the_file(incoming: Path) -> None:
    file = slow_to_check(settled(tvarrs(incoming / "copy.db")))
    with examining_apart(file, required(), CheckLevel.FULL) as examination:
        examination._process.kill()
        with pytest.raises(ExaminationTooCostly, match="the system killed the process"):
            examination.result()


def test_a_disk_that_cannot_be_read_is_told_as_such(tmp_path: Path) -> None:
    with settle_and_date(tmp_path / "nothing.db", 0, NOW) as settling, pytest.raises(OSError, match="SQLite reports"):
        settling.result()


def test_a_file_that_is_no_database_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    with (
        settle_and_date(tmp_path / "copy.db", 5000, NOW) as settling,
        pytest.raises(sqlite3.DatabaseError, match="file is not a database"),
    ):
        settling.result()
