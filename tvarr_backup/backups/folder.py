"""Work in the backup folder under its lock, and clean up after a crash.

`.work` contains temporary files. They also prove which archives without a metadata file are ours; any other may be a user's
only copy and is never touched. A hard link to such an archive: it was being published, and is removed. A metadata file
named after its archive with `.deleted`: the archive was being deleted, and is removed. A metadata file under its own name:
the record of a publication, which completes an archive of the recorded size and checksum where there are no hard links.
The cleanup never removes `restore` or a locked folder in `uploads`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from tvarr_backup.backups.durable import open_regular, publish, replace, sync_folder, write_private
from tvarr_backup.backups.lock import LOCK_NAME, backup_lock
from tvarr_backup.backups.names import BackupName, archive_of_sidecar, parse_name
from tvarr_backup.backups.sidecar import decode_sidecar
from tvarr_backup.backups.upload_dir import open_upload_dir, remove_abandoned
from tvarr_backup.errors import BackupFolderReadOnly, BackupFolderUnusable, NoRoom, SidecarInvalid
from tvarr_backup.permissions import explain, explain_owner
from tvarr_backup.sentences import Sentence

WORK_NAME = ".work"
RESTORE_NAME = "restore"
"""In `.work`: the journal and the safety copy of a restore, which only a restore removes."""
UPLOADS_NAME = "uploads"
"""In `.work`: a folder for each upload in progress."""
PROBE_NAME = ".probe"
LAST_RESTORE_NAME = ".last-restore.json"
"""Exists after an offline restore without a safety backup, until the next restore makes one."""
OWN_NAMES = frozenset({LOCK_NAME, WORK_NAME, PROBE_NAME, LAST_RESTORE_NAME})
DELETED_ENDING = ".deleted"
NEW_ENDING = ".new"
"""In `.work`, after the name of a metadata file: the file that will be published as such."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_WAY_OUT = Sentence(
    "You can still list, download and verify backups. To restore one, set TVARR_BACKUP_DIRECTORY to a writable folder, add the "
    "backup there with `backup add FILE`, and restore the new backup."
)


def prepare_folder(path: Path) -> Path:
    """Return the real path of the folder. Create it with mode 0700 if its parent exists. Raises `BackupFolderUnusable`."""
    try:
        if not os.path.lexists(path):
            path.mkdir(mode=0o700, exist_ok=True)  # web and worker may start at the same moment
            sync_folder(path.parent)
        folder = Path(os.path.realpath(path, strict=True))
    except OSError as problem:
        raise BackupFolderUnusable(
            "The backup folder {path} cannot be used: {reason}. Set TVARR_BACKUP_DIRECTORY to a folder that exists, or to a new "
            "one in a folder that exists.",
            path=path,
            reason=problem.strerror,
        ) from problem
    if not folder.is_dir():
        raise BackupFolderUnusable("The backup folder {path} is not a folder.", path=path)
    return folder


def find_folder(path: Path) -> Path:
    """Return the real path of the folder without creating it. Raises `BackupFolderUnusable`."""
    if not os.path.lexists(path) and path.parent.is_dir():
        return Path(os.path.realpath(path))
    return prepare_folder(path)


@contextlib.contextmanager
def work_in(folder: Path) -> Iterator[Path]:
    """Hold the folder's lock and yield the empty folder for temporary files.

    It is cleaned at the start and the end, which undoes or finishes interrupted publications and deletions. Raises
    `BackupBusy` immediately if another operation is running, and `NoRoom` or `BackupFolderUnusable` for an `OSError`.
    """
    require_writable(folder)
    with explained(folder), backup_lock(folder):
        _clean_up_after_crash(folder)
        try:
            yield folder / WORK_NAME
        finally:
            # An error here must not make a finished operation look failed. The next operation cleans up.
            with contextlib.suppress(OSError):
                clean_up(folder)


@contextlib.contextmanager
def receive_in(folder: Path) -> Iterator[Path]:
    """Yield a new folder for an upload without the lock, because that may take hours. Raises as `work_in` does."""
    require_writable(folder)
    with explained(folder), open_upload_dir(_work_folder(folder) / UPLOADS_NAME) as place:
        yield place


def probe_folder(folder: Path) -> bool:
    """Publish and remove a small file without the lock. Return whether there are hard links. Raises as `work_in` does."""
    with receive_in(folder) as place:
        temporary, final = place / "probe", folder / PROBE_NAME
        write_private(temporary, b"probe")
        sync_folder(place)
        final.unlink(missing_ok=True)  # left by a killed process
        publish(temporary, final)
        final.unlink(missing_ok=True)
        sync_folder(folder)
        return temporary.exists()


def recover(folder: Path) -> list[str]:
    """Clean up after a crash and return the names removed. Raises `BackupBusy`."""
    if not os.path.lexists(folder):
        return []
    with explained(folder), backup_lock(folder):
        return _clean_up_after_crash(folder)


