"""Copies of backups in a location: written, listed, fetched, checked and deleted.

Each installation has a folder of its own there, with a marker. A copy is an archive and a metadata object. The metadata
object is written last and deleted first, so a copy is complete only if it exists. Without encryption, both are exactly the
files of the backup folder. With encryption, the archive's name ends in `.age`, and the metadata object holds dates,
sizes and the checksum of the encrypted archive, and the metadata itself only in encrypted form: once for the recipient, and once,
without the configuration, for this installation (`record`). By the record an installation recognizes its copies after it
was rebuilt with older settings, and nobody else can make it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from tvarr_backup.backups.durable import create_private
from tvarr_backup.backups.names import ArchiveFormat, BackupName, archive_of_sidecar, parse_name, settings_moment
from tvarr_backup.backups.sidecar import Sidecar, decode_sidecar, encode_sidecar
from tvarr_backup.errors import (
    IdentityRequired,
    IdentityWrong,
    LocationUnmarked,
    LocationUnreachable,
    ObjectDamaged,
    ObjectExists,
    ObjectMissing,
    SidecarInvalid,
)
from tvarr_backup.locations.stores import CHUNK, BytesSource, Entry, FileSource, Report, Source, Store, no_report

FORMAT = "tvarr-backup-copy"
_VERSION = 1
_MARKER_FORMAT = "tvarr-backup-location"
MARKER = "tvarr-backup.json"
_FOLDER_START = "tvarr-backup-"
_FOLDER = re.compile(rf"{_FOLDER_START}([0-9a-z]{{26}})", re.ASCII)
_ENCRYPTED_ENDING = ".age"
_MOST_OF_METADATA = 4 * 2**20
"""A metadata file of 1.5 MiB, encrypted and as text."""
_MOST_OF_MARKER = 10_000
_ATTEMPTS_TO_READ = 5
_SECONDS_BETWEEN_ATTEMPTS = 1.0
_TRIAL = "tvarr-backup-test"
_ONE_SECOND = timedelta(seconds=1)

SealRecord = Callable[[bytes], str]
"""Encrypts what only this installation can decrypt and make."""


def no_record(_content: bytes) -> str:
    return ""


@dataclass(frozen=True)
class Copy:
    """A complete copy, by the names of a listing. `filename` is that of the backup, `size` that of the archive there."""

    filename: str
    size: int
    is_encrypted: bool

    @property
    def name(self) -> BackupName:
        return cast(BackupName, parse_name(self.filename))

    @property
    def archive(self) -> str:
        """The name of the archive there."""
        return self.filename + (_ENCRYPTED_ENDING if self.is_encrypted else "")


@dataclass(frozen=True)
class CopyListing:
    """The folder of an installation: copies (newest first), unfinished ones (names of their objects), and other objects.

    `settings` are the names of settings archives without `.age`, newest first.
    """

    copies: tuple[Copy, ...]
    unfinished: tuple[str, ...]
    foreign: tuple[str, ...]
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class CopyMetadata:
    """The metadata object of a copy. `size` and `checksum` (`sha256:<hex>`) are those of the archive as it is there.

    `sealed` is the encrypted metadata of the backup; without encryption, `sidecar` is the metadata itself. `record` is what
    `SealRecord` returned for `encode_record`.
    """

    created_at: datetime
    size: int
    checksum: str
    archive_size: int
    sidecar: Sidecar | None = None
    sealed: str = ""
    record: str = ""

    def is_of(self, sidecar: Sidecar) -> bool:
        """Return whether this describes a copy of a backup; for an encrypted one, as far as its date and size show."""
        if self.sidecar is not None:
            return self.sidecar.checksum == sidecar.checksum
        is_as_old = abs(self.created_at - sidecar.created_at) < _ONE_SECOND
        return is_as_old and self.archive_size == sidecar.compressed_size

    def open(self, identity: str) -> Sidecar:
        """Return the metadata of the backup. Raises `IdentityRequired`, `IdentityWrong` and `ObjectDamaged`."""
        if self.sidecar is not None:
            return self.sidecar
        if not identity:
            raise IdentityRequired("This copy is encrypted. Its identity is in the recovery kit.")
        from tvarr_backup.locations.encryption import unseal  # noqa: PLC0415  # an extra

        return _decode_sidecar(unseal(self.sealed, identity))


@dataclass(frozen=True)
class Installation:
    """An installation that has copies in a location: its identifier, the number of copies, and the date of the newest."""

    identifier: str
    copies: int
    newest_at: datetime | None


# --- The folder of an installation -----------------------------------------------------------------------------------


def folder_of(installation: str) -> str:
    """Return the name of the folder of an installation."""
    return f"{_FOLDER_START}{installation.lower()}"


class CopyFolder:
    """The folder of an installation in a location. Methods raise what those of `Store` raise."""

    def __init__(self, store: Store, installation: str) -> None:
        self.store = store
        self.installation = installation.lower()
        self.folder = folder_of(installation)

    def mark(self) -> None:
        """Create the folder of an installation with its marker, if it has none."""
        try:
            self.require_marker()
        except LocationUnmarked:
            content = {"format": _MARKER_FORMAT, "version": _VERSION, "installation": self.installation}
            self.store.write(f"{self.folder}/{MARKER}", BytesSource(_as_json(content)), replace=True)

    def require_marker(self) -> None:
        """Raise `LocationUnmarked` if the location is not the one that was set up, so that it is not taken for an empty one."""
        name = f"{self.folder}/{MARKER}"
        try:
            found = json.loads(_read_whole(self.store, name, _MOST_OF_MARKER))
        except (ObjectMissing, ValueError):
            found = None
        if not isinstance(found, dict) or found.get("installation") != self.installation:
            raise LocationUnmarked(
                "The location does not have {name}, which was written when it was set up. Its disk may not be mounted, or its "
                "content was deleted. Nothing was changed. Check the address. To start there again, accept the empty location.",
                name=name,
            )

    def read_listing(self) -> CopyListing:
        """List the folder of an installation. Raises what `Store.list_objects` raises, never returning part of a listing."""
        return sort_listing(self.store.list_objects(self.folder))

    def try_out(self) -> None:
        """Write, list, read, compare and delete a small object. Raises what these raise, and `ObjectDamaged`."""
        content = os.urandom(2**16)
        name = f"{self.folder}/{_TRIAL}"
        self.store.write(name, BytesSource(content), replace=True)
        try:
            if _read_whole(self.store, name, len(content)) != content:
                raise ObjectDamaged("The location returned other bytes than were written to it.")
            if not any(entry.name == _TRIAL for entry in self.store.list_objects(self.folder)):
                raise ObjectMissing("The location does not list what was written to it.")
        finally:
            self.store.delete(name)

    def write_copy(
        self,
        archive: Path,
        sidecar: Sidecar,
        recipients: Sequence[str] = (),
        report: Report = no_report,
        seal_record: SealRecord = no_record,
    ) -> CopyMetadata:
        """Copy a published backup, with its complete metadata, encrypted if there are recipients. Return the metadata object.

        A copy that exists already is left alone if it is of the same backup. Raises `ObjectExists` if it is of another one,
        `ObjectDamaged` if the archive is not what its metadata says, and what `Store` and `report` raise. The copy is then not
        listed.
        """
        name = cast(BackupName, parse_name(archive.name))
        listing = self.read_listing()
        if any(copy.filename == name.filename for copy in listing.copies):
            existing = self.read_metadata(name.filename)
            if existing.is_of(sidecar):
                return existing
            raise ObjectExists(
                "The location already has another backup with the name {filename}. It was not replaced. Two installations may "
                "use the same folder there.",
                filename=name.filename,
            )
        for left_over in (name.sidecar, name.filename, name.filename + _ENCRYPTED_ENDING):
            if left_over in listing.unfinished:
                self.store.delete(f"{self.folder}/{left_over}")
        source = _ArchiveSource(archive, sidecar)
        if recipients:
            from tvarr_backup.locations.encryption import EncryptedSource  # noqa: PLC0415  # an extra

            encrypted = EncryptedSource(source, recipients)
            try:
                self.store.write(f"{self.folder}/{name.filename}{_ENCRYPTED_ENDING}", encrypted, report=report)
            finally:
                encrypted.close()
            size, checksum = encrypted.size, encrypted.checksum
        else:
            self.store.write(f"{self.folder}/{name.filename}", source, report=report)
            size, checksum = source.size, sidecar.checksum
        metadata = describe(sidecar, size, checksum, recipients, seal_record)
        self.write_metadata(name.filename, metadata)
        return metadata

    def write_metadata(self, filename: str, metadata: CopyMetadata) -> None:
        """Write the metadata object of a copy, or replace it."""
        name = cast(BackupName, parse_name(filename)).sidecar
        self.store.write(f"{self.folder}/{name}", BytesSource(_encode(metadata)), replace=True)

    def delete_copy(self, copy: Copy) -> None:
        """Delete a copy: first its metadata object, so that an interrupted deletion leaves nothing that is listed."""
        self.store.delete(f"{self.folder}/{copy.name.sidecar}")
        self.store.delete(f"{self.folder}/{copy.archive}")

    def write_settings(self, archive: Path, recipients: Sequence[str]) -> int:
        """Copy a settings archive, always encrypted. Return its size there. Raises what `Store.write` raises."""
        from tvarr_backup.locations.encryption import EncryptedSource  # noqa: PLC0415  # an extra

        encrypted = EncryptedSource(FileSource(archive, archive.stat().st_size), recipients)
        try:
            self.store.write(f"{self.folder}/{archive.name}{_ENCRYPTED_ENDING}", encrypted)
        finally:
            encrypted.close()
        return encrypted.size

    def delete_settings(self, filename: str) -> None:
        self.store.delete(f"{self.folder}/{filename}{_ENCRYPTED_ENDING}")

    def fetch_settings(self, filename: str, folder: Path, identity: str) -> Path:
        """Fetch a settings archive into a folder, decrypted and synced.

        Raises `ObjectMissing`, `IdentityRequired`, `IdentityWrong`, `OSError`, and what `Store` raises.
        """
        if not identity:
            raise IdentityRequired("Settings are encrypted. Their identity is in the recovery kit.")
        from tvarr_backup.locations.encryption import decrypt  # noqa: PLC0415  # an extra

        archive = folder / filename
        with os.fdopen(create_private(archive), "wb") as output:
            decrypt(_read_all(self.store, f"{self.folder}/{filename}{_ENCRYPTED_ENDING}"), identity, output)
            output.flush()
            os.fsync(output.fileno())
        return archive

    def delete_unfinished(self, listing: CopyListing) -> None:
        """Delete what interrupted copies and deletions have left."""
        for name in listing.unfinished:
            self.store.delete(f"{self.folder}/{name}")
        self.store.delete_unfinished(self.folder)

    def read_metadata(self, filename: str) -> CopyMetadata:
        """Return the metadata object of a copy. Raises `ObjectMissing` and `ObjectDamaged`."""
        name = cast(BackupName, parse_name(filename)).sidecar
        return _decode(_read_whole(self.store, f"{self.folder}/{name}", _MOST_OF_METADATA))

    def check_copy(self, copy: Copy, checksum: str, report: Report = no_report) -> None:
        """Read an archive and compare its checksum. Raises `ObjectDamaged` and `ObjectMissing`."""
        found, done = hashlib.sha256(), 0
        for piece in _read_all(self.store, f"{self.folder}/{copy.archive}"):
            found.update(piece)
            done += len(piece)
            report(done)
        _require_checksum(copy, found.hexdigest(), checksum)

    def fetch_copy(
        self,
        copy: Copy,
        folder: Path,
        *,
        identity: str = "",
        report: Report = no_report,
    ) -> tuple[Path, Sidecar]:
        """Fetch a copy into a folder, decrypted and compared with its checksums. Return the archive and its metadata.

        Reading goes on where a connection was cut. A file appears only when it is complete and synced. Raises `ObjectDamaged`,
        `ObjectMissing`, `IdentityRequired`, `IdentityWrong`, `OSError`, and what `Store` and `report` raise.
        """
        metadata = self.read_metadata(copy.filename)
        sidecar = metadata.open(identity)
        found, done = hashlib.sha256(), 0

        def pieces() -> Iterator[bytes]:
            nonlocal done
            for piece in _read_all(self.store, f"{self.folder}/{copy.archive}"):
                found.update(piece)
                done += len(piece)
                report(done)
                yield piece

        unfinished = folder / f"{copy.filename}.part"
        try:
            with unfinished.open("xb") as output:
                hashed = _HashedOutput(output)
                if copy.is_encrypted:
                    from tvarr_backup.locations.encryption import decrypt  # noqa: PLC0415  # an extra

                    try:
                        decrypt(pieces(), identity, cast(IO[bytes], hashed))
                    except IdentityWrong as problem:  # it has decrypted the metadata
                        raise _damaged(copy) from problem
                else:
                    for piece in pieces():
                        hashed.write(piece)
                _require_checksum(copy, found.hexdigest(), metadata.checksum)
                _require_checksum(copy, hashed.hexdigest(), sidecar.checksum)
                output.flush()
                os.fsync(output.fileno())
            archive = folder / copy.filename
            unfinished.rename(archive)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise
        return archive, sidecar


def list_installations(store: Store) -> list[Installation]:
    """Return the installations that have copies in a location, the one with the newest copy first."""
    found = []
    for folder in store.list_folders():
        match = _FOLDER.fullmatch(folder)
        if match is None:
            continue
        copies = CopyFolder(store, match[1]).read_listing().copies
        if copies:
            found.append(Installation(match[1], len(copies), copies[0].name.moment))
    return sorted(found, key=lambda one: (one.newest_at, one.identifier), reverse=True)


def sort_listing(entries: Sequence[Entry]) -> CopyListing:
    """Sort the objects of a folder into copies, unfinished copies and others."""
    described = {name.filename for entry in entries if (name := archive_of_sidecar(entry.name)) is not None}
    copies: dict[str, Copy] = {}
    unfinished, foreign, settings = [], [], []
    for entry in sorted(entries, key=lambda one: one.name):
        plain = entry.name.removesuffix(_ENCRYPTED_ENDING)
        name = parse_name(plain)
        if entry.name != plain and settings_moment(plain):
            settings.append(plain)
        elif name is None or name.format is not ArchiveFormat.GZIP:
            if archive_of_sidecar(entry.name) is None and entry.name != MARKER:
                foreign.append(entry.name)
        elif plain not in described or plain in copies:
            unfinished.append(entry.name)
        else:
            copies[plain] = Copy(plain, entry.size, entry.name != plain)
    lonely = [cast(BackupName, parse_name(one)).sidecar for one in sorted(described - set(copies))]
    newest_first = sorted(copies.values(), key=lambda copy: (copy.name.moment, copy.filename), reverse=True)
    return CopyListing(
        tuple(newest_first), tuple(unfinished + lonely), tuple(foreign), tuple(sorted(settings, reverse=True))
    )


# --- Writing ---------------------------------------------------------------------------------------------------------


def describe(
    sidecar: Sidecar, size: int, checksum: str, recipients: Sequence[str], seal_record: SealRecord = no_record
) -> CopyMetadata:
    """Return the metadata object for a copy whose archive there has this size and checksum."""
    if not recipients:
        return CopyMetadata(sidecar.created_at, size, checksum, sidecar.compressed_size, sidecar)
    from tvarr_backup.locations.encryption import seal  # noqa: PLC0415  # an extra

    sealed = seal(encode_sidecar(sidecar), recipients)
    record = seal_record(_encode_record(sidecar, size, checksum))
    return CopyMetadata(sidecar.created_at, size, checksum, sidecar.compressed_size, sealed=sealed, record=record)


class _ArchiveSource(Source):
    """A published archive. Reading it to its end raises `ObjectDamaged` if it is not what its metadata says."""

    def __init__(self, archive: Path, sidecar: Sidecar) -> None:
        self._archive = archive
        self._checksum = sidecar.checksum
        self.size = sidecar.compressed_size
        self.tag = sidecar.checksum.removeprefix("sha256:")

    @contextmanager
    def open(self, start: int = 0) -> Iterator[BinaryIO]:
        with self._archive.open("rb") as file:
            checked = _CheckedFile(file, self._archive.name, self.size, self._checksum)
            while checked.done < start:
                checked.read(min(CHUNK, start - checked.done))
            yield cast(BinaryIO, checked)


class _CheckedFile:
    """Hashes a file as it is read, and holds back its end until the checksum is right."""

    def __init__(self, file: IO[bytes], name: str, size: int, checksum: str) -> None:
        self._file = file
        self._name = name
        self._size = size
        self._checksum = checksum
        self._hash = hashlib.sha256()
        self.done = 0

    def read(self, size: int = -1) -> bytes:
        left = self._size - self.done
        piece = self._file.read(left if size < 0 else min(size, left))
        self._hash.update(piece)
        self.done += len(piece)
        is_short = not piece and left and size
        is_wrong = self.done == self._size and f"sha256:{self._hash.hexdigest()}" != self._checksum
        if is_short or is_wrong:
            raise ObjectDamaged(
                "{filename} was not copied, because the archive in the backup folder is damaged: it has another checksum than "
                "its metadata file says. Verify the backup.",
                filename=self._name,
            )
        return piece


# --- Reading ---------------------------------------------------------------------------------------------------------


class _HashedOutput:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, content: bytes) -> int:
        self._hash.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def _read_all(store: Store, name: str) -> Iterator[bytes]:
    """Return the bytes of an object. After a cut connection, go on where it was cut, as long as that makes progress."""
    done, attempts = 0, 0
    while True:
        before = done
        try:
            for piece in store.read(name, done):
                done += len(piece)
                yield piece
        except LocationUnreachable:
            attempts = 0 if done > before else attempts + 1
            if attempts >= _ATTEMPTS_TO_READ:
                raise
            time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
        else:
            return


def _read_whole(store: Store, name: str, most: int) -> bytes:
    content = bytearray()
    for piece in _read_all(store, name):
        content += piece
        if len(content) > most:
            raise ObjectDamaged("{name} is larger than {most} bytes.", name=name, most=most)
    return bytes(content)


def _require_checksum(copy: Copy, found: str, expected: str) -> None:
    if f"sha256:{found}" != expected:
        raise ObjectDamaged(
            "The copy {filename} is damaged: its checksum is not the one that was recorded when it was copied.",
            filename=copy.filename,
        )


def _damaged(copy: Copy) -> ObjectDamaged:
    return ObjectDamaged(
        "The copy {filename} is damaged: its archive cannot be decrypted, although its metadata can.",
        filename=copy.filename,
    )


# --- The metadata object ---------------------------------------------------------------------------------------------


def _as_json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"


def _encode(metadata: CopyMetadata) -> bytes:
    if metadata.sidecar is not None:
        return encode_sidecar(metadata.sidecar)
    return _as_json(
        {
            "copy": FORMAT,
            "version": _VERSION,
            "created_at": metadata.created_at.astimezone(UTC).isoformat(timespec="seconds"),
            "size": metadata.size,
            "checksum": metadata.checksum,
            "archive_size": metadata.archive_size,
            "sealed": metadata.sealed,
            "record": metadata.record,
        }
    )


def _decode(raw: bytes) -> CopyMetadata:
    try:
        value = json.loads(raw)
    except ValueError as problem:
        raise _not_metadata() from problem
    if not isinstance(value, dict) or "copy" not in value:
        sidecar = _decode_sidecar(raw)
        return CopyMetadata(
            sidecar.created_at, sidecar.compressed_size, sidecar.checksum, sidecar.compressed_size, sidecar
        )
    try:
        if value["copy"] != FORMAT or value["version"] != _VERSION:
            raise _not_metadata()
        return CopyMetadata(
            created_at=datetime.fromisoformat(value["created_at"]),
            size=int(value["size"]),
            checksum=str(value["checksum"]),
            archive_size=int(value["archive_size"]),
            sealed=str(value["sealed"]),
            record=str(value.get("record", "")),
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise _not_metadata() from problem


def _encode_record(sidecar: Sidecar, size: int, checksum: str) -> bytes:
    metadata = encode_sidecar(sidecar.with_changes(configuration="")).decode()
    return json.dumps({"size": size, "checksum": checksum, "metadata": metadata}).encode()


def read_record(content: bytes, metadata: CopyMetadata) -> Sidecar | None:
    """Return the metadata of the backup from the content of a record, or None if it is the record of another archive.

    Raises `ObjectDamaged` if a newer version of this program has made it.
    """
    record = json.loads(content)
    if (record["size"], record["checksum"]) != (metadata.size, metadata.checksum):
        return None
    return _decode_sidecar(record["metadata"].encode())


def _decode_sidecar(raw: bytes) -> Sidecar:
    try:
        return decode_sidecar(raw)
    except SidecarInvalid as problem:
        raise _not_metadata() from problem


def _not_metadata() -> ObjectDamaged:
    return ObjectDamaged("The metadata of a copy is damaged, or a newer version of this program has written it.")
