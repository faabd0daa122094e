"""Check a copy of a database: problems and warnings, without running any code in it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from tests.backups.makers import changed, ours, query, required, settled, slow_to_check, tvarrs
from tvarr_backup.backups.backup_warnings import BackupWarning
from tvarr_backup.backups.backup_warnings import BackupWarningCode as Code
from tvarr_backup.backups.examine import Examined, examine
from tvarr_backup.backups.sidecar import CheckLevel

QUICK, FULL = CheckLevel.QUICK, CheckLevel.FULL
RENAMED = "UPDATE sqlite_master SET name = {0}, tbl_name = {0}, sql = replace(sql, 'stray', {0}) WHERE name = 'stray'"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy as `VACUUM INTO` makes one."""
    return settled(tvarrs(tmp_path / "copy.db"))


def look(path: Path, level: CheckLevel = FULL) -> Examined:
    return examine(path, required(), level)


def failed(examined: Examined) -> list[str]:
    """The names of the checks that were not passed; each has a sentence, and no other one has."""
    assert all(bool(check.detail) is not check.passed for check in examined.checks)
    return [check.name for check in examined.checks if not check.passed]


@pytest.mark.parametrize("level", CheckLevel)
def test_a_good_one_passes_all_and_is_described(copy: Path, level: CheckLevel) -> None:
    before = copy.read_bytes()
    examined = look(copy, level)
    assert [check.name for check in examined.checks] == ["structure", "tables", "references", "rows"]
    assert failed(examined) == []
    assert (examined.schema, examined.newer, examined.warnings, examined.code) == ("tvarr 029", False, (), ())
    assert examined.table_counts["filters"] == query(copy, "SELECT count(*) FROM filters WHERE deleted_at IS NULL")
    assert copy.read_bytes() == before
    assert [path.name for path in copy.parent.iterdir()] == ["copy.db"]


@pytest.mark.parametrize("pragmas", [("page_size=1024",), ("page_size=8192",), ("auto_vacuum=1",), ("auto_vacuum=2",)])
def test_other_shapes_of_the_file_are_as_good(copy: Path, pragmas: tuple[str, ...]) -> None:
    changed(copy, *(f"PRAGMA {pragma}" for pragma in pragmas), "VACUUM")
    name, _, value = pragmas[0].partition("=")
    assert str(query(copy, f"PRAGMA {name}")) == value
    assert failed(look(copy)) == []


def test_a_copy_that_says_it_has_a_wal_is_read(tmp_path: Path) -> None:
    copy = tvarrs(tmp_path / "copy.db")
    assert failed(look(copy)) == []
    assert [path.name for path in tmp_path.iterdir()] == ["copy.db"]


def test_the_higher_level_alone_holds_an_index_against_its_table(copy: Path) -> None:
    with_wrong_index(copy)
    assert failed(look(copy, QUICK)) == []
    examined = look(copy, FULL)
    assert failed(examined) == ["structure"]
    assert "idx_filters_source_type" in examined.problems[0]


def with_wrong_index(path: Path) -> None:
    """An index that knows nothing of the rows."""
    page = path.stat().st_size and query(path, "PRAGMA page_size")
    root = query(path, "SELECT rootpage FROM sqlite_master WHERE name = 'idx_filters_source_type'")
    raw = bytearray(path.read_bytes())
    start = (root - 1) * page
    raw[start : start + page] = b"\x0a\0\0\0\0" + page.to_bytes(2) + bytes(page - 7)
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "It is an empty database."),
        (b"x", "It is an empty database."),
        (b"no database " * 1000, "It is not an SQLite database."),
        (b"SQLite format 3\0", "It is not an SQLite database."),
        (b"SQLite format 3\0" + bytes(5000), "It is not an SQLite database."),
    ],
)
def test_what_is_no_database_is_said_to_be_none(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "x.db").write_bytes(content)
    examined = look(tmp_path / "x.db")
    assert words in " ".join(examined.problems)


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (["CREATE TABLE a (b)", "DROP TABLE a"], "It has no tables."),
        (["CREATE TABLE recipes (a)"], "It is not tvarr's database. It has neither"),
    ],
)
def test_what_is_not_tvarrs_says_whose_it_is(tmp_path: Path, statements: list[str], words: str) -> None:
    examined = look(changed(tmp_path / "x.db", *statements))
    assert (failed(examined), examined.newer) == (["tables"], False)
    assert words in examined.problems[0]


def test_what_one_of_ours_lacks_is_a_fact(tmp_path: Path) -> None:
    examined = look(settled(ours(tmp_path / "x.db", statements=["ALTER TABLE filters DROP COLUMN expression"])))
    assert (examined.newer, failed(examined)) == (False, [])
    assert (examined.facts[0].code, examined.facts[0].names) == (Code.MISSING_COLUMNS, ("filters.expression",))


def test_one_of_ours_that_is_newer_says_so_and_what_it_is(tmp_path: Path) -> None:
    examined = look(settled(ours(tmp_path / "x.db", "0099_later")))
    assert examined.newer
    assert (failed(examined), examined.schema) == ([], "tvarr-backup 0099_later")
    assert (examined.facts[0].code, examined.facts[0].schema) == (Code.NEWER_SCHEMA, "tvarr-backup 0099_later")


