"""Rebuild an installation on an empty machine: put a database back from a location, and this program's own state.

    fetch and decrypt -> unpack, verify -> new file next to its place, checked and synced -> its name, durably

This needs no database. Everything is prepared in a folder next to each new file, `NAME.rebuild`, and a file gets its name only
when it is complete. So a kill at any moment leaves a complete file or none, and the next run removes the rest.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS

from tvarr_backup import conf
from tvarr_backup.backups.apart import saying_too_costly
from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.durable import publish, sync_file, sync_folder
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.in_use import ENDINGS
from tvarr_backup.backups.live import Live, read_restore_id
from tvarr_backup.backups.offline import Ownership, complete_incoming
from tvarr_backup.backups.progress import Phase, Progress
from tvarr_backup.backups.restore import require_restorable
from tvarr_backup.backups.restore_journal import Replacement
from tvarr_backup.backups.room import require_room
from tvarr_backup.backups.settings_archive import DATABASE, SECRET_KEY, KeySource, SettingsMetadata, unpack_settings
from tvarr_backup.backups.sidecar import Sidecar
from tvarr_backup.backups.sqlite import copy_database, raising_disk_errors, remove_database
from tvarr_backup.backups.upload_dir import open_upload_dir, remove_abandoned
from tvarr_backup.backups.verify import unpack_and_check
from tvarr_backup.backups.versions import is_safety_backup
from tvarr_backup.errors import (
    CopyFailed,
    InstallationAmbiguous,
    InstallationNotFound,
    NoRoom,
    ObjectDamaged,
    RestoreRefused,
    SettingsUnavailable,
    TargetExists,
    TargetUnusable,
    TvarrBackupError,
)
from tvarr_backup.locations.copies import Copy, CopyFolder, list_installations
from tvarr_backup.locations.stores import Store
from tvarr_backup.operations import app_database
from tvarr_backup.quoting import name_some, quoted
from tvarr_backup.sentences import Sentence

_WORK_ENDING = ".rebuild"
_MOST_NAMED = 5
_FILE_MODE = 0o600
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_DATABASE = Live(0, 0, "", 0, "")
"""The properties of a live database that does not exist: any backup may become it."""


# --- What the location has -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """A backup in the location. `sidecar` is None if its metadata could not be read, and `problem` says why."""

    copy: Copy
    sidecar: Sidecar | None
    problem: str = ""


def find_installation(store: Store, wanted: str) -> CopyFolder:
    """Return the folder of an installation; `wanted` is its identifier, or "" for the only one.

    Raises `InstallationNotFound`, `InstallationAmbiguous`, and what `Store` raises.
    """
    found = list_installations(store)
    if not found:
        raise InstallationNotFound("The location has no backups. Check the address.")
    chosen = [one for one in found if wanted.lower() in ("", one.identifier)]
    names = name_some([one.identifier for one in found], _MOST_NAMED)
    if not chosen:
        raise InstallationNotFound(
            "The location has no backups of the installation {wanted}. It has those of {names}.",
            wanted=quoted(wanted),
            names=names,
        )
    if len(chosen) > 1:
        described = [
            Sentence(
                "{identifier} ({copies} backups, the newest of {date})",
                identifier=one.identifier,
                copies=one.copies,
                date=f"{one.newest_at:%Y-%m-%d}",
            )
            for one in found
        ]
        raise InstallationAmbiguous(
            "The location has backups of {count} installations: {described}. Name one with --installation.",
            count=len(found),
            described=name_some(list(map(str, described)), _MOST_NAMED),
        )
    return CopyFolder(store, chosen[0].identifier)


def read_copies(folder: CopyFolder, copies: Sequence[Copy], identity: str) -> list[Found]:
    """Return backups with their metadata, as far as it can be read with this identity, or without one."""
    found = []
    for copy in copies:
        if copy.is_encrypted and not identity:
            found.append(Found(copy, None))
            continue
        try:
            found.append(Found(copy, folder.read_metadata(copy.filename).open(identity)))
        except TvarrBackupError as problem:
            found.append(Found(copy, None, str(problem)))
    return found


# --- Where it goes ---------------------------------------------------------------------------------------------------


def own_new_file(path: Path, owner: tuple[int, int] | None) -> Ownership:
    """Return the owner and mode of a file to create: the given owner, else for root that of the folder, else this user.

    Raises `TargetUnusable` if the folder is missing, or if this user cannot create such a file.
    """
    folder = path.parent
    try:
        status = folder.stat()
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except OSError as problem:
        raise TargetUnusable(
            "The folder {folder} cannot be used: {reason}. Nothing was changed. Create it first.",
            folder=folder,
            reason=problem.strerror,
        ) from problem
    if not os.access(folder, os.W_OK | os.X_OK):
        raise TargetUnusable(
            "{folder} belongs to the user with uid {owner}, and uid {user} cannot create files there. Nothing was changed. Run "
            "this command as uid {owner}, or as root.",
            folder=folder,
            owner=status.st_uid,
            user=os.geteuid(),
        )
    is_root = os.geteuid() == 0
    uid, gid = owner or ((status.st_uid, status.st_gid) if is_root else (os.geteuid(), os.getegid()))
    if not is_root and (uid != os.geteuid() or gid not in (os.getegid(), *os.getgroups())):
        raise TargetUnusable(
            "This program runs as uid {user}, which cannot create a file that belongs to {uid}:{gid}. Nothing was changed. Run "
            "this command as root, or without --owner.",
            user=os.geteuid(),
            uid=uid,
            gid=gid,
        )
    return Ownership(uid, gid, _FILE_MODE)


def require_absent(path: Path) -> None:
    """Raise `TargetExists` if a database or one of SQLite's files next to it exists."""
    existing = [name for name in (path, *(Path(f"{path}{ending}") for ending in ENDINGS)) if os.path.lexists(name)]
    if existing:
        raise TargetExists(
            "{existing} exists already. Nothing was changed. Move it away, together with the -wal and -shm files next to it, or "
            "name another file. To replace the data of a database that works, restore a backup instead.",
            existing=existing[0],
        )


