"""Takes a file in as a backup: recognised by its content, checked completely, and described anew with what is true."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from tvarr_backup.backups.archive import unpacked_start
from tvarr_backup.backups.catalogue import (
    MAX_NOTE,
    Backup,
    checked_note,
    next_seq,
    publish_backup,
    read_folder,
    taken_names,
)
from tvarr_backup.backups.create import describe, pack_and_examine
from tvarr_backup.backups.durable import create_private, open_regular
from tvarr_backup.backups.examine import Examined
from tvarr_backup.backups.folder import require_room, work_in
from tvarr_backup.backups.names import ArchiveFormat, BackupName, new_name, parse_name
from tvarr_backup.backups.progress import Phase, Progress, no_progress
from tvarr_backup.backups.sidecar import BackupKind, CheckLevel, Sidecar, read_sidecar
from tvarr_backup.backups.sqlite import disk_errors_told, open_database
from tvarr_backup.backups.stage import stage
from tvarr_backup.errors import (
    ArchiveDamaged,
    ArchiveTooLarge,
    SidecarInvalid,
    UploadRefused,
)
from tvarr_backup.schema import RequiredSchema

_GZIP = b"\x1f\x8b"
_SQLITE = b"SQLite format 3\0"
_TAR_PLACE, _TAR = slice(257, 262), b"ustar"
_START_BYTES = 4096
_BLOCK_BYTES = 2**20
_OTHERS = (
    (b"PK\x03\x04", "a zip archive, perhaps another program's backup"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"%PDF", "a PDF document"),
    (b"#EXTM3U", "a channel list"),
    (b"<", "an XML or HTML file"),
)


def adopt_backup(
    source: Path,
    folder: Path,
    required: RequiredSchema,
    *,
    filename: str = "",
    sidecar: Path | None = None,
    note: str = "",
    live: Path | None = None,
    accept_broken_references: bool = False,
    accept_code: bool = False,
    progress: Progress = no_progress,
) -> Backup:
    """Take in a `.db.gz` of ours or tvarr's, tvarr's `.tar.gz`, or a plain copy of a database; `source` stays as it is.

    What the file is, its content says. `filename` is what it was called where `source` is a temporary name. `sidecar`, or
    else the one beside `source`, gives time, note and checksum. The new backup is marked imported and protected. Rows that refer to
    rows which are not there are refused unless `accept_broken_references`, and views, triggers and virtual tables unless
    `accept_code`. Raises `UploadRefused` with what the file is
    instead, or what `create_backup` raises; then nothing is left of it.
    """
    given, shown = checked_note(note), filename or source.name
    with work_in(folder) as work, _opened(source, live) as file:
        require_room(folder, os.fstat(file.fileno()).st_size, "Taking the file in")
        try:
            staged, described = _stage(file, work, _description(source, sidecar), progress)
        except (ArchiveDamaged, ArchiveTooLarge, SidecarInvalid) as problem:
            raise UploadRefused(f"{shown} cannot be taken in. {problem}") from problem
        _require_database(staged, shown)
        size = staged.stat().st_size
        require_room(folder, size, "Taking the file in")
        name = _free_name(folder, shown, described)
        packed, examined = pack_and_examine(staged, work / name.filename, required, CheckLevel.FULL, progress)
        _require_acceptable(examined, shown, accept_broken_references=accept_broken_references, accept_code=accept_code)
        progress(Phase.PUBLISH, 0, size)
        made = describe(
            packed,
            examined,
            kind=BackupKind.UPLOADED,
            level=CheckLevel.FULL,
            created_at=name.moment,
            seq=next_seq(read_folder(folder)),
            note=given or (_one_line(described.note) if described else ""),
        )
        taken_in = made.with_changes(
            protected=True,
            imported=True,
            tvarr_version=_one_line(described.tvarr_version) if described else "",
            accepted_code=examined.code,
        )
        return publish_backup(folder, work, name, taken_in)


@contextlib.contextmanager
def _opened(source: Path, live: Path | None) -> Iterator[IO[bytes]]:
    """The file, unless it is a database that somebody has open: opening that would drop this process's locks on it."""
    try:
        if live is not None and live.exists() and source.samefile(live):
            raise UploadRefused(f"{source} is the live database itself; `backup create` makes a backup of it.")
        for ending in ("-wal", "-shm", "-journal"):
            if Path(f"{source}{ending}").exists():
                raise UploadRefused(
                    f"{source} is a database in use, or was not closed: {source.name}{ending} lies beside it and may "
                    "hold the newest changes. Copy it with SQLite's own means (`VACUUM INTO`) and take in that copy."
                )
        file = open_regular(source)
    except OSError as problem:
        raise UploadRefused(f"{source} cannot be read: {problem.strerror}.") from problem
    with file:
        yield file


