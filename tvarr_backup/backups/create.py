"""Make a backup: copy one state of the live database, check and pack it, and publish it once it is on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tvarr_backup import __version__
from tvarr_backup.backups.apart import Apart
from tvarr_backup.backups.archive import pack
from tvarr_backup.backups.catalogue import Backup, checked_note, next_seq, publish_backup, read_folder, taken_names
from tvarr_backup.backups.durable import create_private, sync_file
from tvarr_backup.backups.examine import Examined, examining_here
from tvarr_backup.backups.folder import work_in
from tvarr_backup.backups.names import new_name
from tvarr_backup.backups.progress import Phase, Progress, no_progress
from tvarr_backup.backups.room import require_room_for_backup
from tvarr_backup.backups.sidecar import BackupKind, Checked, CheckLevel, Sidecar
from tvarr_backup.backups.sqlite import Statements, copy_database, measure, open_database, require_readable
from tvarr_backup.errors import CopyDamaged, CopyFailed
from tvarr_backup.schema import RequiredSchema
from tvarr_backup.sentences import join

WRITTEN_BY = f"tvarr-backup {__version__}"


def create_backup(
    live: Path,
    folder: Path,
    required: RequiredSchema,
    *,
    kind: BackupKind,
    note: str = "",
    now: datetime | None = None,
    progress: Progress = no_progress,
) -> Backup:
    """Back up the live database into a prepared folder while other programs write to it.

    The backup contains every transaction that was committed before the call, and is on disk when this returns. Raises
    `BackupBusy`, `NoRoom`, `NoteInvalid`, `CopyFailed`, `CopyDamaged`, `BackupFolderUnusable`, or what `progress` raises;
    then nothing is left behind and older backups are unchanged.
    """
    note = checked_note(note)
    with work_in(folder) as work:
        listing = read_folder(folder)
        name = new_name(now or datetime.now(UTC), taken_names(folder))
        require_room_for_backup(folder, _used_bytes(live), listing)
        snapshot = work / "snapshot.db"
        copy_database(live, snapshot, partial(progress, Phase.COPY))
        sidecar, examined = pack_and_describe(
            snapshot,
            work / name.filename,
            required,
            progress,
            kind=kind,
            created_at=name.moment,
            seq=next_seq(listing),
            note=note,
        )
        if examined.problems:
            raise CopyDamaged(
                "No backup was made, because the copy of {live} failed verification. Your existing backups are unchanged. "
                "{problems}",
                live=live,
                problems=join(examined.problems),
            )
        progress(Phase.PUBLISH, 0, 1)
        return publish_backup(folder, work, name, sidecar)


def pack_and_describe(
    database: Path,
    archive: Path,
    required: RequiredSchema,
    progress: Progress,
    *,
    kind: BackupKind,
    created_at: datetime,
    seq: int,
    note: str,
    level: CheckLevel = CheckLevel.QUICK,
    examine: Callable[
        [Path, RequiredSchema, CheckLevel], AbstractContextManager[Statements[Examined] | Apart[Examined]]
    ] = examining_here,
) -> tuple[Sidecar, Examined]:
    """Pack a database into a new archive, synced, and check it while its pages are in memory. It may be damaged."""
    size = database.stat().st_size
    with examine(database, required, level) as examination:
        with open(create_private(archive), "wb") as target:  # noqa: PTH123  # a descriptor
            packed = pack(database, target.fileno(), progress=lambda done: progress(Phase.PACK, done, size))
            sync_file(target.fileno())
        examined = examination.result(lambda: progress(Phase.CHECK, 0, size))
    sidecar = Sidecar(
        created_at=created_at,
        database_size=packed.database_size,
        compressed_size=packed.archive_size,
        checksum=packed.archive_checksum,
        kind=kind,
        seq=seq,
        database_checksum=packed.database_checksum,
        tvarr_version=WRITTEN_BY,
        app_version=__version__,
        sqlite_version=sqlite3.sqlite_version,
        schema=examined.schema,
        note=note,
        table_counts=examined.table_counts,
        checked=Checked(level, datetime.now(UTC), examined.problems, (*examined.warnings, *examined.facts)),
        configuration=examined.configuration,
    )
    return sidecar, examined


def _used_bytes(live: Path) -> int:
    try:
        require_readable(live)
        with open_database(live) as connection:
            return measure(connection).used
    except sqlite3.Error as problem:
        raise CopyFailed("{live} could not be copied: {problem}.", live=live, problem=problem) from problem
