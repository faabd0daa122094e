"""Retention: decide which backups the next cleanup deletes, and delete them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from tvarr_backup.backups.catalogue import Backup, read_folder, remove_backup
from tvarr_backup.backups.folder import work_in
from tvarr_backup.backups.progress import Phase, Progress, no_progress
from tvarr_backup.backups.sidecar import BackupKind, Checked, CheckLevel, Sidecar


@dataclass(frozen=True)
class Policy:
    """How many automatic backups to keep, and their maximum age; `None` means no limit."""

    keep: int | None
    max_age: timedelta | None = None


def expired(backups: Iterable[Backup], policy: Policy, now: datetime, in_use: Collection[str] = ()) -> list[Backup]:
    """Return the backups that a cleanup deletes, oldest first.

    Only automatic backups are counted and deleted; these include safety backups whose protection has ended. Backups in use
    (`in_use`, file names) and the newest backup of any kind without a problem are kept. The newest has the highest `seq`,
    because clocks can go back. A date in the future is not too old.
    """
    everything = sorted(backups, key=lambda backup: (backup.sidecar.seq, backup.filename), reverse=True)
    newest_good = next((backup for backup in everything if backup.sidecar.is_good), None)
    automatic = [backup for backup in everything if _is_automatic(backup.sidecar, now)]
    beyond = automatic[policy.keep :] if policy.keep is not None else []
    if policy.max_age is not None:
        beyond += [backup for backup in automatic if now - backup.sidecar.created_at > policy.max_age]
    spared = {backup.filename for backup in (newest_good,) if backup is not None} | set(in_use)
    doomed = {backup.filename: backup for backup in beyond if backup.filename not in spared}
    return sorted(doomed.values(), key=lambda backup: (backup.sidecar.seq, backup.filename))


def expired_after_backup(backups: Iterable[Backup], policy: Policy, now: datetime) -> list[Backup]:
    """Return the backups that the cleanup after a new manual backup deletes, oldest first."""
    existing = list(backups)
    new = Sidecar(
        created_at=now,
        database_size=0,
        compressed_size=0,
        checksum="",
        kind=BackupKind.MANUAL,
        seq=max((backup.sidecar.seq for backup in existing), default=0) + 1,
        checked=Checked(CheckLevel.QUICK, now),
    )
    return expired([*existing, Backup("", new)], policy, now)


class KeptReason(StrEnum):
    """Why the next cleanup keeps a backup."""

    PROTECTED = "protected"
    PROTECTED_FOR_NOW = "protected for now"
    """Until `protected_until`."""
    NOT_AUTOMATIC = "not automatic"
    NEWEST_GOOD = "newest good"
    WITHIN_LIMITS = "within limits"


def why_kept(
    backup: Backup, listed: Callable[[], Collection[Backup]], policy: Policy, now: datetime
) -> KeptReason | None:
    """Return why the next cleanup keeps a backup, or `None` if it deletes it. `listed` is called only if necessary."""
    sidecar = backup.sidecar
    if sidecar.is_protected(now):
        return KeptReason.PROTECTED_FOR_NOW if sidecar.protected_until else KeptReason.PROTECTED
    if not _is_automatic(sidecar, now):
        return KeptReason.NOT_AUTOMATIC
    backups = listed()
    if any(gone.filename == backup.filename for gone in expired(backups, policy, now)):
        return None
    unchecked = Backup(backup.filename, sidecar.with_changes(checked=None))
    alone = [unchecked if other.filename == backup.filename else other for other in backups]
    if any(gone.filename == backup.filename for gone in expired(alone, policy, now)):
        return KeptReason.NEWEST_GOOD
    return KeptReason.WITHIN_LIMITS


def prune(
    folder: Path,
    policy: Policy,
    *,
    in_use: Collection[str] = (),
    now: datetime | None = None,
    progress: Progress = no_progress,
    on_removal: Callable[[Backup], None] | None = None,
) -> list[Backup]:
    """Delete the expired backups, oldest first, call `on_removal` after each, and return them.

    Raises `BackupBusy`, `BackupFolderUnusable` or what `progress` raises, perhaps after deleting some.
    """
    if not folder.exists():  # a new installation
        return []
    with work_in(folder) as work:
        doomed = expired(read_folder(folder).backups, policy, now or datetime.now(UTC), in_use)
        for done, backup in enumerate(doomed):
            progress(Phase.PRUNE, done, len(doomed))
            remove_backup(folder, work, backup.name)
            if on_removal is not None:
                on_removal(backup)
        return doomed


def _is_automatic(sidecar: Sidecar, now: datetime) -> bool:
    return sidecar.kind in (BackupKind.SCHEDULED, BackupKind.PRE_RESTORE) and not sidecar.is_protected(now)
