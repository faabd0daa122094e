"""Brings a copy of an older database of ours up to date before it is restored; the live one is never migrated for that."""

from pathlib import Path
from urllib.parse import quote

from django.core.management import call_command
from django.db import connections

from tvarr_backup import conf
from tvarr_backup.tvarr_database import APP_LABEL


def migrate_copy(path: Path) -> None:
    """Run our migrations on the file, which nobody else has, through a connection of its own in this thread."""
    alias = conf.tvarr_alias()
    usual = connections[alias]
    usual.close()
    copy = connections.create_connection(alias)
    copy.settings_dict = usual.settings_dict | {"NAME": f"file:{quote(str(path))}?mode=rw"}
    connections[alias] = copy
    try:
        call_command("migrate", APP_LABEL, database=alias, interactive=False, verbosity=0)
    finally:
        copy.close()
        connections[alias] = usual
