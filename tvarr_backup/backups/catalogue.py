"""What lies in a backup folder: the files themselves are the truth, read afresh at every look."""

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
from tvarr_backup.backups.folder import DELETED_ENDING, NEW_ENDING, OWN_NAMES, explained, shown_name, work_in
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
from tvarr_backup.texts import find_unfit_for_note

_SETTLED_SECONDS = 2.0
"""For so long after a change of a file its times may be the same after another change."""
_REMEMBERED = 2**15
"""Metadata files; with fewer than a folder has, none would be found again by the next look."""


@dataclass(frozen=True)
class Backup:
    """A complete backup: its archive is there in the recorded size, and its sidecar can be read."""

    filename: str
    sidecar: Sidecar

    @property
    def name(self) -> BackupName:
        """The parts of the file name."""
        return _named(self.filename)

    @property
    def mark(self) -> str:
        """Another one after every change of what is said of the backup, and the same again after the same change."""
        return hashlib.sha256(encode_sidecar(self.sidecar)).hexdigest()


@dataclass(frozen=True)
class Broken:
    """A file with a backup's name that is none: it is shown with the reason, and nothing but a person's wish removes it."""

    filename: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """The folder at one look: backups with the newest first, what is broken, and the names of all other files."""

    backups: tuple[Backup, ...]
    broken: tuple[Broken, ...]
    foreign: tuple[str, ...]


def read_folder(folder: Path) -> Listing:
    """List a folder, empty where it does not exist; no content of a file can make this fail.

    Raises `BackupFolderUnusable` where it cannot be read.
    """
    if not os.path.lexists(folder):  # the first backup creates it
        return Listing((), (), ())
    with explained(folder):
        present = set(os.listdir(folder)).difference(OWN_NAMES)  # noqa: PTH208  # as `_judge` says
        looked = [_look(str(folder), name, present) for name in sorted(present)]
    backups = [found for found in looked if isinstance(found, Backup)]
    return Listing(
        backups=tuple(sorted(backups, key=_age, reverse=True)),
        broken=tuple(found for found in looked if isinstance(found, Broken)),
        foreign=tuple(shown_name(found) for found in looked if isinstance(found, str)),
    )


def find_backup(folder: Path, filename: str) -> Backup:
    """One backup by its whole file name.

    Raises `BackupNotFound`, `BackupBroken` with the reason, or `BackupFolderUnusable` where the folder cannot be entered.
    """
    name = _named(filename)
    with explained(folder):
        found = _look(str(folder), name.filename, {name.filename})
        if isinstance(found, Broken) and not _is_there(folder / name.filename):
            raise _not_found(filename)
    if isinstance(found, Broken):
        raise BackupBroken(f"{filename} cannot be used: {found.reason}.")
    assert isinstance(found, Backup)
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
    """Whether there is such a name; `os.path.lexists` cannot tell a missing file from a folder that is closed to this user."""
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
    """Set or lift the protection, and change the note; `None` leaves either as it is. Only the sidecar is written.

    Whoever protects a backup does so for good, also where its protection had an end.
    Raises `PreconditionFailed` where the backup's mark is none of `only_if`.
    """
    changes: dict[str, Any] = {} if protected is None else {"protected": protected, "protected_until": None}
    if note is not None:
        changes["note"] = checked_note(note)
    _require_folder(folder, filename)
    with work_in(folder) as work:
        backup = find_backup(folder, filename)
        _require_mark(backup, only_if)
        return rewrite_sidecar(folder, work, backup, **changes)


def delete_backup(folder: Path, filename: str, *, only_if: Collection[str] | None = None) -> None:
    """Delete one backup, or what is broken under a backup's name, unless that is a folder.

    Raises `BackupProtected`, `BackupNotFound`, `BackupBroken`, or `PreconditionFailed` where the mark of the backup is none
    of `only_if`.
    """
    _require_folder(folder, filename)
    with work_in(folder) as work:
        try:
            backup = find_backup(folder, filename)
            _require_mark(backup, only_if)
            if backup.sidecar.is_protected(datetime.now(UTC)):
                until = backup.sidecar.protected_until
                end = f" until {until:%Y-%m-%d %H:%M} UTC" if until else ""
                raise BackupProtected(f"{filename} is protected{end}; lift the protection before you delete it.")
        except BackupBroken:  # a person's wish is enough for what is no backup
            if only_if is not None or stat.S_ISDIR((folder / filename).lstat().st_mode):
                raise
        except BackupNotFound:
            name = parse_name(filename)
            if name is None or not os.path.lexists(folder / name.sidecar):
                raise
        remove_backup(folder, work, _named(filename))


def remove_backup(folder: Path, work: Path, name: BackupName) -> None:
    """Delete without asking; the caller holds the lock. Cut short at any point, it is undone or finished later.

    The sidecar goes first, by moving it out of the way: from then on there is no backup, and the moved sidecar tells
    recovery whose archive is left over.
    """
    if name.format is ArchiveFormat.GZIP and os.path.lexists(folder / name.sidecar):
        (folder / name.sidecar).rename(work / (name.filename + DELETED_ENDING))
        sync_folder(work)
        sync_folder(folder)
    (folder / name.filename).unlink(missing_ok=True)
    sync_folder(folder)


