"""What SQLite's errors are told by: their numbers. Its sentences are for people."""

import sqlite3


def primary_code(problem: sqlite3.Error) -> int | None:
    """SQLite's own code for the kind of an error; `None` where Python raised it, as for text that is not UTF-8."""
    code: int | None = getattr(problem, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
