"""Commands that need this program's own database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError
from django.db import DatabaseError

from tvarr_backup.conf import in_a_line
from tvarr_backup.operations.app_database import require_app_database


@contextmanager
def own_database() -> Iterator[None]:
    """Require this program's own database. Raises `DatabaseUnusable`, or `CommandError` if it fails later."""
    try:
        require_app_database()
        yield
    except DatabaseError as problem:
        raise CommandError(f"The database cannot be used: {in_a_line(problem)}.") from problem
