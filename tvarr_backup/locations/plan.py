"""Decide what is copied to a location, and which copies are deleted there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.names import ArchiveFormat
from tvarr_backup.backups.retention import Policy, expired
from tvarr_backup.backups.sidecar import Sidecar


@dataclass(frozen=True)
class KnownCopy:
    """A copy in a location: the metadata of its backup, and the `etag` of what was written there last."""

    sidecar: Sidecar
    etag: str


@dataclass(frozen=True)
class CopyPlan:
    """Backups to copy (newest first), backups whose metadata has changed, and names of copies to delete (oldest first)."""

    to_copy: tuple[Backup, ...]
    to_describe: tuple[Backup, ...]
    to_delete: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        return not (self.to_copy or self.to_describe or self.to_delete)


def plan_copies(local: Iterable[Backup], copies: Mapping[str, KnownCopy], policy: Policy, now: datetime) -> CopyPlan:
    """Plan the copies of a location, whose retention counts the copies there together with the backups here.

    A backup that its retention would delete is not copied, and neither are damaged backups and archives of tvarr. A backup
    that was deleted here stays there for as long as the retention keeps it.
    """
    suitable = [backup for backup in local if is_suitable(backup)]
    here = {backup.filename: backup for backup in suitable}
    there = {name: here.get(name) or Backup(name, copy.sidecar) for name, copy in copies.items()}
    doomed = [backup.filename for backup in expired((here | there).values(), policy, now)]
    return CopyPlan(
        to_copy=tuple(
            sorted(
                (backup for backup in suitable if backup.filename not in copies and backup.filename not in doomed),
                key=lambda backup: (backup.sidecar.seq, backup.filename),
                reverse=True,
            )
        ),
        to_describe=tuple(
            backup
            for backup in suitable
            if backup.filename in copies
            and backup.filename not in doomed
            and copies[backup.filename].etag != backup.etag
        ),
        to_delete=tuple(name for name in doomed if name in copies),
    )


def is_suitable(backup: Backup) -> bool:
    """Return whether a backup is copied: it is one of ours, and not known to be damaged."""
    return backup.name.format is ArchiveFormat.GZIP and not backup.sidecar.problems
