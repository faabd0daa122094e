"""Locations in a mounted folder: a share over SMB or NFS, a USB disk, exFAT or FAT.

Such file systems may have no hard links, owners or modes, so objects are written next to their name and renamed. The name
is checked just before the rename. A rename that never overwrites (`renameat2`) would be safer, but Python cannot call it and
SMB, NFS and FUSE often do not have it. So only a name that another program creates in that moment is overwritten, in a folder
that belongs to this installation.

Nothing limits the time of a call: if the server of an NFS share that is mounted `hard` does not answer, the kernel waits for
it, and the process cannot be interrupted. Mount such a share with `soft`. On exFAT and FAT, a power cut while an object is
replaced can lose it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from tvarr_backup.errors import LocationDenied, LocationError, LocationFailed, LocationUnreachable, ObjectExists
from tvarr_backup.locations import failures
from tvarr_backup.locations.addresses import Address
from tvarr_backup.locations.names import is_object, is_part, is_plain, name_part, require_folder, split_name
from tvarr_backup.locations.stores import CHUNK, Entry, Report, Source, Store, no_report
from tvarr_backup.permissions import explain_owner
from tvarr_backup.quoting import quoted
from tvarr_backup.sentences import NOTHING, Sentence

SYNC_EVERY = 8 * CHUNK
"""A write syncs its file after so many bytes. What was written before the last of them is intact even after a power cut."""

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED = frozenset({errno.EACCES, errno.EPERM})
_UNREACHABLE = frozenset({
    *(errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ETIMEDOUT),
    *(errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.ENETUNREACH, errno.ENODEV, errno.ENXIO),
})  # fmt: skip
_NO_SYNC_OF_FOLDERS = frozenset({errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.EOPNOTSUPP})
"""Answers of SMB and FUSE."""


class FolderStore(Store):
    """Objects are files in folders of a folder. Symbolic links below it are never followed.

    The folder is opened again for each call, so that a store never keeps a disk from being unmounted, and sees one that was.
    """

    def __init__(self, address: Address) -> None:
        self._path = Path(address.options["path"])

    def list_folders(self) -> list[str]:
        with self._explained(), self._open_root() as root:
            return [entry.name for entry in _scan(root) if is_plain(entry.name) and _is_folder(entry)]

    def list_objects(self, folder: str) -> list[Entry]:
        with self._explained(), self._open_root() as root, self._open_folder(root, folder) as place:
            return [] if place is None else [*_list_files(place)]

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        folder, last = split_name(name)
        with self._explained(), self._open_root() as root, self._open_folder(root, folder) as place:
            descriptor = None if place is None else self._open_object(place, folder, last)
        if descriptor is None:
            raise failures.object_missing(self._where, name)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            with self._explained():
                file.seek(start)
                piece = file.read(CHUNK)
            while piece:
                yield piece
                with self._explained():
                    piece = file.read(CHUNK)

    def write(self, name: str, source: Source, *, replace: bool = False, report: Report = no_report) -> None:
        folder, last = split_name(name)
        part = name_part(last, source.tag)
        with self._explained(source.size), self._open_root() as root:
            self._make_folder(root, folder)
            with self._open_folder(root, folder) as place:
                if place is None:
                    raise failures.path_missing(self._where, folder)
                if not replace:
                    self._require_free(place, name, last)
                with _removed_if_useless(place, part, may_resume=bool(source.tag)):
                    self._write_part(place, part, name, source, report)
                    self._give_name(place, part, name, last, replace=replace)

    def delete(self, name: str) -> None:
        folder, last = split_name(name)
        with self._explained(), self._open_root() as root, self._open_folder(root, folder) as place:
            if place is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(last, dir_fd=place)
                    _sync_folder(place)

    def delete_unfinished(self, folder: str) -> None:
        with self._explained(), self._open_root() as root, self._open_folder(root, folder) as place:
            if place is None:
                return
            parts = [entry.name for entry in _scan(place) if is_part(entry.name) and _is_file(entry)]
            for part in parts:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(part, dir_fd=place)
            if parts:
                _sync_folder(place)

    def close(self) -> None:
        pass

    @property
    def _where(self) -> str:
        return str(self._path)

    # --- Folders and files -------------------------------------------------------------------------------------------

    @contextmanager
    def _open_root(self) -> Iterator[int]:
        """Open the folder of the address, which may be a symbolic link."""
        try:
            descriptor = os.open(self._path, _OPEN_FOLDER)
        except FileNotFoundError:
            raise failures.path_missing("This machine", str(self._path)) from None
        except NotADirectoryError:
            raise self._not_a_folder(str(self._path)) from None
        with _closed(descriptor):
            yield descriptor

    @contextmanager
    def _open_folder(self, root: int, folder: str) -> Iterator[int | None]:
        """Open a folder below it, or return None if it does not exist."""
        try:
            descriptor = os.open(require_folder(folder), _OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=root)
        except FileNotFoundError:
            yield None
            return
        except OSError as problem:
            if problem.errno in {errno.ENOTDIR, errno.ELOOP}:
                raise self._not_a_folder(folder) from None
            raise
        with _closed(descriptor):
            yield descriptor

    def _make_folder(self, root: int, folder: str) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(require_folder(folder), mode=0o700, dir_fd=root)
            _sync_folder(root)

    def _open_object(self, place: int, folder: str, last: str) -> int | None:
        try:
            descriptor = os.open(last, _READ, dir_fd=place)
        except FileNotFoundError:
            return None
        except OSError as problem:
            if problem.errno in {errno.ELOOP, errno.ENXIO}:
                raise self._not_a_file(f"{folder}/{last}") from None
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise self._not_a_file(f"{folder}/{last}")
        return descriptor

    def _require_free(self, place: int, name: str, last: str) -> None:
        if _exists(place, last):
            raise failures.object_exists(self._where, name)

    # --- Writing -----------------------------------------------------------------------------------------------------

    def _write_part(self, place: int, part: str, name: str, source: Source, report: Report) -> None:
        """Write the bytes to their temporary name and sync them, from where an earlier write can be resumed."""
        descriptor = os.open(part, _WRITE, 0o600, dir_fd=place)
        with _closed(descriptor):
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise self._not_a_file(part)
            done = _intact_bytes(status.st_size) if source.tag and status.st_size <= source.size else 0
            os.ftruncate(descriptor, done)
            os.lseek(descriptor, done, os.SEEK_SET)
            with contextlib.closing(_pieces(source, done)) as pieces:
                for piece in pieces:
                    done += _write_all(descriptor, piece)
                    if done % SYNC_EVERY < len(piece):
                        os.fsync(descriptor)
                    with _from_caller():
                        report(done)
            if done != source.size:
                os.unlink(part, dir_fd=place)
                raise failures.source_changed(name, source.size, done)
            os.fsync(descriptor)

    def _give_name(self, place: int, part: str, name: str, last: str, *, replace: bool) -> None:
        """Rename a complete file, durably. If that fails, a new name is taken back."""
        is_new = not _exists(place, last)
        if not replace:
            self._require_free(place, name, last)
        os.rename(part, last, src_dir_fd=place, dst_dir_fd=place)
        try:
            _sync_folder(place)
        except OSError:
            if is_new:
                with contextlib.suppress(OSError):
                    os.unlink(last, dir_fd=place)
            raise

    # --- Errors ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _explained(self, needed: int = 0) -> Iterator[None]:
        """Turn an `OSError` of the folder into the error of its cause. `needed` is the size of an object to write."""
        try:
            yield
        except _FromCaller as problem:
            raise problem.error from problem.error.__cause__
        except OSError as problem:
            raise self._explain(problem, needed) from problem

    def _explain(self, problem: OSError, needed: int) -> LocationError:
        if problem.errno in _FULL:
            free = self._free_bytes()
            return failures.no_space(self._where, needed, free if free is not None and free < needed else None)
        if problem.errno == errno.EROFS:
            return failures.read_only(self._where)
        if problem.errno in _DENIED:
            return LocationDenied(
                "{path} does not permit this: {reason:clause}. {explanation}",
                path=self._path,
                reason=problem.strerror,
                explanation=self._explain_owner(),
            )
        if problem.errno in _UNREACHABLE:
            return LocationUnreachable(
                "{path} does not respond: {reason:clause}. Check the disk or the server of the share, mount it again if "
                "necessary, then try again.",
                path=self._path,
                reason=problem.strerror,
            )
        if problem.errno == errno.EFBIG:
            return LocationFailed(
                "The file system of {path} does not allow a file of {needed:MB}. Nothing was saved. FAT allows 4.3 GB: "
                "format the disk with another file system, such as exFAT.",
                path=self._path,
                needed=needed,
            )
        return LocationFailed(
            "{path} cannot be used: {reason:clause}. Check its file system and how it is mounted.",
            path=self._path,
            reason=problem.strerror or str(problem),
        )

    def _free_bytes(self) -> int | None:
        try:
            status = os.statvfs(self._path)
        except OSError:
            return None
        return status.f_bavail * status.f_frsize

    def _explain_owner(self) -> Sentence:
        try:
            return explain_owner(self._path)
        except OSError:  # a folder above it may not be entered
            return NOTHING

    def _not_a_folder(self, name: str) -> LocationFailed:
        return LocationFailed(
            "{name} in {path} is not a folder, or it is a symbolic link, which is not followed. Move it away, or correct "
            "the address.",
            name=quoted(name),
            path=self._path,
        )

    def _not_a_file(self, name: str) -> LocationFailed:
        return LocationFailed(
            "{name} in {path} is not a regular file. Move it away.", name=quoted(name), path=self._path
        )


class _FromCaller(Exception):
    """Carries what the source or `report` raised, which may be an `OSError`, past those of the folder."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


