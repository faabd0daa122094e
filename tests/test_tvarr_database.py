"""Find out what is behind the alias `tvarr`, without changing it."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.installation import Installation
from tests.tvarr_own import build_tvarr_database
from tvarr_backup import errors, tvarr_database
from tvarr_backup.schema import DatabaseState
from tvarr_backup.tvarr_database import (
    create_empty,
    inspect,
    is_tvarrs_own,
    judge,
    known_migrations,
    query_cached,
)


def make(path: Path, *statements: str) -> Path:
    """An SQLite file from statements."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    return path


def ours(path: Path, *migrations: str) -> Path:
    """A file that bears the marks of our migrations."""
    make(path, "CREATE TABLE django_migrations (app, name)", "CREATE TABLE filters (id)")
    return make(path, *[f"INSERT INTO django_migrations VALUES ('tvarr_backup', '{name}')" for name in migrations])


def foreign(path: Path, what: str) -> Path:
    """One of the files that are not tvarr's."""
    match what:
        case "text":
            path.write_text("This is a shopping list, not a database. " * 50)
        case "folder":
            path.mkdir()
        case "another program":
            make(path, "CREATE TABLE recipes (id)", "CREATE TABLE cooks (id)")
        case "another django program":
            make(
                path, "CREATE TABLE django_migrations (app, name)", "INSERT INTO django_migrations VALUES ('shop', '1')"
            )
        case "one letter":
            path.write_text("x")
        case "device":
            path.symlink_to("/dev/null")
        case "another program in WAL mode":
            make(path, "PRAGMA journal_mode=WAL", "CREATE TABLE recipes (id)")
        case "damaged":
            whole = build_tvarr_database(path).read_bytes()
            path.write_bytes(whole[:100] + b"\xaa" * 4000 + whole[4100:])
        case "no text":
            whole = make(path, "CREATE TABLE recipes (id)").read_bytes()
            path.write_bytes(whole.replace(b"recipes", b"rec\xffpes"))
    return path


REFUSALS = [
    ("text", errors.DatabaseForeign, "is not an SQLite database."),
    ("folder", errors.DatabaseForeign, "is not a file. Expected the path of an SQLite database."),
    ("another program", errors.DatabaseForeign, "It has neither tvarr's nor our tables, but cooks, recipes."),
    ("another django program", errors.DatabaseForeign, "the database of another Django program"),
    ("one letter", errors.DatabaseForeign, "is not an SQLite database."),
    ("another program in WAL mode", errors.DatabaseForeign, "It has neither tvarr's nor our tables, but recipes."),
    ("damaged", errors.DatabaseUnusable, "cannot be read: "),
    ("no text", errors.DatabaseForeign, "It has neither tvarr's nor our tables, but rec\ufffdpes."),
]


def test_a_path_without_a_file_is_missing(tmp_path: Path) -> None:
    assert inspect(tmp_path / "tvarr.db") is DatabaseState.MISSING
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_and_an_empty_database_are_empty(tmp_path: Path) -> None:
    (tmp_path / "zero.db").touch()
    create_empty(tmp_path / "made.db")
    assert inspect(tmp_path / "zero.db") is DatabaseState.EMPTY
    assert inspect(tmp_path / "made.db") is DatabaseState.EMPTY


def test_our_migrations_make_it_ours(tmp_path: Path) -> None:
    assert inspect(ours(tmp_path / "tvarr.db", *known_migrations())) is DatabaseState.OURS
    assert inspect(ours(tmp_path / "older.db", "0001_tables")) is DatabaseState.OURS
    assert inspect(ours(tmp_path / "newer.db", *known_migrations(), "0099_later")) is DatabaseState.OURS


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_tvarrs_own_is_attached_whatever_the_order_of_its_columns(tmp_path: Path, seed: int | None) -> None:
    assert inspect(build_tvarr_database(tmp_path / "tvarr.db", column_order_seed=seed)) is DatabaseState.ATTACHED


