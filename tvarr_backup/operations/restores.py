"""What a restore needs and would do, for pages, API and commands alike."""

from __future__ import annotations

import sqlite3

from tvarr_backup import conf
from tvarr_backup.backups.examine import live_rows
from tvarr_backup.backups.live import look_at_live
from tvarr_backup.backups.restore import look_offline
from tvarr_backup.errors import OfflineRestoreRequired


def require_restorable_live(filename: str, *, offline: bool) -> None:
    """Raise why the live database cannot be replaced by this backup, or, with `offline`, its file cannot."""
    look = look_offline if offline else look_at_live
    look(conf.live_database(), conf.required_schema(), filename)


def damage_of_live(filename: str) -> str:
    """Return what is wrong with the live file if only an offline restore can replace it, such as "is empty"; else "".

    Raises every other reason against a restore into it, as `require_restorable_live` does.
    """
    try:
        require_restorable_live(filename, offline=False)
    except OfflineRestoreRequired as problem:
        return problem.damage
    return ""


def rows_now() -> dict[str, int]:
    """Return the number of rows of each table of the live database; none where that cannot be read."""
    try:
        return live_rows(conf.live_database())
    except (sqlite3.Error, UnicodeDecodeError):
        return {}
