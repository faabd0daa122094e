"""Make a backup: its content, its appearance whole or not at all, and unchanged older backups."""

from __future__ import annotations

import gzip
import hashlib
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from tests.backups.makers import (
    FOREIGN,
    NOW,
    backup,
    changed,
    filenames,
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
    umask,
    with_ballast,
)
from tests.installation import ROOT
from tvarr_backup import __version__
from tvarr_backup.backups.backup_warnings import BackupWarning, BackupWarningCode
from tvarr_backup.backups.catalogue import read_folder
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.folder import prepare_folder, recover
from tvarr_backup.backups.progress import Phase
from tvarr_backup.backups.retention import Policy, prune
from tvarr_backup.backups.sidecar import BackupKind, CheckLevel
from tvarr_backup.backups.verify import verify_backup
from tvarr_backup.errors import (
    BackupBusy,
    BackupFolderUnusable,
    CopyDamaged,
    CopyFailed,
    NoteInvalid,
    TvarrBackupError,
)

NAME = "tvarr-backup-2026-06-15T12-30-00.db.gz"
PHASES = (Phase.COPY, Phase.PACK, Phase.CHECK, Phase.PUBLISH)
PRELUDE = """
import json, os, resource, sys, time
from pathlib import Path
from tvarr_backup.backups.catalogue import read_folder
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.schema import RequiredSchema
REQUIRED = RequiredSchema({"filters": frozenset({"id", "name"})}, "tvarr_backup", frozenset())
def create(live, folder, **changes):
    return create_backup(Path(live), Path(folder), REQUIRED, kind=BackupKind.MANUAL, **changes)
def outcome(live, folder, **changes):
    try:
        create(live, folder, **changes)
    except TvarrBackupError as problem:
        return [type(problem).__name__, str(problem)]
    return ["made", ""]
def files(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))
"""


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A live database of 6 MiB."""
    return with_ballast(tvarrs(tmp_path / "large.db"), 6)


def content(folder: Path, filename: str, target: Path) -> Path:
    """The database in a backup."""
    target.write_bytes(gzip.decompress((folder / filename).read_bytes()))
    return target


class TestWhatIsInIt:
    """The archive, its sidecar, and the database between them."""

    def test_it_is_whole_and_described_as_it_is(self, live: Path, folder: Path, tmp_path: Path) -> None:
        made = create_backup(live, folder, required(), kind=BackupKind.SCHEDULED, note=" at night ", now=NOW)
        archive, sidecar = folder / NAME, made.sidecar
        copy = content(folder, NAME, tmp_path / "copy.db")
        assert made.filename == NAME
        assert sidecar.checksum == f"sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}"
        assert sidecar.database_checksum == f"sha256:{hashlib.sha256(copy.read_bytes()).hexdigest()}"
        assert (sidecar.compressed_size, sidecar.database_size) == (archive.stat().st_size, copy.stat().st_size)
        assert (sidecar.kind, sidecar.note, sidecar.seq) == (BackupKind.SCHEDULED, "at night", 1)
        assert (sidecar.schema, sidecar.app_version) == ("tvarr 029", __version__)
        assert (sidecar.protected, sidecar.imported, sidecar.restored_from) == (False, False, "")
        assert sidecar.sqlite_version == sqlite3.sqlite_version
        assert query(copy, "PRAGMA integrity_check") == "ok"

    def test_it_is_listed_as_it_was_given_back(self, live: Path, folder: Path) -> None:
        made = backup(live, folder)
        assert read_folder(folder).backups == (made,)
        assert sorted(state(folder)) == sorted([".lock", ".work", made.filename, made.name.sidecar])

    def test_it_counts_as_quickly_checked(self, live: Path, folder: Path) -> None:
        checked = backup(live, folder).sidecar.checked
        assert checked is not None
        assert (checked.level, checked.problems, checked.warnings) == (CheckLevel.QUICK, (), ())

    def test_rows_are_counted_in_the_copy_without_deleted_ones_and_lists_of_migrations(
        self, live: Path, folder: Path
    ) -> None:
        counts = backup(live, folder).sidecar.table_counts
        assert (counts["filters"], counts["encoding_profiles"], counts["backup_settings"]) == (2, 1, 0)
        assert "schema_migrations" not in counts

    def test_a_database_of_ours_is_backed_up_too(self, folder: Path, tmp_path: Path) -> None:
        made = backup(ours(tmp_path / "ours.db"), folder)
        assert made.sidecar.schema == f"tvarr-backup {max(required().migrations)}"
        assert not {"django_migrations", "sqlite_sequence"} & set(made.sidecar.table_counts)

    def test_both_have_their_owner_alone_whatever_the_umask(self, live: Path, tmp_path: Path) -> None:
        loose: list[Path] = []
        with umask(0):
            folder = prepare_folder(tmp_path / "new")
            made = backup(live, folder, progress=lambda *_: loose.extend(_loose_files(folder)))
        assert loose + _loose_files(folder) == []
        assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE((folder / ".work").stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / made.filename).stat().st_mode) == 0o600

    def test_the_live_database_stays_as_it_was(self, live: Path, folder: Path) -> None:
        before = live.read_bytes()
        backup(live, folder)
        assert live.read_bytes() == before
        assert query(live, "PRAGMA journal_mode") == "wal"

    def test_a_table_with_a_generated_column_and_a_check_is_copied(self, live: Path, folder: Path) -> None:
        changed(
            live,
            "CREATE TABLE t (a INTEGER CHECK (a > 0), b GENERATED ALWAYS AS (a * 2) STORED)",
            "INSERT INTO t (a) VALUES (4), (5)",
        )
        assert backup(live, folder).sidecar.table_counts["t"] == 2

    def test_rows_that_refer_to_nothing_are_a_warning(self, live: Path, folder: Path) -> None:
        changed(live, "DELETE FROM stream_sources")
        made = backup(live, folder)
        assert made.sidecar.checked is not None
        assert made.sidecar.checked.problems == ()
        assert made.sidecar.checked.warnings == (
            BackupWarning(
                BackupWarningCode.BROKEN_REFERENCES, table="channels", referenced_table="stream_sources", count=1
            ),
        )
        assert filenames(folder) == [made.filename]


def _loose_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and stat.S_IMODE(path.stat().st_mode) != 0o600]


class TestWriters:
    """Others who have the live database open, in this process and elsewhere."""

    def test_what_is_not_committed_is_left_out(self, live: Path, folder: Path) -> None:
        with closing(sqlite3.connect(live, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("DELETE FROM filters")
            made = backup(live, folder)
            writer.execute("COMMIT")
        assert made.sidecar.table_counts["filters"] == 2
        assert backup(live, folder).sidecar.table_counts["filters"] == 0

    def test_what_was_committed_but_lies_in_the_wal_is_in_it(self, live: Path, folder: Path) -> None:
        with closing(sqlite3.connect(live, isolation_level=None)) as writer:
            writer.execute("PRAGMA wal_autocheckpoint=0")
            writer.execute("DELETE FROM filters")
            assert backup(live, folder).sidecar.table_counts["filters"] == 0

    def test_a_lock_that_is_held_for_ever_does_not_stop_it(self, live: Path, folder: Path) -> None:
        code = (
            "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
            "c.execute('BEGIN EXCLUSIVE'); c.execute('DELETE FROM filters'); print('held', flush=True); time.sleep(60)"
        )
        holder = subprocess.Popen([sys.executable, "-c", code, live], stdout=subprocess.PIPE, text=True)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        made = backup(live, folder)
        assert holder.poll() is None
        holder.kill()
        holder.communicate()
        assert made.sidecar.table_counts["filters"] == 2

    def test_the_locks_of_this_process_on_the_live_database_stay(self, live: Path, folder: Path) -> None:
        with closing(sqlite3.connect(live, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("DELETE FROM filters")
            assert "database is locked" in _elsewhere(live, "BEGIN IMMEDIATE")
            backup(live, folder)
            assert "database is locked" in _elsewhere(live, "BEGIN IMMEDIATE")
            writer.execute("ROLLBACK")
            assert "database is locked" in _elsewhere(live, "PRAGMA journal_mode=DELETE")
        assert _elsewhere(live, "PRAGMA journal_mode=DELETE") == ""

    def test_a_caller_inside_a_transaction_of_its_own_changes_nothing(self, live: Path, folder: Path) -> None:
        with closing(sqlite3.connect(live)) as caller, caller:
            caller.execute("UPDATE filters SET name = 'mine'")
            made = backup(live, folder)
        assert made.sidecar.table_counts["filters"] == 2
        assert query(live, "SELECT count(*) FROM filters WHERE name = 'mine'") == 3


def _elsewhere(live: Path, statement: str) -> str:
    """Run a statement in another process; gives its last words where it cannot."""
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0.1, isolation_level=None).execute(sys.argv[2])"
    command = [sys.executable, "-c", code, str(live), statement]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stderr


class TestRefusals:
    """Each leaves the folder exactly as it was."""

    @pytest.mark.parametrize(
        ("what", "error", "words"),
        [
            ("missing", CopyFailed, "could not be copied: unable to open database file."),
            ("folder", CopyFailed, "could not be copied: unable to open database file."),
            ("text", CopyFailed, "could not be copied: file is not a database."),
            ("zero bytes", CopyDamaged, "It is an empty database."),
            ("no tables", CopyDamaged, "It has no tables."),
            ("another program", CopyDamaged, "It has neither tvarr's nor our tables, but recipes."),
            ("damaged text", CopyFailed, "could not be copied: its schema contains invalid text."),
            (
                "damaged tree",
                CopyFailed,
                "could not be copied: database disk image is malformed. It is damaged. To fix it, restore a backup.",
            ),
            ("violated check", CopyDamaged, "CHECK constraint failed in t"),
            ("violated not null", CopyDamaged, "NULL value in filters.name"),
        ],
    )
    def test_a_live_database_that_is_none_is_refused_and_no_old_backup_goes(
        self, live: Path, folder: Path, what: str, error: type[TvarrBackupError], words: str
    ) -> None:
        backup(live, folder, kind=BackupKind.SCHEDULED, now=NOW)
        backup(live, folder, kind=BackupKind.SCHEDULED, now=NOW)
        before = state(folder)
        _spoil(live, what)
        with pytest.raises(error) as refused:
            backup(live, folder)
        assert words in str(refused.value)
        assert str(live) in str(refused.value)
        assert state(folder) == before
        assert live.exists() is (what != "missing")

    def test_a_copy_that_fails_its_check_says_that_older_ones_are_safe(self, live: Path, folder: Path) -> None:
        _spoil(live, "zero bytes")
        with pytest.raises(
            CopyDamaged, match=r"failed verification\. Your existing backups are unchanged\. It is an empty"
        ):
            backup(live, folder)

    def test_a_database_that_a_newer_version_migrated_is_backed_up(self, folder: Path, tmp_path: Path) -> None:
        made = backup(ours(tmp_path / "ours.db", "0099_later"), folder)
        assert made.sidecar.schema == "tvarr-backup 0099_later"

    @pytest.mark.parametrize(
        ("note", "words"),
        [
            ("x" * 501, "got 501 characters."),
            ("two\nlines", "got U+000A as character 4."),
            ("\x1b[31m", "got U+001B as character 1."),
            ("\ud800", "got U+D800 as character 1."),
        ],
    )
    def test_a_note_that_cannot_be_shown_is_refused(self, live: Path, folder: Path, note: str, words: str) -> None:
        with pytest.raises(NoteInvalid) as refused:
            backup(live, folder, note=note)
        assert str(refused.value).endswith(words)
        assert filenames(folder) == []

    @pytest.mark.parametrize(
        "note",
        ["a\u00a0b", "before \u3000", "\U0001f468\u200d\U0001f469", "\u05e9\u05b0\u200f!", "\u0645\u06cc\u200c\u062e"],
    )
    def test_a_note_in_any_script_is_kept_as_it_is(self, live: Path, folder: Path, note: str) -> None:
        assert backup(live, folder, note=f"x {note} y").sidecar.note == f"x {note} y"


def _spoil(live: Path, what: str) -> None:
    if what in {"missing", "folder", "text", "zero bytes", "no tables", "another program"}:
        live.unlink()
    match what:
        case "folder":
            live.mkdir()
        case "text":
            live.write_text("no database " * 1000)
        case "zero bytes":
            live.touch()
        case "no tables":
            changed(live, "CREATE TABLE a (b)", "DROP TABLE a")
        case "another program":
            changed(live, "CREATE TABLE recipes (a)")
        case "damaged text":
            live.write_bytes(settled(live).read_bytes().replace(b"CREATE TABLE filters", b"CREATE TAB\xff\xfe filters"))
        case "damaged tree":
            page = query(live, "SELECT rootpage FROM sqlite_master WHERE name = 'filters'")
            raw = bytearray(settled(live).read_bytes())
            raw[(page - 1) * 4096 : (page - 1) * 4096 + 64] = b"\xff" * 64
            live.write_bytes(raw)
        case "violated check":
            changed(
                live,
                "CREATE TABLE t (a CHECK (a > 0))",
                "PRAGMA ignore_check_constraints=ON",
                "INSERT INTO t VALUES (-1)",
            )
        case "violated not null":
            unset_not_null(live)


def unset_not_null(path: Path) -> None:
    """A NULL where the table forbids one."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'filters'").fetchone()
        connection.execute("PRAGMA writable_schema=ON")
        rewrite = "UPDATE sqlite_master SET sql = ? WHERE name = 'filters'"
        connection.execute(rewrite, (sql.replace("name TEXT NOT NULL", "name TEXT"),))
        connection.execute("PRAGMA writable_schema=RESET")
        connection.execute("UPDATE filters SET name = NULL")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(rewrite, (sql,))


