"""Offline restore: replace the live file while no program uses it, and set the old files aside whole."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.backups.makers import backup, changed, python, query, raising_at, required, settled, state, tvarrs
from tests.installation import ROOT
from tvarr_backup.backups import in_use
from tvarr_backup.backups.catalogue import Backup, read_folder
from tvarr_backup.backups.in_use import locked_out
from tvarr_backup.backups.progress import Phase, Progress, no_progress
from tvarr_backup.backups.restore import Restored, Settled, find_restorable, finish_restore, restore_backup
from tvarr_backup.backups.restore_journal import Replacement, Unfinished, find_safety_backup, read_journal
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.errors import (
    DatabaseBusy,
    DatabaseInUse,
    DatabaseMissing,
    NothingToUndo,
    OfflineRestoreRequired,
    OperationCancelled,
    RestoreRefused,
    RestoreUnsettled,
    TvarrBackupError,
)

_HOLDER = """
import sqlite3, sys
for statement in sys.argv[2:]:
    kept = sqlite3.connect(sys.argv[1], isolation_level=None)
    for each in statement.split(";"): kept.execute(each).fetchone()
opened = open(sys.argv[1], "rb")
print("open", flush=True)
sys.stdin.readline()
"""


def put(path: Path, offset: int, data: bytes) -> None:
    """Write bytes over those of a file that nobody has open."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def cut(path: Path, size: int) -> None:
    os.truncate(path, size)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "garbage": (lambda live: put(live, 0, bytes(range(256)) * 256), "its header is damaged"),
    "zeroed first page": (lambda live: put(live, 0, bytes(4096)), "its header is damaged"),
    "page size": (lambda live: put(live, 16, b"\x12\x34"), "its header is damaged"),
    "read version": (lambda live: put(live, 19, b"\x07"), "its header is damaged"),
    "write version": (lambda live: put(live, 18, b"\x07"), "SQLite cannot write it (attempt to write a readonly"),
    "schema format": (lambda live: put(live, 44, b"\x00\x00\x00\x09"), "cannot be used (unsupported file format)"),
    "tree of the schema": (lambda live: put(live, 100, bytes(50)), "SQLite cannot write it (database disk image"),
    "cut in half": (
        lambda live: cut(live, live.stat().st_size // 8192 * 4096),
        "SQLite cannot write it (database disk",
    ),
    "one page": (lambda live: cut(live, 4096), "SQLite cannot write it"),
    "a few bytes": (lambda live: cut(live, 10), "its header is damaged"),
    "text": (lambda live: live.write_text("not a database\n"), "is not an SQLite database"),
    "empty": (lambda live: cut(live, 0), "is empty"),
    "missing": (lambda live: live.unlink(), "does not exist"),
    "a folder for -shm": (lambda live: live.with_name(f"{live.name}-shm").mkdir(), "SQLite cannot write it"),
}


@pytest.fixture
def made(live: Path, folder: Path) -> Backup:
    """A backup in which the filters are called `then`; live they are called `now`."""
    changed(live, "UPDATE filters SET name = 'then ' || id")
    made = backup(live, folder)
    changed(live, "UPDATE filters SET name = 'now ' || id")
    return made


@pytest.fixture
def damaged(live: Path, made: Backup) -> Path:
    """The live database with garbage at its beginning."""
    DAMAGES["garbage"][0](live)
    return live


def replaced(live: Path, folder: Path, made: Backup, progress: Progress = no_progress) -> Restored:
    return restore_backup(live, folder, made.filename, required(), offline=True, progress=progress)


def beside(live: Path) -> dict[str, bytes]:
    """The live file and all files whose names begin with its own, by what follows."""
    return {
        path.name.removeprefix(live.name): path.read_bytes() if path.is_file() else b""
        for path in live.parent.iterdir()
        if path.name.startswith(live.name)
    }


def holds_then(live: Path) -> bool:
    return str(query(live, "SELECT name FROM filters LIMIT 1")).startswith("then") and (
        query(live, "PRAGMA integrity_check") == "ok"
    )


@contextlib.contextmanager
def held(live: Path, *statements: str) -> Iterator[int]:
    """Another process that has the file open, with a connection for each of these statements; its pid."""
    command = [sys.executable, "-c", _HOLDER, str(live), *statements]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            yield process.pid
        finally:
            process.kill()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_use, "_PATIENCE_SECONDS", 0.2)


