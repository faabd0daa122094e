"""Locations for tests: the address, and a look behind the store."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from tvarr_backup.locations.addresses import Address, LocationKind
from tvarr_backup.locations.stores import Source, Store, open_store

SOURCE_BYTES = 9_000_000


class Place(ABC):
    """A location of its own. `missing` is the address of one whose path does not exist."""

    address: Address
    missing: Address

    def open(self) -> Store:
        return open_store(self.address)

    @abstractmethod
    def names(self) -> set[str]:
        """Return the paths of everything that another program sees there, except folders."""

    @abstractmethod
    def put(self, name: str, content: bytes) -> None:
        """Do what another program does."""

    @abstractmethod
    def put_odd_names(self) -> None:
        """Put objects and folders into the location and into `mine`, whose names no program that means well chooses."""

    @property
    def port(self) -> int:
        """The port of its server."""
        options = self.address.options
        return int(options.get("port") or urlsplit(options.get("endpoint") or options["url"]).port or 0)

    def through(self, port: int) -> Address:
        """Return the address of the same place behind another port, such as that of a proxy."""
        if self.address.kind is LocationKind.SFTP:
            return self.address.with_options(port=str(port))
        name = "endpoint" if self.address.kind is LocationKind.S3 else "url"
        url = urlsplit(self.address.options[name])
        return self.address.with_options(**{name: url._replace(netloc=f"127.0.0.1:{port}").geturl()})

    def with_objects(self, number: int) -> Address:
        """Return the address of a location with so many objects in `mine`, from `0.age` on."""
        for each in range(number):
            self.put(f"mine/{each}.age", b"1")
        return self.address


class FolderPlace(Place):
    """A location that is a folder of this machine in the end."""

    def __init__(self, address: Address, missing: Address, root: Path) -> None:
        self.address, self.missing, self.root = address, missing, root

    def names(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if not path.is_dir()}

    def put(self, name: str, content: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def put_odd_names(self) -> None:
        for folder in (self.root, self.root / "mine"):
            for name in _ODD_NAMES:
                (folder / name).write_bytes(b"of another program")
                (folder / f"folder {name}").mkdir()
            if self.address.kind is not LocationKind.WEBDAV:  # wsgidav answers 500 then
                for raw in (b"caf\xe9.age", b"\xff"):
                    Path(os.fsdecode(os.fsencode(folder) + b"/" + raw)).write_bytes(b"of another program")


_ODD_NAMES = ("a\nb.age", "a\tb", "a\x01b", "a\x7fb", "a\\b", " a ", "a.", "...", "\u202eb.age", "%2e%2e", "a%2Fb")


class ZerosSource(Source):
    """Many bytes, of which none are in memory before they are read; `missing` bytes fewer than it says.

    `starts` are the places at which it was opened.
    """

    def __init__(self, size: int, tag: str = "", byte: bytes = b"\0", missing: int = 0) -> None:
        self.size, self.tag, self._byte, self._missing = size, tag, byte, missing
        self.starts: list[int] = []

    @contextmanager
    def open(self, start: int = 0) -> Iterator[BinaryIO]:
        self.starts.append(start)
        yield _Repeated(self._byte, self.size - start - self._missing)  # type: ignore[misc]


class _Repeated:
    def __init__(self, byte: bytes, size: int) -> None:
        self._byte, self._left = byte, size

    def read(self, size: int) -> bytes:
        size = min(size, self._left)
        self._left -= size
        return self._byte * size