class TestNamesAndNumbers:
    """Every backup has a name of its own, and a higher number than all before."""

    def test_two_in_one_second_have_two_names(self, live: Path, folder: Path) -> None:
        made = [backup(live, folder, now=NOW) for _ in range(3)]
        assert [each.filename for each in made] == [
            NAME,
            "tvarr-backup-2026-06-15T12-30-00.123.db.gz",
            "tvarr-backup-2026-06-15T12-30-00.124.db.gz",
        ]
        assert filenames(folder) == [each.filename for each in reversed(made)]

    @pytest.mark.parametrize("days", [-365, 365])
    def test_the_newest_is_the_last_one_made_whatever_the_clock_says(self, live: Path, folder: Path, days: int) -> None:
        times = [NOW, NOW + timedelta(days=days), NOW]
        made = [backup(live, folder, kind=BackupKind.SCHEDULED, now=time).filename for time in times]
        assert filenames(folder) == made[::-1]
        assert [gone.filename for gone in prune(folder, Policy(1), now=NOW)] == made[:2]
        assert filenames(folder) == [made[2]]

    @pytest.mark.parametrize("taken", [NAME, NAME.replace(".db.gz", ".meta.json")])
    @pytest.mark.parametrize("what", ["file", "folder", "dangling link", "link"])
    def test_a_name_that_is_taken_is_not_used_and_what_has_it_stays(
        self, live: Path, folder: Path, tmp_path: Path, taken: str, what: str
    ) -> None:
        elsewhere = tmp_path / "elsewhere"
        if what == "file":
            (folder / taken).write_text("precious")
        elif what == "folder":
            (folder / taken).mkdir()
        else:
            (folder / taken).symlink_to(elsewhere)
            if what == "link":
                elsewhere.write_text("precious")
        before = state(folder)
        made = backup(live, folder, now=NOW)
        assert made.filename == NAME.replace("00.db", "00.123.db")
        assert state(folder).items() >= before.items()
        assert elsewhere.exists() is (what == "link")
        assert what != "link" or elsewhere.read_text() == "precious"

    @pytest.mark.parametrize("late", [NAME, NAME.replace(".db.gz", ".meta.json")])
    def test_a_name_that_is_taken_at_the_last_moment_is_never_overwritten(
        self, live: Path, folder: Path, late: str
    ) -> None:
        def take(phase: Phase, _done: int, _total: int) -> None:
            if phase is Phase.PUBLISH:
                (folder / late).write_text("precious")

        with pytest.raises(BackupFolderUnusable, match="File exists"):
            backup(live, folder, now=NOW, progress=take)
        assert (folder / late).read_text() == "precious"
        assert sorted(state(folder)) == sorted([".lock", ".work", late])