# --- It happens ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_sqlite_cannot_write_is_replaced_and_set_aside(
    live: Path, folder: Path, made: Backup, damage: str
) -> None:
    spoil, words = DAMAGES[damage]
    spoil(live)
    before = beside(live)
    with pytest.raises(OfflineRestoreRequired) as refusal:
        restore_backup(live, folder, made.filename, required())
    assert words in refusal.value.damage
    assert f"backup restore {made.filename} --yes --offline`" in str(refusal.value)
    assert {name: content for name, content in beside(live).items() if content} == {
        name: content for name, content in before.items() if content
    }
    before = beside(live)  # SQLite may have left an empty -wal
    done = replaced(live, folder, made)
    assert holds_then(live)
    assert query(live, "PRAGMA journal_mode") == "wal"
    set_aside = {name: content for name, content in beside(live).items() if ".set-aside-" in name}
    assert sorted(set_aside.values()) == sorted(before.values())
    assert sorted(set_aside) == sorted(path.removeprefix(str(live)) for path in done.set_aside)
    assert not [name for name in beside(live) if "incoming" in name]
    assert not list((folder / ".work").iterdir())


def test_nothing_of_an_old_journal_comes_into_the_new_database(live: Path, folder: Path, made: Backup) -> None:
    """The most dangerous of the old files: SQLite writes a -wal that belongs to the old file into whatever is there."""
    code = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA wal_autocheckpoint=0'); c.execute('UPDATE filters SET name = \"late\"'); print(1, flush=True)\n"
        "os._exit(0)\n"
    )
    python(code, live)
    journal = live.with_name(f"{live.name}-wal").read_bytes()
    cut(live, 10)
    done = replaced(live, folder, made)
    assert holds_then(live)
    (kept,) = [path for path in done.set_aside if path.endswith("-wal")]
    assert Path(kept).read_bytes() == journal


def test_what_sqlite_can_still_read_becomes_a_safety_backup_that_goes_back(
    live: Path, folder: Path, made: Backup
) -> None:
    DAMAGES["write version"][0](live)
    done = replaced(live, folder, made)
    assert done.safety is not None
    assert (done.safety.sidecar.kind, done.safety.sidecar.checked and done.safety.sidecar.checked.problems) == (
        BackupKind.PRE_RESTORE,
        (),
    )
    assert done.before["filters"] == done.after["filters"]
    restore_backup(live, folder, done.safety.filename, required())
    assert str(query(live, "SELECT name FROM filters LIMIT 1")).startswith("now")


def test_no_safety_backup_is_claimed_where_none_could_be_made(damaged: Path, folder: Path, made: Backup) -> None:
    done = replaced(damaged, folder, made)
    assert (done.safety, done.before, done.attention) == (None, {}, ())
    assert [found.filename for found in read_folder(folder).backups] == [made.filename]


def test_after_it_no_older_safety_backup_passes_for_what_was_there(damaged: Path, folder: Path, made: Backup) -> None:
    older = undoable(damaged, folder, made)
    assert find_safety_backup(folder) == older
    DAMAGES["garbage"][0](damaged)
    done = replaced(damaged, folder, made)
    with pytest.raises(NothingToUndo, match="nothing to undo") as caught:
        find_safety_backup(folder)
    assert made.filename in str(caught.value)
    assert all(path in str(caught.value) for path in done.set_aside)


def test_the_same_where_it_was_killed_and_recovered(damaged: Path, folder: Path, made: Backup) -> None:
    undoable(damaged, folder, made)
    DAMAGES["missing"][0](damaged)
    killed_at(damaged, folder, made, "restore", "_settle")
    finish_restore(folder, required())
    with pytest.raises(NothingToUndo, match="no old files"):
        find_safety_backup(folder)


def test_the_next_restore_with_a_safety_backup_can_be_undone_again(damaged: Path, folder: Path, made: Backup) -> None:
    replaced(damaged, folder, made)
    with pytest.raises(NothingToUndo):
        find_safety_backup(folder)
    done = restore_backup(damaged, folder, made.filename, required())
    assert find_safety_backup(folder) == done.safety


def undoable(damaged: Path, folder: Path, made: Backup) -> Backup:
    """The safety backup of a restore that has repaired the live file and of another one after it."""
    replaced(damaged, folder, made)
    safety = restore_backup(damaged, folder, made.filename, required()).safety
    assert safety is not None
    return safety