def test_what_refers_to_nothing_is_a_warning_with_its_number(copy: Path) -> None:
    changed(copy, "INSERT INTO channels (id, source_id, channel_name, stream_url) VALUES ('a', 'x', 'n', 'u')")
    changed(copy, "INSERT INTO channels (id, source_id, channel_name, stream_url) VALUES ('b', 'x', 'n', 'u')")
    changed(copy, "DELETE FROM filters WHERE name = 'Harbour Sports'")
    examined = look(copy)
    assert failed(examined) == []
    assert examined.warnings == (
        BackupWarning(Code.BROKEN_REFERENCES, table="channels", referenced_table="stream_sources", count=2),
        BackupWarning(Code.BROKEN_REFERENCES, table="proxy_filters", referenced_table="filters", count=1),
    )


@pytest.mark.parametrize("level", CheckLevel)
@pytest.mark.parametrize("constraint", ["CHECK (a > 0)", "NOT NULL"])
def test_a_row_that_its_table_forbids_is_found(copy: Path, level: CheckLevel, constraint: str) -> None:
    changed(
        copy,
        "CREATE TABLE t (a)",
        "INSERT INTO t VALUES (-1), (NULL)",
        "PRAGMA writable_schema=ON",
        f"UPDATE sqlite_master SET sql = 'CREATE TABLE t (a {constraint})' WHERE name = 't'",
    )
    examined = look(copy, level)
    assert failed(examined) == ["structure"]
    assert "in t" in examined.problems[0] or "t.a" in examined.problems[0]


def test_triggers_views_and_virtual_tables_are_named_and_not_run(copy: Path) -> None:
    changed(
        copy,
        "CREATE TABLE log (a)",
        "CREATE TRIGGER spy AFTER INSERT ON filters BEGIN INSERT INTO log VALUES (load_extension('x')); END",
        "CREATE VIEW sight AS SELECT load_extension('x')",
        "CREATE VIRTUAL TABLE searched USING fts5(a)",
    )
    examined = look(copy)
    assert failed(examined) == []
    assert tuple(map(str, examined.code)) == ("virtual table “searched”", "view “sight”", "trigger “spy”")
    assert "searched" not in examined.table_counts
    assert query(copy, "SELECT count(*) FROM log") == 0


@pytest.mark.parametrize(
    "name",
    ['quo"te', "semi;colon", "two words", "select", "Ünïcode", "new\nline", "x" * 500, "sqliteish"],
)
def test_any_name_of_a_table_is_only_a_name(copy: Path, name: str) -> None:
    quoted = name.replace('"', '""')
    changed(copy, f'CREATE TABLE "{quoted}" (deleted_at)', f'INSERT INTO "{quoted}" VALUES (1), (NULL)')
    examined = look(copy)
    assert failed(examined) == []
    assert examined.table_counts[name] == 1


@pytest.mark.parametrize("name", ["CAST(x'ff61' AS TEXT)", "'a' || char(0) || 'b'", "'sqlite_x'", "''", "x'6162'", "5"])
def test_a_name_that_no_table_can_have_is_no_traceback(copy: Path, name: str) -> None:
    changed(copy, "CREATE TABLE stray (a)", "PRAGMA writable_schema=ON", RENAMED.format(name))
    examined = look(copy)
    assert all(check.detail.endswith(".") for check in examined.checks if not check.passed)


def test_a_column_whose_name_is_no_text_is_only_a_column(copy: Path) -> None:
    changed(copy, "ALTER TABLE filters ADD COLUMN strange text")
    copy.write_bytes(copy.read_bytes().replace(b"strange", b"str\xff\xfege"))
    assert failed(look(copy)) == []


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
def test_other_encodings_are_as_good(tmp_path: Path, copy: Path, encoding: str) -> None:
    assert failed(look(in_encoding(copy, tmp_path / "other.db", encoding))) == []


def in_encoding(source: Path, target: Path, encoding: str) -> Path:
    """The same content in another encoding, which SQLite fixes with the first table."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target, isolation_level=None)) as new:
        new.execute(f"PRAGMA encoding='{encoding}'")
        new.executescript("\n".join(old.iterdump()))
    return target


def test_whatever_bytes_are_wrong_there_is_an_answer(copy: Path, tmp_path: Path) -> None:
    random, whole = Random(7), copy.read_bytes()
    found = 0
    for _ in range(150):
        raw = bytearray(whole)
        for _ in range(random.choice([1, 4, 64])):
            raw[random.choice([random.randrange(len(raw)), random.randrange(8192)])] = random.randrange(256)
        (tmp_path / "spoilt.db").write_bytes(raw)
        found += bool(look(tmp_path / "spoilt.db").problems)
        for ending in ("-wal", "-shm", "-journal"):
            (tmp_path / f"spoilt.db{ending}").unlink(missing_ok=True)
    assert found > 50


def test_what_the_disk_refuses_is_no_fault_of_the_copy(tmp_path: Path) -> None:
    copy = tvarrs(tmp_path / "copy.db")
    (tmp_path / "copy.db-wal").mkdir()
    with pytest.raises(OSError, match='SQLite reports "unable to open database file"'):
        look(copy)


def test_it_can_be_cancelled(copy: Path) -> None:
    slow_to_check(copy)

    def cancel() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        examine(copy, required(), QUICK, cancel)
    shutil.move(copy, copy.with_name("moved.db"))
