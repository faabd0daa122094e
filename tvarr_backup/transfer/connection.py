"""Release database connections while a slow client is served."""

from __future__ import annotations

from django.db import connections


def release_databases() -> None:
    """Close this thread's idle connections before a long transfer: PostgreSQL allows only 100. Queries open them again."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