def _description(source: Path, sidecar: Path | None) -> Sidecar | None:
    if sidecar is not None:
        return read_sidecar(sidecar)
    name = parse_name(source.name)
    path = source.with_name(name.sidecar) if name else None
    return read_sidecar(path) if path is not None and path.exists() else None


def _stage(file: IO[bytes], work: Path, described: Sidecar | None, progress: Progress) -> tuple[Path, Sidecar | None]:
    """The database in the file, in a file of its own, and what is said of it; `described` lies beside the file."""
    start = file.read(_START_BYTES)
    file.seek(0)
    if start.startswith(_SQLITE):
        return _copy(file, work / "staged.db", progress), described
    if not start.startswith(_GZIP):
        raise ArchiveDamaged(f"It is no backup, but {_what_it_is(start)}.")
    if unpacked_start(start)[_TAR_PLACE] == _TAR:
        staged = stage(file, ArchiveFormat.TAR, work, progress)
        return staged.path, staged.described
    limit = None if described is None or described.kind is BackupKind.TVARR else described.database_size
    if limit is not None:
        require_room(work.parent, limit, "Taking the file in")
    staged = stage(file, ArchiveFormat.GZIP, work, progress, limit_bytes=limit)
    if described is not None and described.checksum != staged.packed.archive_checksum:
        raise ArchiveDamaged(
            f"Its checksum is {staged.packed.archive_checksum}, but the description beside it says {described.checksum}: "
            "it has changed since it was made, or the description is another backup's."
        )
    return staged.path, described


def _copy(file: IO[bytes], target: Path, progress: Progress) -> Path:
    size = os.fstat(file.fileno()).st_size
    with os.fdopen(create_private(target), "wb") as copy:
        while block := file.read(_BLOCK_BYTES):
            copy.write(block)
            progress(Phase.RECEIVE, copy.tell(), size)
    return target


def _require_database(staged: Path, filename: str) -> None:
    """An SQLite database with the rollback journal, as every backup of ours; a copy of a live file may say otherwise."""
    with staged.open("rb") as file:
        start = file.read(_START_BYTES)
    if not start.startswith(_SQLITE):
        raise UploadRefused(f"{filename} cannot be taken in. It holds no database, but {_what_it_is(start)}.")
    if start[18:20] != b"\x01\x01":
        with contextlib.suppress(sqlite3.DatabaseError), disk_errors_told(), open_database(staged) as connection:
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA journal_mode=DELETE")


def _require_acceptable(
    examined: Examined, filename: str, *, accept_broken_references: bool, accept_code: bool
) -> None:
    if examined.problems:
        raise UploadRefused(f"{filename} cannot be taken in. {' '.join(examined.problems)}")
    if examined.code and not accept_code:
        raise UploadRefused(
            f"{filename} was not added: it contains the {', '.join(examined.code)}, which tvarr does not create and which "
            "SQLite runs when the database is used after a restore. Nothing was saved. If you trust the file, accept them: "
            "--accept-code for the command, accept_code in a request, a box on the upload page."
        )
    if examined.warnings and not accept_broken_references:
        raise UploadRefused(
            f"{filename} was not taken in: {' '.join(examined.warnings)} If that was so where it comes from, take it in "
            "all the same, and say that broken references are accepted: --accept-broken-references for the command, "
            "accept_broken_references in a request, a box to tick on the page."
        )


def _free_name(folder: Path, filename: str, described: Sidecar | None) -> BackupName:
    """By the time the backup was made, as far as anything tells it."""
    named = parse_name(filename)
    moment = described.created_at if described else named.moment if named else datetime.now(UTC)
    return new_name(moment, taken_names(folder))


def _one_line(text: str) -> str:
    """What somebody else's sidecar says, as far as it can be shown."""
    return "".join(character for character in text if character.isprintable())[:MAX_NOTE]


def _what_it_is(start: bytes) -> str:
    if not start:
        return "an empty file"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith((b"{", b"[")):
        kind = re.search(rb'"export_type"\s*:\s*"([a-z_]{1,40})"', text)
        if kind:
            return f"an export of {kind[1].decode().replace('_', ' ')}; import it with `portable import`"
        return "a JSON file, perhaps the description of a backup"
    for magic, what in _OTHERS:
        if text.startswith(magic):
            return what
    return f"something else (it begins with {start[:8]!r})"
