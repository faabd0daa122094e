"""Restore while other programs use the database. Whatever fails, it has all of the old data or all of the new."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.backups.makers import (
    backup,
    changed,
    on_small_disk,
    ours,
    python,
    query,
    raising_at,
    required,
    settled,
    slow_to_check,
    state,
    tvarrs,
    tvarrs_old_backup,
    with_ballast,
)
from tests.backups.writers import Writers, writing
from tests.installation import ROOT
from tests.processes import wait_until
from tests.tvarr_own import build_tvarr_database, schema_of
from tvarr_backup.backups import live as live_database
from tvarr_backup.backups.catalogue import Backup, delete_backup, read_folder
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.folder import prepare_folder, recover
from tvarr_backup.backups.lock import backup_lock
from tvarr_backup.backups.progress import Phase, Progress, no_progress
from tvarr_backup.backups.restore import Restored, Settled, finish_restore, restore_backup
from tvarr_backup.backups.retention import Policy, prune
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.backups.verify import verify_backup
from tvarr_backup.errors import (
    BackupBroken,
    BackupBusy,
    BackupNotFound,
    CodeNotAccepted,
    ConfirmationRequired,
    CopyFailed,
    DatabaseBusy,
    DatabaseForeign,
    OfflineRestoreRequired,
    RestoreFailed,
    RestoreRefused,
    TvarrBackupError,
)

_PRELUDE = (
    "import json, os, signal, sqlite3, sys; from pathlib import Path\n"
    "from tvarr_backup.backups.restore import finish_restore, restore_backup\n"
    "from tvarr_backup.schema import RequiredSchema\n"
    "required = RequiredSchema({}, 'tvarr_backup', frozenset())\n"
)
_KILLED = _PRELUDE + (
    "live, folder, name, wanted, number = sys.argv[1:]\n"
    "seen = []\n"
    "def progress(phase, done, total):\n"
    "    seen.append(phase.value if 'replace' not in seen or phase.value == 'replace' else 'late ' + phase.value)\n"
    "    if seen.count(wanted) == int(number): os.kill(os.getpid(), signal.SIGKILL)\n"
    "restore_backup(Path(live), Path(folder), name, required, progress=progress)\n"
)
_READER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
def look(): print(connection.execute("SELECT name FROM filters ORDER BY name LIMIT 1").fetchone()[0], flush=True)
connection.execute("BEGIN")
look()
sys.stdin.readline()
look()
connection.execute("COMMIT")
sys.stdin.readline()
look()
sys.stdin.readline()
"""
_SPOILER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
print("ready", flush=True)
while connection.execute("SELECT name FROM filters ORDER BY name LIMIT 1").fetchone()[0].startswith("now"): pass
(page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'idx_filters_source_type'").fetchone()
with open(sys.argv[1] + "-wal", "r+b") as journal:
    content = journal.read()
    frames = range(32, len(content), 24 + 4096)
    journal.seek(max(at for at in frames if int.from_bytes(content[at : at + 4], "big") == page) + 24)
    journal.write(bytes(4096))
print("spoilt", flush=True)
sys.stdin.readline()
"""
_HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute(sys.argv[2])
connection.execute("UPDATE filters SET name = name")
print("locked", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def made(live: Path, folder: Path) -> Backup:
    """A backup in which the filters are called `then`; live they are called `now`, and one row is more."""
    changed(live, "UPDATE filters SET name = 'then ' || id")
    made = backup(live, folder)
    changed(live, "UPDATE filters SET name = 'now ' || id", "UPDATE client_detection_rules SET name = 'changed'")
    return made


def restored(live: Path, folder: Path, made: Backup | str, progress: Progress = no_progress) -> Restored:
    name = made if isinstance(made, str) else made.filename
    return restore_backup(live, folder, name, required(), progress=progress)


def name_in(connection: sqlite3.Connection) -> str:
    """`then` or `now`."""
    (name,) = connection.execute("SELECT name FROM filters ORDER BY name LIMIT 1").fetchone()
    return str(name).partition(" ")[0]


def content(path: Path) -> list[str]:
    """Every row and every table, in words of SQL."""
    with closing(sqlite3.connect(path)) as connection:
        return sorted(connection.iterdump())


def unpacked(folder: Path, filename: str, target: Path) -> Path:
    target.write_bytes(zlib.decompress((folder / filename).read_bytes(), 31))
    return target


def pre_restores(folder: Path) -> list[Backup]:
    return [found for found in read_folder(folder).backups if found.sidecar.kind is BackupKind.PRE_RESTORE]


def is_clean(folder: Path) -> bool:
    """Nothing is left over, and nobody holds the lock."""
    with backup_lock(folder):
        return not list((folder / ".work").iterdir())


def with_database(folder: Path, made: Backup, database: bytes, **changes: Any) -> None:
    """Another database in the backup, and a sidecar that fits it as far as nobody looks into it."""
    raw = gzip.compress(database, 1)
    (folder / made.filename).write_bytes(raw)
    facts = {
        "checksum": f"sha256:{hashlib.sha256(raw).hexdigest()}",
        "database_checksum": f"sha256:{hashlib.sha256(database).hexdigest()}",
        "database_size": len(database),
        "compressed_size": len(raw),
    }
    described(folder, made, **facts | changes)


def described(folder: Path, made: Backup, **changes: Any) -> None:
    path = folder / made.filename.replace(".db.gz", ".meta.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@contextmanager
def running(program: str, *arguments: object) -> Iterator[Callable[[str], str]]:
    """Run a program in another process. Yield a function that sends it a line and returns its next line."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    to, of = process.stdin, process.stdout

    def talk(word: str) -> str:
        if word:
            to.write(f"{word}\n")
            to.flush()
        return of.readline().strip()

    try:
        yield talk
    finally:
        process.kill()
        process.communicate()


# --- It happens ------------------------------------------------------------------------------------------------------


def test_the_content_comes_back_and_what_was_there_is_a_protected_backup(
    live: Path, folder: Path, made: Backup, tmp_path: Path
) -> None:
    before, tables = content(live), schema_of(live)
    done = restored(live, folder, made)
    assert (done.filename, done.attention) == (made.filename, ())
    assert content(live) == content(unpacked(folder, made.filename, tmp_path / "then.db"))
    assert {(*row[:3], row[4]) for row in schema_of(live)} == {(*row[:3], row[4]) for row in tables}
    assert done.before == done.after == made.sidecar.table_counts
    (safety, _) = read_folder(folder).backups
    assert safety == done.safety
    sidecar = safety.sidecar
    assert (sidecar.kind, sidecar.protected, sidecar.restored_from) == (
        BackupKind.PRE_RESTORE,
        True,
        made.filename,
    )
    assert sidecar.protected_until is not None
    assert timedelta(0) <= sidecar.protected_until - sidecar.created_at - timedelta(days=7) < timedelta(minutes=1)
    assert sidecar.note == f"before restoring {made.filename}"
    assert content(unpacked(folder, safety.filename, tmp_path / "now.db")) == before
    assert verify_backup(folder, safety.filename, required()).problems == ()
    assert is_clean(folder)
    assert query(live, "PRAGMA journal_mode") == "wal"


def test_a_restore_is_undone_by_restoring_what_was_there(live: Path, folder: Path, made: Backup) -> None:
    before = content(live)
    first = restored(live, folder, made)
    then = content(live)
    assert first.safety is not None
    second = restored(live, folder, first.safety)
    assert content(live) == before
    assert second.safety is not None
    restored(live, folder, second.safety)
    assert content(live) == then
    assert len(pre_restores(folder)) == 3


def test_whoever_has_it_open_goes_on_with_the_new_content(live: Path, folder: Path, made: Backup) -> None:
    with closing(sqlite3.connect(live, isolation_level=None)) as here, running(_READER, live) as there:
        assert name_in(here) == "now"
        assert there("").startswith("now")
        done = restored(live, folder, made)
        assert there("go on").startswith("now"), "a transaction that ran keeps what it saw"
        assert name_in(here) == "then"
        here.execute("UPDATE filters SET name = 'later ' || id")
        assert there("go on").startswith("later")
    assert len(done.attention) == 1
    assert "journal next to the database stays large until it has finished" in done.attention[0]
    assert done.safety is not None
    assert is_clean(folder)


def test_a_transaction_that_has_read_the_old_content_cannot_write_into_the_new(
    live: Path, folder: Path, made: Backup
) -> None:
    with closing(sqlite3.connect(live, isolation_level=None, timeout=0)) as reader:
        reader.execute("BEGIN")
        assert name_in(reader) == "now"
        restored(live, folder, made)
        with pytest.raises(sqlite3.OperationalError) as failure:
            reader.execute("DELETE FROM filters")
        assert failure.value.sqlite_errorcode == sqlite3.SQLITE_BUSY_SNAPSHOT
        reader.execute("ROLLBACK")
        assert name_in(reader) == "then"


def test_every_acknowledged_commit_is_in_a_safety_copy_or_live(tmp_path: Path) -> None:
    """Each copy continues, writer by writer, exactly where the one before it ended."""
    folder = prepare_folder(tmp_path / "backups")
    names = ("one", "two", "three")
    with writing(tmp_path, mebibytes=8, names=names) as writers:
        base = backup(writers.database, folder)
        kept: list[tuple[dict[str, int], str]] = []
        for _ in range(5):
            before = writers.acknowledged()
            done = restored(writers.database, folder, base)
            assert done.safety is not None
            kept.append((before, done.safety.filename))
            wait_until(partial(_have_gone_on, writers, writers.acknowledged()), "they go on")
    acknowledged = writers.acknowledged()
    first = _written(unpacked(folder, base.filename, tmp_path / "unpacked.db"))
    last = dict.fromkeys(names, 0)
    for number, (before, filename) in enumerate(kept):
        written = _written(unpacked(folder, filename, tmp_path / "unpacked.db"))
        last = _continued(written, first if number else {}, last)
        assert all(last[name] >= before[name] for name in names), filename
    last = _continued(_written(writers.database), first, last)
    assert all(last[name] >= acknowledged[name] for name in names), "live"
    assert is_clean(folder)


def _have_gone_on(writers: Writers, since: dict[str, int]) -> bool:
    """Some of them: while one writes without a pause, SQLite may let another one wait."""
    return sum(writers.acknowledged().values()) > sum(since.values()) + 50


def _written(path: Path) -> dict[str, list[int]]:
    """The numbers of each writer, in a database that is whole and in which no transaction is torn."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = connection.execute("SELECT writer, number FROM written ORDER BY number").fetchall()
        amounts = dict(connection.execute("SELECT name, amount FROM accounts").fetchall())
    assert amounts == {"here": -len(rows), "there": len(rows)}
    written: dict[str, list[int]] = {}
    for writer, number in rows:
        written.setdefault(writer, []).append(number)
    return written


def _continued(written: dict[str, list[int]], base: dict[str, list[int]], last: dict[str, int]) -> dict[str, int]:
    """The base, and after it each number from the last on; the new last ones."""
    ends = {}
    for writer, end in last.items():
        known = base.get(writer, [])
        found = written.get(writer, [])
        new = found[len(known) :]
        assert found[: len(known)] == known
        assert new == list(range(end + 1, end + 1 + len(new))), writer
        ends[writer] = end + len(new)
    return ends


def test_what_is_committed_between_the_copy_and_the_lock_is_in_the_copy(
    live: Path, folder: Path, made: Backup, tmp_path: Path
) -> None:
    with_ballast(live, 2)
    phases: list[Phase] = []
    with closing(sqlite3.connect(live, isolation_level=None)) as other:

        def progress(phase: Phase, _done: int, _total: int) -> None:
            if phase is Phase.SAFETY and phase not in phases:
                other.execute("BEGIN IMMEDIATE")
                other.execute("UPDATE filters SET name = 'at the last moment ' || id")
            if phase is Phase.REPLACE and phase not in phases:  # it waits for the lock, and the copy is done
                assert name_in(other) == "at"
                other.execute("COMMIT")
            phases.append(phase)

        done = restored(live, folder, made, progress)
        assert name_in(other) == "then"
    assert done.safety is not None
    assert phases.index(Phase.REPLACE) > phases.index(Phase.SAFETY)
    with closing(sqlite3.connect(unpacked(folder, done.safety.filename, tmp_path / "safety.db"))) as copy:
        assert name_in(copy) == "at"


@pytest.mark.parametrize("page_size", [1024, 8192])
@pytest.mark.parametrize("made_by", ["us", "tvarr"])
def test_another_page_size_comes_back_in_lives_own(
    live: Path, folder: Path, tmp_path: Path, page_size: int, made_by: str
) -> None:
    other = changed(
        settled(tvarrs(tmp_path / "other.db", "UPDATE filters SET name = 'then ' || id")),
        f"PRAGMA page_size={page_size}",
        "VACUUM",
        "PRAGMA journal_mode=WAL",  # tvarr copies the file as it is
    )
    assert query(other, "PRAGMA page_size") == page_size
    name = backup(other, folder).filename if made_by == "us" else tvarrs_old_backup(folder, other).name
    with closing(sqlite3.connect(live, isolation_level=None)) as connection:
        restored(live, folder, name)
        assert name_in(connection) == "then"
    assert query(live, "PRAGMA page_size") == 4096
    assert query(live, "PRAGMA integrity_check") == "ok"
    assert is_clean(folder)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_database_of_tvarrs_with_its_columns_in_another_order_is_restored(
    live: Path, folder: Path, tmp_path: Path, seed: int
) -> None:
    other = build_tvarr_database(tmp_path / "other.db", column_order_seed=seed)
    made = backup(other, folder)
    restored(live, folder, made)
    assert content(live) == content(other)
    assert schema_of(live) != schema_of(tvarrs(tmp_path / "usual.db"))


def test_it_shrinks_and_grows(live: Path, folder: Path, made: Backup) -> None:
    with_ballast(live, 8)
    before = content(live)
    done = restored(live, folder, made)
    assert live.stat().st_size < 2**20
    assert done.safety is not None
    assert done.before["ballast"] == 8 * 128
    assert "ballast" not in done.after
    restored(live, folder, done.safety)
    assert content(live) == before
    assert live.stat().st_size > 8 * 2**20


# --- It is stopped ---------------------------------------------------------------------------------------------------

EARLY = [
    (Phase.UNPACK, 1),
    (Phase.CHECK, 1),
    (Phase.SAFETY, 1),
    (Phase.REPLACE, 1),
    (Phase.REPLACE, 2),  # the last of two thousand pages and some
]


@pytest.fixture
def large(live: Path, folder: Path) -> Backup:
    """A backup of two thousand pages and some, and something else live."""
    made = backup(changed(with_ballast(live, 10), "UPDATE filters SET name = 'then ' || id"), folder)
    changed(live, "UPDATE filters SET name = 'now ' || id")
    return made


@pytest.mark.parametrize(("phase", "call"), EARLY)
@pytest.mark.parametrize("error", [KeyboardInterrupt, TvarrBackupError])
def test_what_progress_raises_undoes_it(
    live: Path, folder: Path, large: Backup, phase: Phase, call: int, error: type[BaseException]
) -> None:
    before, files = content(live), state(folder)
    open_files, threads = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    with closing(sqlite3.connect(live, isolation_level=None, timeout=0)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE filters SET name = 'now, too'")
        other.execute("ROLLBACK")
        with pytest.raises(error):
            restored(live, folder, large, raising_at(phase, error("stop"), call=call))
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
        assert name_in(other) == "now"
    assert content(live) == before
    assert state(folder) == files
    assert is_clean(folder)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files
    assert threading.active_count() <= threads


def after_replacing(act: Callable[[Phase], None]) -> Progress:
    """A progress that acts once the new content is in place."""
    seen: list[Phase] = []

    def progress(phase: Phase, _done: int, _total: int) -> None:
        if Phase.REPLACE in seen and phase not in (Phase.REPLACE, Phase.SAFETY):
            act(phase)
        seen.append(phase)

    return progress


def test_when_it_is_in_place_it_is_too_late_to_stop(live: Path, folder: Path, large: Backup) -> None:
    asked: list[Phase] = []

    def stop(phase: Phase) -> None:
        asked.append(phase)
        raise TvarrBackupError("stop")

    done = restored(live, folder, large, after_replacing(stop))
    assert set(asked) >= {Phase.PACK}
    assert (done.attention, [found.filename for found in pre_restores(folder)]) == (
        (),
        [done.safety.filename if done.safety else ""],
    )
    with closing(sqlite3.connect(live)) as connection:
        assert name_in(connection) == "then"
    assert is_clean(folder)


def test_a_live_database_that_fails_its_check_gets_back_what_was_there(live: Path, folder: Path, large: Backup) -> None:
    """An index is spoilt on its way to the disk, while a reader keeps the restore at its checkpoint."""
    before = content(live)
    with closing(sqlite3.connect(live, isolation_level=None)) as reader, running(_SPOILER, live) as spoiler:
        assert spoiler("") == "ready"
        reader.execute("BEGIN")
        assert name_in(reader) == "now"
        with pytest.raises(RestoreFailed, match="failed verification after the restore") as failure:
            restored(live, folder, large)
        assert spoiler("") == "spoilt"
    assert "Your data is unchanged" in str(failure.value)
    assert content(live) == before
    assert pre_restores(folder) == []
    assert is_clean(folder)


def test_what_was_there_is_kept_where_it_cannot_be_put_back(
    live: Path, folder: Path, large: Backup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody takes the lock between the replacement and the check, and holds it."""
    monkeypatch.setattr(live_database, "LOCK_SECONDS", 0.4)
    now = content(live)
    other = sqlite3.connect(live, isolation_level=None, timeout=5)

    def take_the_lock(phase: Phase) -> None:
        if phase is Phase.CHECK and not other.in_transaction:
            other.execute("BEGIN IMMEDIATE")

    with (
        closing(other),
        closing(sqlite3.connect(live, isolation_level=None)) as reader,
        running(_SPOILER, live) as spoiler,
    ):
        assert spoiler("") == "ready"
        reader.execute("BEGIN")
        assert name_in(reader) == "now"
        with pytest.raises(RestoreFailed, match="could not be put back") as failure:
            restored(live, folder, large, after_replacing(take_the_lock))
        assert spoiler("") == "spoilt"
    (name,) = re.findall("backup restore (.*) --yes", str(failure.value))
    assert f"It is kept as {folder}/.work/restore/safety.db. " in str(failure.value)
    assert "Another program locked " in str(failure.value)
    finished = finish_restore(folder, required())
    assert finished is not None
    assert finished.safety is not None
    assert finished.safety.filename == name
    put_back = restored(live, folder, name)
    assert content(live) == now
    assert put_back.safety is not None
    assert put_back.safety.sidecar.checked is not None
    assert is_clean(folder)


# --- What is live is damaged -----------------------------------------------------------------------------------------


def _table_gone(live: Path) -> None:
    """The first page of a table is empty."""
    page = query(live, "SELECT rootpage FROM sqlite_master WHERE name = 'client_detection_rules'")
    with live.open("r+b") as file:
        file.seek((page - 1) * query(live, "PRAGMA page_size"))
        file.write(bytes(100))


def test_a_damaged_database_is_replaced_and_what_is_left_of_it_kept(
    live: Path, folder: Path, made: Backup, tmp_path: Path
) -> None:
    _table_gone(live)
    with closing(sqlite3.connect(live, isolation_level=None)) as other:
        other.execute("PRAGMA wal_autocheckpoint=0")
        other.execute("UPDATE filters SET name = 'now, and in the journal alone ' || id")
        done = restored(live, folder, made)
        assert name_in(other) == "then"
        assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    words = (
        "The previous data was damaged (database disk image is malformed). The safety backup is a byte-for-byte "
        "copy for salvage and cannot be restored."
    )
    assert done.attention == (words,)
    assert done.safety is not None
    assert done.safety.sidecar.checked is not None
    assert (done.safety.sidecar.protected, bool(done.safety.sidecar.checked.problems)) == (True, True)
    salvaged = unpacked(folder, done.safety.filename, tmp_path / "salvaged.db")
    assert query(salvaged, "SELECT name FROM filters LIMIT 1").startswith("now, and in the journal alone")
    assert is_clean(folder)
    refused(live, folder, done.safety, RestoreRefused, "was not restored, because verification found a problem")


def test_a_database_without_a_schema_that_can_be_read_is_refused_with_advice(
    live: Path, folder: Path, made: Backup
) -> None:
    changed(live, "PRAGMA writable_schema=ON", "UPDATE sqlite_master SET rootpage = 9999999 WHERE name = 'filters'")
    refused(
        live, folder, made, OfflineRestoreRequired, "so damaged that SQLite cannot write it (malformed database sch"
    )
    refused(
        live,
        folder,
        made,
        OfflineRestoreRequired,
        f"backup restore {made.filename} --yes --offline`. The current files",
    )


def _uncopyable(path: Path) -> Path:
    """A whole database that SQLite can read, write and check, but not copy: a column needs a function of its program."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.create_function("own", 1, lambda value: value, deterministic=True)
        connection.execute("CREATE TABLE extra (a, b AS (own(a)) STORED)")
        connection.execute("INSERT INTO extra (a) VALUES (1)")
    return path


def _wild_page(path: Path) -> Path:
    """A row whose rest is on a page that no database can have: SQLite says that the disk is full."""
    changed(
        path, "CREATE TABLE big (data)", "INSERT INTO big VALUES (zeroblob(20000))", "PRAGMA wal_checkpoint(TRUNCATE)"
    )
    page = query(path, "SELECT rootpage FROM sqlite_master WHERE name = 'big'")
    with path.open("r+b") as file:
        file.seek(page * 4096 - 4)
        file.write(b"\x7f\xff\xff\xf0")
    return path


def test_a_whole_database_that_sqlite_cannot_copy_is_copied_byte_for_byte_and_goes_back(
    live: Path, folder: Path, made: Backup
) -> None:
    _uncopyable(live)
    done = restored(live, folder, made)
    words = (
        "SQLite could not copy the previous data (no such function: own), so the safety backup is a byte-for-byte copy."
    )
    assert done.attention == (f"{words} Verification found no problem, and it can be restored.",)
    assert done.safety is not None
    assert done.safety.sidecar.checked is not None
    assert done.safety.sidecar.checked.problems == ()
    undone = restored(live, folder, done.safety)
    assert query(live, "SELECT a FROM extra") == 1
    assert query(live, "SELECT name FROM filters LIMIT 1").startswith("now")
    sentence = f"SQLite cannot copy the database in {done.safety.filename} (no such function: own). This was so before"
    assert undone.attention[0].startswith(sentence)


def test_one_that_comes_from_elsewhere_is_refused_because_it_could_not_be_backed_up(
    live: Path, folder: Path, made: Backup, tmp_path: Path
) -> None:
    with_database(folder, made, settled(_uncopyable(tvarrs(tmp_path / "other.db"))).read_bytes(), table_counts={})
    refused(live, folder, made, RestoreRefused, "(no such function: own), so it could not be backed up again.")


def test_a_full_disk_that_has_room_does_not_stop_a_restore(live: Path, folder: Path, made: Backup) -> None:
    _wild_page(live)
    done = restored(live, folder, made)
    assert done.attention[0].startswith("The previous data was damaged (database or disk is full).")
    assert query(live, "PRAGMA integrity_check") == "ok"
    assert is_clean(folder)


def test_a_backup_says_that_the_disk_is_not_full(live: Path, folder: Path) -> None:
    with pytest.raises(CopyFailed, match=r'"database or disk is full", but .* [MG]B is free and only about'):
        backup(_wild_page(live), folder)


# --- A disk becomes full ---------------------------------------------------------------------------------------------

_FILLED = _PRELUDE + (
    "import shutil; from contextlib import closing; from tvarr_backup.errors import TvarrBackupError\n"
    "disk, copied, source, name, wanted, left = Path(sys.argv[1]), *sys.argv[2:6], int(sys.argv[6])\n"
    "on_disk = {'live': disk / 'live.db', 'backups': disk / 'backups'}\n"
    "live, folder = Path(source), Path(copied)\n"
    "if wanted == 'replace': live = shutil.copy(live, disk / 'live.db')\n"
    "else: folder = shutil.copytree(folder, disk / 'backups')\n"
    "ballast, seen = disk / 'ballast', []\n"
    "def progress(phase, done, total):\n"
    "    seen.append(phase.value)\n"
    "    if phase.value != wanted or 'replace' not in seen or ballast.exists(): return\n"
    "    room = os.statvfs(disk)\n"
    "    with ballast.open('wb') as file: os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - left)\n"
    "def first(): return sqlite3.connect(live).execute('SELECT name FROM filters ORDER BY name').fetchone()[0]\n"
    "def kinds(): return sorted(json.loads(p.read_text())['kind'] for p in Path(folder).glob('*.meta.json'))\n"
    "try:\n"
    "    done = restore_backup(Path(live), Path(folder), name, required, progress=progress)\n"
    "    outcome = [done.safety is not None, *done.attention]\n"
    "except TvarrBackupError as problem: outcome = [type(problem).__name__, str(problem)]\n"
    "full = [first(), kinds()]\n"
    "ballast.unlink()\n"
    "settled = finish_restore(Path(folder), required)\n"
    "with closing(sqlite3.connect(live)) as connection, connection: connection.execute('UPDATE filters SET name = name')\n"
    "print(json.dumps([outcome, full, settled is not None, kinds(), first(), os.listdir(folder / '.work')]))\n"
)


def test_a_disk_that_is_full_when_the_copy_of_before_is_packed_keeps_it_as_it_is(
    live: Path, folder: Path, large: Backup, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    told, full, settled, kinds, first, left = on_small_disk(
        _FILLED, tmp_path / "disk", folder, live, large.filename, "pack", 4096, options="size=200m"
    )
    assert told[0] is False
    assert re.fullmatch(
        r"The safety copy could not be saved as a backup \(.*\)\. It is kept as .*/\.work/restore/safety\.db\. Free some space, "
        r"then run `backup recover`\.",
        told[1],
    )
    assert (full[0][:4], full[1]) == ("then", ["manual"])
    assert (settled, kinds, first[:4], left) == (True, ["manual", "pre_restore"], "then", [])


def test_a_disk_that_is_full_when_the_content_is_written_leaves_what_was_there(
    live: Path, folder: Path, large: Backup, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    told, full, settled, kinds, first, left = on_small_disk(
        _FILLED, tmp_path / "disk", folder, live, large.filename, "replace", 4096, options="size=200m"
    )
    assert told == [
        "NoRoom",
        f"The disk of {tmp_path}/disk/live.db became full. Nothing was restored. Your data is unchanged. Free some space, then try again.",
    ]
    assert (full[0][:3], full[1]) == ("now", ["manual"])
    assert (settled, kinds, first[:3], left) == (False, ["manual"], "now", [])


def test_a_disk_that_is_full_when_the_journal_is_emptied_is_told_and_the_content_is_there(
    live: Path, folder: Path, large: Backup, tmp_path: Path
) -> None:
    """Live is small, and grows in the checkpoint alone: the journal of the new content finds room, its pages do not."""
    changed(live, "DELETE FROM ballast", "VACUUM")
    (tmp_path / "disk").mkdir()
    told, full, settled, kinds, first, left = on_small_disk(
        _FILLED, tmp_path / "disk", folder, live, large.filename, "replace", 13_000_000, options="size=200m"
    )
    words = (
        "The journal next to the database could not be emptied: database or disk is full. Nothing can be written until "
    )
    assert told == [True, f"{words}there is room."]
    assert (full[0][:4], full[1]) == ("then", ["manual", "pre_restore"])
    assert (settled, kinds, first[:4], left) == (False, ["manual", "pre_restore"], "then", [])


# --- A crash ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phase", "call", "happened"),
    [*((str(phase), call, False) for phase, call in EARLY), ("late check", 1, True), ("late pack", 1, True)],
)
def test_a_kill_leaves_one_or_the_other_and_recovery_settles_it(
    live: Path, folder: Path, large: Backup, tmp_path: Path, phase: str, call: int, *, happened: bool
) -> None:
    with closing(sqlite3.connect(live, isolation_level=None)) as other:
        other.execute("PRAGMA wal_autocheckpoint=0")
        other.execute("UPDATE filters SET name = 'now, acknowledged ' || id")
        now = sorted(other.iterdump())
        killed = subprocess.run(
            [sys.executable, "-c", _KILLED, str(live), str(folder), large.filename, phase, str(call)],
            cwd=ROOT,
            timeout=60,
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL
        then = content(unpacked(folder, large.filename, tmp_path / "then.db"))
        assert sorted(other.iterdump()) == (then if happened else now)
        assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
        _settled(folder, live, tmp_path, now if happened else None)
        assert sorted(other.iterdump()) == (then if happened else now)


def _settled(folder: Path, live: Path, tmp_path: Path, safety: list[str] | None) -> None:
    """What others do first takes nothing away; and what recovery has done once it does not do again."""
    backup(live, folder, kind=BackupKind.SCHEDULED)
    prune(folder, Policy(1))
    recover(folder)
    finished = finish_restore(folder, required())
    found = finished.safety if finished else None
    files = state(folder)
    assert finish_restore(folder, required()) is None
    assert state(folder) == files
    assert is_clean(folder)
    assert pre_restores(folder) == ([found] if found else [])
    assert (found is None) == (safety is None)
    if found is not None:
        assert found.sidecar.protected
        assert content(unpacked(folder, found.filename, tmp_path / "safety.db")) == safety


def test_a_recovery_that_is_killed_is_done_again(live: Path, folder: Path, made: Backup, tmp_path: Path) -> None:
    now = content(slow_to_check(live))
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(live), str(folder), made.filename, "late pack", "1"],
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    for _ in range(2):
        program = _PRELUDE + "finish_restore(Path(sys.argv[1]), required)"
        recovery = subprocess.Popen([sys.executable, "-c", program, str(folder)], cwd=ROOT)
        wait_until(lambda: list((folder / ".work").glob("*.db.gz")), "it packs")  # its check takes half a second
        recovery.kill()
        assert recovery.wait() == -signal.SIGKILL
        assert pre_restores(folder) == []
        recover(folder)
    _settled(folder, live, tmp_path, now)


def test_recovery_does_not_publish_twice(live: Path, folder: Path, made: Backup) -> None:
    """Killed after the safety copy was listed, and before the restore was forgotten."""
    place, kept = folder / ".work" / "restore", folder.with_name("kept")

    def keep(_phase: Phase) -> None:
        if not kept.exists():
            subprocess.run(["cp", "-a", place, kept], check=True)

    done = restored(live, folder, made, after_replacing(keep))
    kept.rename(place)
    files = {name: found for name, found in state(folder).items() if not name.startswith(".work")}
    assert finish_restore(folder, required()) == Settled(made.filename, done.safety)
    assert {name: found for name, found in state(folder).items() if not name.startswith(".work")} == files
    assert is_clean(folder)


def test_a_safety_copy_whose_name_was_taken_meanwhile_gets_another(
    live: Path, folder: Path, made: Backup, tmp_path: Path
) -> None:
    now = content(live)
    subprocess.run(
        [sys.executable, "-c", _KILLED, str(live), str(folder), made.filename, "late pack", "1"], cwd=ROOT, check=False
    )
    unfinished = json.loads((folder / ".work" / "restore" / "restore.json").read_text())
    (folder / unfinished["safety"]).write_bytes(b"somebody else's")
    finished = finish_restore(folder, required())
    assert finished is not None
    found = finished.safety
    assert found is not None
    assert (folder / unfinished["safety"]).read_bytes() == b"somebody else's"
    assert content(unpacked(folder, found.filename, tmp_path / "safety.db")) == now
    assert is_clean(folder)


def test_as_long_as_live_cannot_be_read_what_was_there_is_kept(
    live: Path, folder: Path, made: Backup, tmp_path: Path
) -> None:
    now = content(live)
    subprocess.run(
        [sys.executable, "-c", _KILLED, str(live), str(folder), made.filename, "late pack", "1"], cwd=ROOT, check=False
    )
    away = live.rename(tmp_path / "away.db")
    for ending in ("-wal", "-shm"):
        if live.with_name(live.name + ending).exists():
            live.with_name(live.name + ending).rename(away.with_name(away.name + ending))
    with pytest.raises(RestoreFailed, match="cannot be used now, so it is unknown whether"):
        finish_restore(folder, required())
    with pytest.raises(RestoreFailed, match=r"safety\.db\. When the database can be used again, run `backup recover`"):
        restored(live, folder, made)
    for ending in ("", "-wal", "-shm"):
        if away.with_name(away.name + ending).exists():
            away.with_name(away.name + ending).rename(live.with_name(live.name + ending))
    _settled(folder, live, tmp_path, now)


# --- It is refused ---------------------------------------------------------------------------------------------------


def refused(live: Path, folder: Path, made: Backup | str, error: type[TvarrBackupError], words: str) -> None:
    """It fails in these words, and neither the live file nor the folder changes."""
    before, files = live.read_bytes() if live.is_file() else None, state(folder)
    with pytest.raises(TvarrBackupError) as failure:
        restored(live, folder, made)
    assert type(failure.value) is error, failure.value
    assert words in str(failure.value)
    assert (live.read_bytes() if live.is_file() else None) == before
    assert state(folder) == files
    assert is_clean(folder)


def _bit_flipped(folder: Path, made: Backup, _other: Path) -> None:
    raw = bytearray((folder / made.filename).read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / made.filename).write_bytes(raw)


def _truncated(folder: Path, made: Backup, _other: Path) -> None:
    (folder / made.filename).write_bytes((folder / made.filename).read_bytes()[:-5])
    described(folder, made, compressed_size=(folder / made.filename).stat().st_size)


def _empty(folder: Path, made: Backup, _other: Path) -> None:
    (folder / made.filename).write_bytes(b"")
    described(folder, made, compressed_size=0)


def _another(folder: Path, made: Backup, other: Path, *, make: Callable[[Path], object]) -> None:
    make(other)
    with_database(folder, made, other.read_bytes())


def _utf_16(path: Path, source: Path) -> Path:
    with closing(sqlite3.connect(source)) as connection:
        statements = list(connection.iterdump())
    return changed(path, "PRAGMA encoding='UTF-16le'", *statements)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_bit_flipped, "was not restored, because verification found a problem. The archive "),
        (_truncated, "was not restored, because verification found a problem. The archive is cut off after"),
        (_empty, "was not restored, because verification found a problem. The archive is empty."),
        (partial(_another, make=lambda path: path.touch()), "It is an empty database."),
        (partial(_another, make=lambda path: path.write_bytes(b"no database " * 999)), "It is not an SQLite database."),
        (
            partial(_another, make=lambda path: settled(changed(path, "CREATE TABLE recipes (b)"))),
            "It is not tvarr's database",
        ),
        (
            partial(_another, make=lambda path: settled(tvarrs(path, "DROP TABLE filters"))),
            "there is no table filters",
        ),
        (
            partial(_another, make=lambda path: settled(tvarrs(path, "DELETE FROM filters"))),
            "filters has 0 rows, but its metadata says 2",
        ),
        (
            partial(_another, make=lambda path: settled(tvarrs(path, "DELETE FROM stream_sources"))),
            "that does not exist.",
        ),
    ],
)
def test_what_cannot_be_relied_on_is_refused(
    live: Path, folder: Path, made: Backup, tmp_path: Path, spoil: Callable[[Path, Backup, Path], None], words: str
) -> None:
    described(folder, made, table_counts={"filters": 2})
    spoil(folder, made, tmp_path / "other.db")
    refused(live, folder, made, RestoreRefused, words)


def test_broken_references_that_were_known_when_it_was_made_are_no_reason(live: Path, folder: Path) -> None:
    made = backup(changed(live, "DELETE FROM stream_sources"), folder)
    assert made.sidecar.checked is not None
    assert made.sidecar.checked.warnings
    assert restored(live, folder, made).attention == ()


def test_what_is_not_there_is_refused(live: Path, folder: Path, made: Backup) -> None:
    described = folder / made.filename.replace(".db.gz", ".meta.json")
    described.rename(folder / "kept")
    refused(live, folder, made, BackupBroken, "is missing")
    (folder / "kept").rename(described)
    (folder / made.filename).unlink()
    refused(live, folder, made, BackupNotFound, "There is no backup")
    refused(live, folder, "../live.db", BackupNotFound, 'There is no backup "../live.db".')


def test_one_that_is_deleted_meanwhile_is_refused(live: Path, folder: Path, made: Backup) -> None:
    delete_backup(folder, made.filename)
    refused(live, folder, made, BackupNotFound, "There is no backup")


@pytest.mark.parametrize("later", ["0099_later", "0001_elsewhere"])
def test_one_of_a_newer_version_of_ours_needs_a_word(folder: Path, tmp_path: Path, later: str) -> None:
    newer = replace(required(), migrations=required().migrations | {later})
    live, other = ours(tmp_path / "live.db"), ours(tmp_path / "other.db", later)
    made = create_backup(other, folder, newer, kind=BackupKind.MANUAL)
    described(folder, made, schema=f"tvarr-backup {later}")
    refused(live, folder, made, ConfirmationRequired, f"has the schema tvarr-backup {later}. ")


def test_one_of_a_newer_tvarr_needs_a_word(live: Path, folder: Path, tmp_path: Path) -> None:
    other = tvarrs(tmp_path / "other.db", "INSERT INTO schema_migrations VALUES ('030', 'm', 'now')")
    made = backup(other, folder)
    refused(
        live,
        folder,
        made,
        ConfirmationRequired,
        "has the schema tvarr 030. The current database has the schema tvarr 029.",
    )
    restore_backup(live, folder, made.filename, replace(required(), tvarr_newest="030"))


def test_one_of_ours_is_refused_for_tvarrs_database(live: Path, folder: Path, tmp_path: Path) -> None:
    made = backup(ours(tmp_path / "other.db"), folder)
    refused(live, folder, made, RestoreRefused, "must not replace tvarr's own database.")


def test_another_encoding_is_refused(live: Path, folder: Path, tmp_path: Path) -> None:
    made = backup(_utf_16(tmp_path / "other.db", live), folder)
    refused(live, folder, made, RestoreRefused, "Its text encoding is UTF-16le, but the live database uses UTF-8")


@pytest.mark.parametrize("kind", ["uploaded", "tvarr", "manual"])
def test_a_trigger_is_refused_where_it_comes_from_elsewhere(live: Path, folder: Path, kind: str) -> None:
    changed(live, "CREATE TRIGGER surprise AFTER INSERT ON filters BEGIN DELETE FROM filters; END")
    if kind == "tvarr":
        name = tvarrs_old_backup(folder, live).name
    else:
        made = backup(live, folder)
        described(folder, made, kind=kind)
        name = made.filename
    if kind == "manual":
        assert restored(live, folder, name).attention == ()
    else:
        refused(live, folder, name, CodeNotAccepted, 'contains the trigger "surprise". tvarr does')


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda live: live.unlink(), OfflineRestoreRequired, "does not exist, so an offline restore is needed"),
        (
            lambda live: live.write_bytes(b"garbage " * 999),
            OfflineRestoreRequired,
            "is not an SQLite database, or its header is damaged, so an offline restore is needed",
        ),
        (
            lambda live: live.write_bytes(b""),
            OfflineRestoreRequired,
            "is empty, so an offline restore is needed",
        ),
        (lambda live: live.unlink() or live.mkdir(), DatabaseForeign, "is not a file. Nothing was changed."),
        (
            lambda live: live.unlink() or changed(live, "PRAGMA journal_mode=WAL", "CREATE TABLE recipes (name)"),
            DatabaseForeign,
            "is not tvarr's database",
        ),
    ],
)
def test_what_is_live_must_be_fit_for_it(
    live: Path,
    folder: Path,
    made: Backup,
    spoil: Callable[[Path], object],
    error: type[TvarrBackupError],
    words: str,
) -> None:
    spoil(live)
    refused(live, folder, made, error, words)


def test_what_is_live_must_be_writable(live: Path, folder: Path, made: Backup) -> None:
    live.chmod(0o444)
    before, files = live.read_bytes(), state(folder)
    code = _PRELUDE + (
        "try: restore_backup(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], required)\n"
        "except Exception as problem: print(json.dumps([type(problem).__name__, str(problem)]))\n"
    )
    error, words = python(code, live, folder, made.filename, heeds_modes=True)
    assert error == "DatabaseUnusable"
    assert words.startswith(f"{live} cannot be written. It belongs to ")
    assert " with mode 0444, and this program runs as " in words
    assert f"Run: chmod u+rw {live}" in words
    assert (live.read_bytes(), state(folder)) == (before, files)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (
            "BEGIN IMMEDIATE",
            "Another program locked {live} for 0 s. Nothing was restored. Your data is unchanged. Try again when it has finished.",
        ),
        (
            "PRAGMA locking_mode=EXCLUSIVE",
            "Another program has locked {live}. Nothing was changed. Try again when it has finished.",
        ),
    ],
)
def test_a_lock_that_somebody_holds_is_not_waited_for_for_ever(
    live: Path, folder: Path, made: Backup, monkeypatch: pytest.MonkeyPatch, statement: str, words: str
) -> None:
    monkeypatch.setattr(live_database, "LOCK_SECONDS", 0.4)
    before, files = content(live), state(folder)
    with running(_HOLDER, live, statement) as holder:
        assert holder("") == "locked"
        started = time.monotonic()
        with pytest.raises(DatabaseBusy) as failure:
            restored(live, folder, made)
        assert time.monotonic() - started < 5
    assert str(failure.value) == words.format(live=live)
    assert (content(live), state(folder)) == (before, files)
    assert is_clean(folder)
    restored(live, folder, made)


def test_without_room_it_is_not_begun(live: Path, folder: Path, made: Backup, tmp_path: Path) -> None:
    code = _PRELUDE + (
        "import shutil\n"
        "disk, copied, live, name = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4]\n"
        "folder = disk / 'backups'\n"
        "shutil.copytree(copied, folder)\n"
        "def look(): return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}\n"
        "before = look()\n"
        "try: restore_backup(live, folder, name, required)\n"
        "except Exception as problem: outcome = [type(problem).__name__, str(problem)]\n"
        "print(json.dumps([*outcome, look() == before, os.listdir(folder / '.work')]))\n"
    )
    before = live.read_bytes()
    (tmp_path / "disk").mkdir()
    error, words, same, left = on_small_disk(code, tmp_path / "disk", folder, live, made.filename, options="size=300k")
    assert (error, same, left) == ("NoRoom", True, [])
    assert words.startswith("The restore needs about ")
    assert re.search(r" [MG]B is free\.$", words)
    assert live.read_bytes() == before


def test_somebody_at_work_is_waited_for_by_nobody(live: Path, folder: Path, made: Backup) -> None:
    before, files = live.read_bytes(), state(folder)
    with backup_lock(folder), pytest.raises(BackupBusy):
        restored(live, folder, made)
    assert (live.read_bytes(), state(folder)) == (before, files)
