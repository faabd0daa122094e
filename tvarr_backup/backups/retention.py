"""Which backups the next clean-up removes, by one pure function, so that what is announced is what is done."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from tvarr_backup.backups.catalogue import Backup, read_folder, remove_backup
from tvarr_backup.backups.folder import work_in
from tvarr_backup.backups.progress import Phase, Progress, no_progress
from tvarr_backup.backups.sidecar import BackupKind, Sidecar


@dataclass(frozen=True)
class Policy:
    """How many automatic backups are kept, and how old they may get; `None` keeps all, or whatever the age."""

    keep: int | None
    max_age: timedelta | None = None


def expired(backups: Iterable[Backup], policy: Policy, now: datetime, in_use: Collection[str] = ()) -> list[Backup]:
    """The backups that a clean-up removes, oldest first.

    Only automatic ones are counted and removed: scheduled ones, and the copies made before a restore once their time of
    protection is over. Never one that is protected, that is in use (`in_use`, by file name), or the newest one whose
    last check found no problem, of whatever kind. Newest means the highest `seq`, never the clock's word: a clock that
    steps back must not make the newest backup the oldest. A backup that is dated in the future is not too old.
    """
    everything = sorted(backups, key=lambda backup: (backup.sidecar.seq, backup.filename), reverse=True)
    newest_good = next((backup for backup in everything if is_good(backup.sidecar)), None)
    automatic = [backup for backup in everything if _is_automatic(backup.sidecar, now)]
    beyond = automatic[policy.keep :] if policy.keep is not None else []
    if policy.max_age is not None:
        beyond += [backup for backup in automatic if now - backup.sidecar.created_at > policy.max_age]
    spared = {backup.filename for backup in (newest_good,) if backup is not None} | set(in_use)
    doomed = {backup.filename: backup for backup in beyond if backup.filename not in spared}
    return sorted(doomed.values(), key=lambda backup: (backup.sidecar.seq, backup.filename))


class Kept(StrEnum):
    """Why the next clean-up leaves a backup where it is."""

    PROTECTED = "protected"
    PROTECTED_FOR_NOW = "protected for now"
    """Until the moment in its description."""
    NOT_AUTOMATIC = "not automatic"
    NEWEST_GOOD = "newest good"
    WITHIN_LIMITS = "within limits"


def why_kept(backup: Backup, listed: Callable[[], Collection[Backup]], policy: Policy, now: datetime) -> Kept | None:
    """Why the next clean-up of what is `listed` leaves this one; `None` where it removes it (`expired` says so).

    The others are only asked for where it depends on them: not for one that is protected, or that nobody counts.
    """
    sidecar = backup.sidecar
    if sidecar.is_protected(now):
        return Kept.PROTECTED_FOR_NOW if sidecar.protected_until else Kept.PROTECTED
    if not _is_automatic(sidecar, now):
        return Kept.NOT_AUTOMATIC
    backups = listed()
    if any(gone.filename == backup.filename for gone in expired(backups, policy, now)):
        return None
    others = [other for other in backups if other.filename != backup.filename]
    unguarded = backup.sidecar.with_changes(checked=None)
    alone = [*others, Backup(backup.filename, unguarded)]
    if any(gone.filename == backup.filename for gone in expired(alone, policy, now)):
        return Kept.NEWEST_GOOD
    return Kept.WITHIN_LIMITS


def prune(
    folder: Path,
    policy: Policy,
    *,
    in_use: Collection[str] = (),
    now: datetime | None = None,
    progress: Progress = no_progress,
    on_removal: Callable[[Backup], None] | None = None,
) -> list[Backup]:
    """Remove what is expired, oldest first, and give it back. Cut short, it has removed some, each of them whole.

    `on_removal` is told of each when it is gone.

    Raises `BackupBusy`, `BackupFolderUnusable` or what `progress` raises.
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


def is_good(sidecar: Sidecar) -> bool:
    """Whether its last check found no problem."""
    return sidecar.checked is not None and not sidecar.checked.problems


def _is_automatic(sidecar: Sidecar, now: datetime) -> bool:
    return sidecar.kind in (BackupKind.SCHEDULED, BackupKind.PRE_RESTORE) and not sidecar.is_protected(now)
