"""What to do about tvarr's database when it cannot be used."""

from __future__ import annotations

import sqlite3

from tvarr_backup import program
from tvarr_backup.errors import DatabaseForeign, DatabaseMissing, DatabaseUnusable

RESTORE_INTO_IT = (
    f"Restore a backup: `{program.NAME} backup list` shows them, `{program.NAME} backup restore NAME --yes` restores one. Where "
    "SQLite cannot write the damaged file, stop tvarr and add `--offline`."
)
RUN_OFFLINE = f"run `{program.NAME} backup restore NAME --yes --offline`"
_BRING_BACK = (
    f"Put it back, or restore a backup in its place: stop tvarr, then {RUN_OFFLINE}. "
    f"`{program.NAME} prepare` creates an empty one, with `--create` where TVARR_DATABASE_DSN names it."
)
_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def with_way_out(problem: DatabaseUnusable) -> DatabaseUnusable:
    """Return the same failure of tvarr's database, with the way out where its sentence does not name one yet."""
    if problem.names_way_out:
        return problem
    cause = problem.__cause__
    if isinstance(cause, DatabaseUnusable):
        cause = cause.__cause__
    if isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorcode", 0) & 0xFF in _CORRUPT:
        return type(problem)(f"{problem} {RESTORE_INTO_IT}", names_way_out=True)
    if isinstance(problem, DatabaseMissing):
        return DatabaseMissing(f"{problem} {_BRING_BACK}", names_way_out=True)
    if type(problem) is DatabaseForeign:
        return DatabaseForeign(f"{problem} Name tvarr's database in TVARR_DATABASE_DSN.", names_way_out=True)
    return problem
