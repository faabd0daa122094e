"""Pack and unpack settings archives: a gzipped tar with metadata, this program's own database, and its secret key."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

from tvarr_backup.backups.durable import create_private, open_regular, sync_file, write_private
from tvarr_backup.backups.names import ArchiveFormat
from tvarr_backup.backups.progress import no_progress
from tvarr_backup.backups.stage import stage
from tvarr_backup.backups.tvarr_archive import TAR_DAMAGE, BoundedFile, is_plain, require_end
from tvarr_backup.errors import ArchiveDamaged

DATABASE = "app.db"
SECRET_KEY = "secret-key"  # noqa: S105  # a file name
_FORMAT = "tvarr-backup-settings"
_VERSION = 1
_METADATA = "metadata.json"
_MOST_OF_METADATA = 2**16
_MOST_OF_KEY = 10_000
_COMPRESSION = 6
_BLOCK_BYTES = 2**20


class KeySource(StrEnum):
    """Where the secret key of an installation is."""

    ARCHIVE = "archive"
    ENVIRONMENT = "environment"
    """In `SECRET_KEY` or `SECRET_KEY_FILE`, so the archive does not have it."""


@dataclass(frozen=True)
class SettingsMetadata:
    """The metadata of a settings archive. Size (bytes) and checksum (`sha256:<hex>`) are those of the database."""

    created_at: datetime
    app_version: str
    installation: str
    secret_key: KeySource
    database_size: int
    database_checksum: str


def describe_settings(
    database: Path, *, created_at: datetime, app_version: str, installation: str, secret_key: KeySource
) -> SettingsMetadata:
    """Return the metadata for a copy of a database."""
    with database.open("rb") as file:
        checksum = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    return SettingsMetadata(created_at, app_version, installation, secret_key, database.stat().st_size, checksum)


def pack_settings(database: Path, secret_key: str, metadata: SettingsMetadata, archive: Path) -> None:
    """Write a new archive of mode 0600 and sync it. The key is left out if the metadata says so."""
    members: list[tuple[str, IO[bytes], int]] = [_as_member(_METADATA, _encode(metadata))]
    with database.open("rb") as content, os.fdopen(create_private(archive), "wb") as target:
        members.append((DATABASE, content, metadata.database_size))
        if metadata.secret_key is KeySource.ARCHIVE:
            members.append(_as_member(SECRET_KEY, f"{secret_key}\n".encode()))
        with (
            gzip.GzipFile(filename="", mode="wb", compresslevel=_COMPRESSION, fileobj=target, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for name, file, size in members:
                header = tarfile.TarInfo(name)
                header.size, header.mode, header.mtime = size, 0o600, int(metadata.created_at.timestamp())
                tar.addfile(header, file)
        target.flush()
        sync_file(target.fileno())


def unpack_settings(archive: Path, folder: Path) -> SettingsMetadata:
    """Unpack an archive to new files `app.db` and, if it has one, `secret-key` in a folder, and return its metadata.

    Anything but these members in this order, as plain files with the recorded sizes and checksum, is damage. Raises
    `ArchiveDamaged`, `ArchiveTooLarge`, `NoRoom` or `OSError`; files may be left in the folder.
    """
    with open_regular(archive) as file:
        unpacked = stage(file, ArchiveFormat.GZIP, folder, no_progress).path
    try:
        with unpacked.open("rb") as content, tarfile.open(fileobj=BoundedFile(content), mode="r:") as tar:
            metadata = _decode(_read_small(tar, _METADATA, _MOST_OF_METADATA))
            _extract_database(tar, folder / DATABASE, metadata)
            if metadata.secret_key is KeySource.ARCHIVE:
                write_private(folder / SECRET_KEY, _read_small(tar, SECRET_KEY, _MOST_OF_KEY))
            if tar.next() is not None:
                raise _damaged("it has more members than expected")
            require_end(content, tar.offset)
    except TAR_DAMAGE as problem:
        raise _damaged(str(problem)) from problem
    finally:
        unpacked.unlink()
    return metadata


def _as_member(name: str, content: bytes) -> tuple[str, IO[bytes], int]:
    return name, io.BytesIO(content), len(content)


def _next_member(tar: tarfile.TarFile, name: str) -> tarfile.TarInfo:
    member = tar.next()
    if member is None or member.name != name or not is_plain(member):
        raise _damaged(f"{name} is missing")
    return member


def _read_small(tar: tarfile.TarFile, name: str, most: int) -> bytes:
    member = _next_member(tar, name)
    if member.size > most:
        raise _damaged(f"{name} is too large")
    data: Any = tar.extractfile(member)
    content: bytes = data.read()
    return content


def _extract_database(tar: tarfile.TarFile, target: Path, metadata: SettingsMetadata) -> None:
    member, found = _next_member(tar, DATABASE), hashlib.sha256()
    data: Any = tar.extractfile(member)
    with os.fdopen(create_private(target), "wb") as file:
        while block := data.read(_BLOCK_BYTES):
            file.write(block)
            found.update(block)
        file.flush()
        sync_file(file.fileno())
    if member.size != metadata.database_size or f"sha256:{found.hexdigest()}" != metadata.database_checksum:
        raise _damaged(f"the checksum of {DATABASE} is wrong")


def _encode(metadata: SettingsMetadata) -> bytes:
    members = asdict(metadata) | {"created_at": metadata.created_at.astimezone(UTC).isoformat(timespec="seconds")}
    return json.dumps({"format": _FORMAT, "version": _VERSION, **members}, indent=2).encode() + b"\n"


def _decode(raw: bytes) -> SettingsMetadata:
    try:
        value = json.loads(raw)
        if value["format"] != _FORMAT or value["version"] != _VERSION:
            raise _damaged("its format is unknown, and perhaps that of a newer version of this program")
        return SettingsMetadata(
            created_at=datetime.fromisoformat(value["created_at"]),
            app_version=str(value["app_version"]),
            installation=str(value["installation"]),
            secret_key=KeySource(value["secret_key"]),
            database_size=int(value["database_size"]),
            database_checksum=str(value["database_checksum"]),
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise _damaged("its metadata is invalid") from problem


def _damaged(reason: str) -> ArchiveDamaged:
    return ArchiveDamaged("The settings archive cannot be used: {reason}.", reason=reason)
