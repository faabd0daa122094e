"""The backup folder: who may work in it, what stands in the way in words, and what a crash left there.

`.work` holds what is in the making. Three names in it mean something: a link to an archive of the folder that has no
sidecar yet (its publishing broke off), a sidecar with `.deleted` behind its archive's name (its deletion broke off), and
a sidecar under its own name, the record of a publishing: where the file system has no hard links, it completes the
archive that has the recorded size and checksum. Nothing else tells our own leftovers from an archive that somebody put
here by hand, and that is never touched.
Two folders in it are others' business: `restore`, and `uploads`, where files come in beside whoever is at work.
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
from tvarr_backup.backups.held import held_folder, remove_abandoned
from tvarr_backup.backups.lock import LOCK_NAME, backup_lock
from tvarr_backup.backups.names import BackupName, archive_of_sidecar, parse_name
from tvarr_backup.backups.sidecar import decode_sidecar
from tvarr_backup.errors import BackupFolderReadOnly, BackupFolderUnusable, NoRoom, SidecarInvalid
from tvarr_backup.permissions import name_user
from tvarr_backup.sentences import Sentence

WORK_NAME = ".work"
RESTORE_NAME = "restore"
"""In `.work`: what a restore must remember and keep until it is settled. Only a restore removes it."""
UPLOADS_NAME = "uploads"
"""In `.work`: a folder for each file on its way in, held by its receiver. Only what nobody holds is removed."""
PROBE_NAME = ".probe"
LAST_RESTORE_NAME = ".last-restore.json"
"""After an offline restore that could not make a safety backup, until another restore has made one."""
OWN_NAMES = frozenset({LOCK_NAME, WORK_NAME, PROBE_NAME, LAST_RESTORE_NAME})
DELETED_ENDING = ".deleted"
NEW_ENDING = ".new"
"""In `.work`, behind the name of a sidecar: the file that becomes the sidecar; the record has the name itself."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_WAY = Sentence(
    "Until then backups can be listed, downloaded and verified. To restore one, set TVARR_BACKUP_DIRECTORY to a folder that can "
    "be written to, add the backup there with `backup adopt FILE`, and restore that."
)


def prepare_folder(path: Path) -> Path:
    """The folder by its real path; made with mode 0700 where it is missing and its parent is not.

    A link to a folder is followed once, here. Raises `BackupFolderUnusable`.
    """
    try:
        if not os.path.lexists(path):
            path.mkdir(mode=0o700, exist_ok=True)  # web and worker may start at the same moment
            sync_folder(path.parent)
        folder = Path(os.path.realpath(path, strict=True))
    except OSError as problem:
        raise BackupFolderUnusable(
            "The backup folder {path} cannot be used: {reason}. Name a folder that exists, or one that can be "
            "made in a folder that exists.",
            path=path,
            reason=problem.strerror,
        ) from problem
    if not folder.is_dir():
        raise BackupFolderUnusable("The backup folder {path} is no folder.", path=path)
    return folder


def find_folder(path: Path) -> Path:
    """The folder by its real path; one that does not exist is not created. Raises `BackupFolderUnusable`."""
    if not os.path.lexists(path) and path.parent.is_dir():
        return Path(os.path.realpath(path))
    return prepare_folder(path)


def disk_of(folder: Path) -> Path:
    """The mount point of the disk that the folder, a real path, lies on."""
    return next(place for place in (folder, *folder.parents) if place.is_mount())


@contextlib.contextmanager
def work_in(folder: Path) -> Iterator[Path]:
    """Hold the folder's lock, clean up after a crash, and give the folder for temporary files, empty.

    It is emptied again at the end, whatever that is: half of a publishing or of a deletion is undone or finished.
    Raises `BackupBusy` at once where somebody else is at work; what the system refuses becomes `NoRoom` or
    `BackupFolderUnusable`.
    """
    require_writable(folder)
    with explained(folder), backup_lock(folder):
        _clean_up_after_crash(folder)
        try:
            yield folder / WORK_NAME
        finally:
            # What is left over does not undo what was done, nor is it the reason why something failed: the next
            # operation cleans it up.
            with contextlib.suppress(OSError):
                clean_up(folder)


@contextlib.contextmanager
def receive_in(folder: Path) -> Iterator[Path]:
    """A folder in the backup folder for what is coming in; that takes hours, and nobody is kept from work meanwhile.

    It is removed at the end, and by the next operation where this process is killed. Raises `NoRoom` or
    `BackupFolderUnusable`.
    """
    require_writable(folder)
    with explained(folder), held_folder(_work_folder(folder) / UPLOADS_NAME) as place:
        yield place


def probe_folder(folder: Path) -> bool:
    """Publish a small file as a backup is published, and remove it; whether the disk has hard links.

    Nobody is kept from work: the folder's lock is not taken. Raises `NoRoom` or `BackupFolderUnusable`.
    """
    with receive_in(folder) as place:
        temporary, final = place / "probe", folder / PROBE_NAME
        write_private(temporary, b"probe")
        sync_folder(place)
        final.unlink(missing_ok=True)  # of a process that was killed
        publish(temporary, final)
        final.unlink(missing_ok=True)
        sync_folder(folder)
        return temporary.exists()