class TestInterruptions:
    """Whatever interrupts it, nothing is left behind, and the old files are unchanged."""

    @pytest.mark.parametrize("phase", PHASES)
    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ZeroDivisionError])
    def test_what_progress_raises_undoes_everything(
        self, large: Path, live: Path, folder: Path, phase: Phase, error: type[BaseException]
    ) -> None:
        backup(live, folder)
        (folder / FOREIGN).write_bytes(b"put here by hand")
        before = state(folder)
        if phase is Phase.CHECK:
            slow_to_check(large)
        with pytest.raises(error):
            backup(large, folder, progress=raising_at(phase, error()))
        assert state(folder) == before
        assert backup(large, folder).sidecar.seq == 2

    def test_every_phase_is_told_in_order_and_up_to_the_whole(self, large: Path, folder: Path) -> None:
        seen: list[tuple[Phase, int, int]] = []
        backup(slow_to_check(large), folder, progress=lambda *now: seen.append(now))
        order = [phase for index, (phase, *_) in enumerate(seen) if index == 0 or phase is not seen[index - 1][0]]
        assert order == [*PHASES]
        packing = [(done, total) for phase, done, total in seen if phase is Phase.PACK]
        assert packing == sorted(packing)
        assert packing[-1][0] == packing[-1][1]

    @pytest.mark.parametrize("phase", PHASES)
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    def test_a_signal_leaves_at_most_what_recovery_removes(
        self, large: Path, live: Path, folder: Path, phase: Phase, number: signal.Signals
    ) -> None:
        backup(live, folder, now=NOW)
        (folder / FOREIGN).write_bytes(b"put here by hand")
        before = state(folder)
        if phase is Phase.CHECK:
            slow_to_check(large)
        code = PRELUDE + (
            "def stop(phase, done, total):\n"
            "    if phase == sys.argv[3]: print('there', flush=True); time.sleep(60)\n"
            "create(sys.argv[1], sys.argv[2], progress=stop)"
        )
        command = [sys.executable, "-c", code, str(large), str(folder), phase]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        assert filenames(folder) == [NAME]
        process.send_signal(number)
        process.communicate(timeout=30)
        left = state(folder) != before
        assert left is (number is not signal.SIGINT)  # which Python turns into an exception
        assert bool(recover(folder)) is left
        assert state(folder) == before