@contextmanager
def _from_caller() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise _FromCaller(error) from error


@contextmanager
def _closed(descriptor: int) -> Iterator[None]:
    """Close a descriptor. An error of that, in which NFS reports a full disk, counts if there is no other."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        raise
    os.close(descriptor)


@contextmanager
def _removed_if_useless(place: int, part: str, *, may_resume: bool) -> Iterator[None]:
    """Remove an unfinished file after an error if it cannot be resumed, or if it would keep a disk full."""
    try:
        yield
    except BaseException as problem:
        is_full = isinstance(problem, OSError) and problem.errno in _FULL
        if not may_resume or is_full or isinstance(problem, ObjectExists):
            with contextlib.suppress(OSError):
                os.unlink(part, dir_fd=place)
        raise


def _pieces(source: Source, start: int) -> Generator[bytes]:
    with contextlib.ExitStack() as stack:
        with _from_caller():
            stream = stack.enter_context(source.open(start))
        while True:
            with _from_caller():
                piece = stream.read(CHUNK)
            if not piece:
                return
            yield piece


def _intact_bytes(size: int) -> int:
    """Return how many bytes of an unfinished file of this size were synced before the last were written.

    A sync follows at most `CHUNK` bytes after each multiple of `SYNC_EVERY`. A power cut may have left zeros in the rest.
    """
    return max(0, size - CHUNK - 1) // SYNC_EVERY * SYNC_EVERY


def _write_all(descriptor: int, data: bytes) -> int:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    return len(data)


def _sync_folder(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as problem:
        if problem.errno not in _NO_SYNC_OF_FOLDERS:
            raise


def _exists(place: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _scan(descriptor: int) -> Iterator[os.DirEntry[str]]:
    with os.scandir(descriptor) as entries:
        yield from entries


def _list_files(place: int) -> Iterator[Entry]:
    for entry in _scan(place):
        if is_object(entry.name):
            with contextlib.suppress(FileNotFoundError):  # deleted in the meantime
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    yield Entry(entry.name, status.st_size)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _is_file(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False)
