"""Database connections that threads of the web server keep."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.signals import request_finished
from django.db import connection

from config import connections
from tvarr_backup.transfer.connection import release_databases


@pytest.mark.django_db(transaction=True, databases=["default"])
def test_only_the_first_few_threads_keep_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_keeping", set())
    together = threading.Barrier(connections.KEPT_THREADS + 3)

    def request(_number: int) -> Any:
        together.wait(timeout=20)
        connection.ensure_connection()
        connections._release_unless_kept()
        kept = connection.connection is not None
        connection.close()
        return kept

    with ThreadPoolExecutor(together.parties) as threads:
        kept = list(threads.map(request, range(together.parties)))
    assert kept.count(True) == connections.KEPT_THREADS


@pytest.mark.django_db(transaction=True, databases=["default"])
def test_it_holds_where_requests_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_keeping", set(range(-connections.KEPT_THREADS, 0)))
    connections.limit_kept_connections()
    connection.ensure_connection()
    try:
        request_finished.send(sender=None)
        assert connection.connection is None
    finally:
        request_finished.disconnect(dispatch_uid="limit_kept_connections")


@pytest.mark.django_db
def test_a_transaction_goes_on() -> None:
    release_databases()
    assert connection.in_atomic_block
    connection.ensure_connection()
