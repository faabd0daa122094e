"""The backups in a folder, read from the files themselves, which are the truth; protecting, publishing and deleting them."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from tvarr_backup.backups.durable import publish, replace, sync_folder, write_private
from tvarr_backup.backups.folder import DELETED_ENDING, NEW_ENDING, OWN_NAMES, explained, printable_name, work_in
from tvarr_backup.backups.names import ArchiveFormat, BackupName, archive_of_sidecar, parse_name
from tvarr_backup.backups.sharing import share_file
from tvarr_backup.backups.sidecar import MAX_NOTE, DateSource, Sidecar, encode_sidecar, read_sidecar
from tvarr_backup.backups.tvarr_archive import read_metadata
from tvarr_backup.errors import (
    BackupBroken,
    BackupForeign,
    BackupNotFound,
    BackupProtected,
    NoteInvalid,
    PreconditionFailed,
    SidecarInvalid,
)
from tvarr_backup.quoting import quoted
from tvarr_backup.ranges import EARLIEST, MOST, known_file_time, known_moment
from tvarr_backup.sentences import Sentence
from tvarr_backup.texts import find_unfit_for_note

_SETTLED_SECONDS = 2.0
"""For so long after a change of a file, its times may be the same after another change."""
_REMEMBERED = 2**15
"""Metadata files; with fewer than a folder has, none would be found again."""


@dataclass(frozen=True)
class Backup:
    """A complete backup: a sidecar that can be read, and an archive of the recorded size."""

    filename: str
    sidecar: Sidecar

    @property
    def name(self) -> BackupName:
        """The parts of the file name."""
        return _named(self.filename)

    @property
    def etag(self) -> str:
        """A hash of the metadata."""
        return hashlib.sha256(encode_sidecar(self.sidecar)).hexdigest()


@dataclass(frozen=True)
class Broken:
    """A file that has a backup's name but is not one. Only a user deletes it."""

    filename: str
    reason: Sentence


@dataclass(frozen=True)
class Listing:
    """Contents of the backup folder: backups (newest first), broken backups, and the names of other files."""

    backups: tuple[Backup, ...]
    broken: tuple[Broken, ...]
    foreign: tuple[str, ...]


def read_folder(folder: Path) -> Listing:
    """List a folder, which may not exist. Raises `BackupFolderUnusable` where it cannot be read, whatever files contain."""
    if not os.path.lexists(folder):  # the first backup creates it
        return Listing((), (), ())
    with explained(folder):
        present = set(os.listdir(folder)).difference(OWN_NAMES)  # noqa: PTH208  # as `_judge` says
        entries = [_read_entry(str(folder), name, present) for name in sorted(present)]
    backups = [entry for entry in entries if isinstance(entry, Backup)]
    return Listing(
        backups=tuple(sorted(backups, key=_age, reverse=True)),
        broken=tuple(entry for entry in entries if isinstance(entry, Broken)),
        foreign=tuple(printable_name(entry) for entry in entries if isinstance(entry, str)),
    )


def find_backup(folder: Path, filename: str) -> Backup:
    """Return a backup by its file name.

    Raises `BackupNotFound`, `BackupBroken` with the reason, or `BackupFolderUnusable` where the folder cannot be entered.
    """
    name = _named(filename)
    with explained(folder):
        found = _judge(str(folder), name)
        if isinstance(found, Broken) and not _is_there(folder / name.filename):
            raise _not_found(filename)
    if isinstance(found, Broken):
        raise BackupBroken("{filename} cannot be used: {reason}.", filename=filename, reason=found.reason)
    return found


def require_files(folder: Path, name: BackupName) -> None:
    """Require the archive or its metadata file.

    Raises `BackupNotFound`, or `BackupFolderUnusable` where the folder cannot be entered.
    """
    files = [name.filename, *([name.sidecar] if name.format is ArchiveFormat.GZIP else [])]
    with explained(folder):
        if not any(_is_there(folder / file) for file in files):
            raise _not_found(name.filename)


