"""The backup folder as every action uses it, and whether its disk is mounted, according to the operation records.

An unmounted disk leaves an empty folder in its place. Backups that are made there fill the wrong disk, and disappear once
the right one is mounted again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.db import Error

from tvarr_backup import conf
from tvarr_backup.backups.folder import explained, prepare_folder
from tvarr_backup.backups.sharing import share_folder
from tvarr_backup.errors import BackupFolderMissing, BackupFolderUnmounted
from tvarr_backup.operations.models import COMPLETED_STATES, Operation
from tvarr_backup.permissions import disk_of
from tvarr_backup.sentences import Advice


def backup_folder() -> Path:
    """The backup folder by its real path; it is not created, and on a new installation it does not exist yet.

    Raises `BackupFolderUnusable`, or of that `BackupFolderUnmounted` or `BackupFolderMissing` where backups were made in it.
    """
    folder = conf.backup_folder()
    disk = _recorded_disk(folder)
    if disk is None:
        return folder
    if not disk.is_mount():
        raise _unmounted(folder, disk)
    if not os.path.lexists(folder):
        raise BackupFolderMissing(
            "The backup folder {folder} is not there any more, though backups were made in it. Bring it back; or start with "
            "an empty one: {advice} creates it.",
            folder=folder,
            advice=Advice.BACK_UP,
        )
    return folder


def folder_for_new_backup(*, accept_folder: bool) -> Path:
    """The same, created where it is missing. With `accept_folder` it is taken as it is, whatever was mounted before."""
    folder = conf.backup_folder()
    disk = None if accept_folder else _recorded_disk(folder)
    if disk is not None and not disk.is_mount():
        raise _unmounted(folder, disk)
    prepared = prepare_folder(folder)
    with explained(prepared):
        share_folder(prepared)
    return prepared


def place_of(folder: Path) -> dict[str, Any]:
    """What an operation that writes a backup, and no other one, keeps in its arguments, for the questions of later ones."""
    return {"folder": str(folder), "disk": str(disk_of(folder))}


def _recorded_disk(folder: Path) -> Path | None:
    """Where the folder's disk was mounted when the last backup was written; `None` where that is not known."""
    if not conf.has_our_tables():
        return None
    written = Operation.objects.filter(state__in=COMPLETED_STATES, arguments__folder=str(folder))
    try:
        disk = written.values_list("arguments__disk", flat=True).first()
    except Error:  # its own check says so
        return None
    return Path(disk) if disk else None


def _unmounted(folder: Path, disk: Path) -> BackupFolderUnmounted:
    return BackupFolderUnmounted(
        "The backup folder {folder} was on a disk of its own when the last backup was made, and that disk is not mounted "
        "now at {disk}. Mount it. If the folder is right as it is, {advice}",
        folder=folder,
        disk=disk,
        advice=Advice.ACCEPT_FOLDER,
    )
