"""Which safety backup undoes the last restore, and that none does after an offline restore that could not make one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tvarr_backup.backups.catalogue import Backup, read_folder
from tvarr_backup.backups.durable import sync_folder, write_whole
from tvarr_backup.backups.folder import LAST_RESTORE_NAME, WORK_NAME
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.errors import NothingToUndo
from tvarr_backup.sentences import Sentence, join


def find_safety_backup(folder: Path) -> Backup:
    """Return the safety backup of the last restore. Raises `NothingToUndo`, or what `read_folder` raises."""
    without = _restore_without_safety(folder)
    if without is not None:
        raise NothingToUndo(without)
    backups = read_folder(folder).backups
    last = next((backup for backup in backups if backup.sidecar.kind is BackupKind.PRE_RESTORE), None)
    if last is None:
        raise NothingToUndo("There is no restore to undo: no backup was made before one.")
    return last


def record_restore_without_safety(folder: Path, filename: str, set_aside: Sequence[str]) -> None:
    """Record, durably, that nothing can undo the last restore."""
    data = json.dumps({"backup": filename, "set_aside": list(set_aside)}).encode()
    write_whole(folder / LAST_RESTORE_NAME, data, temporary=folder / WORK_NAME / LAST_RESTORE_NAME)


def record_restore_with_safety(folder: Path) -> None:
    """Record that the newest safety backup undoes the last restore."""
    try:
        (folder / LAST_RESTORE_NAME).unlink()
    except FileNotFoundError:
        return
    sync_folder(folder)


def _restore_without_safety(folder: Path) -> Sentence | None:
    """Return a sentence about the last restore if it made no safety backup."""
    try:
        recorded = json.loads((folder / LAST_RESTORE_NAME).read_bytes())
        backup, set_aside = str(recorded["backup"]), [Path(str(path)) for path in recorded["set_aside"]]
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
    kept = [path for path in set_aside if path.exists()]
    files = (
        Sentence("The old files are kept for salvage: {kept}.", kept=join(kept, ", "))
        if kept
        else Sentence("There were no old files, or they were removed.")
    )
    return Sentence(
        "There is nothing to undo. The last restore, of {backup}, was an offline restore, and no consistent copy of the old "
        "database could be made. {files} Nothing was changed. To go back to another backup, choose it from the list of "
        "backups.",
        backup=backup,
        files=files,
    )
