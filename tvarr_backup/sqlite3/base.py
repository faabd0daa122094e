"""Django's SQLite backend, extended: searches find any letter case, and files on read-only disks can be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.db.backends.sqlite3 import base, operations

from tvarr_backup.sqlite_uri import uri_of

_FOLD = "TVARR_BACKUP_FOLD"


def fold(value: object) -> str | None:
    """Return a text without differences in letter case. SQLite's own functions know only those of ASCII.

    Stored values come as bytes, because SQLite would refuse a call with a text that is not UTF-8.
    """
    if value is None:
        return None
    return (value.decode(errors="replace") if isinstance(value, bytes) else str(value)).casefold()


class DatabaseOperations(operations.DatabaseOperations):
    """Operations with a search for any letter case."""

    def lookup_cast(self, lookup_type: str, internal_type: str | None = None) -> str:
        """Return the form in which a column is searched."""
        if lookup_type == "icontains":
            return f"{_FOLD}(CAST(%s AS BLOB))"
        return super().lookup_cast(lookup_type, internal_type)


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that chooses its URI when it is opened, because a disk may be remounted in the meantime."""

    ops_class = DatabaseOperations
    operators = {**base.DatabaseWrapper.operators, "icontains": rf"LIKE {_FOLD}(%s) ESCAPE '\'"}

    def get_connection_params(self) -> dict[str, Any]:
        """Return the parameters, with a URI that also works on a read-only disk if `READ_ONLY_DISKS` is set."""
        params: dict[str, Any] = super().get_connection_params()
        name = str(params["database"])
        if self.settings_dict.get("READ_ONLY_DISKS") and name.startswith("file:") and name.endswith("?mode=rw"):
            params["database"] = uri_of(Path(unquote(urlsplit(name).path)), "rw")
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a connection with the function that searches call."""
        connection = super().get_new_connection(conn_params)
        connection.create_function(_FOLD, 1, fold, deterministic=True)
        return connection