def recover(folder: Path) -> list[str]:
    """Clean up after a crash; the names of what was removed. Raises `BackupBusy` where somebody is at work."""
    if not os.path.lexists(folder):
        return []
    with explained(folder), backup_lock(folder):
        return _clean_up_after_crash(folder)


def clean_up(folder: Path) -> list[str]:
    """Empty the folder for temporary files; the caller holds the lock. Can be cut short and run again.

    The archive of a publishing that broke off is removed, because without a sidecar it is not a backup, and so is what a
    deletion that broke off has left. Where the archive was renamed and not linked, the publishing is completed instead:
    that can be undone by anyone, a removal by nobody. Everything else in the backup folder stays, and so does what
    somebody is still receiving.
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
        removed.append(f"{WORK_NAME}/{shown_name(path.name)}")
    return removed


def shown_name(name: str) -> str:
    """A file name as text; bytes that are not UTF-8 become replacement characters."""
    return os.fsencode(name).decode(errors="replace")


def _clean_up_after_crash(folder: Path) -> list[str]:
    """A killed process may have changed names that are not on disk yet: what proves their meaning goes only after that."""
    if any(_work_folder(folder).iterdir()):
        sync_folder(folder)
    return clean_up(folder)


def free_bytes(folder: Path) -> int:
    """What a user without privileges may still write."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn what the system refuses in a backup folder into a sentence."""
    try:
        yield
    except OSError as problem:
        if problem.errno in _FULL:
            raise NoRoom(
                "The disk of the backup folder {folder} is full ({free:MB} free); what was "
                "begun has been removed, and older backups are as they were.",
                folder=folder,
                free=_free_or_none(folder),
            ) from problem
        name = shown_name(Path(os.fsdecode(problem.filename)).name) if problem.filename else ""
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
    """Raise `BackupFolderReadOnly` where this process can read the folder and cannot write to it."""
    if os.access(folder, os.R_OK | os.X_OK) and not os.access(folder, os.W_OK):
        raise BackupFolderReadOnly(
            "The backup folder {folder} is read-only. {explanation}. {way}",
            folder=folder,
            explanation=why_read_only(folder),
            way=_WAY,
        )


def why_read_only(folder: Path) -> Sentence:
    """Why the folder cannot be written to, and what makes it writable; the last sentence ends with a command."""
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return Sentence(
            "Its disk is mounted read-only. To mount it for writing, run as root: mount -o remount,rw {disk}",
            disk=disk_of(folder),
        )
    return _whose(folder, folder)


def _why_denied(folder: Path, problem: OSError) -> Sentence:
    """Whose the folder is, or of the file in it that this user may not open, with the command that changes it."""
    denied = Path(os.fsdecode(problem.filename)) if problem.filename else folder
    is_inside = folder in denied.parents and folder.stat().st_uid == os.geteuid()
    try:
        return _whose(denied if is_inside else folder, folder)
    except OSError:  # nothing can be seen below a folder that may not be entered
        return _whose(folder, folder)


def _whose(path: Path, folder: Path) -> Sentence:
    status, user = path.stat(), os.geteuid()
    return Sentence(
        "{what} belongs to {owner} with mode {mode:04o}, and this program runs as {user}. {command}",
        what="It" if path == folder else path.name,
        owner=name_user(status.st_uid),
        mode=stat.S_IMODE(status.st_mode),
        user=name_user(user),
        command=Sentence("Run: chmod u+rw{x} {path}", x="x" if path.is_dir() else "", path=path)
        if status.st_uid == user
        else Sentence("Run as root: chown -R {user}:{group} {folder}", user=user, group=os.getegid(), folder=folder),
    )


def _work_folder(folder: Path) -> Path:
    work = folder / WORK_NAME
    try:
        work.mkdir(mode=0o700)
        sync_folder(folder)
    except FileExistsError:
        if not stat.S_ISDIR(work.lstat().st_mode):
            raise BackupFolderUnusable("{work} is no folder, but temporary files belong there.", work=work) from None
    return work


def _leftover_archive(folder: Path, path: Path) -> Path | None:
    """The archive of the backup folder that this temporary file proves to be half of something."""
    deleted = path.name.endswith(DELETED_ENDING)
    name = parse_name(path.name.removesuffix(DELETED_ENDING))
    archive = folder / name.filename if name else path
    if name is None or not _is_regular(path) or not _is_regular(archive) or _has_sidecar(folder, name):
        return None
    return archive if deleted or archive.samefile(path) else None


def _complete(folder: Path, path: Path) -> bool:
    """Make this temporary file the sidecar of an archive whose publishing broke off, if it is the record of that."""
    name = archive_of_sidecar(path.name)
    if name is None or not _is_regular(path) or not _is_regular(folder / name.filename) or _has_sidecar(folder, name):
        return False
    if not _is_recorded(folder / name.filename, path):
        return False
    replace(path, folder / name.sidecar)
    return True


def _is_recorded(archive: Path, record: Path) -> bool:
    with open_regular(record) as file:  # where it cannot be read now, it must stay
        data = file.read()
    try:
        recorded = decode_sidecar(data)
    except SidecarInvalid:  # cut short before it was synced: then nothing was published by it
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