def clean_up(folder: Path) -> list[str]:
    """Empty the folder for temporary files, under the caller's lock; return the names removed. Safe to interrupt and repeat.

    Archives of interrupted publications and deletions are removed. A publication whose archive was renamed, not linked, is
    completed instead, because the removal could not be undone. Everything else stays, as do uploads in progress.
    """
    work = _work_folder(folder)
    removed = []
    for path in sorted(path for path in work.iterdir() if path.name != RESTORE_NAME):
        if path.name == UPLOADS_NAME and path.is_dir() and not path.is_symlink():
            removed += [f"{WORK_NAME}/{UPLOADS_NAME}/{name}" for name in remove_abandoned(path)]
            continue
        leftover = _leftover_archive(folder, path)
        if leftover is not None:
            leftover.unlink()
            sync_folder(folder)
            removed.append(leftover.name)
        if _complete(folder, path):
            continue
        _remove(path)
        removed.append(f"{WORK_NAME}/{printable_name(path.name)}")
    return removed


def printable_name(name: str) -> str:
    """Return a file name as text, with replacement characters for bytes that are not UTF-8."""
    return os.fsencode(name).decode(errors="replace")


def _clean_up_after_crash(folder: Path) -> list[str]:
    """Sync names that a killed process may have changed, before the files that explain them are removed."""
    if any(_work_folder(folder).iterdir()):
        sync_folder(folder)
    return clean_up(folder)


def free_bytes(folder: Path) -> int:
    """Return the bytes that an unprivileged user can still write."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn an `OSError` in a backup folder into `NoRoom` or `BackupFolderUnusable`."""
    try:
        yield
    except OSError as problem:
        if problem.errno in _FULL:
            raise NoRoom(
                "The disk of the backup folder {folder} is full ({free:MB} free). The unfinished files were removed. Your "
                "existing backups are unchanged. Free some space, then try again.",
                folder=folder,
                free=_free_or_none(folder),
            ) from problem
        name = printable_name(Path(os.fsdecode(problem.filename)).name) if problem.filename else ""
        raise BackupFolderUnusable(
            "The backup folder {folder} cannot be used: {reason}"
            + (" ({name})." if name else ".")
            + (" {explanation}." if problem.errno == errno.EACCES else ""),
            folder=folder,
            reason=problem.strerror or problem,
            name=name,
            explanation=_why_denied(folder, problem) if problem.errno == errno.EACCES else "",
        ) from problem


def require_writable(folder: Path) -> None:
    """Raise `BackupFolderReadOnly` if this process can read the folder but not write to it."""
    if os.access(folder, os.R_OK | os.X_OK) and not os.access(folder, os.W_OK):
        raise BackupFolderReadOnly(
            "The backup folder {folder} is read-only. {explanation}. {way_out}",
            folder=folder,
            explanation=explain(folder, whole=folder),
            way_out=_WAY_OUT,
        )


def _why_denied(folder: Path, problem: OSError) -> Sentence:
    """Return who owns the folder, or the file in it that this user may not open, and a command that fixes it."""
    denied = Path(os.fsdecode(problem.filename)) if problem.filename else folder
    is_inside = folder in denied.parents and folder.stat().st_uid == os.geteuid()
    try:
        return explain_owner(denied if is_inside else folder, whole=folder)
    except OSError:  # a file in a folder that this user may not enter
        return explain_owner(folder, whole=folder)


def _work_folder(folder: Path) -> Path:
    work = folder / WORK_NAME
    try:
        work.mkdir(mode=0o700)
        sync_folder(folder)
    except FileExistsError:
        if not stat.S_ISDIR(work.lstat().st_mode):
            raise BackupFolderUnusable(
                "{work} is not a folder. Temporary files are saved there, so move it away.", work=work
            ) from None
    return work


def _leftover_archive(folder: Path, path: Path) -> Path | None:
    """Return the archive that this temporary file proves to be a leftover, if any."""
    deleted = path.name.endswith(DELETED_ENDING)
    name = parse_name(path.name.removesuffix(DELETED_ENDING))
    archive = folder / name.filename if name else path
    if name is None or not _is_regular(path) or not _is_regular(archive) or _has_sidecar(folder, name):
        return None
    return archive if deleted or archive.samefile(path) else None


def _complete(folder: Path, path: Path) -> bool:
    """Complete an interrupted publication, if this temporary file is its record."""
    name = archive_of_sidecar(path.name)
    if name is None or not _is_regular(path) or not _is_regular(folder / name.filename) or _has_sidecar(folder, name):
        return False
    if not _is_recorded(folder / name.filename, path):
        return False
    replace(path, folder / name.sidecar)
    return True


def _is_recorded(archive: Path, record: Path) -> bool:
    with open_regular(record) as file:  # if this raises, the record stays
        data = file.read()
    try:
        recorded = decode_sidecar(data)
    except SidecarInvalid:  # cut short before it was synced, so nothing was published with it
        return False
    with open_regular(archive) as file:
        if os.fstat(file.fileno()).st_size != recorded.compressed_size:
            return False
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" == recorded.checksum


def _is_regular(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _has_sidecar(folder: Path, name: BackupName) -> bool:
    return os.path.lexists(folder / name.sidecar)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _free_or_none(folder: Path) -> int:
    try:
        return free_bytes(folder)
    except OSError:
        return 0
