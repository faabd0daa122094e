"""Back up this program's own state: users, settings, the schedule, locations and the history, with the secret key.

A settings archive is saved to the backup folder once a day and copied to encrypted locations. It is never copied to others,
because whoever has it can sign in and read the stored credentials.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS

from tvarr_backup import __version__, conf
from tvarr_backup.backups.durable import publish, sync_folder
from tvarr_backup.backups.folder import explained, receive_in
from tvarr_backup.backups.names import settings_moment, settings_name
from tvarr_backup.backups.room import require_room
from tvarr_backup.backups.settings_archive import DATABASE, KeySource, describe_settings, pack_settings
from tvarr_backup.backups.sqlite import copy_database
from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.models import OPEN_STATES, Installation, Location, OperationState
from tvarr_backup.repeats import Repeats

if TYPE_CHECKING:
    from tvarr_backup.locations.copies import CopyFolder, CopyListing

logger = structlog.stdlib.get_logger(__name__)

KEPT = 7
"""Settings archives in the backup folder, and in each location."""
INTERVAL = timedelta(days=1)
_ONE_SECOND = timedelta(seconds=1)
_repeats = Repeats()


def list_archives(folder: Path) -> list[str]:
    """Return the names of the settings archives in the backup folder, newest first; none if it does not exist."""
    if not folder.is_dir():
        return []
    with explained(folder):
        return sorted((path.name for path in folder.iterdir() if settings_moment(path.name)), reverse=True)


def save_if_due(since: datetime | None = None) -> str:
    """Save an archive if there is none of the last day, and none after `since`. Return the name of the newest, or "".

    Without a backup folder, which the first backup creates, there is none. Raises `TvarrBackupError`.
    """
    folder, now = backup_folder(), datetime.now(UTC)
    if not conf.is_file(DEFAULT_DB_ALIAS) or not folder.is_dir():
        return ""
    for name in list_archives(folder):
        moment = settings_moment(name)
        if moment and abs(now - moment) < INTERVAL and (since is None or since < moment + _ONE_SECOND):
            return name
    return save(folder, now)


def save_daily() -> None:
    """Do the same as a chore of the worker. Problems are logged, because they are often those of the backup folder."""
    try:
        save_if_due()
    except TvarrBackupError as problem:
        if _repeats.is_due(str(problem)):
            logger.warning("settings.unsaved", code=problem.code, reason=str(problem))


def save(folder: Path, now: datetime) -> str:
    """Save a settings archive, and delete all but the newest. Return its name. Raises `CopyFailed`, and as `receive_in` does."""
    live, name = conf.database_path(DEFAULT_DB_ALIAS), settings_name(now)
    is_in_environment = not settings.SET_VARIABLES.isdisjoint({"SECRET_KEY", "SECRET_KEY_FILE"})
    with receive_in(folder) as place:
        require_room(folder, 2 * live.stat().st_size, "Saving the settings")
        copy_database(live, place / DATABASE)
        _prepare_copy(place / DATABASE, name)
        metadata = describe_settings(
            place / DATABASE,
            created_at=now,
            app_version=__version__,
            installation=Installation.load().lower(),
            secret_key=KeySource.ENVIRONMENT if is_in_environment else KeySource.ARCHIVE,
        )
        pack_settings(place / DATABASE, settings.SECRET_KEY, metadata, place / name)
        sync_folder(place)
        publish(place / name, folder / name)
        for old in list_archives(folder)[KEPT:]:
            (folder / old).unlink(missing_ok=True)
    logger.info("settings.saved", filename=name, bytes=(folder / name).stat().st_size)
    return name


def _prepare_copy(database: Path, name: str) -> None:
    """Prepare a copy for a rebuilt installation.

    No worker starts its operations, waiting messages are not sent, and locations know the archive that has it.
    """
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "UPDATE operations_operation SET state = ?, finished_at = ? WHERE state IN (?, ?)",
            (OperationState.INTERRUPTED, datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"), *OPEN_STATES),
        )
        connection.execute("DELETE FROM django_q_ormq")
        connection.execute(
            "UPDATE operations_location SET settings_copies = json_insert(settings_copies, '$[#]', ?) WHERE recipient != ''",
            (name,),
        )
        connection.execute("UPDATE operations_outboxmessage SET state = 'dropped' WHERE state = 'waiting'")


# --- Copies ----------------------------------------------------------------------------------------------------------


def is_copy_due(location: Location) -> bool:
    """Return whether the newest archive has not been copied to a location that accepts it. Raises `TvarrBackupError`."""
    if not location.recipient:
        return False
    newest = next(iter(list_archives(backup_folder())), "")
    return bool(newest) and newest not in location.settings_copies


def copy_settings(location: Location, folder: CopyFolder, listing: CopyListing) -> str:
    """Copy the newest archive to an encrypted location. Return its name, or "" if nothing was copied.

    The archive must know the location, so an older one is made again. Of the copies there, only those that were recorded are
    deleted. Raises `LocationError`, and `TvarrBackupError` if no archive can be made.
    """
    if not location.recipient:
        return ""
    newest = save_if_due(since=location.tested_at)
    copied = newest if newest and newest not in listing.settings else ""
    if copied:
        size = folder.write_settings(backup_folder() / newest, [location.recipient])
        logger.info("settings.copied", location=location.name, filename=newest, bytes=size)
    there = {*listing.settings, newest}
    own = sorted({*location.settings_copies, newest} & there - {""}, reverse=True)
    _record(location, own)
    for old in own[KEPT:]:
        folder.delete_settings(old)
    _record(location, own[:KEPT])
    return copied


def _record(location: Location, names: list[str]) -> None:
    if location.settings_copies != names:
        location.settings_copies = names
        Location.objects.filter(pk=location.pk).update(settings_copies=names)