def test_with_both_marks_it_is_tvarrs_own(tvarr_own: Path) -> None:
    make(tvarr_own, "CREATE TABLE django_migrations (app, name)")
    assert inspect(tvarr_own) is DatabaseState.ATTACHED


def test_columns_and_tables_that_we_do_not_know_are_fine(tvarr_own: Path) -> None:
    make(tvarr_own, "ALTER TABLE filters ADD COLUMN mood text", "CREATE TABLE jobs (id)")
    assert inspect(tvarr_own) is DatabaseState.ATTACHED


def test_a_path_that_sqlite_would_take_for_more_than_a_path_is_read(tmp_path: Path) -> None:
    assert inspect(build_tvarr_database(tmp_path / "a?mode=memory#b c%20.db")) is DatabaseState.ATTACHED


@pytest.mark.parametrize(("what", "error", "sentence"), REFUSALS)
def test_what_is_not_tvarrs_is_refused_in_words(
    tmp_path: Path, what: str, error: type[errors.DatabaseUnusable], sentence: str
) -> None:
    path = foreign(tmp_path / "tvarr.db", what)
    with pytest.raises(error) as refused:
        inspect(path)
    assert str(path) in str(refused.value)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "left_out", ["encoding_profiles", "filters.expression", "channels.tvg_id", "epg_programs.start"]
)
def test_a_column_less_is_still_tvarrs(tmp_path: Path, left_out: str) -> None:
    assert inspect(build_tvarr_database(tmp_path / "tvarr.db", leave_out=left_out)) is DatabaseState.ATTACHED


