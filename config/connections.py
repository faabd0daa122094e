"""How many database connections an idle process of the web server keeps."""

from __future__ import annotations

import threading
from typing import Any

from django.core.signals import request_finished

from tvarr_backup.transfer.connection import release_databases

KEPT_THREADS = 4

_keeping: set[int] = set()
_turn = threading.Lock()


def keep_few() -> None:
    """Let only the first few threads keep theirs: the others are for slow clients, and a database server allows few."""
    request_finished.connect(_release_of_most_threads, dispatch_uid="keep_few")


def _release_of_most_threads(**_: Any) -> None:
    this = threading.get_ident()
    with _turn:
        if len(_keeping) < KEPT_THREADS:
            _keeping.add(this)
        keeps = this in _keeping
    if not keeps:
        release_databases()
