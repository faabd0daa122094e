"""Unpack the database of one of our or tvarr's archives into a new file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tvarr_backup.backups.archive import Members, Packed, Readable, unpack
from tvarr_backup.backups.durable import create_private
from tvarr_backup.backups.names import ArchiveFormat
from tvarr_backup.backups.progress import Phase, Progress
from tvarr_backup.backups.room import usable_bytes
from tvarr_backup.backups.sidecar import Sidecar
from tvarr_backup.backups.tvarr_archive import extract_database
from tvarr_backup.errors import ArchiveTooLarge, NoRoom

MOST_UNPACKED_BYTES = 2**37
"""128 GiB: the limit if the size of the database is unknown."""


@dataclass(frozen=True)
class Staged:
    """An unpacked database. For tvarr's archives, `packed` is about the tar around it, and `described` is its metadata."""

    path: Path
    packed: Packed
    described: Sidecar | None = None


def stage(
    archive: Readable,
    form: ArchiveFormat,
    work: Path,
    progress: Progress,
    *,
    limit_bytes: int | None = None,
    members: Members = Members.ONE,
) -> Staged:
    """Unpack into a new file in `work`, under the caller's lock; `members` is as for `unpack`.

    Writes at most `limit_bytes`, or by default as much as leaves the disk some room. Raises `ArchiveDamaged`,
    `ArchiveTooLarge`, `NoRoom` (if the disk set the limit) or, for tvarr's archives, `SidecarInvalid`.
    """
    unpacked = work / "staged.db"
    size = os.fstat(archive.fileno()).st_size
    room = min(MOST_UNPACKED_BYTES, usable_bytes(work))
    limit = limit_bytes if limit_bytes is not None else room
    try:
        with os.fdopen(create_private(unpacked), "wb") as target:
            packed = unpack(
                archive,
                target.write,
                limit_bytes=limit,
                members=members,
                progress=lambda done: progress(Phase.UNPACK, done, size),
            )
    except ArchiveTooLarge as problem:
        if limit_bytes is None and room < MOST_UNPACKED_BYTES:
            raise NoRoom(
                "The archive unpacks to more than the {room:MB} for which {folder} has room. Free some space, then try again.",
                room=room,
                folder=work.parent,
            ) from problem
        raise
    if form is ArchiveFormat.GZIP:
        return Staged(unpacked, packed)
    database = work / "extracted.db"
    described = extract_database(unpacked, database, progress)
    unpacked.unlink()
    return Staged(database, packed, described)
