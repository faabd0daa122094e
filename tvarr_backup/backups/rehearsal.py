"""Rehearse a restore: restore a backup into a scratch copy of the live database, with the code of a real restore.

    live database inspected -> room? -> scratch folder, locked -> backup brought there (copied, or fetched from a location)
    -> live database copied -> writer started on the copy -> `restore_backup` with the copy as the live database
    -> does the writer go on? -> is each of its commits in the safety backup or in the restored database? -> row counts

The live database and the backup folder are only read. The scratch folder is removed at the end. A kill leaves it behind, and
`remove_scratch` removes it, because no process holds its lock.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from tvarr_backup import schema
from tvarr_backup.backups.catalogue import Listing, configuration_of, find_backup
from tvarr_backup.backups.durable import create_private, open_regular, write_private
from tvarr_backup.backups.examine import live_rows
from tvarr_backup.backups.folder import free_bytes
from tvarr_backup.backups.live import Live, becomes_wal, inspect_live, require_shared_memory
from tvarr_backup.backups.names import ArchiveFormat
from tvarr_backup.backups.progress import Phase, Progress
from tvarr_backup.backups.restore import Migrate, Restored, bytes_for_restore, restore_backup
from tvarr_backup.backups.room import require_room
from tvarr_backup.backups.sidecar import Sidecar
from tvarr_backup.backups.sqlite import copy_database, open_database
from tvarr_backup.backups.upload_dir import open_upload_dir, remove_abandoned
from tvarr_backup.errors import BackupNotFound, NoRoom, RehearsalFailed, ScratchUnusable
from tvarr_backup.quoting import name_some, quoted
from tvarr_backup.schema import RequiredSchema
from tvarr_backup.sentences import Sentence, join
from tvarr_backup.sqlite_uri import uri_of

TABLE = "tvarr_backup_rehearsal"
"""The table of the scratch database to which the writer adds a row with each commit."""

_BACKUPS, _DATABASE, _COMMITS, _STDERR = "backups", "tvarr.db", "commits", "writer.log"
_BLOCK_BYTES = 2**20
_FULL = (errno.ENOSPC, errno.EDQUOT)
_PATIENCE_SECONDS = 60.0
"""How long to wait for one commit of the writer. SQLite itself waits for 5 s, and then the writer tries again."""
_SECONDS_BETWEEN_LOOKS = 0.01
_MOST_NAMED = 3

# It works as tvarr does: short IMMEDIATE transactions, and it tries again if the database is locked. The last number whose
# COMMIT has returned is in a file. The table disappears with the restore and is then created again.
_WRITER = """
import os, sqlite3, struct, sys, time
database, commits, table, parent = *sys.argv[1:4], int(sys.argv[4])
descriptor = os.open(commits, os.O_WRONLY)
connection = sqlite3.connect(database, uri=True, isolation_level=None, timeout=5)
number = 0
while os.getppid() == parent:
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (number INTEGER PRIMARY KEY)")
        connection.execute(f"INSERT INTO {table} VALUES (?)", (number + 1,))
        connection.execute("COMMIT")
    except sqlite3.OperationalError as problem:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        code = problem.sqlite_errorcode & 0xFF
        if code not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            print(problem, file=sys.stderr)
            sys.exit(code)
        continue
    number += 1
    os.pwrite(descriptor, struct.pack("<q", number), 0)
    time.sleep(0.01)
