"""Find out when a file from elsewhere was made, from its metadata, its name or its rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

from tvarr_backup.backups.names import moment_in
from tvarr_backup.backups.sidecar import DateSource, Sidecar
from tvarr_backup.backups.sqlite import open_database, raising_disk_errors
from tvarr_backup.sqlite_codes import primary_code
from tvarr_backup.timestamps import read_timestamp

_COLUMNS = ("created_at", "updated_at", "deleted_at", "applied_at")
"""tvarr's columns with the time of a change. A deletion does not change `updated_at`."""

_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Earlier times are Go's zero time, or the clock of a machine that had just started."""
_CLOCKS_DIFFER = timedelta(days=1)
"""How far another machine's clock may be ahead; later times are ignored."""
_TIME_COLUMNS = f"""
    SELECT CAST(tables.name AS TEXT), columns.name FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
    WHERE tables.type = 'table' AND tables.rootpage > 0 AND tables.name NOT LIKE 'sqlite#_%' ESCAPE '#'
        AND columns.name IN ({", ".join(f"'{name}'" for name in _COLUMNS)})
"""  # noqa: S608  # constants


def date_of(
    filename: str, described: Sidecar | None, newest: datetime | None, now: datetime
) -> tuple[datetime, DateSource]:
    """Return the date from the metadata, else the name, else the newest row, else `now`, and which of these it was."""
    if described is not None and described.is_dated:
        return described.created_at, described.created_at_source
    # The name of a backup without a date is the time of its arrival.
    named = moment_in(filename) if described is None or not described.has_possible_date else None
    if named is not None:
        return named, DateSource.NAME
    if newest is not None:
        return newest, DateSource.NEWEST_ROW
    return now, DateSource.ARRIVAL


def newest_row(database: Path, now: datetime) -> datetime | None:
    """Return the latest plausible time at which a row of the database was changed, if any.

    Unreadable rows are left out. Raises `OSError` if the disk cannot be read, and SQLite's error at a limit.
    """
    newest: datetime | None = None
    try:
        with raising_disk_errors(), open_database(database) as connection:
            connection.text_factory = lambda raw: raw.decode(errors="replace")
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA query_only=ON")
            for table, column in connection.execute(_TIME_COLUMNS).fetchall():
                for moment in _latest(connection, table, column, now):
                    newest = max(newest or moment, moment)
    except sqlite3.DatabaseError as problem:
        if primary_code(problem) in (sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_TOOBIG):
            raise
    return newest


def _latest(connection: sqlite3.Connection, table: str, column: str, now: datetime) -> Iterator[datetime]:
    """Return the latest plausible time in a column, and those that SQLite cannot read, which are in Go's long format."""
    name, value = (text.replace('"', '""') for text in (table, column))
    times = (
        f'SELECT "{value}" AS text, julianday("{value}") AS day FROM "{name}" '  # noqa: S608  # quoted
        f"""WHERE typeof("{value}") = 'text' AND "{value}" LIKE '____-__-__%'"""
    )
    earliest, latest = _EARLIEST, now + _CLOCKS_DIFFER
    latest_row = connection.execute(  # SQLite takes `text` from the row with the maximum
        f"SELECT text, max(day) FROM ({times}) WHERE day BETWEEN julianday(?) AND julianday(?)",  # noqa: S608
        (earliest.isoformat(), latest.isoformat()),
    ).fetchall()
    unread = connection.execute(f"SELECT DISTINCT text, NULL FROM ({times}) WHERE day IS NULL")  # noqa: S608
    moments = (read_timestamp(text) for text, _day in chain(latest_row, unread))
    return (moment for moment in moments if moment is not None and earliest <= moment <= latest)