def publish_backup(folder: Path, work: Path, name: BackupName, sidecar: Sidecar) -> Backup:
    """Make a backup of the finished archive that lies under its name in `work`, synced; the caller holds the lock.

    Once this returns, it stays.

    The archive gets its name first, the sidecar second: only with the sidecar there is a backup. Before either, the
    record in `work` is durable, by which recovery knows the archive.
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
    """Change members of a sidecar; the caller holds the lock. Raises `BackupForeign` for tvarr's `.tar.gz`."""
    name = backup.name
    if name.format is ArchiveFormat.TAR:
        raise BackupForeign(
            f"{name.filename} is an archive that tvarr made, and holds its own description. Take it in first "
            "(`backup adopt`); then it can be protected, given a note, and keep the result of a check."
        )
    sidecar = backup.sidecar.with_changes(**changes)
    if sidecar != backup.sidecar:
        replace(_record(work, name, sidecar), folder / name.sidecar)
        (work / name.sidecar).unlink()
    return Backup(name.filename, sidecar)


def _record(work: Path, name: BackupName, sidecar: Sidecar) -> Path:
    """Write the sidecar into `work`, durably and twice: the record that stays there, and the file to publish.

    While the record is there, recovery can complete a backup of this name whose sidecar is missing. Only file systems
    without hard links need that: an archive that was renamed has no second name in `work`, and some of them replace a
    file by removing it first.
    """
    described, data = work / (name.sidecar + NEW_ENDING), encode_sidecar(sidecar)
    write_private(work / name.sidecar, data)
    write_private(described, data)
    share_file(described)
    sync_folder(work)
    return described


def next_seq(listing: Listing) -> int:
    """The number of the next backup: higher than every other, whatever the clock says."""
    return min(max((backup.sidecar.seq for backup in listing.backups), default=0) + 1, MOST)


def taken_names(folder: Path) -> set[str]:
    """Every name in the folder, for finding a free one."""
    return {entry.name for entry in os.scandir(folder)}


def checked_note(note: str) -> str:
    """The note without surrounding blanks. Raises `NoteInvalid`."""
    note = note.strip()
    if len(note) > MAX_NOTE:
        raise NoteInvalid(f"The note has {len(note)} characters; allowed are {MAX_NOTE}.")
    if unfit := find_unfit_for_note(note):
        raise NoteInvalid(
            f"Character {unfit[0].position} of the note is {unfit[0].point}. Expected one line of text without control "
            "characters and without marks that turn text round."
        )
    return note


def _require_folder(folder: Path, filename: str) -> None:
    """Raise `BackupNotFound` where the folder does not exist yet."""
    if not os.path.lexists(folder):
        raise _not_found(filename)


def _require_mark(backup: Backup, only_if: Collection[str] | None) -> None:
    if only_if is not None and backup.mark not in only_if:
        raise PreconditionFailed(f"{backup.filename} has been changed since it was looked at; look at it again.")


def _named(filename: str) -> BackupName:
    name = parse_name(filename)
    if name is None:
        raise _not_found(filename)
    return name


def _not_found(filename: str) -> BackupNotFound:
    return BackupNotFound(f"There is no backup {quoted(filename)}.")


def _age(backup: Backup) -> tuple[int, Any, str]:
    return (backup.sidecar.seq, backup.sidecar.created_at, backup.filename)


def _look(folder: str, filename: str, present: set[str]) -> Backup | Broken | str | None:
    """What a name in the folder stands for; `None` for a sidecar whose archive is there and tells the whole story."""
    described = archive_of_sidecar(filename)
    if described is not None:
        if described.filename in present:
            return None
        return Broken(described.filename, "its description is there, but its archive is not")
    name = parse_name(filename)
    if name is None:
        return filename
    return _judge(folder, name)


def _judge(folder: str, name: BackupName) -> Backup | Broken:
    path = f"{folder}/{name.filename}"  # with hundreds of backups, `pathlib` takes longer than the disk
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            return Broken(name.filename, "it is no regular file")
        is_tar = name.format is ArchiveFormat.TAR
        sidecar = read_metadata(Path(path)) if is_tar else _described(f"{folder}/{name.sidecar}")
    except SidecarInvalid as problem:
        return Broken(name.filename, str(problem).removesuffix("."))
    except OSError as problem:
        return Broken(name.filename, f"it cannot be read: {problem.strerror}")
    if status.st_size != sidecar.compressed_size:
        size = f"it has {status.st_size} bytes, and {sidecar.compressed_size} are recorded"
        return Broken(name.filename, size)
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


def _described(path: str) -> Sidecar:
    """The sidecar at this path; one that is the same file as at the last look, by its number and times, is not read again.

    A look at 500 backups takes a tenth of the time. Raises `SidecarInvalid`.
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
