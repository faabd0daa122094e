"""Import a backup file from elsewhere: detect its format, verify it, and write new metadata."""

from __future__ import annotations

import re
from collections.abc import Collection
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tvarr_backup.backups.apart import examining_apart, saying_too_costly
from tvarr_backup.backups.archive import Members, unpacked_start
from tvarr_backup.backups.archive_header import Archive, split_metadata
from tvarr_backup.backups.backup_warnings import sentences_of
from tvarr_backup.backups.catalogue import (
    Backup,
    Listing,
    checked_note,
    next_seq,
    publish_backup,
    read_folder,
    taken_names,
)
from tvarr_backup.backups.create import pack_and_describe
from tvarr_backup.backups.dates import date_of
from tvarr_backup.backups.examine import Examined
from tvarr_backup.backups.folder import work_in
from tvarr_backup.backups.names import ArchiveFormat, new_name, parse_name
from tvarr_backup.backups.progress import Phase, Progress, no_progress
from tvarr_backup.backups.room import archive_bytes, require_room
from tvarr_backup.backups.schema_table import join_some, name_code, not_accepted
from tvarr_backup.backups.sidecar import (
    MAX_NOTE,
    BackupKind,
    CheckLevel,
    Sidecar,
    decode_sidecar,
    read_sidecar,
)
from tvarr_backup.backups.source import Source, copy_aside, open_source, settle
from tvarr_backup.backups.stage import stage
from tvarr_backup.errors import (
    ArchiveDamaged,
    ArchiveTooLarge,
    BackupPresent,
    CodeNotAccepted,
    SidecarInvalid,
    UploadRefused,
)
from tvarr_backup.file_types import GZIP, SQLITE, name_type
from tvarr_backup.quoting import quoted
from tvarr_backup.schema import RequiredSchema
from tvarr_backup.sentences import Advice, Sentence, join
from tvarr_backup.texts import without_unfit_for_note

_TAR_PLACE, _TAR = slice(257, 262), b"ustar"
_START_BYTES = 4096
_MOST_QUOTED = 8
_WHAT_NEEDS_ROOM = "Adding the file"


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
    accept_code: bool | Collection[str] = False,
    progress: Progress = no_progress,
) -> Backup:
    """Add a `.db.gz` of ours or tvarr's, tvarr's `.tar.gz`, or a plain copy of a database; `source` is not changed.

    `filename` is the user's name for the file if `source` is a temporary one. A -wal or -journal next to a database is
    applied to the copy. Time, note and checksum come from `sidecar`, else the metadata file next to `source`, else the
    metadata in its header; without any, the name or the newest row gives the time. Only our metadata decides whether the new
    backup is protected; others are. `accept_code` is true, or has the identities of accepted views, triggers and virtual
    tables. Nothing in the file runs in this process. Raises `UploadRefused`, `BackupPresent`, `CodeNotAccepted`,
    `ExaminationTooCostly`, or what `create_backup` raises, and leaves nothing behind.
    """
    own_note, called = checked_note(note), filename or source.name
    too_costly = saying_too_costly(Sentence("{called} was not added. Nothing was saved.", called=called))
    with too_costly, work_in(folder) as work, open_source(source, called, live) as opened:
        require_room(folder, opened.room, _WHAT_NEEDS_ROOM)
        try:
            staged, described, checksums = _stage(opened, work, _find_sidecar(source, sidecar), progress)
            _require_database(staged, called)
            listing = read_folder(folder)
            _require_new(listing, called, checksums)
            was_wal, newest_row_at = settle(staged, opened, progress)
            wal_missing = (was_wal and not opened.has_wal) or (described is not None and described.wal_missing)
        except (ArchiveDamaged, ArchiveTooLarge, SidecarInvalid) as problem:
            raise UploadRefused(
                "{called} was not added. {problem} Nothing was saved.", called=called, problem=problem
            ) from problem
        size = staged.stat().st_size
        require_room(folder, archive_bytes(size, listing), _WHAT_NEEDS_ROOM)
        created_at, date_source = date_of(called, described, newest_row_at, datetime.now(UTC))
        name = new_name(created_at, taken_names(folder))
        made, examined = pack_and_describe(
            staged,
            work / name.filename,
            required,
            progress,
            kind=BackupKind.UPLOADED,
            created_at=name.moment,
            seq=next_seq(listing),
            note=own_note or (_one_line(described.note) if described else ""),
            level=CheckLevel.FULL,
            examine=examining_apart,
        )
        _require_new(listing, called, {made.database_checksum})
        require_acceptable(examined, called, accept_broken_references=accept_broken_references, accept_code=accept_code)
        progress(Phase.PUBLISH, 0, size)
        metadata = made.with_changes(
            imported=True,
            **_take_over(described),
            accepted_code=tuple(str(code) for code in examined.code),
            created_at_source=date_source,
            newest_row_at=newest_row_at,
            wal_missing=wal_missing,
        )
        assert made.checked is not None
        checked = replace(made.checked, warnings=(*made.checked.warnings, *metadata.lasting_warnings))
        return publish_backup(folder, work, name, metadata.with_changes(checked=checked))


def _take_over(described: Sidecar | None) -> dict[str, Any]:
    """Return what the metadata of a file decides. Its kind is only displayed: every rule treats it as uploaded."""
    if described is None:
        return {"protected": True, "tvarr_version": ""}
    is_ours = described.kind is not BackupKind.TVARR
    return {
        "protected": described.protected if is_ours else True,
        "protected_until": described.protected_until if is_ours else None,
        "tvarr_version": _one_line(described.tvarr_version),
        "original_kind": described.original_kind or described.kind,
    }