class TestSeveralAtOnce:
    """Only one runs at a time. The others are refused immediately."""

    def test_a_second_one_is_refused_at_once(self, live: Path, folder: Path) -> None:
        refused: list[str] = []

        def second(phase: Phase, _done: int, _total: int) -> None:
            if phase is Phase.PUBLISH:
                with pytest.raises(BackupBusy) as busy:
                    backup(live, folder)
                refused.append(str(busy.value))

        made = backup(live, folder, progress=second)
        assert refused == [
            f"Another operation is using the backup folder {folder}. Nothing was changed. Try again when it has finished."
        ]
        assert filenames(folder) == [made.filename]

    def test_of_twenty_started_together_each_is_made_or_refused_and_none_is_lost(
        self, live: Path, folder: Path
    ) -> None:
        code = PRELUDE + (
            "sys.stdin.read(1)\n"  # all have begun to wait before the first one starts
            "try:\n    print(create(sys.argv[1], sys.argv[2]).filename)\n"
            "except TvarrBackupError as problem:\n    print(type(problem).__name__)"
        )
        command = [sys.executable, "-c", code, str(live), str(folder)]
        processes = [
            subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(20)
        ]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("x")
            process.stdin.flush()
        words = [process.communicate(timeout=60)[0].strip() for process in processes]
        made = [word for word in words if word != "BackupBusy"]
        assert made
        assert len(made) == len(set(made))
        assert sorted(made) == sorted(filenames(folder))
        seqs = [found.sidecar.seq for found in read_folder(folder).backups]
        assert seqs == list(range(len(made), 0, -1))
        assert all(verify_backup(folder, name, required()).problems == () for name in made)