@contextmanager
def working_beside(path: Path) -> Iterator[Path]:
    """Yield a new folder on the disk of a file to create. What earlier runs have left there is removed first.

    Raises `TargetUnusable` if another process is rebuilding this file, and for an `OSError`.
    """
    parent = path.with_name(path.name + _WORK_ENDING)
    with _explaining(path.parent):
        if os.path.lexists(parent):
            remove_abandoned(parent)
        if os.path.lexists(parent):
            raise TargetUnusable("Another process is rebuilding {path}. Nothing was changed.", path=path)
        with open_upload_dir(parent) as work:
            yield work


@contextmanager
def _explaining(folder: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as problem:
        raise TargetExists(
            "{path} was created by another program in the meantime, and was not replaced.",
            path=Path(problem.filename2 or problem.filename or folder),
        ) from problem
    except OSError as problem:
        if problem.errno in _FULL:
            raise NoRoom(
                "The disk of {folder} is full ({free:MB} free). The unfinished files were removed. Free some space, then try again.",
                folder=folder,
                free=shutil.disk_usage(folder).free,
            ) from problem
        raise TargetUnusable(
            "The folder {folder} cannot be used: {reason}. The unfinished files were removed.",
            folder=folder,
            reason=problem.strerror or str(problem),
        ) from problem


# --- The database ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rebuilt:
    """Result of a rebuild. `owner` is that of the database."""

    filename: str
    sidecar: Sidecar
    path: Path
    owner: Ownership
    settings: SettingsMetadata | None


def rebuild(
    folder: CopyFolder,
    copy: Copy,
    path: Path,
    owner: Ownership,
    *,
    identity: str = "",
    settings_archive: str = "",
    accept_newer: bool = False,
    accept_code: bool | Collection[str] = False,
    progress: Progress,
) -> Rebuilt:
    """Put the database of a copy in place as a new file, and the content of a settings archive, if one is named.

    Both are fetched and verified completely before either is put in place, the database last. Raises `TargetExists`,
    `TargetUnusable`, `NoRoom`, `RestoreRefused`, `ConfirmationRequired`, `CodeNotAccepted`, what `CopyFolder.fetch_copy`
    and `restore_settings` raise, or what `progress` raises.
    """
    with ExitStack() as stack:
        work = stack.enter_context(working_beside(path))
        require_absent(path)
        sidecar = folder.read_metadata(copy.filename).open(identity)
        size = sidecar.database_size
        require_room(path.parent, size + max(size, sidecar.compressed_size), "Rebuilding the database")
        place_settings: Callable[[], SettingsMetadata] | None = None
        if settings_archive:
            place_settings = stack.enter_context(_fetched_settings(folder, settings_archive, identity, owner))
        incoming = _prepare_database(
            folder, copy, work, owner, identity, accept_newer=accept_newer, accept_code=accept_code, progress=progress
        )
        brought_back = place_settings() if place_settings else None
        require_absent(path)
        publish(incoming, path)
    return Rebuilt(copy.filename, sidecar, path, owner, brought_back)


def _prepare_database(
    folder: CopyFolder,
    copy: Copy,
    work: Path,
    owner: Ownership,
    identity: str,
    *,
    accept_newer: bool,
    accept_code: bool | Collection[str],
    progress: Progress,
) -> Path:
    """Return a file in `work` that is complete, verified and synced.

    Metadata in a location does not prove that a backup was made here, so it is verified as one from elsewhere.
    """

    def report(done: int) -> None:
        progress(Phase.RECEIVE, done, copy.size)

    archive, sidecar = folder.fetch_copy(copy, work, identity=identity, report=report)
    if archive.stat().st_size != sidecar.compressed_size:
        raise ObjectDamaged("The copy {filename} has another size than its metadata says.", filename=copy.filename)
    backup, required = Backup(copy.filename, sidecar.with_changes(imported=True)), conf.required_schema()
    not_rebuilt = Sentence("{filename} was not restored. Nothing was changed.", filename=copy.filename)
    with raising_disk_errors(), saying_too_costly(not_rebuilt):
        unpacked = unpack_and_check(work, work, backup, required, progress)
        staged, _examined = require_restorable(
            backup, unpacked, _NO_DATABASE, required, accept_newer=accept_newer, accept_code=accept_code
        )
        archive.unlink()
        _require_copyable(staged, sidecar, copy.filename, progress)
        incoming = Replacement(str(work / "incoming.db"), str(work / "set-aside.db"))
        complete_incoming(staged, incoming, read_restore_id(staged), owner, progress)
    return Path(incoming.incoming)


def _require_copyable(staged: Path, sidecar: Sidecar, filename: str, progress: Progress) -> None:
    """Raise `RestoreRefused` if SQLite cannot copy a database, because it could not be backed up. Not for a safety backup."""
    copied = staged.with_name("copied.db")
    try:
        copy_database(staged, copied, lambda done, total: progress(Phase.CHECK, done, total))
    except CopyFailed as problem:
        if not is_safety_backup(sidecar):
            raise RestoreRefused(
                "{filename} was not restored, because it could not be backed up again. {problem} Choose another backup.",
                filename=filename,
                problem=problem,
            ) from problem
    remove_database(copied)


# --- This program's own state ----------------------------------------------------------------------------------------


def is_key_in_environment() -> bool:
    """Return whether the secret key comes from the environment of this process."""
    return not settings.SET_VARIABLES.isdisjoint({"SECRET_KEY", "SECRET_KEY_FILE"})


def require_settings_file() -> None:
    """Raise `SettingsUnavailable` if this program's own database is not a file."""
    if not conf.is_file(DEFAULT_DB_ALIAS):
        raise SettingsUnavailable(
            "DATABASE_URL names a server, and a settings archive has an SQLite file. Nothing was changed. Unset DATABASE_URL, or "
            "run this command without --with-settings."
        )


@contextmanager
def _fetched_settings(
    folder: CopyFolder, archive: str, identity: str, owner: Ownership
) -> Iterator[Callable[[], SettingsMetadata]]:
    """Fetch and verify a settings archive. Yield a function that puts its content in place.

    The key comes first, because without it the stored credentials cannot be read. Files that an interrupted run has put in
    place are accepted if they have the same content.
    """
    path, key_path = conf.database_path(DEFAULT_DB_ALIAS), Path(settings.SECRET_KEY_PATH)
    _create_folder(path.parent, owner)
    _create_folder(key_path.parent, owner)
    with working_beside(path) as work:
        fetched = folder.fetch_settings(archive, work, identity)
        metadata = unpack_settings(fetched, work)
        app_database.require_restorable(work / DATABASE)
        key = None
        if metadata.secret_key is KeySource.ARCHIVE and not is_key_in_environment():
            key = work / SECRET_KEY
        if key is not None and key_path.exists() and key_path.read_bytes() != key.read_bytes():
            raise TargetExists(
                "{path} exists already, with another key. Nothing was changed. Move it away.", path=key_path
            )
        is_there = _has_content(path, metadata)
        if not is_there and any(os.path.lexists(f"{path}{ending}") for ending in ("", *ENDINGS)):
            raise TargetExists(
                "{path} exists already, so the settings cannot be brought back. Nothing was changed. To keep it, run this command "
                "without --with-settings. Otherwise move it away, together with the -wal and -shm files next to it.",
                path=path,
            )

        def put_in_place() -> SettingsMetadata:
            if key is not None and not key_path.exists():
                _give_name(key, key_path, owner)
            if not is_there:
                _give_name(work / DATABASE, path, owner)
            _create_backup_folder(owner)
            return metadata

        yield put_in_place


def _has_content(path: Path, metadata: SettingsMetadata) -> bool:
    """Return whether a database is exactly the archived one."""
    if not path.is_file() or any(os.path.lexists(f"{path}{ending}") for ending in ENDINGS):
        return False
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" == metadata.database_checksum


def _create_backup_folder(owner: Ownership) -> None:
    """Create the backup folder, because one that disappeared is a problem. The first backup creates it otherwise."""
    folder = conf.backup_path()
    with suppress(TvarrBackupError, OSError):
        if not os.path.lexists(folder):
            _give_owner(prepare_folder(folder), owner)


def _create_folder(folder: Path, owner: Ownership) -> None:
    with _explaining(folder):
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True)
            _give_owner(folder, owner)


def _give_owner(path: Path, owner: Ownership) -> None:
    if os.geteuid() == 0:
        os.chown(path, owner.uid, owner.gid)


def _give_name(prepared: Path, path: Path, owner: Ownership) -> None:
    """Give a prepared file its name, durably, with its owner."""
    with prepared.open("rb") as file:
        if os.geteuid() == 0:
            os.fchown(file.fileno(), owner.uid, owner.gid)
        sync_file(file.fileno())
    sync_folder(prepared.parent)
    publish(prepared, path)