def _require_new(listing: Listing, called: str, checksums: AbstractSet[str]) -> None:
    """Raise `BackupPresent` if a backup that is not known to be damaged has one of these checksums.

    An archive of tvarr's does not count, because it can be neither protected nor changed until it is added.
    """
    for backup in listing.backups:
        known = {backup.sidecar.checksum, backup.sidecar.database_checksum}
        if known & checksums and not backup.sidecar.problems and backup.name.format is ArchiveFormat.GZIP:
            raise BackupPresent(
                "{called} was not added: {existing} has the same content. Nothing was saved.",
                called=called,
                existing=backup.filename,
            )


def _find_sidecar(source: Path, sidecar: Path | None) -> Sidecar | None:
    if sidecar is not None:
        return read_sidecar(sidecar)
    name = parse_name(source.name)
    path = source.with_name(name.sidecar) if name else None
    return read_sidecar(path) if path is not None and path.exists() else None


def _open_archive(source: Source, given: Sidecar | None) -> tuple[Archive, Sidecar | None]:
    """Return the archive in a file, and the metadata that was given or that its header contains."""
    archive, embedded = split_metadata(source.file)
    if given is not None or embedded is None:
        return archive, given
    try:
        return archive, decode_sidecar(embedded)
    except SidecarInvalid as problem:
        raise SidecarInvalid(
            "The metadata in its header: {problem} To add the backup without it, unpack the file and add the database.",
            problem=problem,
        ) from problem


def _stage(
    source: Source, work: Path, given: Sidecar | None, progress: Progress
) -> tuple[Path, Sidecar | None, AbstractSet[str]]:
    """Unpack or copy the database into `work`; return it, its metadata, and the checksums of an archive and its content."""
    if source.is_database:
        copy_aside(source, work / "staged.db", progress)
        return work / "staged.db", given, frozenset()
    if not source.start.startswith(GZIP):
        start = source.file.read(_START_BYTES)
        raise ArchiveDamaged("This file is not a backup. It looks like {type}.", type=_name_content(start))
    file, described = _open_archive(source, given)
    start = file.read(_START_BYTES)
    file.rewind()
    if unpacked_start(start)[_TAR_PLACE] == _TAR:
        staged = stage(file, ArchiveFormat.TAR, work, progress, members=Members.ANY)
        return staged.path, staged.described, frozenset()
    limit = None if described is None or described.kind is BackupKind.TVARR else described.database_size
    if limit is not None:
        require_room(work.parent, limit, _WHAT_NEEDS_ROOM)
    staged = stage(file, ArchiveFormat.GZIP, work, progress, limit_bytes=limit, members=Members.ANY)
    if described is not None and described.checksum != staged.packed.archive_checksum:
        raise ArchiveDamaged(
            "Its checksum is {archive_checksum}, but its metadata file says {checksum}. Either the archive has changed since it "
            "was made, or the metadata file belongs to another backup.",
            archive_checksum=staged.packed.archive_checksum,
            checksum=described.checksum,
        )
    return staged.path, described, {staged.packed.archive_checksum, staged.packed.database_checksum}


def _require_database(staged: Path, filename: str) -> None:
    with staged.open("rb") as file:
        start = file.read(_START_BYTES)
    if not start.startswith(SQLITE):
        raise UploadRefused(
            "{filename} was not added. It does not contain a database. Its content looks like {type}. Nothing was saved.",
            filename=filename,
            type=_name_content(start),
        )


def require_acceptable(
    examined: Examined, filename: str, *, accept_broken_references: bool, accept_code: bool | Collection[str]
) -> None:
    """Raise `UploadRefused` or `CodeNotAccepted` if a file must not become a backup, or needs to be accepted first."""
    if examined.problems:
        raise UploadRefused(
            "{filename} was not added. {problems} Nothing was saved.",
            filename=filename,
            problems=join(examined.problems),
        )
    if examined.irregular:
        raise UploadRefused(
            "{filename} was not added: {irregular} Nothing was saved. Such a file cannot be accepted. If it is "
            "your own, copy its rows into a new database.",
            filename=filename,
            irregular=join_some(examined.irregular),
        )
    refused = not_accepted(examined.code, accept_code)
    if refused:
        raise CodeNotAccepted(
            "{filename} was not added: it contains the {refused}. tvarr does not create these, and SQLite would run them after "
            "a restore. Nothing was saved. If you trust the file, an administrator can accept them: with --accept-code in the "
            "command, accept_code in a request, or the boxes on the upload page.",
            refused,
            filename=filename,
            refused=name_code(refused),
        )
    if examined.warnings and not accept_broken_references:
        raise UploadRefused(
            "{filename} was not added. {warnings} Nothing was saved. If the original database has these broken references too, "
            "accept them: with --accept-broken-references in the command, accept_broken_references in a request, or the box on "
            "the upload page.",
            filename=filename,
            warnings=sentences_of(examined.warnings),
        )


def _one_line(text: str) -> str:
    """Remove characters that a note may not have from another program's text."""
    return without_unfit_for_note(text)[:MAX_NOTE]


def _name_content(start: bytes) -> str:
    """Return what a file seems to be, by its first bytes, such as "an image"."""
    if not start:
        return "an empty file"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith((b"{", b"[")):
        kind = re.search(rb'"export_type"\s*:\s*"([a-z_]{1,40})"', text)
        if kind:
            what = kind[1].decode().replace("_", " ")
            return Sentence("an export of {kind}: {advice}", kind=what, advice=Advice.IMPORT)
        return "a JSON file, perhaps the metadata file of a backup"
    return name_type(text) or f"another type of file (it begins with {_quote_start(start[:_MOST_QUOTED])})"


def _quote_start(start: bytes) -> str:
    text = start.decode(errors="replace").rstrip()
    return quoted(text) if text.isascii() and text.isprintable() else f"the bytes {start.hex(' ')}"
