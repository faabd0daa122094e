"""What `.work/restore` remembers of a restore under way, so that after a crash the way back is published or removed."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tvarr_backup.backups.catalogue import Backup, next_seq, publish_backup, read_folder, taken_names
from tvarr_backup.backups.create import describe, pack_and_examine
from tvarr_backup.backups.durable import replace, sync_folder, write_private
from tvarr_backup.backups.folder import RESTORE_NAME
from tvarr_backup.backups.names import BackupName, new_name, parse_name
from tvarr_backup.backups.progress import Progress
from tvarr_backup.backups.sidecar import BackupKind, CheckLevel, Sidecar
from tvarr_backup.backups.undo import record_restore_with_safety
from tvarr_backup.schema import RequiredSchema

PROTECTED_FOR = timedelta(days=7)
"""For so long the copy of before is protected by itself; then it counts as an automatic backup."""

_STATE_NAME = "restore.json"
_SAFETY_NAME = "safety.db"


@dataclass(frozen=True)
class Replacement:
    """The files of an offline restore, by their paths.

    `incoming` is the new database until it gets the live one's name, and `set_aside` the old one's new name (its -wal and
    the like get that name with their endings). `old` identifies the old file's content, and is empty where there was
    none. With `is_ready` the new database is complete and on disk under its first name: from then on recovery goes
    forward. `has_safety` says that a consistent copy of the old content could be made.
    """

    incoming: str
    set_aside: str
    old: str = ""
    is_ready: bool = False
    has_safety: bool = False


@dataclass(frozen=True)
class Unfinished:
    """A restore that is under way or broke off: the mark of its content, and the files that it is about.

    `safety` is the file name that the copy of before gets as a backup. With `is_put_back` the new content has failed its
    check: whatever is live then, the copy of before is needed until it has been put back and has passed its own. An
    offline restore has an `offline`.
    """

    mark: int
    live: str
    backup: str
    safety: str
    started_at: str
    is_put_back: bool = False
    offline: Replacement | None = None


def safety_path(work: Path) -> Path:
    """Where the copy of before lies until it is a backup."""
    return work / RESTORE_NAME / _SAFETY_NAME


def remember(work: Path, unfinished: Unfinished) -> None:
    """From here on recovery knows what was begun; on disk before anything is copied."""
    place = work / RESTORE_NAME
    place.mkdir(mode=0o700)
    write_private(place / _STATE_NAME, json.dumps(asdict(unfinished)).encode())
    sync_folder(place)
    sync_folder(work)


def remember_anew(work: Path, unfinished: Unfinished) -> None:
    """What is remembered becomes this, whole or not at all."""
    place = work / RESTORE_NAME
    anew = place / f"{_STATE_NAME}.anew"
    anew.unlink(missing_ok=True)
    write_private(anew, json.dumps(asdict(unfinished)).encode())
    replace(anew, place / _STATE_NAME)


def remembered(work: Path) -> Unfinished | None:
    """What was begun and not settled."""
    try:
        state = json.loads((work / RESTORE_NAME / _STATE_NAME).read_bytes())
        offline = state.pop("offline", None)
        return Unfinished(**state, offline=offline and Replacement(**offline))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError):  # cut short before it was synced: then nothing was copied yet
        return None


def sync_remembered(work: Path) -> None:
    """Sync the state that was read, before recovery acts on it: a killed process may have renamed it without syncing."""
    sync_folder(work / RESTORE_NAME)


def forget(work: Path) -> None:
    """The state goes first: a copy without it is nothing."""
    place = work / RESTORE_NAME
    if place.exists():
        (place / _STATE_NAME).unlink(missing_ok=True)
        sync_folder(place)
        shutil.rmtree(place)


def pack_safety(
    folder: Path, work: Path, unfinished: Unfinished, required: RequiredSchema, progress: Progress
) -> tuple[BackupName, Sidecar]:
    """Pack the copy of before, ready to be published under that name; it may be damaged, as live was."""
    taken, name = taken_names(folder), parse_name(unfinished.safety)
    if name is None or taken & {name.filename, name.sidecar}:
        name = new_name(datetime.now(UTC), taken)
    packed, examined = pack_and_examine(safety_path(work), work / name.filename, required, CheckLevel.QUICK, progress)
    sidecar = describe(
        packed,
        examined,
        kind=BackupKind.PRE_RESTORE,
        level=CheckLevel.QUICK,
        created_at=name.moment,
        seq=next_seq(read_folder(folder)),
        note=f"before restoring {unfinished.backup}",
    )
    until = datetime.now(UTC) + PROTECTED_FOR
    return name, sidecar.with_changes(protected=True, restored_from=unfinished.backup, protected_until=until)


def publish_safety(
    folder: Path, work: Path, unfinished: Unfinished, required: RequiredSchema, progress: Progress
) -> Backup:
    """Make the copy of before a protected backup, and forget the restore; done already where a crash came after it."""
    for backup in read_folder(folder).backups:
        if backup.filename == unfinished.safety and backup.sidecar.kind is BackupKind.PRE_RESTORE:
            sync_folder(folder)  # who was cut off may have given it its name, and no more
            record_restore_with_safety(folder)
            forget(work)
            return backup
    published = publish_backup(folder, work, *pack_safety(folder, work, unfinished, required, progress))
    record_restore_with_safety(folder)
    forget(work)
    return published
