"""Checks that the backup folder's disk is mounted, and that files can be written there.

An unmounted disk leaves an empty folder in its place. Backups made there would fill the wrong disk, and disappear once
the right one is mounted again. So each operation that writes a backup records where the disk was mounted.

The worker tests the folder with a small file every ten minutes, and health shows the result. Health checks themselves
write nothing, so that frequent monitoring does not wear the disk.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import Error

from tvarr_backup import conf
from tvarr_backup.backups.durable import write_whole
from tvarr_backup.backups.folder import explained, prepare_folder, probe_folder
from tvarr_backup.backups.sharing import share_folder
from tvarr_backup.errors import BackupFolderMissing, BackupFolderUnmounted, TvarrBackupError
from tvarr_backup.operations.models import COMPLETED_STATES, Operation
from tvarr_backup.permissions import disk_of
from tvarr_backup.sentences import Advice

PROBE_SECONDS = 600.0
_COUNTS_FOR = timedelta(seconds=3 * PROBE_SECONDS)


def backup_folder() -> Path:
    """Return the real path of the backup folder, without creating it. On a new installation it does not exist yet.

    Raises `BackupFolderUnusable`: `BackupFolderUnmounted` or `BackupFolderMissing` if backups were made in it.
    """
    folder = conf.backup_folder()
    disk = _recorded_disk(folder)
    if disk is None:
        return folder
    if not disk.is_mount():
        raise _unmounted(folder, disk)
    if not os.path.lexists(folder):
        raise BackupFolderMissing(
            "The backup folder {folder} does not exist any more, although backups were made in it. Put it back, or "
            "create an empty one with {advice}.",
            folder=folder,
            advice=Advice.BACK_UP,
        )
    return folder


def folder_for_new_backup(*, accept_folder: bool) -> Path:
    """Return the same, created if missing. `accept_folder` accepts the folder without its previous disk."""
    folder = conf.backup_folder()
    disk = None if accept_folder else _recorded_disk(folder)
    if disk is not None and not disk.is_mount():
        raise _unmounted(folder, disk)
    prepared = prepare_folder(folder)
    with explained(prepared):
        share_folder(prepared)
    return prepared


def place_of(folder: Path) -> dict[str, Any]:
    """Return the arguments by which an operation that writes a backup records the folder and its disk."""
    return {"folder": str(folder), "disk": str(disk_of(folder))}


def _recorded_disk(folder: Path) -> Path | None:
    """Return where the folder's disk was mounted when the last backup was written; `None` if unknown."""
    if not conf.has_our_tables():
        return None
    written = Operation.objects.filter(state__in=COMPLETED_STATES, arguments__folder=str(folder))
    try:
        disk = written.values_list("arguments__disk", flat=True).first()
    except Error:  # reported by the check of the database
        return None
    return Path(disk) if disk else None


def _unmounted(folder: Path, disk: Path) -> BackupFolderUnmounted:
    return BackupFolderUnmounted(
        "The disk of the backup folder {folder} is not mounted at {disk}, where it was when the last backup was made. "
        "Mount it. If the folder is right without it, {advice}",
        folder=folder,
        disk=disk,
        advice=Advice.ACCEPT_FOLDER,
    )


# --- Tests -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Probe:
    """Result of a test: data of a sentence if there is a problem, and path and identity of the folder."""

    folder: str
    at: str
    problem: dict[str, Any] | None
    has_hard_links: bool = True


def probe_now() -> Probe | None:
    """Test the backup folder and store the result. None if it is missing or not mounted, which health reports."""
    try:
        folder = backup_folder()
        identity = _folder_identity(folder)
    except (TvarrBackupError, OSError):
        return None
    try:
        probe = Probe(identity, datetime.now(UTC).isoformat(), None, probe_folder(folder))
    except TvarrBackupError as problem:
        probe = Probe(identity, datetime.now(UTC).isoformat(), problem.sentence.as_data())
    write_whole(_probe_path(), json.dumps(asdict(probe)).encode())
    return probe


def last_probe(folder: Path) -> Probe | None:
    """Return the result of the last test of this folder; `None` if there was none within the last half hour."""
    try:
        data = json.loads(_probe_path().read_text(encoding="utf-8"))
        if isinstance(data["problem"], str):  # written by an earlier version, without facts
            return None
        probe = Probe(**data)
        is_recent = abs(datetime.now(UTC) - datetime.fromisoformat(probe.at)) < _COUNTS_FOR
        return probe if is_recent and probe.folder == _folder_identity(folder) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _folder_identity(folder: Path) -> str:
    """Return the path with device and inode, which change when another disk is mounted there."""
    status = folder.stat()
    return f"{folder} {status.st_dev} {status.st_ino}"


def _probe_path() -> Path:
    return conf.storage_folder() / "folder-probe.json"
