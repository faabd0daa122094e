"""Use a copy of tvarr's database through Django: migrate it, or read it with the models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from django.core.management import call_command
from django.db import connections

from tvarr_backup import conf
from tvarr_backup.tvarr_database import APP_LABEL


@contextmanager
def connected_to(path: Path) -> Iterator[str]:
    """Let the alias of tvarr's database mean a copy, for this thread, and yield the alias. The live database is not used."""
    alias = conf.tvarr_alias()
    usual = connections[alias]
    usual.close()
    copy = connections.create_connection(alias)
    copy.settings_dict = usual.settings_dict | {"NAME": f"file:{quote(str(path))}?mode=rw"}
    connections[alias] = copy
    try:
        yield alias
    finally:
        copy.close()
        connections[alias] = usual


def migrate_copy(path: Path) -> None:
    """Migrate the unpacked copy of a backup. The live database is never migrated."""
    with connected_to(path) as alias:
        call_command("migrate", APP_LABEL, database=alias, interactive=False, verbosity=0)
