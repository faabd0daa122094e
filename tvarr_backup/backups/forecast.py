"""Estimate whether the next automatic backups will fit on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tvarr_backup.backups.catalogue import Backup, Listing
from tvarr_backup.backups.retention import Policy, expired
from tvarr_backup.backups.room import archive_bytes, estimate
from tvarr_backup.backups.sidecar import BackupKind, Checked, CheckLevel, Sidecar


def count_fitting(free: int, used: int, listing: Listing, policy: Policy, times: Sequence[datetime]) -> int:
    """Return how many automatic backups at these times will fit, one after another, with cleanup after each.

    `free` are the free bytes of the disk, and `used` those of the database, which is assumed not to grow.
    """
    archive = archive_bytes(used, listing)
    needed = estimate(used + archive)
    if free - len(times) * archive >= needed:
        return len(times)
    backups = list(listing.backups)
    for number, time in enumerate(times):
        if free < needed:
            return number
        backups.append(_expect(time, archive, seq=_next_seq(backups)))
        gone = expired(backups, policy, time)
        free += sum(backup.sidecar.compressed_size for backup in gone) - archive
        names = {backup.filename for backup in gone}
        backups = [backup for backup in backups if backup.filename not in names]
    return len(times)


def _expect(time: datetime, archive: int, *, seq: int) -> Backup:
    sidecar = Sidecar(
        created_at=time,
        database_size=0,
        compressed_size=archive,
        checksum="",
        kind=BackupKind.SCHEDULED,
        seq=seq,
        checked=Checked(CheckLevel.QUICK, time),
    )
    return Backup(f"expected {seq}", sidecar)


def _next_seq(backups: Sequence[Backup]) -> int:
    return max((backup.sidecar.seq for backup in backups), default=0) + 1
