"""Release database connections while a slow client is served."""

from __future__ import annotations

from django.db import connections


def release_databases() -> None:
    """Close this thread's connections that are not in a transaction; the next query opens them again.

    A database server allows few connections (PostgreSQL: 100), and sending or receiving gigabytes needs none.
    """
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
