"""Limit the database connections that an idle web server process keeps."""

from __future__ import annotations

import threading
from typing import Any

from django.core.signals import request_finished

from tvarr_backup.transfer.connection import release_databases

KEPT_THREADS = 4

_keeping: set[int] = set()
_lock = threading.Lock()


def limit_kept_connections() -> None:
    """Let only the first threads keep theirs. The others serve slow clients, and PostgreSQL allows 100 connections."""
    request_finished.connect(_release_unless_kept, dispatch_uid="limit_kept_connections")


def _release_unless_kept(**_: Any) -> None:
    this = threading.get_ident()
    with _lock:
        if len(_keeping) < KEPT_THREADS:
            _keeping.add(this)
        is_kept = this in _keeping
    if not is_kept:
        release_databases()
