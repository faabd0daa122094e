"""Verify backups: any damage is found, a good backup passes, and the metadata file has the result."""

from __future__ import annotations

import gzip
import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.backups.makers import (
    FOREIGN,
    NOW,
    backup,
    changed,
    member,
    metadata,
    on_small_disk,
    ours,
    packed,
    python,
    raising_at,
    required,
    settled,
    slow_to_check,
    state,
    tar_of,
    tvarrs,
    tvarrs_new_backup,
    tvarrs_old_backup,
    with_ballast,
)
from tvarr_backup.backups.backup_warnings import BackupWarningCode
from tvarr_backup.backups.catalogue import Backup, find_backup, protect_backup, read_folder
from tvarr_backup.backups.lock import backup_lock
from tvarr_backup.backups.progress import Phase
from tvarr_backup.backups.sidecar import BackupKind, Checked, CheckLevel, Sidecar
from tvarr_backup.backups.verify import NOT_SAVED_FULL, Verification, next_to_verify, verify_backup
from tvarr_backup.errors import BackupBroken, BackupBusy, BackupNotFound, NoRoom, TvarrBackupError

NAME = "tvarr-backup-2026-06-15T12-30-00.db.gz"
META = NAME.replace(".db.gz", ".meta.json")
ALL = [
    "archive",
    "archive checksum",
    "database checksum",
    "database size",
    "structure",
    "tables",
    "references",
    "rows",
    "row counts",
]


@pytest.fixture
def made(live: Path, folder: Path) -> Backup:
    """A good backup."""
    return backup(live, folder, now=NOW)


def verify(folder: Path, filename: str = NAME) -> Verification:
    return verify_backup(folder, filename, required())


def failed(found: Verification) -> list[str]:
    return [check.name for check in found.checks if not check.passed]


def replaced(folder: Path, raw: bytes, **changes: Any) -> None:
    """Other bytes in the archive's place, and a sidecar that has their size."""
    (folder / NAME).write_bytes(raw)
    described = json.loads((folder / META).read_text())
    (folder / META).write_text(json.dumps(described | {"compressed_size": len(raw)} | changes))


def with_database(folder: Path, database: bytes, **changes: Any) -> None:
    """Another database in the backup, and a sidecar that fits it as far as nobody looks into it."""
    raw = gzip.compress(database, 1)
    facts = {
        "checksum": f"sha256:{hashlib.sha256(raw).hexdigest()}",
        "database_checksum": f"sha256:{hashlib.sha256(database).hexdigest()}",
        "database_size": len(database),
    }
    replaced(folder, raw, **(facts | changes))