def test_the_new_file_gets_the_old_ones_mode(damaged: Path, folder: Path, made: Backup) -> None:
    damaged.chmod(0o640)
    replaced(damaged, folder, made)
    assert stat.S_IMODE(damaged.stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
@pytest.mark.parametrize("is_missing", [False, True])
def test_the_new_file_gets_the_old_ones_owner_or_its_folders(
    tmp_path: Path, folder: Path, made: Backup, is_missing: bool
) -> None:
    live = tmp_path / "place" / "tvarr.db"
    live.parent.mkdir()
    live.write_bytes(b"")
    os.chown(live.parent, 1234, 1235)
    os.chown(live, 1236, 1237)
    if is_missing:
        live.unlink()
    replaced(live, folder, made)
    status = live.stat()
    wanted = (1234, 1235, 0o600) if is_missing else (1236, 1237, 0o644)
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == wanted


def test_where_there_are_no_hard_links_the_old_file_is_renamed(damaged: Path, folder: Path, made: Backup) -> None:
    """`protected_hardlinks` and the like answer with EPERM; FAT does so too."""
    before = damaged.read_bytes()
    code = (
        "import errno, os, sys; from pathlib import Path\n"
        "from tvarr_backup.backups.restore import restore_backup; from tvarr_backup.schema import RequiredSchema\n"
        "real = os.link\n"
        "def link(source, target, **options):\n"
        "    if 'set-aside' in str(target): raise OSError(errno.EPERM, 'no links')\n"
        "    return real(source, target, **options)\n"
        "os.link = link\n"
        "done = restore_backup(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3],\n"
        "    RequiredSchema({}, 'tvarr_backup', frozenset()), offline=True)\n"
        "import json; print(json.dumps(done.set_aside))\n"
    )
    (kept,) = python(code, damaged, folder, made.filename)
    assert Path(kept).read_bytes() == before
    assert holds_then(damaged)


# --- It is refused ---------------------------------------------------------------------------------------------------


def refused(live: Path, folder: Path, made: Backup, error: type[TvarrBackupError]) -> str:
    """An offline restore fails so, and neither the live files nor the backup folder change."""
    before, files = beside(live), state(folder)
    with pytest.raises(error) as failure:
        replaced(live, folder, made)
    assert (beside(live), state(folder)) == (before, files)
    return str(failure.value)


def test_what_can_be_restored_while_tvarr_runs_is_not_replaced(live: Path, folder: Path, made: Backup) -> None:
    words = refused(live, folder, made, RestoreRefused)
    assert f"backup restore {made.filename} --yes` without --offline" in words


@pytest.mark.parametrize("statements", [(), ("PRAGMA user_version",)])
def test_a_program_that_has_the_file_open_is_named(
    damaged: Path, folder: Path, made: Backup, impatient: None, statements: tuple[str, ...]
) -> None:
    with held(damaged) as pid:
        words = refused(damaged, folder, made, DatabaseInUse)
        assert f"{damaged} is in use by python" in words
        assert f"(pid {pid}). Nothing was changed." in words
        assert words.endswith("Stop tvarr, then try again.")
    replaced(damaged, folder, made)


def test_a_deleted_file_that_a_program_still_has_open_is_in_use(
    live: Path, folder: Path, made: Backup, impatient: None
) -> None:
    with held(live, "SELECT 1 FROM filters") as pid:
        for ending in ("", "-wal", "-shm"):
            live.with_name(f"{live.name}{ending}").unlink(missing_ok=True)
        assert f"(pid {pid})" in refused(live, folder, made, DatabaseInUse)


def test_a_lock_is_noticed_although_the_descriptor_cannot_be_seen(
    damaged: Path, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    """As in another container on the same kernel."""
    monkeypatch.setattr(in_use, "find_users", lambda _paths, **_but: [])
    code = (
        "import fcntl, sys; file = open(sys.argv[1], 'r+b'); fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, 0x40000002)\n"
        "print('open', flush=True); sys.stdin.readline()\n"
    )
    code = code.replace("LOCK_SH", "LOCK_EX")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(damaged)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(DatabaseInUse, match=rf"\(pid {process.pid}\)"), locked_out(damaged, "Stop it."):
            pass
        process.kill()


def test_while_the_file_is_replaced_sqlite_keeps_everybody_else_out(live: Path) -> None:
    with locked_out(live, "Stop it.") as found:
        assert found.startswith("sha256:")
        with (
            pytest.raises(sqlite3.OperationalError, match="locked"),
            closing(sqlite3.connect(live, timeout=0)) as other,
        ):
            other.execute("SELECT 1 FROM filters")
    assert query(live, "SELECT 1 FROM filters") == 1


def test_without_its_folder_the_disk_may_not_be_mounted(tmp_path: Path, folder: Path, made: Backup) -> None:
    with pytest.raises(DatabaseMissing, match="Mount its disk"):
        replaced(tmp_path / "disk" / "tvarr.db", folder, made)


def refused_to_nobody(live: Path, folder: Path, made: Backup) -> tuple[str, str]:
    code = (
        "import json, sys; from pathlib import Path; from tvarr_backup.backups.restore import find_restorable\n"
        "from tvarr_backup.schema import RequiredSchema\n"
        "try: find_restorable(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3],\n"
        "    RequiredSchema({}, 'tvarr_backup', frozenset()), offline=True)\n"
        "except Exception as problem: print(json.dumps([type(problem).__name__, str(problem)]))\n"
    )
    error, words = python(code, live, folder, made.filename, heeds_modes=True)
    return error, words


def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path, folder: Path, made: Backup) -> None:
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(0o555)
    error, words = refused_to_nobody(place / "tvarr.db", folder, made)
    assert error == "DatabaseUnusable"
    assert words.startswith(f"The folder {place} cannot be written. It belongs to ")


def test_what_progress_raises_leaves_everything_as_it_was(damaged: Path, folder: Path, made: Backup) -> None:
    before, files = beside(damaged), state(folder)
    for phase in (Phase.UNPACK, Phase.CHECK, Phase.REPLACE):
        with pytest.raises(OperationCancelled):
            replaced(damaged, folder, made, raising_at(phase, OperationCancelled("stop")))
        assert (beside(damaged), state(folder)) == (before, files)


def test_a_look_says_the_same_without_changing_anything(damaged: Path, folder: Path, made: Backup) -> None:
    before, files = beside(damaged), state(folder)
    with pytest.raises(OfflineRestoreRequired):
        find_restorable(damaged, folder, made.filename, required())
    assert find_restorable(damaged, folder, made.filename, required(), offline=True) == made
    assert (beside(damaged), state(folder)) == (before, files)


# --- It is killed ----------------------------------------------------------------------------------------------------

_KILLED = """
import os, signal, sys
from pathlib import Path
from tvarr_backup.backups import offline, restore
from tvarr_backup.schema import RequiredSchema
module, name, number = {"offline": offline, "restore": restore}[sys.argv[4]], sys.argv[5], int(sys.argv[6])
real, calls = getattr(module, name), 0
def killed(*arguments, **options):
    global calls
    calls += 1
    if calls == number: os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **options)
setattr(module, name, killed)
restore.restore_backup(
    Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], RequiredSchema({}, "tvarr_backup", frozenset()), offline=True
)
"""


def killed_at(live: Path, folder: Path, made: Backup, module: str, name: str, number: int = 1) -> None:
    command = [sys.executable, "-c", _KILLED, str(live), str(folder), made.filename, module, name, str(number)]
    assert subprocess.run(command, cwd=ROOT, check=False, timeout=60).returncode == -signal.SIGKILL


def test_killed_before_the_new_file_is_ready_nothing_has_happened(damaged: Path, folder: Path, made: Backup) -> None:
    before = beside(damaged)
    for name in ("complete_incoming", "rewrite_journal"):
        killed_at(damaged, folder, made, "restore", name)
        assert finish_restore(folder, required()) is None
        assert beside(damaged) == before
        assert not list((folder / ".work").iterdir())


@pytest.mark.parametrize(
    ("module", "name", "number"),
    [
        ("restore", "put_in_place", 1),
        ("offline", "sync_folder", 2),
        ("offline", "sync_folder", 3),
        ("restore", "problems_of", 1),
        ("restore", "_settle", 1),
    ],
)
@pytest.mark.parametrize("damage", ["garbage", "missing"])
def test_killed_after_that_recovery_finishes_it(
    live: Path, folder: Path, made: Backup, damage: str, module: str, name: str, number: int
) -> None:
    DAMAGES[damage][0](live)
    before = beside(live)
    killed_at(live, folder, made, module, name, number)
    finished = finish_restore(folder, required())
    assert isinstance(finished, Settled)
    assert (finished.filename, finished.safety) == (made.filename, None)
    assert holds_then(live)
    assert sorted(Path(path).read_bytes() for path in finished.set_aside) == sorted(before.values())
    assert not [name for name in beside(live) if "incoming" in name]
    assert finish_restore(folder, required()) is None


@pytest.fixture
def broken_off(damaged: Path, folder: Path, made: Backup) -> Path:
    """An offline restore that was killed with its new database ready."""
    killed_at(damaged, folder, made, "restore", "put_in_place")
    return damaged


def unsettled(live: Path, folder: Path) -> str:
    before, kept = beside(live), state(folder / ".work" / "restore")
    with pytest.raises(RestoreUnsettled) as failure:
        finish_restore(folder, required())
    assert (beside(live), state(folder / ".work" / "restore")) == (before, kept)
    return str(failure.value)


def test_recovery_waits_for_a_program_that_uses_the_file(broken_off: Path, folder: Path, impatient: None) -> None:
    with held(broken_off) as pid:
        words = unsettled(broken_off, folder)
    assert f"(pid {pid})" in words
    assert "run `manage.py backup recover` to finish the restore." in words
    assert finish_restore(folder, required()) is not None


def test_recovery_does_not_replace_a_file_that_another_program_has_created_since(
    broken_off: Path, folder: Path, tmp_path: Path
) -> None:
    broken_off.unlink()
    tvarrs(broken_off, "UPDATE filters SET name = 'a new one'")
    assert "another program has created or changed" in unsettled(broken_off, folder)
    broken_off.rename(tmp_path / "moved.db")
    assert finish_restore(folder, required()) is not None
    assert holds_then(broken_off)


def test_a_user_who_removes_the_new_file_has_given_the_restore_up(broken_off: Path, folder: Path) -> None:
    broken_off.unlink()
    tvarrs(broken_off, "UPDATE filters SET name = 'a new one'")
    (incoming,) = broken_off.parent.glob("*.incoming-*")
    assert str(incoming) in unsettled(broken_off, folder)
    incoming.unlink()
    assert finish_restore(folder, required()) is None
    assert query(broken_off, "SELECT name FROM filters LIMIT 1") == "a new one"
    assert not list((folder / ".work").iterdir())


def test_an_old_journal_that_comes_back_meanwhile_is_set_aside_as_well(
    damaged: Path, folder: Path, made: Backup
) -> None:
    damaged.with_name("live.db-wal").write_bytes(b"the first")
    killed_at(damaged, folder, made, "offline", "sync_folder", 2)
    damaged.with_name("live.db-wal").write_bytes(b"the second")
    finished = finish_restore(folder, required())
    assert finished is not None
    kept = [Path(path).read_bytes() for path in finished.set_aside if "-wal" in path.rpartition("/")[2]]
    assert kept == [b"the first", b"the second"]


def test_a_journal_of_an_older_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "restore").mkdir()
    (tmp_path / "restore" / "restore.json").write_text(
        '{"mark": 1, "live": "/live", "backup": "name", "safety": "safety", "started_at": "now"}'
    )
    assert read_journal(tmp_path) == Unfinished(1, "/live", "name", "safety", "now")
    assert Replacement("a", "b").is_ready is False


