"""Django's SQLite backend, extended to read files on disks that are mounted read-only."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.db.backends.sqlite3 import base

from tvarr_backup.sqlite_uri import uri_of


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that chooses its URI when it is opened, because a disk may be remounted in the meantime."""

    def get_connection_params(self) -> dict[str, Any]:
        """Return the parameters, with a URI that also works on a read-only disk."""
        params: dict[str, Any] = super().get_connection_params()
        name = str(params["database"])
        if name.startswith("file:") and name.endswith("?mode=rw"):
            params["database"] = uri_of(Path(unquote(urlsplit(name).path)), "rw")
        return params