class TestGoodOnes:
    """What is whole is said to be so."""

    def test_all_is_checked_and_the_sidecar_keeps_the_result(self, made: Backup, folder: Path) -> None:
        before = datetime.now(UTC)
        found = verify(folder)
        assert [check.name for check in found.checks] == ALL
        assert (found.problems, found.warnings) == ((), ())
        checked = found.backup.sidecar.checked
        assert checked is not None
        assert (checked.level, checked.problems, checked.warnings) == (CheckLevel.FULL, (), ())
        assert checked.at is not None
        assert checked.at >= before
        assert find_backup(folder, NAME) == found.backup
        assert found.backup.sidecar.with_changes(checked=None) == made.sidecar.with_changes(checked=None)

    def test_nothing_else_changes(self, made: Backup, folder: Path) -> None:
        before = state(folder)
        verify(folder)
        after = state(folder)
        assert before.pop(META) != after.pop(META)
        assert after == before

    def test_a_result_replaces_an_older_one(self, made: Backup, folder: Path) -> None:
        whole = (folder / NAME).read_bytes()
        (folder / NAME).write_bytes(whole[:-1] + b"\0")
        assert verify(folder).backup.sidecar.checked != made.sidecar.checked
        (folder / NAME).write_bytes(whole)
        found = verify(folder).backup.sidecar.checked
        assert found is not None
        assert found.problems == ()

    def test_a_database_of_ours_is_verified_too(self, folder: Path, tmp_path: Path) -> None:
        made = backup(ours(tmp_path / "ours.db"), folder)
        assert verify(folder, made.filename).problems == ()

    def test_tvarrs_old_form_is_verified_by_its_one_checksum(self, folder: Path, live: Path) -> None:
        old = tvarrs_old_backup(folder, settled(live))
        found = verify(folder, old.name)
        assert found.problems == ()
        assert "database checksum" not in [check.name for check in found.checks]
        checked = find_backup(folder, old.name).sidecar
        assert (checked.kind, checked.checked) == (BackupKind.TVARR, found.backup.sidecar.checked)

    def test_tvarrs_new_form_is_verified_without_its_checksum_and_stays_as_it_is(
        self, folder: Path, live: Path
    ) -> None:
        new = tvarrs_new_backup(folder, settled(live))
        before = state(folder)
        found = verify(folder, new.name)
        assert [check.name for check in found.checks] == [
            "archive",
            "structure",
            "tables",
            "references",
            "rows",
            "schema",
        ]
        assert found.problems == ()
        assert state(folder) == before

    def test_what_refers_to_nothing_is_a_warning(self, live: Path, folder: Path) -> None:
        backup(changed(live, "DELETE FROM stream_sources"), folder, now=NOW)
        found = verify(folder)
        assert (found.problems, len(found.warnings)) == ((), 1)
        assert found.backup.sidecar.checked is not None
        assert found.backup.sidecar.checked.warnings == found.warnings

    @pytest.mark.parametrize("whose", ["ours", "tvarr's"])
    def test_a_newer_one_is_whole_but_we_are_too_old_for_it(
        self, made: Backup, folder: Path, tmp_path: Path, whose: str
    ) -> None:
        database = tmp_path / "newer.db"
        if whose == "ours":
            ours(database, "0099_later")
        else:
            tvarrs(database, "INSERT INTO schema_migrations VALUES ('030', 'm', 'now')")
        with_database(folder, settled(database).read_bytes())
        found = verify(folder)
        assert found.problems == ()
        assert len(found.warnings) == 1
        assert found.warnings[0].code is BackupWarningCode.NEWER_SCHEMA


def _flipped(raw: bytes, position: int) -> bytes:
    spoilt = bytearray(raw)
    spoilt[position] ^= 1 << position % 8
    return bytes(spoilt)


