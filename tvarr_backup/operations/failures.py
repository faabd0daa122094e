"""Explains why a database query failed, by checking both databases, for pages, API and commands."""

from __future__ import annotations

import sqlite3

from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
)

from tvarr_backup import conf
from tvarr_backup.errors import DatabaseBusy, DatabaseUnusable, NoRoom, TvarrBackupError
from tvarr_backup.operations import reserve
from tvarr_backup.operations.app_database import require_app_database, require_undamaged
from tvarr_backup.operations.observe import require_live
from tvarr_backup.permissions import why_unwritable
from tvarr_backup.sentences import NOTHING, Advice, Sentence
from tvarr_backup.sqlite_codes import primary_code
from tvarr_backup.tvarr_database import is_busy

_OURS = (IntegrityError, DataError, ProgrammingError, NotSupportedError)
"""Errors of our own queries; the database itself works."""


def explain_failure(problem: BaseException | None) -> TvarrBackupError | None:
    """Return which database cannot be used and why; None for other failures. Takes a few seconds if one is locked."""
    if not isinstance(problem, (Error, sqlite3.Error)) or isinstance(problem, _OURS):
        return None
    cause = problem if isinstance(problem, sqlite3.Error) else problem.__cause__
    code = primary_code(cause) if isinstance(cause, sqlite3.Error) else None
    if code == sqlite3.SQLITE_FULL:
        reserve.release()
        return NoRoom("The disk of a database is full. Nothing was changed. {advice}", advice=Advice.FREE_SPACE)
    if code == sqlite3.SQLITE_READONLY:
        unwritable = _find_unwritable()
        if unwritable:
            return DatabaseUnusable("{unwritable}. Nothing was changed.", unwritable=unwritable)
    found = _find_unusable(is_damaged=code == sqlite3.SQLITE_CORRUPT)
    if isinstance(problem, DatabaseError) and is_busy(problem):
        return DatabaseBusy(
            found.sentence if found else "Other programs kept the database locked for too long. Try again."
        )
    return found or DatabaseUnusable("A database could not be used. The log has the reason. Try again.")


def _find_unwritable() -> Sentence:
    """Return which of the two files cannot be written, with advice; empty if both can."""
    paths = [conf.database_path(alias) for alias in (DEFAULT_DB_ALIAS, conf.tvarr_alias()) if conf.is_file(alias)]
    return next(filter(None, (why_unwritable(path) for path in paths if path.exists())), NOTHING)


def _find_unusable(*, is_damaged: bool) -> DatabaseUnusable | None:
    try:
        require_app_database()
        if is_damaged:
            require_undamaged()
        require_live()
    except DatabaseUnusable as problem:
        return problem
    if is_damaged and conf.is_file(conf.tvarr_alias()):  # in a page that the check does not read
        return DatabaseUnusable(
            "{path} is damaged. {advice}", path=conf.database_path(conf.tvarr_alias()), advice=Advice.RESTORE
        )
    return None
