"""The backup folder as every action uses it: whether its disk is mounted, and whether a file can be published there.

An unmounted disk leaves an empty folder in its place. Backups that are made there fill the wrong disk, and disappear once
the right one is mounted again. So the operation records say where the disk was mounted.

The worker tries the folder with a small file every ten minutes, and health shows the result. A check of health itself
writes nothing, so that a monitor that asks every few seconds does not wear the disk.
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


# --- Trials ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Probe:
    """Result of a trial. `problem` is the data of a sentence, and none where a file could be published.

    `folder` is the path and identity of the folder.
    """

    folder: str
    at: str
    problem: dict[str, Any] | None
    has_hard_links: bool = True


def probe_now() -> Probe | None:
    """Try the backup folder, and keep the result in the storage folder; `None` where there is no folder to try.

    A folder that is missing or not mounted is not tried: health says so itself.
    """
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
    """The result of the last trial of this folder; `None` where there was none within the last half hour."""
    try:
        data = json.loads(_probe_path().read_text(encoding="utf-8"))
        if isinstance(data["problem"], str):  # of a version that kept the sentence alone
            return None
        probe = Probe(**data)
        is_recent = abs(datetime.now(UTC) - datetime.fromisoformat(probe.at)) < _COUNTS_FOR
        return probe if is_recent and probe.folder == _folder_identity(folder) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _folder_identity(folder: Path) -> str:
    """Another one where another disk is mounted in its place."""
    status = folder.stat()
    return f"{folder} {status.st_dev} {status.st_ino}"


def _probe_path() -> Path:
    return conf.storage_folder() / "folder-probe.json"
