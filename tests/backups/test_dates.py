"""Date a file from elsewhere by its metadata, its name or its newest row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.backups.makers import changed, ours, tvarrs
from tests.backups.test_sidecar import SIDECAR
from tests.tvarr_own import WRITTEN
from tvarr_backup.backups.dates import date_of, newest_row
from tvarr_backup.backups.sidecar import DateSource
from tvarr_backup.timestamps import read_timestamp

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
ROWS = read_timestamp(WRITTEN)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """All its rows were written on 1 March 2026."""
    return tvarrs(tmp_path / "copy.db")


def at(path: Path, text: object, column: str = "updated_at") -> datetime | None:
    """The newest row after one filter was given this time."""
    value = f"'{text}'" if isinstance(text, str) else str(text)
    return newest_row(changed(path, f"UPDATE filters SET {column} = {value}"), NOW)


def test_the_newest_row_is_that_of_all_tables(database: Path) -> None:
    assert newest_row(database, NOW) == ROWS
    changed(database, "UPDATE channels SET created_at = '2026-08-01 10:00:00+00:00'")
    assert newest_row(database, NOW) == datetime(2026, 8, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("column", ["created_at", "updated_at", "deleted_at"])
def test_each_column_of_changes_counts(database: Path, column: str) -> None:
    assert at(database, "2026-09-01 10:00:00+00:00", column) == datetime(2026, 9, 1, 10, tzinfo=UTC)


def test_an_upgrade_of_the_tables_counts(database: Path) -> None:
    changed(database, "UPDATE schema_migrations SET applied_at = '2026-10-01 10:00:00+00:00' WHERE version = '029'")
    assert newest_row(database, NOW) == datetime(2026, 10, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["2026-08-02 00:30:00+14:00", "2026-08-01T10:30:00Z", "2026-08-01 05:30:00.0 -0500 EST m=+0.1", "2026-08-01 10:30"],
)
def test_times_are_read_as_tvarr_writes_them(database: Path, text: str) -> None:
    assert at(database, text) == datetime(2026, 8, 1, 10, 30, tzinfo=UTC)


def test_times_are_not_compared_as_texts(database: Path) -> None:
    changed(database, "UPDATE channels SET updated_at = '2026-08-02 01:00:00+14:00'")
    assert at(database, "2026-08-01 20:00:00-05:00") == datetime(2026, 8, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "implausible",
    [
        "2026-11-30 12:00:00+00:00",
        "9999-12-31 23:59:59-05:00",
        "0001-01-01 00:00:00+00:00",
        "soon",
        "now",
        1_790_000_000,
    ],
)
def test_times_that_cannot_be_are_ignored(database: Path, implausible: object) -> None:
    assert at(database, implausible) == ROWS


def test_a_clock_that_is_a_little_ahead_is_believed(database: Path) -> None:
    assert at(database, "2026-11-29 11:00:00+00:00") == NOW + timedelta(hours=23)


def test_days_without_a_readable_time_are_passed_over(database: Path) -> None:
    changed(
        database,
        "CREATE TABLE jobs (updated_at)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12) "
        "INSERT INTO jobs SELECT date('2026-11-01', i || ' days') || ' soon' FROM n",
        "INSERT INTO jobs VALUES ('2026-05-01 10:00:00+00:00')",
    )
    assert newest_row(database, NOW) == datetime(2026, 5, 1, 10, tzinfo=UTC)


def test_without_any_time_there_is_none(tmp_path: Path) -> None:
    assert newest_row(changed(tmp_path / "empty.db", "CREATE TABLE filters (created_at, updated_at)"), NOW) is None


@pytest.mark.parametrize("spoil", [b"", b"no database", bytes(9000)])
def test_what_is_no_database_tells_nothing(tmp_path: Path, spoil: bytes) -> None:
    (tmp_path / "copy.db").write_bytes(spoil)
    assert newest_row(tmp_path / "copy.db", NOW) is None


def test_a_damaged_page_leaves_what_can_be_read(database: Path) -> None:
    raw = bytearray(database.read_bytes())
    raw[len(raw) // 2 :] = bytes(len(raw) - len(raw) // 2)
    database.write_bytes(raw)
    assert newest_row(database, NOW) in (ROWS, None)


def test_nothing_of_the_database_is_changed(database: Path) -> None:
    before = database.read_bytes()
    newest_row(database, NOW)
    assert database.read_bytes() == before


def test_a_database_of_ours_has_rows_too(tmp_path: Path) -> None:
    assert newest_row(ours(tmp_path / "copy.db"), NOW) == ROWS


@pytest.mark.parametrize("source", [DateSource.METADATA, DateSource.NAME])
def test_metadata_counts_first(database: Path, source: DateSource) -> None:
    described = SIDECAR.with_changes(created_at_source=source)
    found = date_of("tvarr-backup-2025-12-14T10-30-00.db.gz", described, newest_row(database, NOW), NOW)
    assert found == (SIDECAR.created_at, source)


def test_then_the_name(database: Path) -> None:
    found = date_of("tvarr-backup-2025-12-14T10-30-00 (1).db.gz", None, newest_row(database, NOW), NOW)
    assert found == (datetime(2025, 12, 14, 10, 30, tzinfo=UTC), DateSource.NAME)


@pytest.mark.parametrize("source", [DateSource.NEWEST_ROW, DateSource.ARRIVAL])
def test_then_the_newest_row_also_where_metadata_and_name_tell_an_arrival(database: Path, source: DateSource) -> None:
    described = SIDECAR.with_changes(created_at_source=source)
    assert date_of("tvarr-backup-2026-01-14T10-30-00.db.gz", described, newest_row(database, NOW), NOW) == (
        ROWS or NOW,
        DateSource.NEWEST_ROW,
    )
    assert date_of("tvarr.db", None, newest_row(database, NOW), NOW) == (ROWS or NOW, DateSource.NEWEST_ROW)


def test_and_else_it_is_the_arrival(tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_bytes(b"")
    assert date_of("tvarr.db", None, newest_row(tmp_path / "copy.db", NOW), NOW) == (NOW, DateSource.ARRIVAL)
