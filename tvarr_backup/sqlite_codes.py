"""SQLite's error codes, which the program goes by instead of error messages."""

import sqlite3


def primary_code(problem: sqlite3.Error) -> int | None:
    """Return SQLite's primary result code, or None for an error of Python's, such as for text that is not UTF-8."""
    code: int | None = getattr(problem, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
