"""The explanation of a failed query."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from tvarr_backup.errors import NoRoom
from tvarr_backup.operations.failures import explain_failure


def test_a_full_disk_is_explained_with_the_command_that_frees_space() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE rows (bytes BLOB)")
        connection.execute("PRAGMA max_page_count = 2")
        try:
            connection.execute("INSERT INTO rows VALUES (zeroblob(100000))")
        except sqlite3.Error as problem:
            explained = explain_failure(problem)
    assert isinstance(explained, NoRoom)
    assert "Nothing was changed. Free some space, for example with `manage.py backup delete NAME`" in str(explained)