def _is_there(path: Path) -> bool:
    """Return whether the name exists. Unlike `os.path.lexists`, raise where this user may not enter the folder."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def protect_backup(
    folder: Path,
    filename: str,
    *,
    protected: bool | None = None,
    note: str | None = None,
    only_if: Collection[str] | None = None,
) -> Backup:
    """Protect or unprotect a backup without an end, and change its note; `None` leaves either as it is.

    Only the sidecar is written. Raises `PreconditionFailed` where the backup's etag is none of `only_if`.
    """
    changes: dict[str, Any] = {} if protected is None else {"protected": protected, "protected_until": None}
    if note is not None:
        changes["note"] = checked_note(note)
    if not os.path.lexists(folder):
        raise _not_found(filename)
    with work_in(folder) as work:
        backup = find_backup(folder, filename)
        _require_etag(backup, only_if)
        return rewrite_sidecar(folder, work, backup, **changes)


def delete_backup(folder: Path, filename: str, *, only_if: Collection[str] | None = None) -> None:
    """Delete a backup, or a broken one unless it is a folder.

    Raises `BackupProtected`, `BackupNotFound`, `BackupBroken`, or `PreconditionFailed` where the backup's etag is none of
    `only_if`.
    """
    if not os.path.lexists(folder):
        raise _not_found(filename)
    with work_in(folder) as work:
        try:
            backup = find_backup(folder, filename)
            _require_etag(backup, only_if)
            if backup.sidecar.is_protected(datetime.now(UTC)):
                until = backup.sidecar.protected_until
                end = f" until {until:%Y-%m-%d %H:%M} UTC" if until else ""
                raise BackupProtected(
                    "{filename} is protected{end}; lift the protection before you delete it.",
                    filename=filename,
                    end=end,
                )
        except BackupBroken:
            if only_if is not None or stat.S_ISDIR((folder / filename).lstat().st_mode):
                raise
        except BackupNotFound:
            name = parse_name(filename)
            if name is None or not os.path.lexists(folder / name.sidecar):
                raise
        remove_backup(folder, work, _named(filename))


def remove_backup(folder: Path, work: Path, name: BackupName) -> None:
    """Delete a backup; the caller holds the lock. Cut off at any point, it is undone or finished later.

    The sidecar is moved away first: then there is no backup, and recovery knows by it whose archive is left over.
    """
    if name.format is ArchiveFormat.GZIP and os.path.lexists(folder / name.sidecar):
        (folder / name.sidecar).rename(work / (name.filename + DELETED_ENDING))
        sync_folder(work)
        sync_folder(folder)
    (folder / name.filename).unlink(missing_ok=True)
    sync_folder(folder)


def publish_backup(folder: Path, work: Path, name: BackupName, sidecar: Sidecar) -> Backup:
    """Publish the archive that is in `work` under its name, synced, durably; the caller holds the lock.

    The archive gets its name first and the sidecar second, which makes it a backup. The record in `work`, by which recovery
    knows the archive, is on disk before.
    """
    share_file(work / name.filename)
    described = _record(work, name, sidecar)
    publish(work / name.filename, folder / name.filename)
    try:
        publish(described, folder / name.sidecar)
    except OSError:  # such as a sidecar of another program, put there in this moment: it must not describe our archive
        (folder / name.filename).unlink()
        sync_folder(folder)
        raise
    return Backup(name.filename, sidecar)


def rewrite_sidecar(folder: Path, work: Path, backup: Backup, **changes: Any) -> Backup:
    """Change members of a sidecar; the caller holds the lock. Raises `BackupForeign` for tvarr's archives."""
    name = backup.name
    if name.format is ArchiveFormat.TAR:
        raise BackupForeign(
            "{filename} is an archive that tvarr made, and holds its own description. Take it in first "
            "(`backup adopt`); then it can be protected, given a note, and keep the result of a check.",
            filename=name.filename,
        )
    sidecar = backup.sidecar.with_changes(**changes)
    if sidecar != backup.sidecar:
        replace(_record(work, name, sidecar), folder / name.sidecar)
        (work / name.sidecar).unlink()
    return Backup(name.filename, sidecar)


def _record(work: Path, name: BackupName, sidecar: Sidecar) -> Path:
    """Write the sidecar into `work` twice, durably: the record that stays there, and the file to publish, which is returned.

    By the record, recovery can complete a backup whose sidecar is missing. File systems without hard links need it: an
    archive that was renamed has no second name in `work`, and some replace a file by removing it first.
    """
    described, data = work / (name.sidecar + NEW_ENDING), encode_sidecar(sidecar)
    write_private(work / name.sidecar, data)
    write_private(described, data)
    share_file(described)
    sync_folder(work)
    return described


