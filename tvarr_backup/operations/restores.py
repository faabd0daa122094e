"""Requirements and consequences of a restore, for pages, API and commands."""

from __future__ import annotations

import sqlite3

from tvarr_backup import conf
from tvarr_backup.backups.examine import live_rows
from tvarr_backup.backups.live import inspect_live
from tvarr_backup.backups.restore import find_restorable
from tvarr_backup.errors import OfflineRestoreRequired
from tvarr_backup.operations import app_database
from tvarr_backup.operations.disk import backup_folder


def require_restorable(filename: str, *, offline: bool = False, accept_newer: bool = False) -> None:
    """Check what a restore needs, without unpacking the backup. Raises what `find_restorable` raises."""
    required = conf.required_schema()
    find_restorable(
        conf.live_database(), backup_folder(), filename, required, offline=offline, accept_newer=accept_newer
    )


def damage_of_live(filename: str) -> str:
    """Return the damage that only an offline restore can fix, such as "is empty"; else "". Raises other obstacles."""
    try:
        inspect_live(conf.live_database(), conf.required_schema(), filename)
    except OfflineRestoreRequired as problem:
        return problem.damage
    return ""


def rows_now() -> dict[str, int]:
    """Return the number of rows of each table of the live database; empty if it cannot be read."""
    try:
        return live_rows(conf.live_database(), timeout_seconds=app_database.PATIENCE_SECONDS)
    except (sqlite3.Error, UnicodeDecodeError):
        return {}
