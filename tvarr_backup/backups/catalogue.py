"""List, publish, protect and delete the backups in a folder. The files are the truth and are read each time.

The metadata file is the commit record: it appears last and disappears first. Its `seq`, not the clock, says which backup is
newer.
"""

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
from tvarr_backup.backups.names import ArchiveFormat, BackupName, archive_of_sidecar, parse_name, settings_moment
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
"""Two changes of a file within this time may give it the same times."""
_CACHE_SIZE = 2**15
"""More than the metadata files of a folder, or the cache would never hit."""


@dataclass(frozen=True)
class Backup:
    """A complete backup: a readable metadata file and an archive of the recorded size."""

    filename: str
    sidecar: Sidecar

    @property
    def name(self) -> BackupName:
        """The parts of the file name."""
        return _require_name(self.filename)

    @property
    def etag(self) -> str:
        """A hash of the metadata without the configuration."""
        return hashlib.sha256(encode_sidecar(_without_configuration(self.sidecar))).hexdigest()


@dataclass(frozen=True)
class Broken:
    """A file with a backup's name that is not a usable backup. It is deleted only at a user's request."""

    filename: str
    reason: Sentence


@dataclass(frozen=True)
class Listing:
    """Contents of the backup folder: backups (newest first), broken backups, and the names of other files."""

    backups: tuple[Backup, ...]
    broken: tuple[Broken, ...]
    foreign: tuple[str, ...]


def read_folder(folder: Path) -> Listing:
    """List a folder, which may not exist. Raises `BackupFolderUnusable` if it cannot be read; broken files are listed."""
    if not os.path.lexists(folder):  # the first backup creates it
        return Listing((), (), ())
    with explained(folder):
        present = set(os.listdir(folder)).difference(OWN_NAMES)  # noqa: PTH208  # faster, as in `_read_backup`
        entries = [_read_entry(str(folder), name, present) for name in sorted(present)]
    backups = [entry for entry in entries if isinstance(entry, Backup)]
    return Listing(
        backups=tuple(sorted(backups, key=_age, reverse=True)),
        broken=tuple(entry for entry in entries if isinstance(entry, Broken)),
        foreign=tuple(printable_name(entry) for entry in entries if isinstance(entry, str)),
    )


def find_backup(folder: Path, filename: str) -> Backup:
    """Return a backup by its file name. Raises `BackupNotFound`, `BackupBroken` or `BackupFolderUnusable`."""
    name = _require_name(filename)
    with explained(folder):
        found = _read_backup(str(folder), name)
        if isinstance(found, Broken) and not _is_there(folder / name.filename):
            raise _not_found(filename)
    if isinstance(found, Broken):
        raise BackupBroken("{filename} cannot be used: {reason}.", filename=filename, reason=found.reason)
    return found


def require_files(folder: Path, name: BackupName) -> None:
    """Raise `BackupNotFound` if neither the archive nor its metadata file exists, or `BackupFolderUnusable`."""
    files = [name.filename, *([name.sidecar] if name.format is ArchiveFormat.GZIP else [])]
    with explained(folder):
        if not any(_is_there(folder / file) for file in files):
            raise _not_found(name.filename)