# --- Rollback-journal mode -------------------------------------------------------------------------------------------


def test_a_database_in_rollback_journal_mode_is_switched_and_restored(live: Path, folder: Path, made: Backup) -> None:
    settled(live)
    done = restore_backup(live, folder, made.filename, required())
    assert sorted(beside(live)) == [""]
    assert holds_then(live)
    assert query(live, "PRAGMA journal_mode") == "wal"
    assert (done.safety is not None, done.attention) == (True, ())


def test_in_that_mode_a_program_that_has_it_open_is_named(
    live: Path, folder: Path, made: Backup, impatient: None
) -> None:
    settled(live)
    before, files = beside(live), state(folder)
    with held(live, "SELECT 1 FROM filters") as pid:
        with pytest.raises(DatabaseInUse) as failure:
            restore_backup(live, folder, made.filename, required())
        assert f"(pid {pid}). Nothing was changed. It is in rollback-journal mode" in str(failure.value)
        assert isinstance(failure.value, DatabaseBusy)
    assert (beside(live), state(folder)) == (before, files)
    restore_backup(live, folder, made.filename, required())


def test_where_wal_mode_is_impossible_the_offline_restore_is_named_and_keeps_a_safety_backup(
    live: Path, folder: Path, made: Backup
) -> None:
    """A folder in the place of the shared memory stands for a file system that has none."""
    settled(live)
    live.with_name("live.db-shm").mkdir()
    with pytest.raises(OfflineRestoreRequired):
        restore_backup(live, folder, made.filename, required())
    done = replaced(live, folder, made)
    assert holds_then(live)
    assert done.safety is not None
    assert str(live.with_name("live.db-shm")) not in done.set_aside
