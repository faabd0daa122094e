"""Our own database has tvarr's tables, column for column, and databases are recognized by their tables."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from django.apps import apps

from tests.installation import Installation
from tests.tvarr_own import build_tvarr_database, schema_of
from tvarr_backup import schema
from tvarr_backup.errors import DatabaseForeign, DatabaseUnusable
from tvarr_backup.schema import DatabaseState, RequiredSchema

TABLES = [model._meta.db_table for model in apps.get_app_config("tvarr_backup").get_models()]
LEFTOVERS = {"epg_sources": {"source_timezone", "timezone_offset_minutes"}}
"""Columns that one of tvarr's migrations adds and nothing reads."""


@pytest.fixture(scope="module")
def tvarrs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tvarr_database(tmp_path_factory.mktemp("tvarrs") / "tvarr.db")


@pytest.fixture(scope="module")
def ours(_prepared_folder: Path) -> Path:
    return _prepared_folder / "tvarr.db"


def rows(path: Path, query: str, table: str) -> list[sqlite3.Row]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute(query, [table]).fetchall()


def columns(path: Path, table: str) -> dict[str, tuple[str, bool]]:
    """Declared type and “must not be NULL” by name; a primary key counts as nullable, as tvarr declares it."""
    found = rows(path, "SELECT * FROM pragma_table_info(?)", table)
    return {row["name"]: (row["type"].lower(), bool(row["notnull"]) and not row["pk"]) for row in found}


def unique_constraints(path: Path, table: str) -> set[tuple[str, ...]]:
    """The sets of columns that must be unique, without the primary key."""
    indexes = rows(path, "SELECT name FROM pragma_index_list(?) WHERE \"unique\" AND origin <> 'pk'", table)
    query = "SELECT name FROM pragma_index_info(?) ORDER BY seqno"
    return {tuple(row["name"] for row in rows(path, query, index["name"])) for index in indexes}


def foreign_keys(path: Path, table: str) -> set[tuple[str, str]]:
    found = rows(path, "SELECT * FROM pragma_foreign_key_list(?)", table)
    return {(row["from"], row["table"]) for row in found}


def content(path: Path) -> list[str]:
    """All there is in a database, as SQL."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return list(connection.iterdump())


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_tvarrs_columns(table: str, ours: Path, tvarrs: Path) -> None:
    expected = columns(tvarrs, table)
    assert LEFTOVERS.get(table, set()) <= set(expected)
    assert columns(ours, table) == {
        name: column for name, column in expected.items() if name not in LEFTOVERS.get(table, set())
    }


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_tvarrs_unique_constraints(table: str, ours: Path, tvarrs: Path) -> None:
    assert unique_constraints(ours, table) == unique_constraints(tvarrs, table)


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_tvarrs_foreign_keys(table: str, ours: Path, tvarrs: Path) -> None:
    assert foreign_keys(ours, table) == foreign_keys(tvarrs, table)


def test_tvarrs_unique_constraints_and_foreign_keys_are_found_at_all(tvarrs: Path) -> None:
    assert unique_constraints(tvarrs, "epg_programs") == {("source_id", "channel_id", "start")}
    assert foreign_keys(tvarrs, "proxy_filters") == {("proxy_id", "stream_proxies"), ("filter_id", "filters")}


def test_no_table_of_django_but_its_list_of_migrations_is_there(ours: Path) -> None:
    names = {row[2] for row in schema_of(ours) if row[0] == "table"}
    assert names == {*TABLES, "django_migrations", "sqlite_sequence"}


def test_the_models_have_no_change_without_a_migration(prepared: Installation) -> None:
    assert prepared.ok("makemigrations", "--check", "--dry-run") == "No changes detected\n"


def test_the_migrations_can_be_taken_back_and_made_again(prepared: Installation, ours: Path) -> None:
    path = prepared.data / "tvarr.db"
    prepared.ok("migrate", "tvarr_backup", "zero", "--database", "tvarr")
    assert {row[2] for row in schema_of(path) if row[0] == "table"} == {"django_migrations", "sqlite_sequence"}
    prepared.ok("migrate", "tvarr_backup", "--database", "tvarr")
    assert schema_of(path) == schema_of(ours)


def test_preparing_again_changes_no_row(prepared: Installation) -> None:
    before = content(prepared.data / "tvarr.db"), content(prepared.data / "app.db")
    prepared.ok("prepare")
    assert (content(prepared.data / "tvarr.db"), content(prepared.data / "app.db")) == before
    assert sum("Include All Valid Stream URLs" in line for line in before[0]) == 1


@pytest.mark.parametrize("migration", ["0001", "zero"])
def test_prepare_completes_migrations_that_were_cut_short(migration: str, prepared: Installation) -> None:
    wanted = len(content(prepared.data / "tvarr.db"))
    prepared.ok("migrate", "tvarr_backup", migration, "--database", "tvarr")
    prepared.ok("prepare")
    assert len(content(prepared.data / "tvarr.db")) == wanted


REQUIRED = RequiredSchema({"filters": frozenset({"id", "name"})}, "tvarr_backup", frozenset({"0001_a", "0002_b"}))
MIGRATIONS = "CREATE TABLE django_migrations (app, name)"
FILTERS = "CREATE TABLE filters (id, name, mood)"
TVARRS = "CREATE TABLE schema_migrations (version)"
SEQUENCE = ("CREATE TABLE gone (id integer PRIMARY KEY AUTOINCREMENT)", "DROP TABLE gone")


def database(*statements: str) -> closing[sqlite3.Connection]:
    """One in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    return closing(connection)


