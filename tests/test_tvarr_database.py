"""What lies behind the alias `tvarr`: told by looking, in words, and without changing anything."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.installation import Installation
from tests.tvarr_own import build_tvarr_database
from tvarr_backup import errors
from tvarr_backup.tvarr_database import State, create_empty, inspect, known_migrations


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
        case "missing table":
            build_tvarr_database(path, leave_out="encoding_profiles")
        case "missing column":
            build_tvarr_database(path, leave_out="client_detection_rules.preferred_format")
        case "newer":
            ours(path, *known_migrations(), "0099_from_the_future")
    return path


REFUSALS = [
    ("text", errors.DatabaseForeign, "is not an SQLite database."),
    ("folder", errors.DatabaseForeign, "is not a file; the path of an SQLite database is needed."),
    ("another program", errors.DatabaseForeign, "it has neither tvarr's nor our tables, but cooks, recipes."),
    ("another django program", errors.DatabaseForeign, "the database of another Django program"),
    ("missing table", errors.DatabaseIncomplete, "the table encoding_profiles is missing"),
    ("missing column", errors.DatabaseIncomplete, "the column client_detection_rules.preferred_format is missing"),
    ("newer", errors.DatabaseNewer, "a newer version of this program (it has 0099_from_the_future); update"),
]


def test_a_path_without_a_file_is_missing(tmp_path: Path) -> None:
    assert inspect(tmp_path / "tvarr.db") is State.MISSING
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_and_an_empty_database_are_empty(tmp_path: Path) -> None:
    (tmp_path / "zero.db").touch()
    create_empty(tmp_path / "made.db")
    assert inspect(tmp_path / "zero.db") is State.EMPTY
    assert inspect(tmp_path / "made.db") is State.EMPTY


def test_our_migrations_make_it_ours(tmp_path: Path) -> None:
    assert inspect(ours(tmp_path / "tvarr.db", *known_migrations())) is State.OURS
    assert inspect(ours(tmp_path / "older.db", "0001_tables")) is State.OURS


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_tvarrs_own_is_attached_whatever_the_order_of_its_columns(tmp_path: Path, seed: int | None) -> None:
    assert inspect(build_tvarr_database(tmp_path / "tvarr.db", column_order_seed=seed)) is State.ATTACHED


def test_with_both_marks_it_is_tvarrs_own(tvarr_own: Path) -> None:
    make(tvarr_own, "CREATE TABLE django_migrations (app, name)")
    assert inspect(tvarr_own) is State.ATTACHED


def test_columns_and_tables_that_we_do_not_know_are_fine(tvarr_own: Path) -> None:
    make(tvarr_own, "ALTER TABLE filters ADD COLUMN mood text", "CREATE TABLE jobs (id)")
    assert inspect(tvarr_own) is State.ATTACHED


def test_a_path_that_sqlite_would_take_for_more_than_a_path_is_read(tmp_path: Path) -> None:
    assert inspect(build_tvarr_database(tmp_path / "a?mode=memory#b c%20.db")) is State.ATTACHED


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
    "column",
    [
        "filters.expression",
        "data_mapping_rules.stop_on_match",
        "channels.tvg_id",
        "epg_programs.start",
        "proxy_filters.priority",
    ],
)
def test_every_missing_column_is_named(tmp_path: Path, column: str) -> None:
    with pytest.raises(errors.DatabaseIncomplete, match=rf"the column {column} is missing\. Start the current tvarr"):
        inspect(build_tvarr_database(tmp_path / "tvarr.db", leave_out=column))


@pytest.mark.parametrize("command", ["prepare", "up", "check", "portable export filters --all"])
@pytest.mark.parametrize(("what", "error", "sentence"), REFUSALS)
def test_at_the_start_of_every_command_nothing_is_created_or_changed(
    installation: Installation, tmp_path: Path, command: str, what: str, error: type[Exception], sentence: str
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    path = foreign(folder / "tvarr.db", what)
    before = _listing(folder)
    assert sentence in installation.refused(*command.split(), TVARR_DATABASE_DSN=str(path))
    assert _listing(folder) == before
    assert not installation.data.exists()


@pytest.mark.parametrize("command", ["prepare", "up", "check", "portable export filters --all"])
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
    assert not installation.data.exists()


def test_a_named_file_is_created_on_purpose(installation: Installation, tmp_path: Path) -> None:
    path = tmp_path / "new" / "tvarr.db"
    installation.environment["TVARR_DATABASE_DSN"] = f"file:{path}"
    installation.ok("prepare", "--create")
    assert inspect(path) is State.OURS
    assert installation.json("portable", "export", "filters", "--all")["items"] == []


def test_one_file_for_both_databases_is_refused(installation: Installation) -> None:
    installation.prepared()
    words = installation.refused("prepare", TVARR_DATABASE_DSN=str(installation.data / "app.db"))
    assert "DATABASE_URL and TVARR_DATABASE_DSN are the same file" in words
    words = installation.refused("check", DATABASE_URL=str(installation.data / "tvarr.db"))
    assert "(tvarr_backup.E002) DATABASE_URL and TVARR_DATABASE_DSN are the same file" in words


def test_a_creation_that_was_cut_short_is_gone_on_with(installation: Installation) -> None:
    installation.data.mkdir()
    create_empty(installation.data / "tvarr.db")
    installation.prepared()
    assert inspect(installation.data / "tvarr.db") is State.OURS


@pytest.mark.parametrize("below", ["", "data"])
@pytest.mark.parametrize("command", ["prepare", "check"])
def test_a_storage_folder_that_cannot_be_one_is_refused(installation: Installation, command: str, below: str) -> None:
    installation.data.write_text("in the way")
    folder = str(installation.data / below)
    words = installation.refused(command, TVARR_STORAGE_BASE_DIR=folder)
    assert f"TVARR_STORAGE_BASE_DIR is '{folder}', and " in words


def _listing(folder: Path) -> list[tuple[str, int, str]]:
    return [
        (str(path), path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
        for path in sorted(folder.rglob("*"))
    ]
