"""Check the free space for an operation, estimated from the ratio of the newest three archives."""

from __future__ import annotations

from pathlib import Path

from tvarr_backup.backups.catalogue import Listing
from tvarr_backup.backups.folder import free_bytes
from tvarr_backup.errors import NoRoom

_ASSUMED_PERCENT = 25
"""The assumed size of the first archive in percent of its database. tvarr's databases pack to 15 to 25."""
_RECENT = 3
_SMALL_FILES_BYTES = 8 * 1024
"""One block each for the metadata file and its record."""


def archive_bytes(used: int, listing: Listing) -> int:
    """Estimate the size of the archive of a database with so many bytes in use."""
    recent = [backup.sidecar for backup in listing.backups if backup.sidecar.database_size][:_RECENT]
    if not recent:
        return used * _ASSUMED_PERCENT // 100
    databases = sum(sidecar.database_size for sidecar in recent)
    return used * sum(sidecar.compressed_size for sidecar in recent) // databases


def require_room_for_backup(folder: Path, used: int, listing: Listing) -> None:
    """Raise `NoRoom` if a copy of so many bytes in use and its archive are unlikely to fit."""
    require_room(folder, used + archive_bytes(used, listing), "The backup")


def require_room(folder: Path, needed: int, what: str) -> None:
    """Raise `NoRoom` if less than this and a small margin is free."""
    free, wanted = free_bytes(folder), estimate(needed)
    if not free:
        raise NoRoom(
            "The disk is full (0 MB free). {what} needs about {wanted:MB} of free space in {folder}.",
            what=what,
            wanted=wanted,
            folder=folder,
        )
    if free < wanted:
        raise NoRoom(
            "{what} needs about {wanted:MB} of free space in {folder}, but only {free:MB} is free.",
            what=what,
            wanted=wanted,
            folder=folder,
            free=free,
        )


def usable_bytes(folder: Path) -> int:
    """Return the largest size of a database that fits together with its archive."""
    free = free_bytes(folder)
    return max(0, free * 100 // (102 + _ASSUMED_PERCENT) - _SMALL_FILES_BYTES)


def estimate(needed: int) -> int:
    """Return the bytes to require: 2% more, and the small files."""
    return needed + needed // 50 + _SMALL_FILES_BYTES