class TestDamage:
    """Each is a result in words, and no error."""

    @pytest.mark.parametrize(
        ("spoil", "words"),
        [
            (lambda raw: raw[: len(raw) // 2], "The archive is cut off after"),
            (lambda raw: raw[:-1], "The archive is cut off after"),
            (lambda raw: raw[:-8], "The archive is cut off after"),
            (lambda _raw: b"", "The archive is empty."),
            (lambda raw: raw[:1], "The archive is cut off after 1 bytes."),
            (lambda raw: raw + raw, "but more data follows."),
            (lambda raw: raw + gzip.compress(b""), "but more data follows."),
            (lambda raw: raw + b"x", "but more data follows."),
            (lambda raw: raw + bytes(4096), "but more data follows."),
            (lambda raw: bytes(4096) + raw, "The archive is damaged between byte 0 and byte"),
            (lambda raw: b"PK\x03\x04" + raw, "The archive is damaged between byte 0 and byte"),
            (lambda raw: gzip.compress(gzip.decompress(raw) + b"x"), "more than the "),
            (lambda _raw: gzip.compress(bytes(2**26)), "more than the "),
        ],
    )
    def test_an_archive_that_is_not_what_was_written_is_found(
        self, made: Backup, folder: Path, spoil: Callable[[bytes], bytes], words: str
    ) -> None:
        replaced(folder, spoil((folder / NAME).read_bytes()))
        found = verify(folder)
        assert failed(found) == ["archive"]
        assert words in found.problems[0]
        checked = find_backup(folder, NAME).sidecar.checked
        assert checked is not None
        assert (checked.level, checked.problems) == (CheckLevel.FULL, found.problems)
        assert sorted(state(folder)) == [".lock", ".work", NAME, META]

    @pytest.mark.parametrize(
        ("member", "value", "check", "words"),
        [
            ("checksum", "sha256:" + "0" * 64, "archive checksum", "but the metadata says "),
            ("database_checksum", "sha256:" + "0" * 64, "database checksum", "but the metadata says "),
            ("database_checksum", "", "database checksum", "but the metadata says "),
            ("database_size", 2**30, "database size", "but the metadata says 1073741824."),
            ("database_size", 4096, "archive", "more than the "),
            ("database_size", 0, "archive", "more than the "),
            ("table_counts", {"filters": 3}, "row counts", "filters has 2 rows, but its metadata says 3."),
            (
                "table_counts",
                {"unknown": 0},
                "row counts",
                "The row counts do not match the metadata: there is no table unknown.",
            ),
        ],
    )
    def test_a_description_that_does_not_fit_is_found(
        self, made: Backup, folder: Path, member: str, value: Any, check: str, words: str
    ) -> None:
        described = json.loads((folder / META).read_text())
        (folder / META).write_text(json.dumps(described | {member: value}))
        found = verify(folder)
        assert failed(found) == [check]
        assert words in found.problems[0]

    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda path: path.touch(), "It is an empty database."),
            (lambda path: path.write_bytes(b"no database " * 999), "It is not an SQLite database."),
            (lambda path: settled(changed(path, "CREATE TABLE a (b)", "DROP TABLE a")), "It has no tables."),
            (lambda path: settled(changed(path, "CREATE TABLE recipes (b)")), "It is not tvarr's database"),
            (lambda path: settled(tvarrs(path, "DROP TABLE filters")), "there is no table filters"),
            (lambda path: settled(tvarrs(path, "DELETE FROM filters")), "filters has 0 rows, but its metadata says 2"),
        ],
    )
    def test_an_archive_that_was_made_anew_with_something_else_is_found(
        self, made: Backup, folder: Path, tmp_path: Path, make: Callable[[Path], object], words: str
    ) -> None:
        make(tmp_path / "other.db")
        with_database(folder, (tmp_path / "other.db").read_bytes())
        assert words in " ".join(verify(folder).problems)

    def test_300_flipped_bits_in_the_archive_are_all_found(self, made: Backup, folder: Path) -> None:
        raw = (folder / NAME).read_bytes()
        random = Random(26)
        positions = {*range(12), *range(len(raw) - 8, len(raw)), *random.sample(range(len(raw)), 280)}
        for position in positions:
            (folder / NAME).write_bytes(_flipped(raw, position))
            assert verify(folder).problems, position
        (folder / NAME).write_bytes(raw)
        assert verify(folder).problems == ()

    def test_no_flipped_bit_in_the_sidecar_makes_other_content_good(self, made: Backup, folder: Path) -> None:
        raw = (folder / META).read_bytes()
        random = Random(27)
        for position in random.sample(range(len(raw)), 300):
            (folder / META).write_bytes(_flipped(raw, position))
            try:
                found = verify(folder)
            except (BackupBroken, TvarrBackupError):
                continue
            described = found.backup.sidecar
            if not found.problems and described.kind is not BackupKind.TVARR:
                assert described.checksum == made.sidecar.checksum
                assert described.database_checksum == made.sidecar.database_checksum
                assert described.database_size == made.sidecar.database_size

    @pytest.mark.parametrize("content", [b"", b"rubbish"])
    def test_tvarrs_new_form_with_nothing_in_it_is_broken(self, folder: Path, content: bytes) -> None:
        packed(folder / "tvarr-backup-2026-01-14T10-30-00.123.tar.gz", content)
        with pytest.raises(BackupBroken):
            verify(folder, "tvarr-backup-2026-01-14T10-30-00.123.tar.gz")

    def test_tvarrs_forms_are_found_damaged_too(self, folder: Path, live: Path) -> None:
        settled(live)
        new, old = tvarrs_new_backup(folder, live), tvarrs_old_backup(folder, live, checksum="sha256:" + "0" * 64)
        assert failed(verify(folder, old.name)) == ["archive checksum"]
        new.write_bytes(new.read_bytes()[:-4])
        assert failed(verify(folder, new.name)) == ["archive"]
        packed(new, tar_of(member("metadata.json", metadata(live)), member("other.db", live.read_bytes())))
        assert "its second member is not database.db" in verify(folder, new.name).problems[0]