class TestDisks:
    """Full, limited and forbidden disks."""

    def test_too_little_room_is_said_with_both_numbers(self, live: Path, folder: Path) -> None:
        code = PRELUDE + (
            "folder = prepare_folder(Path(sys.argv[1]) / 'backups')\n"
            "print(json.dumps([*outcome(sys.argv[2], folder), files(folder)]))"
        )
        name, words, files = on_small_disk(code, _disk(folder), live, options="size=64k")
        assert name == "NoRoom"
        assert words.startswith("The backup needs about 0.")
        assert words.endswith(f"MB of free space in {_disk(folder) / 'backups'}, but only 0.1 MB is free.")
        assert files == [".lock", ".work"]

    @pytest.mark.parametrize("phase", PHASES)
    def test_a_disk_that_fills_meanwhile_leaves_nothing_behind(self, large: Path, folder: Path, phase: Phase) -> None:
        code = PRELUDE + (
            "disk, live = Path(sys.argv[1]), sys.argv[2]\n"
            "folder = prepare_folder(disk / 'backups')\n"
            "old = create(live, folder)\n"
            "def fill(phase, done, total):\n"
            "    if phase == sys.argv[3] and not (disk / 'ballast').exists():\n"
            "        with open(disk / 'ballast', 'wb', buffering=0) as ballast:\n"
            "            try:\n"
            "                while ballast.write(bytes(4096)): pass\n"
            "            except OSError: pass\n"
            "found = outcome(live, folder, progress=fill)\n"
            "filled = (disk / 'ballast').exists()\n"
            "before = files(folder)\n"
            "(disk / 'ballast').unlink(missing_ok=True)\n"
            "again = create(live, folder)\n"
            "listed = [backup.filename for backup in read_folder(folder).backups]\n"
            "print(json.dumps([found, filled, before, listed, [again.filename, old.filename]]))"
        )
        if phase is Phase.CHECK:
            slow_to_check(large)
        found, filled, files, listed, expected = on_small_disk(code, _disk(folder), large, phase, options="size=120m")
        old = expected[1]
        assert (filled, found[0]) == (True, "NoRoom")
        assert "full" in found[1]
        assert files == sorted([".lock", ".work", old, old.replace(".db.gz", ".meta.json")])
        assert listed == expected

    def test_a_disk_without_room_for_another_file_is_survived(self, live: Path, folder: Path) -> None:
        code = PRELUDE + (
            "disk, live = Path(sys.argv[1]), sys.argv[2]\n"
            "folder = prepare_folder(disk / 'backups')\n"
            "old = create(live, folder)\n"
            "found = []\n"
            "free = os.statvfs(disk).f_favail\n"
            "for left in range(5):\n"
            "    for number in range(free - left): (disk / f'{number}').touch()\n"
            "    found.append([left, *outcome(live, folder)])\n"
            "    for number in range(free - left): (disk / f'{number}').unlink()\n"
            "print(json.dumps([found, files(folder), old.filename]))"
        )
        found, files, old = on_small_disk(code, _disk(folder), live, options="size=100m,nr_inodes=40")
        assert [name for left, name, _ in found if left < 3] == ["NoRoom", "NoRoom", "NoRoom"] or {
            name for left, name, _ in found if left < 2
        } <= {"NoRoom", "CopyFailed"}
        made = sum(name == "made" for _, name, _ in found)
        assert len(files) == 4 + 2 * made
        assert {old, old.replace(".db.gz", ".meta.json")} <= set(files)

    @pytest.mark.parametrize("limit", [2**12, 2**20, 5 * 2**20])
    def test_a_limit_of_file_size_is_survived(self, large: Path, live: Path, folder: Path, limit: int) -> None:
        backup(live, folder)
        before = state(folder)
        code = PRELUDE + (
            "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))\n"
            "found = outcome(sys.argv[1], sys.argv[2])\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
            "print(json.dumps(found))"
        )
        name, words = python(code, large, folder, limit)
        assert name in {"CopyFailed", "BackupFolderUnusable"}
        assert words.endswith(".")
        assert state(folder) == before

    def test_the_archive_may_be_what_meets_the_limit(self, large: Path, folder: Path) -> None:
        limit = 0

        def lower(phase: Phase, done: int, _total: int) -> None:
            nonlocal limit
            if phase is Phase.PACK and not limit:
                limit = done
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

        try:
            with pytest.raises(BackupFolderUnusable, match="File too large"):
                backup(large, folder, progress=lower)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert sorted(state(folder)) == [".lock", ".work"]

    @pytest.mark.parametrize("what", ["folder", ".work", ".lock"])
    def test_what_may_not_be_written_is_said(self, live: Path, folder: Path, what: str) -> None:
        backup(live, folder, now=NOW)
        (folder / ".work").rmdir()
        (folder / (what if what != "folder" else "")).mkdir(exist_ok=True) if what != ".lock" else None
        forbidden = folder if what == "folder" else folder / what
        forbidden.chmod(0o500 if what != ".lock" else 0o400)
        before = state(folder)
        found = python(PRELUDE + "print(json.dumps(outcome(sys.argv[1], sys.argv[2])))", live, folder, heeds_modes=True)
        is_folder = what == "folder"
        assert found[0] == ("BackupFolderReadOnly" if is_folder else "BackupFolderUnusable")
        reason = "is read-only. It belongs to " if is_folder else "cannot be used: Permission denied ("
        assert found[1].startswith(f"The backup folder {folder} {reason}")
        assert state(folder) == before
        forbidden.chmod(0o700)

    def test_a_disk_that_is_mounted_read_only_is_said(self, live: Path, folder: Path) -> None:
        code = PRELUDE + (
            "import subprocess\n"
            "disk, live = Path(sys.argv[1]), sys.argv[2]\n"
            "folder = prepare_folder(disk / 'backups')\n"
            "create(live, folder)\n"
            "subprocess.run(['mount', '-o', 'remount,ro', disk], check=True)\n"
            "print(json.dumps([*outcome(live, folder), len(read_folder(folder).backups)]))"
        )
        name, words, listed = on_small_disk(code, _disk(folder), live)
        assert (name, listed) == ("BackupFolderReadOnly", 1)
        assert "read-only" in words

    def test_the_folder_may_lie_on_another_disk(self, live: Path, folder: Path) -> None:
        code = PRELUDE + (
            "folder = prepare_folder(Path(sys.argv[1]) / 'backups')\n"
            "print(json.dumps([*outcome(sys.argv[2], folder), len(read_folder(folder).backups)]))"
        )
        assert on_small_disk(code, _disk(folder), live) == ["made", "", 1]


def _disk(folder: Path) -> Path:
    disk = folder.parent / "disk"
    disk.mkdir(exist_ok=True)
    return disk