"""


class RehearsalCheck(StrEnum):
    """What a rehearsal checks after the restore."""

    SAFETY = "safety"
    WRITER = "writer"
    COMMITS = "commits"
    ROWS = "rows"
    CONFIGURATION = "configuration"


@dataclass(frozen=True)
class Rehearsed:
    """Result of a rehearsal, while its scratch folder exists. `database` is the restored scratch database.

    `configuration` are the packed rows in the metadata of the backup, or "". `rows` are the row counts by table, `commits` is
    how often the writer has committed, and `attention` are the warnings of the restore, and sentences about tables, indexes,
    triggers and views that only the live or only the restored database has.
    """

    filename: str
    database: Path
    configuration: str
    rows: Mapping[str, int]
    commits: int
    attention: tuple[Sentence, ...]


# --- The scratch folder ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def open_scratch(parent: Path) -> Iterator[Path]:
    """Yield a new folder in `parent`, after what killed rehearsals have left there was removed. It is removed at the end.

    Raises `NoRoom` if its disk becomes full, and `ScratchUnusable` for another `OSError`.
    """
    try:
        parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        remove_scratch(parent)
        with open_upload_dir(parent) as scratch:
            (scratch / _BACKUPS).mkdir(mode=0o700)
            yield scratch
    except OSError as problem:
        if problem.errno in _FULL:
            raise NoRoom(
                "The disk of {folder}, where rehearsals work, became full ({free:MB} free). Its files were removed. No backup "
                "was changed. Free some space, then try again.",
                folder=parent,
                free=free_bytes(parent.parent),
            ) from problem
        raise ScratchUnusable(
            "The folder {folder}, where rehearsals work, cannot be used: {reason}. Nothing was changed.",
            folder=parent,
            reason=problem.strerror or str(problem),
        ) from problem


def remove_scratch(parent: Path) -> list[str]:
    """Remove what killed rehearsals have left, and return the names. A rehearsal in progress is left alone."""
    return remove_abandoned(parent) if parent.is_dir() else []


def backups_in(scratch: Path) -> Path:
    """Return the folder for the backup to rehearse."""
    return scratch / _BACKUPS


def require_room_for_rehearsal(parent: Path, sidecar: Sidecar, found: Live, listing: Listing) -> None:
    """Raise `NoRoom` if the rehearsal of a backup is unlikely to fit next to `parent`.

    It needs the archive, a copy of the live database, and what a restore needs on one disk.
    """
    restore = bytes_for_restore(listing, used=found.used, page_size=found.page_size, size=sidecar.database_size)
    disk = next(path for path in parent.parents if path.exists())
    require_room(disk, sidecar.compressed_size + found.used + restore.on_one_disk, "The rehearsal")


def bring_backup(folder: Path, filename: str, scratch: Path, progress: Progress) -> None:
    """Copy a backup from the backup folder. Raises what `find_backup` and `progress` raise, and `OSError`."""
    name, place = find_backup(folder, filename).name, backups_in(scratch)
    try:
        with open_regular(folder / name.filename) as archive:
            size, target = os.fstat(archive.fileno()).st_size, create_private(place / name.filename)
            with os.fdopen(target, "wb") as output:
                while block := archive.read(_BLOCK_BYTES):
                    output.write(block)
                    progress(Phase.RECEIVE, output.tell(), size)
        if name.format is not ArchiveFormat.TAR:
            with open_regular(folder / name.sidecar) as described:
                write_private(place / name.sidecar, described.read())
    except FileNotFoundError as problem:
        raise BackupNotFound("{filename} was deleted in the meantime.", filename=filename) from problem


# --- The rehearsal ---------------------------------------------------------------------------------------------------


def rehearse(
    live: Path,
    scratch: Path,
    filename: str,
    required: RequiredSchema,
    *,
    migrate: Migrate | None,
    progress: Progress,
) -> Rehearsed:
    """Restore the backup in `backups_in(scratch)` into a copy of the live database.

    Raises `RehearsalFailed` if the result is wrong, and what `inspect_live`, `copy_database`, `restore_backup`, `progress` and
    `find_backup` raise.
    """
    if not inspect_live(live, required, filename).is_wal:
        require_shared_memory(live, filename)  # as the restore does before it switches to WAL mode
    place, database = backups_in(scratch), scratch / _DATABASE
    copy_database(live, database, partial(progress, Phase.COPY))
    if not becomes_wal(database):
        raise ScratchUnusable(
            "The file system of {folder}, where rehearsals work, has no shared memory, which SQLite's WAL mode needs. Nothing "
            "was changed. Set TVARR_STORAGE_BASE_DIR to a folder on a local disk.",
            folder=scratch.parent,
        )
    configuration, schema_before = configuration_of(place, filename), _read_schema(database, required)
    with _writing(scratch) as writer:
        restored = restore_backup(database, place, filename, required, migrate=migrate, progress=progress)
        progress(Phase.COMPARE, 0, 0)
        if restored.safety is None:
            raise RehearsalFailed(
                "The safety backup could not be saved: {attention}",
                attention=join(restored.attention),
                check=str(RehearsalCheck.SAFETY),
            )
        writer.require_commit(progress)
    progress(Phase.COMPARE, 0, 0)
    rows = dict(live_rows(database))
    _require_commits(database, restored, writer.commits, rows.pop(TABLE, 0))
    _require_rows(restored.after, rows)
    differences = _compare_schemas(schema_before, _read_schema(database, required))
    return Rehearsed(filename, database, configuration, rows, writer.commits, (*restored.attention, *differences))


class _Writer:
    """A process that commits to the scratch database."""

    def __init__(self, process: subprocess.Popen[bytes], commits: Path, stderr: Path) -> None:
        self._process, self._commits, self._stderr = process, commits, stderr

    @property
    def commits(self) -> int:
        """The number of transactions whose COMMIT has returned."""
        (number,) = struct.unpack("<q", self._commits.read_bytes())
        return int(number)

    def require_commit(self, progress: Progress | None = None) -> None:
        """Wait for one more commit. Raises `RehearsalFailed` if the writer has ended or does not commit any more."""
        before, deadline = self.commits, time.monotonic() + _PATIENCE_SECONDS
        while self.commits == before:
            status = self._process.poll()
            if status == sqlite3.SQLITE_FULL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if status is not None:
                lines = self._stderr.read_text(errors="replace").strip().splitlines()
                raise RehearsalFailed(
                    "A program that has the database open could not write to it any more: {reason}",
                    reason=lines[-1] if lines else "it ended",
                    check=str(RehearsalCheck.WRITER),
                )
            if time.monotonic() > deadline:
                raise RehearsalFailed(
                    "A program that has the database open could not write to it for {seconds:.0f} s.",
                    seconds=_PATIENCE_SECONDS,
                    check=str(RehearsalCheck.WRITER),
                )
            if progress is not None:
                progress(Phase.COMPARE, 0, 0)
            time.sleep(_SECONDS_BETWEEN_LOOKS)


@contextlib.contextmanager
def _writing(scratch: Path) -> Iterator[_Writer]:
    """Run a writer on the scratch database. It has committed at least once, and ends with the context or with this process."""
    commits, stderr = scratch / _COMMITS, scratch / _STDERR
    write_private(commits, struct.pack("<q", 0))
    address = uri_of(scratch / _DATABASE, "rw")
    arguments = [address, str(commits), TABLE, str(os.getpid())]
    with os.fdopen(create_private(stderr), "wb") as errors:
        process = subprocess.Popen(  # noqa: S603  # our own program
            [sys.executable, "-I", "-S", "-c", _WRITER, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        try:
            writer = _Writer(process, commits, stderr)
            writer.require_commit()
            yield writer
        finally:
            process.kill()
            process.wait()


# --- Its result ------------------------------------------------------------------------------------------------------


def _require_commits(database: Path, restored: Restored, acknowledged: int, present: int) -> None:
    """Raise `RehearsalFailed` unless each commit of the writer is in the safety backup or, after it, in the restored database."""
    saved = restored.before.get(TABLE, 0)
    with open_database(database) as connection:
        (first, last) = connection.execute(f"SELECT min(number), max(number) FROM {TABLE}").fetchone()  # noqa: S608  # our own name
    is_complete = saved > 0 and present > 0 and first == saved + 1 and last == saved + present
    if not is_complete or last not in (acknowledged, acknowledged + 1):  # it was killed, perhaps right after a COMMIT
        raise RehearsalFailed(
            "Of {acknowledged} commits that another program made during the restore, {saved} are in the safety backup and "
            "{present} are in the restored database.",
            acknowledged=acknowledged,
            saved=saved,
            present=present,
            check=str(RehearsalCheck.COMMITS),
        )


def _require_rows(expected: Mapping[str, int], found: Mapping[str, int]) -> None:
    """Raise `RehearsalFailed` if the restored database has other row counts than the unpacked backup."""
    tables = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
    if tables:
        raise RehearsalFailed(
            "The restored database has other numbers of rows than the backup: {differences}.",
            differences=join(
                (
                    Sentence(
                        "{table} has {found} instead of {expected}",
                        table=table,
                        found=found.get(table, 0),
                        expected=expected.get(table, 0),
                    )
                    for table in tables
                ),
                "; ",
            ),
            check=str(RehearsalCheck.ROWS),
        )


@dataclass(frozen=True)
class _Schema:
    """The version of a database's schema, and the kind and name of each object in it except SQLite's and the writer's."""

    version: str
    objects: frozenset[tuple[str, str]]


def _read_schema(database: Path, required: RequiredSchema) -> _Schema:
    with open_database(database) as connection:
        rows = connection.execute(
            "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite#_%' ESCAPE '#' AND name <> ?", (TABLE,)
        ).fetchall()
        return _Schema(schema.schema_of(connection, required), frozenset(rows))


def _compare_schemas(live: _Schema, restored: _Schema) -> Iterator[Sentence]:
    """Yield what only one of two databases has. Databases of different versions differ anyway."""
    if live.version != restored.version:
        return
    for objects, template in (
        (live.objects - restored.objects, "The restored database does not have {names}, which the live database has."),
        (restored.objects - live.objects, "The restored database has {names}, which the live database does not have."),
    ):
        if objects:
            names = [f"the {kind} {quoted(name)}" for kind, name in sorted(objects)]
            yield Sentence(template, names=name_some(names, _MOST_NAMED))
