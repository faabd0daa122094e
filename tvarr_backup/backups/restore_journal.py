"""The journal of a restore in `.work/restore`, from which recovery publishes or removes the safety copy after a crash."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tvarr_backup.backups.catalogue import Backup, next_seq, publish_backup, read_folder, taken_names
from tvarr_backup.backups.create import pack_and_describe
from tvarr_backup.backups.durable import sync_folder, write_private, write_whole
from tvarr_backup.backups.folder import LAST_RESTORE_NAME, RESTORE_NAME, WORK_NAME
from tvarr_backup.backups.names import BackupName, new_name, parse_name
from tvarr_backup.backups.progress import Progress
from tvarr_backup.backups.sidecar import BackupKind, Sidecar
from tvarr_backup.errors import NothingToUndo
from tvarr_backup.schema import RequiredSchema
from tvarr_backup.sentences import Sentence, join

PROTECTED_FOR = timedelta(days=7)
"""How long a safety backup is protected. After that it counts as an automatic backup."""

_JOURNAL_NAME = "restore.json"
_SAFETY_NAME = "safety.db"


@dataclass(frozen=True)
class Replacement:
    """The paths of an offline restore.

    `incoming` is the new database until it gets the live name. `set_aside` is the new name of the old file, with endings for
    its -wal and so on. `old` is a hash of the old file, or empty if there was none. Once the new database is complete and on
    disk (`is_ready`), recovery finishes the restore. `has_safety` says whether a safety copy could be made.
    """

    incoming: str
    set_aside: str
    old: str = ""
    is_ready: bool = False
    has_safety: bool = False


@dataclass(frozen=True)
class Unfinished:
    """A restore in progress or interrupted. `restore_id` is the `user_version` of its data.

    `safety` is the file name of the future safety backup. `is_put_back` means that the new data failed its check: whatever is
    live, the safety copy is needed until it is live again and has passed its own check. Only an offline restore has
    `offline`.
    """

    restore_id: int
    live: str
    backup: str
    safety: str
    started_at: str
    is_put_back: bool = False
    offline: Replacement | None = None


def safety_path(work: Path) -> Path:
    """Return the path of the safety copy before it becomes a backup."""
    return work / RESTORE_NAME / _SAFETY_NAME


def write_journal(work: Path, unfinished: Unfinished) -> None:
    """Begin the journal of a restore, durably, before anything is copied, so that recovery knows about it."""
    place = work / RESTORE_NAME
    place.mkdir(mode=0o700)
    write_private(place / _JOURNAL_NAME, _encode(unfinished))
    sync_folder(place)
    sync_folder(work)


def rewrite_journal(work: Path, unfinished: Unfinished) -> None:
    """Replace the journal, whole or not at all."""
    write_whole(work / RESTORE_NAME / _JOURNAL_NAME, _encode(unfinished))


def read_journal(work: Path) -> Unfinished | None:
    """Return the unsettled restore, or None."""
    try:
        state = json.loads((work / RESTORE_NAME / _JOURNAL_NAME).read_bytes())
        offline = state.pop("offline", None)
        return Unfinished(restore_id=state.pop("mark"), **state, offline=offline and Replacement(**offline))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError, KeyError):  # cut short before the sync, so nothing was copied yet
        return None


def sync_journal(work: Path) -> None:
    """Sync the journal before recovery acts on it, because a killed process may have renamed it without syncing."""
    sync_folder(work / RESTORE_NAME)


def remove_journal(work: Path) -> None:
    """Remove the journal, then the safety copy, which means nothing without it."""
    place = work / RESTORE_NAME
    if place.exists():
        (place / _JOURNAL_NAME).unlink(missing_ok=True)
        sync_folder(place)
        shutil.rmtree(place)


def _encode(unfinished: Unfinished) -> bytes:
    state = asdict(unfinished)
    return json.dumps({"mark": state.pop("restore_id"), **state}).encode()  # "mark" is what other versions read


def pack_safety(
    folder: Path, work: Path, unfinished: Unfinished, required: RequiredSchema, progress: Progress
) -> tuple[BackupName, Sidecar]:
    """Pack the safety copy for publication under the returned name. It may be as damaged as the live database was."""
    taken, name = taken_names(folder), parse_name(unfinished.safety)
    if name is None or taken & {name.filename, name.sidecar}:
        name = new_name(datetime.now(UTC), taken)
    sidecar, _ = pack_and_describe(
        safety_path(work),
        work / name.filename,
        required,
        progress,
        kind=BackupKind.PRE_RESTORE,
        created_at=name.moment,
        seq=next_seq(read_folder(folder)),
        note=f"before restoring {unfinished.backup}",
    )
    until = datetime.now(UTC) + PROTECTED_FOR
    return name, sidecar.with_changes(protected=True, restored_from=unfinished.backup, protected_until=until)


def publish_safety(
    folder: Path, work: Path, unfinished: Unfinished, required: RequiredSchema, progress: Progress
) -> Backup:
    """Make the safety copy a protected backup, unless a crash came after that, and remove the journal."""
    for backup in read_folder(folder).backups:
        if backup.filename == unfinished.safety and backup.sidecar.kind is BackupKind.PRE_RESTORE:
            sync_folder(folder)  # a process that was killed may have named it without syncing
            record_restore_with_safety(folder)
            remove_journal(work)
            return backup
    published = publish_backup(folder, work, *pack_safety(folder, work, unfinished, required, progress))
    record_restore_with_safety(folder)
    remove_journal(work)
    return published


# --- Which backup undoes the last restore ---------------------------------------------------------------------------


def find_safety_backup(folder: Path) -> Backup:
    """Return the safety backup of the last restore. Raises `NothingToUndo`, or what `read_folder` raises."""
    without = _restore_without_safety(folder)
    if without is not None:
        raise NothingToUndo(without)
    backups = read_folder(folder).backups
    last = next((backup for backup in backups if backup.sidecar.kind is BackupKind.PRE_RESTORE), None)
    if last is None:
        raise NothingToUndo("There is no restore to undo, because there is no safety backup.")
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
    """Return why the last restore cannot be undone, or None if it made a safety backup."""
    try:
        recorded = json.loads((folder / LAST_RESTORE_NAME).read_bytes())
        backup, set_aside = str(recorded["backup"]), [Path(str(path)) for path in recorded["set_aside"]]
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
    kept = [path for path in set_aside if path.exists()]
    files = (
        Sentence("The old files are kept for salvage: {kept}.", kept=join(kept, ", "))
        if kept
        else Sentence("There are no old files.")
    )
    return Sentence(
        "There is nothing to undo. The last restore, of {backup}, was an offline restore that could not make a safety backup. "
        "{files} Nothing was changed. You can restore another backup from the list.",
        backup=backup,
        files=files,
    )
