"""Connections to the databases while a client is served that may take its time."""

from __future__ import annotations

from django.db import connections


def release_databases() -> None:
    """Close this thread's connections to the databases; the next query opens them again.

    A server of databases allows few, and whoever sends or takes gigabytes needs none meanwhile. One with an open
    transaction is kept.
    """
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