@pytest.mark.parametrize("command", ["prepare", "check", "portable export filters --all"])
@pytest.mark.parametrize(("what", "error", "sentence"), REFUSALS)
def test_at_the_start_of_every_command_nothing_of_theirs_is_created_or_changed(
    installation: Installation, tmp_path: Path, command: str, what: str, error: type[Exception], sentence: str
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    path = foreign(folder / "tvarr.db", what)
    before = _listing(folder)
    assert sentence in installation.refused(*command.split(), TVARR_DATABASE_DSN=str(path))
    assert _listing(folder) == before
    assert (installation.data / "app.db").exists() is (command == "prepare")


@pytest.mark.parametrize("command", ["prepare", "check", "portable export filters --all"])
@pytest.mark.parametrize("there", [None, "empty"])
def test_a_named_file_must_be_there(
    installation: Installation, tmp_path: Path, command: str, there: str | None
) -> None:
    path = tmp_path / "typo.db"
    if there:
        path.touch()
    words = installation.refused(*command.split(), TVARR_DATABASE_DSN=str(path))
    assert str(path) in words
    assert path.exists() is bool(there)
    assert (installation.data / "app.db").exists() is (command == "prepare")


def test_a_named_file_is_created_on_purpose(installation: Installation, tmp_path: Path) -> None:
    path = tmp_path / "new" / "tvarr.db"
    installation.environment["TVARR_DATABASE_DSN"] = f"file:{path}"
    installation.ok("prepare", "--create")
    assert inspect(path) is DatabaseState.OURS
    assert installation.json("portable", "export", "filters", "--all")["items"] == []


def test_one_file_for_both_databases_is_refused(installation: Installation) -> None:
    installation.prepared()
    words = installation.refused("prepare", TVARR_DATABASE_DSN=str(installation.data / "app.db"))
    assert "DATABASE_URL and TVARR_DATABASE_DSN are the same file" in words
    words = installation.refused("check", DATABASE_URL=str(installation.data / "tvarr.db"))
    assert "(tvarr_backup.E002) DATABASE_URL and TVARR_DATABASE_DSN are the same file" in words


@pytest.mark.parametrize("command", ["prepare", "up", "check"])
def test_tvarrs_own_database_never_becomes_ours(installation: Installation, tvarr_own: Path, command: str) -> None:
    before = tvarr_own.read_bytes()
    words = installation.refused(command, DATABASE_URL=str(tvarr_own))
    assert f"DATABASE_URL names tvarr's own database, {tvarr_own}. Set TVARR_DATABASE_DSN to it" in words
    assert tvarr_own.read_bytes() == before
    assert not installation.data.exists()


@pytest.mark.parametrize("content", [None, b"", b"no database " * 100])
def test_what_is_no_database_is_not_tvarrs_own(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "x.db").write_bytes(content)
    assert not is_tvarrs_own(tmp_path / "x.db")


def test_a_creation_that_was_cut_short_is_gone_on_with(installation: Installation) -> None:
    installation.data.mkdir()
    create_empty(installation.data / "tvarr.db")
    installation.prepared()
    assert inspect(installation.data / "tvarr.db") is DatabaseState.OURS


@pytest.mark.parametrize("below", ["", "data"])
@pytest.mark.parametrize("command", ["prepare", "check"])
def test_a_storage_folder_that_cannot_be_one_is_refused(installation: Installation, command: str, below: str) -> None:
    installation.data.write_text("in the way")
    folder = str(installation.data / below)
    words = installation.refused(command, TVARR_STORAGE_BASE_DIR=folder)
    assert f"TVARR_STORAGE_BASE_DIR names {folder}, " in words


@pytest.mark.parametrize("unreadable", ["file", "folder"])
@pytest.mark.parametrize("command", ["prepare", "check", "portable export filters --all"])
def test_what_may_not_be_read_is_refused(
    installation: Installation, tmp_path: Path, command: str, unreadable: str
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    path = build_tvarr_database(folder / "tvarr.db")
    (path if unreadable == "file" else folder).chmod(0)
    installation.heeds_modes = True
    words = installation.refused(*command.split(), TVARR_DATABASE_DSN=str(path))
    assert f"{path} cannot be read" in words
    assert ("with mode 0000, and this program runs as " in words) is (unreadable == "file")
    folder.chmod(0o700)
    assert [name for name, *_ in _listing(folder)] == [str(path)]
    assert (installation.data / "app.db").exists() is (command == "prepare")


def test_looking_leaves_no_trace(tvarr_own: Path, tmp_path: Path) -> None:
    before = _listing(tmp_path)
    inspect(tvarr_own)
    assert _listing(tmp_path) == before


def test_a_database_in_use_is_read_as_it_stands(tvarr_own: Path) -> None:
    with closing(sqlite3.connect(tvarr_own, isolation_level=None)) as tvarr:
        tvarr.execute("PRAGMA wal_autocheckpoint=0")
        tvarr.execute("DROP TABLE schema_migrations")
        with pytest.raises(errors.DatabaseForeign, match="It has neither tvarr's nor our tables"):
            inspect(tvarr_own)


def test_what_a_killed_program_left_in_its_wal_is_seen_and_kept(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "living.db", isolation_level=None)) as living:
        living.executescript("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE recipes (id)")
        for suffix in ("", "-wal"):
            shutil.copy(tmp_path / f"living.db{suffix}", tmp_path / f"killed.db{suffix}")
    before = [(tmp_path / f"killed.db{suffix}").read_bytes() for suffix in ("", "-wal")]
    with pytest.raises(errors.DatabaseForeign, match="but recipes"):
        inspect(tmp_path / "killed.db")
    assert [(tmp_path / f"killed.db{suffix}").read_bytes() for suffix in ("", "-wal")] == before


def test_looking_keeps_the_locks_of_this_process(tvarr_own: Path) -> None:
    with closing(sqlite3.connect(tvarr_own, isolation_level=None)) as writer:
        for mode in ("wal", "delete"):
            writer.execute(f"PRAGMA journal_mode={mode}")
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("UPDATE filters SET description = 'mine'")
            inspect(tvarr_own)
            assert "database is locked" in _write_elsewhere(tvarr_own)
            writer.execute("ROLLBACK")
            assert _write_elsewhere(tvarr_own) == ""


def test_a_device_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(errors.DatabaseForeign, match="is not a file"):
        inspect(foreign(tmp_path / "tvarr.db", "device"))


def test_a_path_inside_a_file_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert inspect(tmp_path / "file" / "tvarr.db") is DatabaseState.MISSING


def test_migrations_of_which_none_was_recorded_leave_an_empty_database(tmp_path: Path) -> None:
    assert inspect(make(tmp_path / "tvarr.db", "CREATE TABLE django_migrations (app, name)")) is DatabaseState.EMPTY


def test_nothing_is_exported_before_a_preparation_that_is_due(prepared: Installation) -> None:
    behind = prepared.data / "tvarr.db"
    make(behind, "DELETE FROM django_migrations WHERE name = '0002_system_rows'")
    words = prepared.refused("portable", "export", "filters", "--all")
    assert f"{behind} is not up to date with this version of tvarr-backup. Run `manage.py prepare`." in words


def test_an_export_without_app_db_creates_none(prepared: Installation) -> None:
    (prepared.data / "app.db").unlink()
    assert '"export_type": "filters"' in prepared.ok("portable", "export", "filters", "--all")
    assert not (prepared.data / "app.db").exists()


def _write_elsewhere(path: Path) -> str:
    """Write to the database from another process; gives its last words where it cannot."""
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0.2, isolation_level=None).execute('BEGIN IMMEDIATE')"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=30, check=False)
    return done.stderr


