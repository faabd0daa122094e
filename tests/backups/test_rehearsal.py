"""Rehearse a restore: the live database and the backup folder stay as they are, and nothing is left over."""

from __future__ import annotations

import hashlib
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.backups.makers import backup, changed, raising_at, required, state
from tests.backups.writers import writing
from tests.installation import ROOT
from tests.processes import none_is_left
from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.progress import Phase, Progress, no_progress
from tvarr_backup.backups.rehearsal import (
    Rehearsed,
    bring_backup,
    open_scratch,
    rehearse,
    remove_scratch,
)
from tvarr_backup.errors import BackupNotFound, TvarrBackupError

_REHEARSER = """
import json, os, signal, sys
from pathlib import Path
from tvarr_backup.backups.rehearsal import bring_backup, open_scratch, rehearse
from tvarr_backup.schema import RequiredSchema
required = RequiredSchema({}, "tvarr_backup", frozenset())
live, folder, parent, name, wanted, number = sys.argv[1:]
seen = []
def progress(phase, done, total):
    seen.append(phase.value)
    if seen.count(wanted) == int(number): os.kill(os.getpid(), signal.SIGKILL)
with open_scratch(Path(parent)) as scratch:
    bring_backup(Path(folder), name, scratch, progress)
    rehearse(Path(live), scratch, name, required, migrate=None, progress=progress)
"""


@pytest.fixture
def made(live: Path, folder: Path) -> Backup:
    """A backup that differs from the live database."""
    changed(live, "UPDATE filters SET name = 'then ' || id")
    made = backup(live, folder)
    changed(live, "UPDATE filters SET name = 'now ' || id", "DELETE FROM channels")
    return made


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    return tmp_path / "rehearsals"


def rehearsed(live: Path, folder: Path, parent: Path, filename: str, progress: Progress = no_progress) -> Rehearsed:
    with open_scratch(parent) as scratch:
        bring_backup(folder, filename, scratch, progress)
        return rehearse(live, scratch, filename, required(), migrate=None, progress=progress)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_restored_rows_are_those_of_the_backup(live: Path, folder: Path, made: Backup, parent: Path) -> None:
    done = rehearsed(live, folder, parent, made.filename)
    assert done.rows == made.sidecar.table_counts
    assert done.attention == ()
    assert done.commits >= 2


def test_the_scratch_database_has_the_data_of_the_backup(live: Path, folder: Path, made: Backup, parent: Path) -> None:
    with open_scratch(parent) as scratch:
        bring_backup(folder, made.filename, scratch, no_progress)
        done = rehearse(live, scratch, made.filename, required(), migrate=None, progress=no_progress)
        with closing(sqlite3.connect(done.database)) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM filters")]
    assert all(name.startswith("then ") for name in names)
    assert not parent.exists()


def test_live_database_and_backup_folder_stay_as_they_are(live: Path, folder: Path, made: Backup, parent: Path) -> None:
    """Another program has the database open, and has commits in the journal next to it."""
    with closing(sqlite3.connect(live, isolation_level=None)) as monitor:
        monitor.execute("PRAGMA wal_autocheckpoint=0")
        changed(live, "UPDATE filters SET description = 'in the journal'")
        version = monitor.execute("PRAGMA data_version").fetchone()
        files = {path: digest(path) for path in (live, Path(f"{live}-wal"))}
        before = state(folder)
        rehearsed(live, folder, parent, made.filename)
        assert monitor.execute("PRAGMA data_version").fetchone() == version
        assert {path: digest(path) for path in files} == files
    assert state(folder) == before


def test_a_live_database_that_nobody_has_open_keeps_its_bytes(
    live: Path, folder: Path, made: Backup, parent: Path
) -> None:
    before = digest(live)
    rehearsed(live, folder, parent, made.filename)
    assert digest(live) == before


def test_programs_go_on_writing_to_the_live_database(tmp_path: Path, folder: Path, parent: Path) -> None:
    with writing(tmp_path, mebibytes=4) as writers:
        made = backup(writers.database, folder)
        before = writers.acknowledged()
        done = rehearsed(writers.database, folder, parent, made.filename)
        after = writers.acknowledged()
    assert all(after[name] > number for name, number in before.items())
    assert done.rows["written"] == made.sidecar.table_counts["written"]


EARLY = [Phase.RECEIVE, Phase.COPY, Phase.UNPACK, Phase.CHECK, Phase.SAFETY, Phase.REPLACE]


@pytest.mark.parametrize("phase", [*EARLY, Phase.PACK, Phase.COMPARE])
def test_a_kill_leaves_nothing_once_it_is_cleaned_up(
    live: Path, folder: Path, made: Backup, parent: Path, phase: Phase
) -> None:
    before, content = state(folder), digest(live)
    command = [sys.executable, "-c", _REHEARSER, *map(str, (live, folder, parent, made.filename, phase.value, 1))]
    process = subprocess.Popen(command, cwd=ROOT)
    writers: list[psutil.Process] = []
    while process.poll() is None:
        writers += _writers_of(process.pid, known=writers)
    assert process.returncode == -signal.SIGKILL
    none_is_left(writers, seconds=20)
    assert list(parent.iterdir())
    remove_scratch(parent)
    assert not parent.exists()
    assert (state(folder), digest(live)) == (before, content)


def _writers_of(pid: int, *, known: list[psutil.Process]) -> list[psutil.Process]:
    try:
        return [child for child in psutil.Process(pid).children() if child not in known]
    except psutil.NoSuchProcess:
        return []


@pytest.mark.parametrize("phase", [*EARLY, Phase.COMPARE])
def test_it_can_be_canceled_in_each_phase(live: Path, folder: Path, made: Backup, parent: Path, phase: Phase) -> None:
    with pytest.raises(TvarrBackupError, match=r"^stop$"):
        rehearsed(live, folder, parent, made.filename, raising_at(phase, TvarrBackupError("stop")))
    assert not parent.exists()


def test_a_cancellation_that_a_restore_ignores_ends_the_rehearsal_after_it(
    live: Path, folder: Path, made: Backup, parent: Path
) -> None:
    """The restore of a live database ignores it once the data is in place."""
    seen = []

    def progress(phase: Phase, _done: int, _total: int) -> None:
        seen.append(phase)
        if Phase.PACK in seen:
            raise TvarrBackupError("stop")

    with pytest.raises(TvarrBackupError, match=r"^stop$"):
        rehearsed(live, folder, parent, made.filename, progress)
    assert seen[-1] is Phase.COMPARE


def test_a_rehearsal_in_progress_is_not_removed(parent: Path) -> None:
    with open_scratch(parent) as scratch, open_scratch(parent) as another:
        assert {path.name for path in parent.iterdir()} == {scratch.name, another.name}
    assert not parent.exists()


def test_a_deleted_backup_is_refused(live: Path, folder: Path, made: Backup, parent: Path) -> None:
    (folder / made.filename).unlink()
    with pytest.raises(TvarrBackupError):
        rehearsed(live, folder, parent, made.filename)
    (folder / made.name.sidecar).unlink()
    with pytest.raises(BackupNotFound):
        rehearsed(live, folder, parent, made.filename)