def applied(name: str, app: str = "'tvarr_backup'") -> str:
    return f"INSERT INTO django_migrations VALUES ({app}, {name})"


@pytest.mark.parametrize(
    ("statements", "state", "named"),
    [
        ([], DatabaseState.EMPTY, ""),
        ([*SEQUENCE], DatabaseState.EMPTY, ""),
        ([MIGRATIONS], DatabaseState.EMPTY, ""),
        ([MIGRATIONS, *SEQUENCE], DatabaseState.EMPTY, ""),
        ([MIGRATIONS, FILTERS, applied("'0001_a'")], DatabaseState.OURS, "tvarr-backup 0001_a"),
        ([MIGRATIONS, FILTERS, applied("'0002_b'"), applied("'0001_a'")], DatabaseState.OURS, "tvarr-backup 0002_b"),
        (
            [MIGRATIONS, FILTERS, applied("'0001_a'"), applied("'9'", "'auth'")],
            DatabaseState.OURS,
            "tvarr-backup 0001_a",
        ),
        ([FILTERS, TVARRS], DatabaseState.ATTACHED, ""),
        (
            [FILTERS, TVARRS, "INSERT INTO schema_migrations VALUES ('029'), ('003')"],
            DatabaseState.ATTACHED,
            "tvarr 029",
        ),
        ([FILTERS, TVARRS, MIGRATIONS, applied("'9'")], DatabaseState.ATTACHED, ""),
        ([TVARRS], DatabaseState.ATTACHED, ""),
        ([TVARRS, "CREATE TABLE filters (id)"], DatabaseState.ATTACHED, ""),
        (["CREATE TABLE schema_migrations (number)"], DatabaseState.ATTACHED, ""),
        ([MIGRATIONS, FILTERS, applied("'0003_c'")], DatabaseState.OURS, "tvarr-backup 0003_c"),
        ([MIGRATIONS, applied("NULL"), applied("'0001_a'")], DatabaseState.OURS, "tvarr-backup 0001_a"),
        ([MIGRATIONS, applied("7"), applied("x'00ff'")], DatabaseState.OURS, "tvarr-backup b'\\x00\\xff'"),
    ],
)
def test_whose_it_is_and_how_far_it_has_come(statements: list[str], state: DatabaseState, named: str) -> None:
    with database(*statements) as connection:
        assert schema.judge_sqlite(connection, REQUIRED, "It") is state
        assert schema.schema_of(connection, REQUIRED) == named


@pytest.mark.parametrize(
    ("statements", "error", "words"),
    [
        (["CREATE TABLE recipes (a)"], DatabaseForeign, "It has neither tvarr's nor our tables, but recipes."),
        ([FILTERS], DatabaseForeign, "but filters."),
        ([MIGRATIONS, applied("'0001'", "'shop'")], DatabaseForeign, "the database of another Django program"),
        ([MIGRATIONS, "CREATE TABLE recipes (a)"], DatabaseForeign, "the database of another Django program"),
    ],
)
def test_what_is_not_tvarrs_is_refused(statements: list[str], error: type[DatabaseUnusable], words: str) -> None:
    with database(*statements) as connection, pytest.raises(error) as refused:
        schema.judge_sqlite(connection, REQUIRED, "It")
    assert str(refused.value).startswith("It ")
    assert words in str(refused.value)


def test_what_is_missing_is_listed_by_table_and_column() -> None:
    with database(TVARRS, "CREATE TABLE filters (id)") as connection:
        assert schema.missing_columns(connection, REQUIRED) == ("filters.name",)
    with database(TVARRS) as connection:
        assert schema.missing_columns(connection, REQUIRED) == ("filters",)


@pytest.mark.parametrize("name", ["NULL", "7", "x'00ff'", "''"])
def test_a_migration_whose_name_is_no_text_can_be_named(name: str) -> None:
    with database(MIGRATIONS, FILTERS, applied("'0001_a'"), applied(name)) as connection:
        assert schema.schema_of(connection, REQUIRED).startswith("tvarr-backup ")


@pytest.mark.parametrize(
    ("recorded", "newer"),
    [
        ("tvarr 029", False),
        ("tvarr 030", True),
        ("tvarr ", False),
        ("tvarr-backup 0002_b", False),
        ("tvarr-backup 0003_c", True),
        ("", False),
        ("another 1", False),
    ],
)
def test_newer_is_what_is_not_known_yet(recorded: str, newer: bool) -> None:
    assert schema.is_newer(recorded, REQUIRED) is newer