class TestWhatCannotBeChecked:
    """An error that passes leaves the sidecar as it was."""

    def test_what_is_not_there_or_broken_is_refused(self, made: Backup, folder: Path) -> None:
        packed(folder / FOREIGN, b"x")
        before = state(folder)
        with pytest.raises(BackupBroken, match="is missing"):
            verify(folder, FOREIGN)
        with pytest.raises(BackupNotFound):
            verify(folder, "../" + NAME)
        assert state(folder) == before

    def test_somebody_at_work_is_waited_for_by_nobody(self, made: Backup, folder: Path) -> None:
        before = state(folder)
        with backup_lock(folder), pytest.raises(BackupBusy):
            verify(folder)
        assert state(folder) == before

    @pytest.mark.parametrize("phase", [Phase.UNPACK, Phase.CHECK])
    @pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
    def test_what_progress_raises_leaves_it_as_it_was(
        self, live: Path, folder: Path, phase: Phase, error: type[BaseException]
    ) -> None:
        backup(slow_to_check(live), folder, now=NOW)
        before = state(folder)
        with pytest.raises(error):
            verify_backup(folder, NAME, required(), progress=raising_at(phase, error()))
        assert state(folder) == before

    def test_a_full_disk_leaves_it_as_it_was(self, live: Path, folder: Path) -> None:
        code = (
            "import json, shutil, sys; from pathlib import Path\n"
            "from tvarr_backup.backups.verify import verify_backup\n"
            "from tvarr_backup.schema import RequiredSchema\n"
            "folder, name, full, names = Path(sys.argv[1]) / 'backups', sys.argv[3], [], []\n"
            "shutil.copytree(sys.argv[2], folder)\n"
            "def look(): return {path.name: path.read_bytes() for path in folder.glob('tvarr*')}\n"
            "before = look()\n"
            "def fill(phase, done, total):\n"
            "    if full: return\n"
            "    with (folder.parent / 'ballast').open('wb', buffering=0) as ballast:\n"
            "        try:\n"
            "            while ballast.write(bytes(4096)): pass\n"
            "        except OSError: full.append(1)\n"
            "for progress in (fill, fill):\n"
            "    try: verify_backup(folder, name, RequiredSchema({}, 'tvarr_backup', frozenset()), progress=progress)\n"
            "    except Exception as problem: names.append(type(problem).__name__)\n"
            "print(json.dumps([names, look() == before, sorted(p.name for p in (folder / '.work').iterdir())]))"
        )
        backup(with_ballast(live, 6), folder, now=NOW)
        disk = folder.parent / "disk"
        disk.mkdir()
        assert on_small_disk(code, disk, folder, NAME) == [["NoRoom", "NoRoom"], True, []]

    def test_on_a_full_disk_it_is_unpacked_on_another_and_names_both_where_that_is_full(
        self, live: Path, folder: Path, tmp_path: Path
    ) -> None:
        code = (
            "import json, shutil, sys; from pathlib import Path\n"
            "from tvarr_backup.backups.folder import work_in\n"
            "from tvarr_backup.backups.verify import verify_backup\n"
            "from tvarr_backup.schema import RequiredSchema\n"
            "disk, name, scratch = Path(sys.argv[1]), sys.argv[3], Path(sys.argv[4])\n"
            "folder, required = disk / 'backups', RequiredSchema({}, 'tvarr_backup', frozenset())\n"
            "shutil.copytree(sys.argv[2], folder)\n"
            "with work_in(folder): pass\n"
            "with (disk / 'ballast').open('wb', buffering=0) as ballast:\n"
            "    try:\n"
            "        while ballast.write(bytes(4096)): pass\n"
            "    except OSError: pass\n"
            "found = verify_backup(folder, name, required, scratch=scratch)\n"
            "try: verify_backup(folder, name, required, scratch=disk / 'scratch')\n"
            "except Exception as problem: words = str(problem)\n"
            "print(json.dumps([found.problems, [one.code for one in found.warnings], words]))"
        )
        backup(live, folder, now=NOW)
        disk = folder.parent / "disk"
        disk.mkdir()
        problems, warnings, words = on_small_disk(code, disk, folder, NAME, tmp_path / "scratch", options="size=4m")
        assert (problems, warnings[-1]) == ([], NOT_SAVED_FULL.code)
        assert "The disk is full (0 MB free). Verification needs about 0." in words
        assert words.count(" is full (") == 2

    def test_a_sidecar_that_may_not_be_written_leaves_it_as_it_was(self, made: Backup, folder: Path) -> None:
        code = (
            "import json, sys; from pathlib import Path\n"
            "from tvarr_backup.backups.verify import verify_backup\n"
            "from tvarr_backup.schema import RequiredSchema\n"
            "try: verify_backup(Path(sys.argv[1]), sys.argv[2], RequiredSchema({}, 'tvarr_backup', frozenset()))\n"
            "except Exception as problem: print(json.dumps([type(problem).__name__, str(problem)]))"
        )
        before = state(folder)
        folder.chmod(0o500)
        name, words = python(code, folder, NAME, heeds_modes=True)
        folder.chmod(0o700)
        assert name == "BackupFolderReadOnly"
        assert "chmod u+rwx" in words
        assert state(folder) == before

    def test_a_size_for_which_no_disk_has_room_is_said(self, made: Backup, folder: Path) -> None:
        described = json.loads((folder / META).read_text())
        (folder / META).write_text(json.dumps(described | {"database_size": 2**52}))
        before = state(folder)
        with pytest.raises(NoRoom, match=r"^Verification needs about 4593671\.6 GB of free space in"):
            verify(folder)
        assert state(folder) == before

    def test_the_protection_stays(self, made: Backup, folder: Path) -> None:
        protect_backup(folder, NAME, protected=True, note="keep")
        verify(folder)
        (kept,) = read_folder(folder).backups
        assert (kept.sidecar.protected, kept.sidecar.note) == (True, "keep")