def _listing(folder: Path) -> list[tuple[str, int, str]]:
    return [
        (str(path), path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
        for path in sorted(folder.rglob("*"))
    ]


def test_an_answer_is_not_remembered_while_the_file_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = build_tvarr_database(tmp_path / "tvarr.db")
    monkeypatch.setattr(tvarr_database, "_cached_result", None)
    assert query_cached(path, judge, timeout_seconds=1) is DatabaseState.ATTACHED


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_what_is_asked_again_is_answered_once_until_somebody_writes(
    tmp_path: Path, journal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tvarr_database, "_SETTLED_SECONDS", 0)
    path = make(tmp_path / "tvarr.db", f"PRAGMA journal_mode={journal}", "CREATE TABLE filters (name)")
    asked = []

    def number(_path: Path, connection: sqlite3.Connection) -> int:
        asked.append(True)
        return int(connection.execute("SELECT count(*) FROM filters").fetchone()[0])

    with closing(sqlite3.connect(path)) as other:
        other.execute("SELECT 1 FROM filters")
        assert [query_cached(path, number, timeout_seconds=1) for _ in range(3)] == [0, 0, 0]
        assert len(asked) == 1
        time.sleep(0.02)  # longer than the clock of files stands still
        other.execute("INSERT INTO filters VALUES ('one')")
        other.commit()
        assert [query_cached(path, number, timeout_seconds=1) for _ in range(2)] == [1, 1]
        assert len(asked) == 2


def test_what_cannot_be_answered_is_asked_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tvarr_database, "_SETTLED_SECONDS", 0)
    path = make(tmp_path / "tvarr.db", "CREATE TABLE filters (name)")
    asked = []

    def fails(_path: Path, _connection: sqlite3.Connection) -> None:
        asked.append(True)
        raise sqlite3.OperationalError("disk I/O error")

    for _ in range(2):
        with pytest.raises(errors.DatabaseUnusable):
            query_cached(path, fails, timeout_seconds=1)
    assert len(asked) == 2
    path.unlink()
    with pytest.raises(errors.DatabaseMissing):
        query_cached(path, fails, timeout_seconds=1)


def test_a_database_that_is_being_written_is_asked_each_time(tmp_path: Path) -> None:
    path = make(tmp_path / "tvarr.db", "CREATE TABLE filters (name)")
    asked: list[bool] = []
    for _ in range(2):
        query_cached(path, lambda _path, _connection: asked.append(True), timeout_seconds=1)
    assert len(asked) == 2
