"""The trial of the backup folder: the worker publishes and removes a small file now and then, and health shows the result.

Whoever only looks writes nothing, so that a monitor that asks every few seconds does not wear the disk.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tvarr_backup import conf
from tvarr_backup.backups.durable import write_whole
from tvarr_backup.backups.folder import probe_folder
from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.operations.disk import backup_folder

PROBE_SECONDS = 600.0
_COUNTS_FOR = timedelta(seconds=3 * PROBE_SECONDS)


@dataclass(frozen=True)
class Probe:
    """What a trial found; `problem`, made of such data, is none where a file could be published.

    `folder` is its path and identity.
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
        identity = _identity(folder)
    except (TvarrBackupError, OSError):
        return None
    try:
        probe = Probe(identity, datetime.now(UTC).isoformat(), None, probe_folder(folder))
    except TvarrBackupError as problem:
        probe = Probe(identity, datetime.now(UTC).isoformat(), problem.sentence.as_data())
    write_whole(_path(), json.dumps(asdict(probe)).encode())
    return probe


def last_probe(folder: Path) -> Probe | None:
    """The result of the last trial of this folder; `None` where there was none within the last half hour."""
    try:
        data = json.loads(_path().read_text(encoding="utf-8"))
        if isinstance(data["problem"], str):  # of a version that kept the sentence alone
            return None
        probe = Probe(**data)
        is_recent = abs(datetime.now(UTC) - datetime.fromisoformat(probe.at)) < _COUNTS_FOR
        return probe if is_recent and probe.folder == _identity(folder) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _identity(folder: Path) -> str:
    """Another one where another disk is mounted in its place."""
    status = folder.stat()
    return f"{folder} {status.st_dev} {status.st_ino}"


def _path() -> Path:
    return conf.storage_folder() / "folder-probe.json"