def test_a_wrong_index_is_found_that_its_creation_could_not_see(made: Backup, folder: Path, tmp_path: Path) -> None:
    database = tmp_path / "copy.db"
    database.write_bytes(gzip.decompress((folder / NAME).read_bytes()))
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'source_type)', 'name)') WHERE name = 'idx_filters_source_type'"
        )
    with_database(folder, database.read_bytes())
    assert failed(verify(folder)) == ["structure"]


# --- Which one is next -----------------------------------------------------------------------------------------------


def described(name: str, days_old: float, checked: float | None = None, level: CheckLevel = CheckLevel.FULL) -> Backup:
    """So many days old, and last checked so many days ago."""
    at = None if checked is None else Checked(level, NOW - timedelta(days=checked))
    created = NOW - timedelta(days=days_old)
    sidecar = Sidecar(created, 1, 1, "sha256:" + "a" * 64, BackupKind.MANUAL, checked=at)
    return Backup(f"tvarr-backup-{created:%Y-%m-%dT%H-%M-%S}.{ord(name):03}.db.gz", sidecar)


@pytest.mark.parametrize(
    ("backups", "expected"),
    [
        ([], None),
        ([("a", 9.0, 3.0), ("b", 9.0, 5.0), ("c", 9.0, 4.0)], "b"),
        ([("a", 9.0, 3.0), ("b", 1.0), ("c", 2.0)], "c"),
        ([("a", 9.0, 3.0), ("b", 1.0, 1.0, CheckLevel.QUICK)], "b"),
        ([("a", 400.0, 32.0), ("b", 1.0, 1.0, CheckLevel.QUICK)], "a"),
        ([("a", 400.0, 30.0), ("b", 1.0, 1.0, CheckLevel.QUICK)], "b"),
        ([("a", 9.0, -300.0), ("b", 9.0, 3.0)], "a"),
        ([("a", -300.0), ("b", 400.0, 29.0)], "a"),
    ],
    ids=[
        "none",
        "the longest ago",
        "never checked, the oldest of them",
        "only checked when it was made",
        "but one that was verified a month ago goes first",
        "and not one of less than a month",
        "verified in the future: by a wrong clock",
        "made in the future: as if now",
    ],
)
def test_the_one_that_was_verified_longest_ago_is_next(backups: list[Any], expected: str | None) -> None:
    found = next_to_verify([described(*backup) for backup in backups], NOW)
    assert (found and chr(int(found.filename.split(".")[1]))) == expected


def test_an_archive_of_tvarrs_that_cannot_keep_the_result_is_never_next(folder: Path, live: Path) -> None:
    tvarrs_new_backup(folder, live)
    (tar,) = read_folder(folder).backups
    assert next_to_verify([tar], NOW) is None
    known = described("a", 9, 1)
    assert next_to_verify([tar, known], NOW) == known
