"""Read tvarr's newer archives: a gzipped tar of `metadata.json` and `database.db`. Their recorded checksum is always wrong."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import IO, Any

from tvarr_backup.backups.archive import unpacked_start
from tvarr_backup.backups.durable import create_private, open_regular
from tvarr_backup.backups.progress import Phase, Progress, no_progress
from tvarr_backup.backups.sidecar import MAX_BYTES, BackupKind, Sidecar, decode_sidecar
from tvarr_backup.errors import ArchiveDamaged, SidecarInvalid

_METADATA = "metadata.json"
_DATABASE = "database.db"
_HEADER_BYTES = 2**16
_BLOCK_BYTES = 2**20
TAR_DAMAGE = (tarfile.TarError, ValueError, LookupError, OverflowError, RecursionError)
"""Errors that `tarfile` raises for damaged headers."""


def read_metadata(path: Path) -> Sidecar:
    """Return the metadata in an archive, from its first 1 MiB or so. Raises `SidecarInvalid`."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            start = unpacked_start(file.read(MAX_BYTES + _HEADER_BYTES))
    except OSError as problem:
        raise SidecarInvalid("{name} cannot be read: {reason}.", name=path.name, reason=problem.strerror) from problem
    try:
        with tarfile.open(fileobj=io.BytesIO(start), mode="r:") as tar:
            sidecar = _metadata_in(tar)
    except TAR_DAMAGE as problem:
        raise SidecarInvalid(
            "{name} is not one of tvarr's archives: {problem}.", name=path.name, problem=problem
        ) from problem
    except SidecarInvalid as problem:
        raise SidecarInvalid("{name}: {problem}", name=path.name, problem=problem) from problem
    return sidecar.with_changes(compressed_size=size, kind=BackupKind.TVARR)


def extract_database(source: Path, target: Path, progress: Progress = no_progress) -> Sidecar:
    """Write the database in tvarr's unpacked tar to a new file. Return the metadata in the tar."""
    try:
        with source.open("rb") as file, tarfile.open(fileobj=BoundedFile(file), mode="r:") as tar:
            sidecar = _metadata_in(tar)
            member = tar.next()
            if member is None or member.name != _DATABASE or not is_plain(member):
                raise ArchiveDamaged(
                    "The archive is not one of tvarr's: its second member is not {database}.", database=_DATABASE
                )
            _copy(tar.extractfile(member), target, member.size, progress)
            if tar.next() is not None:
                raise ArchiveDamaged("The archive is not one of tvarr's: it has more than two members.")
            require_end(file, tar.offset)
    except TAR_DAMAGE as problem:
        raise ArchiveDamaged("The archive is damaged: {problem}.", problem=problem) from problem
    return sidecar


def require_end(file: IO[bytes], offset: int) -> None:
    """Raise `ArchiveDamaged` unless only zeros follow."""
    file.seek(offset)
    while block := file.read(_BLOCK_BYTES):
        if block.strip(b"\0"):
            raise ArchiveDamaged("The archive is damaged: other data follows its end.")


def _copy(data: Any, target: Path, size: int, progress: Progress) -> None:
    with os.fdopen(create_private(target), "wb") as copy:
        while block := data.read(_BLOCK_BYTES):
            copy.write(block)
            progress(Phase.UNPACK, copy.tell(), size)


class BoundedFile(io.BufferedIOBase):
    """A file that is read only in small pieces, so that a wrong header cannot make `tarfile` read gigabytes."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= 2 * MAX_BYTES:
            raise ArchiveDamaged("The archive is damaged: one of its headers is too large.")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _metadata_in(tar: tarfile.TarFile) -> Sidecar:
    member = tar.next()
    if member is None or member.name != _METADATA or not is_plain(member) or member.size > MAX_BYTES:
        raise SidecarInvalid("its first member is not {metadata}.", metadata=_METADATA)
    data: Any = tar.extractfile(member)
    return decode_sidecar(data.read())


def is_plain(member: tarfile.TarInfo) -> bool:
    """Return whether it is a regular, non-sparse file: a few bytes of a sparse one could unpack to any size."""
    return member.isreg() and not member.issparse() and member.size >= 0
