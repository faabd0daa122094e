"""What a location can do, whatever its kind: list, read, write and delete objects."""

from __future__ import annotations

import importlib
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from tvarr_backup.errors import LocationUnsupported
from tvarr_backup.locations.addresses import Address, LocationKind

TIMEOUT_SECONDS = 30
"""How long a connection may be silent."""
CHUNK = 2**20
"""Bytes that are read or written in one step."""
PART_ENDING = ".part"
"""The end of the name of an unfinished object, which no listing contains."""

Report = Callable[[int], None]
"""Called with the bytes that were transferred so far, in the thread of the caller and outside of event loops. What it raises ends
the transfer.
"""


def no_report(_done: int) -> None:
    pass


@dataclass(frozen=True)
class Entry:
    """An object in a listing. `name` is its last name, `size` is in bytes."""

    name: str
    size: int


class Source(ABC):
    """Bytes to write. `size` is their number. If `tag` is not empty, equal tags mean equal bytes, so a write can be resumed."""

    size: int
    tag: str = ""

    @abstractmethod
    def open(self, start: int = 0) -> AbstractContextManager[BinaryIO]:
        """Open the bytes from `start`, which is 0 without a tag."""


@dataclass(frozen=True)
class BytesSource(Source):
    """A few bytes from memory."""

    content: bytes
    size: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", len(self.content))

    @contextmanager
    def open(self, start: int = 0) -> Iterator[BinaryIO]:
        yield io.BytesIO(self.content[start:])


@dataclass(frozen=True)
class FileSource(Source):
    """A file that does not change, such as a published archive."""

    path: Path
    size: int
    tag: str = ""

    @contextmanager
    def open(self, start: int = 0) -> Iterator[BinaryIO]:
        with self.path.open("rb") as file:
            file.seek(start)
            yield file


class Store(ABC):
    """An open location. Names are `folder/name`, below the path or prefix of the address.

    All methods block, for at most `TIMEOUT_SECONDS` without an answer. They raise `LocationUnreachable` (no connection, or
    it was cut), `LocationDenied` (credentials or permissions), `LocationFull`, `LocationReadOnly`, `LocationUntrusted` (host
    key or certificate), `LocationRedirected`, and `LocationFailed` for any other answer. Not thread-safe.
    """

    @abstractmethod
    def list_folders(self) -> list[str]:
        """Return the names of the folders directly below the address. Raises `ObjectMissing` if its path does not exist."""

    @abstractmethod
    def list_objects(self, folder: str) -> list[Entry]:
        """Return the complete objects directly in a folder, all of them, in any order; none if the folder does not exist.

        Raises `ObjectMissing` if the path of the address does not exist, so that a missing disk is not an empty location.
        """

    @abstractmethod
    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        """Return the bytes of an object from `start`, in pieces. Raises `ObjectMissing`."""

    @abstractmethod
    def write(self, name: str, source: Source, *, replace: bool = False, report: Report = no_report) -> None:
        """Write an object, durably, and create its folder. It appears whole or not at all.

        Raises `ObjectExists` if it exists and `replace` is false, and whatever `report` raises. An unfinished write is
        resumed by a later one with the same tag if the protocol allows it.
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete an object, durably; nothing happens if it does not exist."""

    @abstractmethod
    def delete_unfinished(self, folder: str) -> None:
        """Delete what unfinished writes have left in a folder."""

    @abstractmethod
    def close(self) -> None:
        """Close connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


_STORES: Mapping[LocationKind, tuple[str, str]] = {
    LocationKind.FOLDER: ("folder_store", "FolderStore"),
    LocationKind.S3: ("s3_store", "S3Store"),
    LocationKind.SFTP: ("sftp_store", "SFTPStore"),
    LocationKind.WEBDAV: ("webdav_store", "WebDAVStore"),
}


def open_store(address: Address) -> Store:
    """Open a location. Its library is imported here, and only here.

    Raises `LocationUnsupported` if the library is not installed, and what `Store` raises.
    """
    module, name = _STORES[address.kind]
    try:
        found = importlib.import_module(f"tvarr_backup.locations.{module}")
    except ModuleNotFoundError as problem:
        raise LocationUnsupported(
            'The library for {kind} ("{library}") is not installed. Install tvarr-backup[locations].',
            kind=address.kind.label,
            library=problem.name,
        ) from problem
    store: Store = getattr(found, name)(address)
    return store