def next_seq(listing: Listing) -> int:
    """Return the number of the next backup: higher than every other, whatever the clock says."""
    return min(max((backup.sidecar.seq for backup in listing.backups), default=0) + 1, MOST)


def taken_names(folder: Path) -> set[str]:
    """Return every name in the folder."""
    return {entry.name for entry in os.scandir(folder)}


def checked_note(note: str) -> str:
    """Return the note without surrounding blanks. Raises `NoteInvalid`."""
    note = note.strip()
    if len(note) > MAX_NOTE:
        raise NoteInvalid("The note has {number} characters; allowed are {most}.", number=len(note), most=MAX_NOTE)
    if unfit := find_unfit_for_note(note):
        raise NoteInvalid(
            "Character {position} of the note is {point}. Expected one line of text without control "
            "characters and without marks that turn text round.",
            position=unfit[0].position,
            point=unfit[0].point,
        )
    return note


def _require_etag(backup: Backup, only_if: Collection[str] | None) -> None:
    if only_if is not None and backup.etag not in only_if:
        raise PreconditionFailed(
            "{filename} has been changed since it was looked at; look at it again.", filename=backup.filename
        )


def _named(filename: str) -> BackupName:
    name = parse_name(filename)
    if name is None:
        raise _not_found(filename)
    return name


def _not_found(filename: str) -> BackupNotFound:
    return BackupNotFound("There is no backup {filename}.", filename=quoted(filename))


def _age(backup: Backup) -> tuple[int, Any, str]:
    return (backup.sidecar.seq, backup.sidecar.created_at, backup.filename)


def _read_entry(folder: str, filename: str, present: set[str]) -> Backup | Broken | str | None:
    """Read what a name in the folder stands for; return `None` for a sidecar whose archive is there."""
    described = archive_of_sidecar(filename)
    if described is not None:
        if described.filename in present:
            return None
        return Broken(described.filename, Sentence("its description is there, but its archive is not"))
    name = parse_name(filename)
    if name is None:
        return filename
    return _judge(folder, name)


def _judge(folder: str, name: BackupName) -> Backup | Broken:
    path = f"{folder}/{name.filename}"  # with hundreds of backups, `pathlib` takes longer than the disk
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            return Broken(name.filename, Sentence("it is no regular file"))
        is_tar = name.format is ArchiveFormat.TAR
        sidecar = read_metadata(Path(path)) if is_tar else _read_sidecar(f"{folder}/{name.sidecar}")
    except SidecarInvalid as problem:
        return Broken(name.filename, Sentence("{problem:clause}", problem=problem))
    except OSError as problem:
        return Broken(name.filename, Sentence("it cannot be read: {reason}", reason=problem.strerror))
    if status.st_size != sidecar.compressed_size:
        template, recorded = "it has {found} bytes, and {recorded} are recorded", sidecar.compressed_size
        return Broken(name.filename, Sentence(template, found=status.st_size, recorded=recorded))
    return Backup(name.filename, dated(sidecar, name, status))


def dated(sidecar: Sidecar, name: BackupName, archive: os.stat_result) -> Sidecar:
    """Return the sidecar with a possible date: where its own is out of range, that of the name, or else of the file."""
    if sidecar.has_possible_date:
        return sidecar
    named = known_moment(name.moment)
    if named is not None:
        return sidecar.with_changes(created_at=named, created_at_source=DateSource.NAME)
    arrived = known_file_time(archive.st_mtime) or known_file_time(archive.st_ctime) or EARLIEST
    return sidecar.with_changes(created_at=arrived, created_at_source=DateSource.ARRIVAL)


def _read_sidecar(path: str) -> Sidecar:
    """Read a sidecar, unless its inode, size and times are those of one that was read before. Raises `SidecarInvalid`.

    500 backups are listed in a tenth of the time.
    """
    try:
        status = os.lstat(path)
    except OSError:
        return read_sidecar(Path(path))
    if abs(time.time() - status.st_ctime) < _SETTLED_SECONDS:
        return read_sidecar(Path(path))
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return _remembered(path, status.st_dev, status.st_ino, status.st_mode, status.st_size, times)


@lru_cache(maxsize=_REMEMBERED)
def _remembered(path: str, *_same: object) -> Sidecar:
    return read_sidecar(Path(path))
