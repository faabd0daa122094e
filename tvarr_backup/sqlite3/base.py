"""Django's SQLite backend, which can also read a file on a disk that is mounted read-only."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.db.backends.sqlite3 import base

from tvarr_backup.sqlite_uri import uri_of


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection whose address is chosen when it is opened, because a disk may be mounted anew in the meantime."""

    def get_connection_params(self) -> dict[str, Any]:
        """Add to a URI with `mode=rw` what a read-only disk needs."""
        params: dict[str, Any] = super().get_connection_params()
        name = str(params["database"])
        if name.startswith("file:") and name.endswith("?mode=rw"):
            params["database"] = uri_of(Path(unquote(urlsplit(name).path)), "rw")
        return params
