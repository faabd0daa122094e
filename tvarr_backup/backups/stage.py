"""Takes the database out of an archive, of ours or of tvarr's, into a file of its own, and trusts nothing on the way."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tvarr_backup.backups.archive import Members, Packed, unpack
from tvarr_backup.backups.durable import create_private
from tvarr_backup.backups.names import ArchiveFormat
from tvarr_backup.backups.progress import Phase, Progress
from tvarr_backup.backups.room import usable_bytes
from tvarr_backup.backups.sidecar import Sidecar
from tvarr_backup.backups.tvarr_archive import extract_database
from tvarr_backup.errors import ArchiveTooLarge, NoRoom

MOST_UNPACKED_BYTES = 2**37
"""128 GiB: what is unpacked at the most where nothing says how large the database is."""


@dataclass(frozen=True)
class Staged:
    """A database out of an archive, at `path`; `packed` has sizes and checksums of the unpacking.

    `described` is what an archive of tvarr's says of itself; there `packed` is of the tar around the database.
    """

    path: Path
    packed: Packed
    described: Sidecar | None = None


def stage(
    archive: IO[bytes],
    form: ArchiveFormat,
    work: Path,
    progress: Progress,
    *,
    limit_bytes: int | None = None,
    members: Members = Members.ONE,
) -> Staged:
    """Unpack strictly into a new file in `work`, which the caller's lock covers; `members` as `unpack` takes it.

    At most `limit_bytes` are written; without it, what leaves the disk some room. Raises `ArchiveDamaged`,
    `ArchiveTooLarge`, `NoRoom` (where only the disk set the limit) or, for tvarr's own form, `SidecarInvalid`.
    """
    unpacked = work / "staged.db"
    size = os.fstat(archive.fileno()).st_size
    room = _room_to_unpack(work)
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
                "The archive holds more than the {room:MB} for which there is room in {folder}.",
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


def _room_to_unpack(work: Path) -> int:
    """Bytes that may be written while some room is left."""
    return min(MOST_UNPACKED_BYTES, usable_bytes(work))
