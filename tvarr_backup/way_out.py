"""Advice for a database of tvarr's that cannot be used."""

from __future__ import annotations

import sqlite3

from tvarr_backup.errors import DatabaseForeign, DatabaseMissing, DatabaseUnusable
from tvarr_backup.sentences import Advice
from tvarr_backup.sqlite_codes import primary_code

_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def with_way_out(problem: DatabaseUnusable) -> DatabaseUnusable:
    """Return the error with advice. An error that has advice is returned as it is."""
    advice = None if problem.advice else _find_advice(problem)
    return type(problem)("{problem} {advice}", problem=problem, advice=advice) if advice else problem


def _find_advice(problem: DatabaseUnusable) -> Advice | None:
    cause = problem.__cause__
    if isinstance(cause, DatabaseUnusable):
        cause = cause.__cause__
    if isinstance(cause, sqlite3.Error) and primary_code(cause) in _CORRUPT:
        return Advice.RESTORE
    if isinstance(problem, DatabaseMissing):
        return Advice.BRING_BACK
    return Advice.NAME_DATABASE if type(problem) is DatabaseForeign else None