def _is_there(path: Path) -> bool:
    """Return whether the name exists. Unlike `os.path.lexists`, raise if this user may not enter the folder."""
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
    """Protect or unprotect a backup, and change its note; `None` leaves either as it is. The protection has no end.

    Raises `PreconditionFailed` if the backup's etag is not in `only_if`, or what `find_backup` raises.
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
    """Delete a backup, or a broken one. Raises what `require_deletable` raises."""
    if not os.path.lexists(folder):
        raise _not_found(filename)
    with work_in(folder) as work:
        require_deletable(folder, filename, only_if=only_if)
        remove_backup(folder, work, _require_name(filename))


def require_deletable(folder: Path, filename: str, *, only_if: Collection[str] | None = None) -> None:
    """Check that a backup can be deleted. A broken one can, unless it is a folder.

    Raises `BackupProtected`, `BackupNotFound`, `BackupBroken`, or `PreconditionFailed` if its etag is not in `only_if`.
    """
    try:
        backup = find_backup(folder, filename)
        _require_etag(backup, only_if)
        if backup.sidecar.is_protected(datetime.now(UTC)):
            until = backup.sidecar.protected_until
            end = f" until {until:%Y-%m-%d %H:%M} UTC" if until else ""
            raise BackupProtected(
                "{filename} is protected{end}. Unprotect it first to delete it.",
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


def remove_backup(folder: Path, work: Path, name: BackupName) -> None:
    """Delete a backup, under the caller's lock. After a crash at any point, recovery undoes or finishes it.

    The metadata file is moved to `work` first. Then the backup is gone, and recovery knows which archive is left over.
    """
    if name.format is ArchiveFormat.GZIP and os.path.lexists(folder / name.sidecar):
        (folder / name.sidecar).rename(work / (name.filename + DELETED_ENDING))
        sync_folder(work)
        sync_folder(folder)
    (folder / name.filename).unlink(missing_ok=True)
    sync_folder(folder)


def publish_backup(folder: Path, work: Path, name: BackupName, sidecar: Sidecar) -> Backup:
    """Publish a synced archive that is in `work` under its own name, durably and under the caller's lock.

    The record by which recovery knows the archive is written first. Then the archive gets its name, and then the metadata
    file, which makes it a backup.
    """
    share_file(work / name.filename)
    described = _record(work, name, sidecar)
    publish(work / name.filename, folder / name.filename)
    try:
        publish(described, folder / name.sidecar)
    except OSError:  # such as another program's metadata file with this name: it must not describe our archive
        (folder / name.filename).unlink()
        sync_folder(folder)
        raise
    return Backup(name.filename, _without_configuration(sidecar))


def rewrite_sidecar(folder: Path, work: Path, backup: Backup, **changes: Any) -> Backup:
    """Change members of a metadata file, under the caller's lock. Raises `BackupForeign` for tvarr's archives."""
    name = backup.name
    if name.format is ArchiveFormat.TAR:
        raise BackupForeign(
            "{filename} is an archive that tvarr made, with the metadata inside it, so it cannot be protected, given a note or "
            "store a verification result. Nothing was changed. Add it as a backup first (`backup add`).",
            filename=name.filename,
        )
    kept = {"configuration": read_sidecar(folder / name.sidecar).configuration}
    sidecar = backup.sidecar.with_changes(**kept | changes)
    if sidecar != backup.sidecar.with_changes(**kept):
        replace(_record(work, name, sidecar), folder / name.sidecar)
        (work / name.sidecar).unlink()
    return Backup(name.filename, _without_configuration(sidecar))


def configuration_of(folder: Path, filename: str) -> str:
    """Return the packed configuration in the metadata file of a backup, or "". Raises what `find_backup` raises."""
    name = find_backup(folder, filename).name
    if name.format is ArchiveFormat.TAR:
        return ""
    try:
        return read_sidecar(folder / name.sidecar).configuration
    except SidecarInvalid:  # deleted just now
        raise _not_found(filename) from None


def _without_configuration(sidecar: Sidecar) -> Sidecar:
    """Return what stays in memory for each backup of a folder."""
    return sidecar.with_changes(configuration="") if sidecar.configuration else sidecar


def _record(work: Path, name: BackupName, sidecar: Sidecar) -> Path:
    """Write the metadata file into `work` twice, durably: a record that stays, and the file to publish, which is returned.

    With the record, recovery can complete a backup without a metadata file. File systems without hard links need it: a
    renamed archive has no second name in `work`, and some of them remove a file before they replace it.
    """
    described, data = work / (name.sidecar + NEW_ENDING), encode_sidecar(sidecar)
    write_private(work / name.sidecar, data)
    write_private(described, data)
    share_file(described)
    sync_folder(work)
    return described


def next_seq(listing: Listing) -> int:
    """Return the `seq` of the next backup, which is higher than every other."""
    return min(max((backup.sidecar.seq for backup in listing.backups), default=0) + 1, MOST)


def taken_names(folder: Path) -> set[str]:
    """Return every name in the folder."""
    return {entry.name for entry in os.scandir(folder)}


def checked_note(note: str) -> str:
    """Return the note without surrounding blanks. Raises `NoteInvalid`."""
    note = note.strip()
    if len(note) > MAX_NOTE:
        raise NoteInvalid(
            "Expected a note of at most {most} characters, got {number} characters.", number=len(note), most=MAX_NOTE
        )
    if unfit := find_unfit_for_note(note):
        raise NoteInvalid(
            "Expected a note of one line without control characters or characters that change the direction of text, got "
            "{point} as character {position}.",
            position=unfit[0].position,
            point=unfit[0].point,
        )
    return note


def _require_etag(backup: Backup, only_if: Collection[str] | None) -> None:
    if only_if is not None and backup.etag not in only_if:
        raise PreconditionFailed(
            "{filename} has changed since you loaded it. Nothing was changed. Load it again.", filename=backup.filename
        )


def _require_name(filename: str) -> BackupName:
    name = parse_name(filename)
    if name is None:
        raise _not_found(filename)
    return name


def _not_found(filename: str) -> BackupNotFound:
    return BackupNotFound("There is no backup {filename}.", filename=quoted(filename))


def _age(backup: Backup) -> tuple[int, Any, str]:
    return (backup.sidecar.seq, backup.sidecar.created_at, backup.filename)


def _read_entry(folder: str, filename: str, present: set[str]) -> Backup | Broken | str | None:
    """Return what a name in the folder stands for.

    `None` for a settings archive, and for the metadata file of an archive that exists.
    """
    described = archive_of_sidecar(filename)
    if described is not None:
        if described.filename in present:
            return None
        return Broken(described.filename, Sentence("its metadata file exists, but its archive does not"))
    name = parse_name(filename)
    if name is None:
        return None if settings_moment(filename) else filename
    return _read_backup(folder, name)


def _read_backup(folder: str, name: BackupName) -> Backup | Broken:
    path = f"{folder}/{name.filename}"  # with hundreds of backups, `pathlib` takes longer than the disk
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            return Broken(name.filename, Sentence("it is not a regular file"))
        is_tar = name.format is ArchiveFormat.TAR
        sidecar = read_metadata(Path(path)) if is_tar else _read_sidecar(f"{folder}/{name.sidecar}")
    except SidecarInvalid as problem:
        return Broken(name.filename, Sentence("{problem:clause}", problem=problem))
    except OSError as problem:
        return Broken(name.filename, Sentence("it cannot be read: {reason}", reason=problem.strerror))
    if status.st_size != sidecar.compressed_size:
        template, recorded = "it has {found} bytes, but its metadata says {recorded}", sidecar.compressed_size
        return Broken(name.filename, Sentence(template, found=status.st_size, recorded=recorded))
    return Backup(name.filename, dated(sidecar, name, status))


def dated(sidecar: Sidecar, name: BackupName, archive: os.stat_result) -> Sidecar:
    """Return the metadata with a date in range: its own, else that of the name, else that of the file."""
    if sidecar.has_possible_date:
        return sidecar
    named = known_moment(name.moment)
    if named is not None:
        return sidecar.with_changes(created_at=named, created_at_source=DateSource.NAME)
    arrived = known_file_time(archive.st_mtime) or known_file_time(archive.st_ctime) or EARLIEST
    return sidecar.with_changes(created_at=arrived, created_at_source=DateSource.ARRIVAL)


def _read_sidecar(path: str) -> Sidecar:
    """Read a metadata file, cached by inode, size and times, which lists 500 backups ten times as fast."""
    try:
        status = os.lstat(path)
    except OSError:
        return _without_configuration(read_sidecar(Path(path)))
    if abs(time.time() - status.st_ctime) < _SETTLED_SECONDS:
        return _without_configuration(read_sidecar(Path(path)))
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return _read_cached(path, status.st_dev, status.st_ino, status.st_mode, status.st_size, times)


@lru_cache(maxsize=_CACHE_SIZE)
def _read_cached(path: str, *_identity: object) -> Sidecar:
    return _without_configuration(read_sidecar(Path(path)))
