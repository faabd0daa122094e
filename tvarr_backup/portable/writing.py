"""Errors of the database while an import or an undo writes, as errors that users see."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.db import DatabaseError

from tvarr_backup.errors import DatabaseBusy, DatabaseUnusable
from tvarr_backup.tvarr_database import is_busy


@contextlib.contextmanager
def explained_writes(outcome: str) -> Iterator[None]:
    """Raise `DatabaseBusy` or `DatabaseUnusable` for a `DatabaseError`. `outcome` is such as "Nothing was imported"."""
    try:
        yield
    except DatabaseError as problem:
        if is_busy(problem):
            raise DatabaseBusy(
                "Another process is writing to tvarr's database. {outcome}. Try again.", outcome=outcome
            ) from problem
        raise DatabaseUnusable(
            "{outcome}, because tvarr's database reported an error: {problem}.", outcome=outcome, problem=problem
        ) from problem
