"""What a restore needs and would do, for pages, API and commands alike."""

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
    """Require what a restore needs, as far as that is known without unpacking the backup.

    Raises `BackupNotFound`, `BackupBroken`, `BackupUnsupported`, and what `find_restorable` raises.
    """
    required = conf.required_schema()
    find_restorable(
        conf.live_database(), backup_folder(), filename, required, offline=offline, accept_newer=accept_newer
    )


def damage_of_live(filename: str) -> str:
    """Return what is wrong with the live file if only an offline restore can replace it, such as "is empty"; else "".

    Raises every other reason against a restore into it.
    """
    try:
        inspect_live(conf.live_database(), conf.required_schema(), filename)
    except OfflineRestoreRequired as problem:
        return problem.damage
    return ""


def rows_now() -> dict[str, int]:
    """Return the number of rows of each table of the live database; none where that cannot be read."""
    try:
        return live_rows(conf.live_database(), timeout_seconds=app_database.PATIENCE_SECONDS)
    except (sqlite3.Error, UnicodeDecodeError):
        return {}
