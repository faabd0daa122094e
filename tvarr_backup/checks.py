"""System checks of folders, databases and SQLite."""

import os
import sqlite3
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, register

from tvarr_backup import conf
from tvarr_backup.errors import DatabaseUnusable

_OLDEST_SQLITE = (3, 27)  # for `VACUUM INTO`
_FIXED_IN: dict[tuple[int, ...], int] = {(3, 44): 6, (3, 50): 7}


@register
def check_storage_folder(**_: Any) -> list[CheckMessage]:
    """E001: the storage folder cannot be written to or created."""
    return _check_writable("TVARR_STORAGE_BASE_DIR", conf.storage_folder(), "tvarr_backup.E001")


@register
def check_tvarr_database(**_: Any) -> list[CheckMessage]:
    """E002: tvarr's database is missing, unreadable, another program's, or the same as ours."""
    try:
        conf.require_usable_tvarr(may_be_missing=not settings.TVARR_DATABASE_NAMED)
    except DatabaseUnusable as problem:
        return [Error(str(problem), id="tvarr_backup.E002")]
    return []


@register
def check_backup_folder(**_: Any) -> list[CheckMessage]:
    """E003: the backup folder cannot be written to. E004: it is served to browsers. I001: it is on the database's disk."""
    folder = Path(settings.BACKUP_DIRECTORY)
    if conf.storage_folder() not in folder.parents and (
        found := _check_writable("TVARR_BACKUP_DIRECTORY", folder, "tvarr_backup.E003")
    ):
        return found
    served = [Path(place).resolve() for place in settings.STATICFILES_DIRS]
    if any(place == folder.resolve() or place in folder.resolve().parents for place in served):
        return [
            Error(
                f"TVARR_BACKUP_DIRECTORY names {folder}, which the web server serves to everyone as static files.",
                hint="Backups contain passwords. Choose a folder that no web server serves.",
                id="tvarr_backup.E004",
            )
        ]
    if not conf.is_file(conf.tvarr_alias()):
        return []
    database = conf.database_path(conf.tvarr_alias())
    if _disk_of(folder) == _disk_of(database) is not None:
        return [
            Info(
                f"The backups in {folder} are on the same disk as the database. If that disk fails, both are lost.",
                hint="Set TVARR_BACKUP_DIRECTORY to a folder on another disk, or add a location for copies (`location add`).",
                id="tvarr_backup.I001",
            )
        ]
    return []


@register
def check_sqlite(**_: Any) -> list[CheckMessage]:
    """E005: SQLite has no `VACUUM INTO`. I002: a checkpoint of this version can lose commits."""
    version = sqlite3.sqlite_version_info
    if version < _OLDEST_SQLITE:
        return [Error(f"Expected SQLite 3.27 or newer, found {sqlite3.sqlite_version}.", id="tvarr_backup.E005")]
    if has_wal_reset_bug(version):
        return [
            Info(
                f"SQLite {sqlite3.sqlite_version} can, in rare cases, lose commits when two checkpoints run at the same time.",
                hint="This is fixed in 3.51.3, 3.50.7 and 3.44.6. Use a newer system or the container image.",
                id="tvarr_backup.I002",
            )
        ]
    return []


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Return whether this SQLite has the bug of 3.7.0 to 3.51.2, fixed in 3.51.3, 3.50.7 and 3.44.6."""
    if version[:2] in _FIXED_IN:
        return version < (*version[:2], _FIXED_IN[version[:2]])
    return (3, 7) <= version < (3, 51, 3)


def _disk_of(path: Path) -> int | None:
    """Return the id of a path's file system, or None if the path cannot be read."""
    try:
        return path.stat().st_dev
    except OSError:
        return None


def _check_writable(name: str, folder: Path, id_: str) -> list[CheckMessage]:
    existing = next(place for place in (folder, *folder.parents) if os.access(place, os.F_OK))
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return []
    return [
        Error(
            f"{name} names {folder}, but {existing} is not a folder that this program can write to.",
            hint="Choose a folder that belongs to the user this program runs as.",
            id=id_,
        )
    ]
