"""The archive of a backup: one gzip member with the database, made and measured in one pass and read without mercy.

isal packs, several times as fast as zlib, and zlib where there is no isal. zlib always unpacks: it refuses more than isal
does (reserved header flags), and what one library wrote is judged by another.
"""

from __future__ import annotations

import errno
import hashlib
import os
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Protocol, TypeVar

from tvarr_backup.errors import ArchiveDamaged, ArchiveTooLarge

_BLOCK_BYTES = 2**20
_CHUNK_BYTES = 2**18
_AHEAD = 2
_GZIP = 31  # zlib's wbits for a gzip wrapper with the largest window; its header has neither a time nor a name
Progress = Callable[[int], None]
"""Told after each block how many bytes of the source are done; may raise to cancel."""
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Deflate(Protocol):
    """One gzip member in the making, as zlib's `compressobj` is."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


@dataclass(frozen=True)
class Compressor:
    """A library that makes gzip; `start` begins a member."""

    name: str
    start: Callable[[], Deflate]


# What this installation has, the fastest first.
COMPRESSORS: tuple[Compressor, ...] = (Compressor("zlib", partial(zlib.compressobj, 1, wbits=_GZIP)),)
try:
    from isal import isal_zlib
except ImportError:  # isal is not built for every processor
    pass
else:
    # With its larger buffers the packing is no faster and no denser, but its memory goes to pieces over gigabytes.
    COMPRESSORS = (Compressor("isal", partial(isal_zlib.compressobj, 2, wbits=_GZIP, memLevel=3)), *COMPRESSORS)


@dataclass(frozen=True)
class Packed:
    """A database and its archive: sizes in bytes, checksums as `sha256:<hex>`."""

    database_size: int
    database_checksum: str
    archive_size: int
    archive_checksum: str


def pack(
    source: Path, target: IO[bytes] | int, *, progress: Progress | None = None, compressor: Compressor = COMPRESSORS[0]
) -> Packed:
    """Write the archive of the file `source` to an open file or descriptor, reading `source` once.

    The same content gives the same bytes with the same compressor. The caller's thread reads, one thread compresses,
    one writes; none is left when this returns or raises. All is written out of Python's buffers, but `fsync` is the
    caller's. Whatever fails (`OSError`) or `progress` raises is raised as it is; the target then holds half an archive.
    `source` must not be a live database: closing it would drop the locks that SQLite holds in this process.
    """
    database, archive = _Tally(), _Tally()
    write = partial(os.write, target) if isinstance(target, int) else target.write
    deflate = compressor.start()

    def compress(block: bytes) -> bytes:
        return deflate.compress(block) if block else deflate.flush()

    def deliver(data: bytes) -> None:
        archive.add(data)
        _write_all(write, data)

    with (
        source.open("rb") as file,
        closing(_in_thread(compress, _read(file, database, progress))) as compressed,
        closing(_in_thread(deliver, compressed)) as delivered,
    ):
        deque(delivered, maxlen=0)
    if not isinstance(target, int):
        target.flush()
    return _packed(database, archive)


def unpack(
    source: IO[bytes], write: Callable[[bytes], object], *, limit_bytes: int, progress: Progress | None = None
) -> Packed:
    """Give the database in an archive to `write`, block by block, in a few MiB of memory whatever it grows to.

    The caller's thread reads and unpacks, another writes; none is left when this returns or raises. `write` must take all that it is given, as a buffered file does. Raises `ArchiveDamaged` unless the source is exactly
    one gzip member from its first byte to its last, and `ArchiveTooLarge` instead of writing more than `limit_bytes`.
    What was written is worth nothing until this returns, and the caller compares its checksums with those recorded:
    gzip itself does not protect its header.
    """
    database, archive = _Tally(), _Tally()

    def deliver(block: bytes) -> None:
        database.add(block)
        write(block)

    blocks = _blocks(source, archive, limit_bytes, progress)
    with closing(_in_thread(deliver, blocks)) as delivered:
        deque(delivered, maxlen=0)
    return _packed(database, archive)


def _blocks(source: IO[bytes], archive: _Tally, limit_bytes: int, progress: Progress | None) -> Iterator[bytes]:
    """What the one member in an archive unpacks to."""
    inflate, size = zlib.decompressobj(_GZIP), 0
    while chunk := source.read(_CHUNK_BYTES):
        archive.add(chunk)
        while chunk:
            # At the limit one byte more is asked for, to see whether there is one; 0 would be no limit to zlib.
            room = max(1, min(_BLOCK_BYTES, limit_bytes - size))
            block = _inflated(inflate, chunk, room, archive.size)
            size += len(block)
            if size > limit_bytes:
                raise ArchiveTooLarge(f"The archive holds more than the {limit_bytes} bytes that are allowed.")
            yield block
            chunk = inflate.unconsumed_tail
            if progress is not None:
                progress(archive.size - len(chunk))
        if inflate.unused_data:
            end = archive.size - len(inflate.unused_data)
            raise ArchiveDamaged(f"The archive ends at byte {end}, but the file goes on.")
    if not archive.size:
        raise ArchiveDamaged("The archive is empty.")
    if not inflate.eof:
        raise ArchiveDamaged(f"The archive breaks off after {archive.size} bytes.")


def unpacked_start(start: bytes) -> bytes:
    """What the first bytes of an archive unpack to, about 1 MiB of it; as far as it goes where they are damaged."""
    inflate = zlib.decompressobj(_GZIP)
    try:
        return inflate.decompress(start, _BLOCK_BYTES + _CHUNK_BYTES)
    except zlib.error:
        return b""


class _Tally:
    """Size and checksum of what passes."""

    def __init__(self) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()

    def add(self, data: bytes) -> None:
        self.size += len(data)
        self._sha256.update(data)

    @property
    def checksum(self) -> str:
        return f"sha256:{self._sha256.hexdigest()}"


def _packed(database: _Tally, archive: _Tally) -> Packed:
    return Packed(database.size, database.checksum, archive.size, archive.checksum)


def _read(file: IO[bytes], tally: _Tally, progress: Progress | None) -> Iterator[bytes]:
    """The blocks of a file, and an empty one at its end."""
    while block := file.read(_BLOCK_BYTES):
        tally.add(block)
        yield block
        if progress is not None:
            progress(tally.size)
    yield b""


def _in_thread(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Generator[_Result]:
    """`map` in a thread of its own, in order and a few items ahead; closing it ends the thread.

    Nobody waits for a queue that another has left: the thread does no more than what was handed to it, and its failure
    is raised here, at the item's turn.
    """
    ahead: deque[Future[_Result]] = deque()
    thread = ThreadPoolExecutor(1, thread_name_prefix="archive")
    try:
        for item in items:
            ahead.append(thread.submit(work, item))
            if len(ahead) > _AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        thread.shutdown(cancel_futures=True)


def _write_all(write: Callable[[memoryview], int | None], data: bytes) -> None:
    """Write to a file that may take a part at a time, as descriptors and unbuffered files do."""
    rest = memoryview(data)
    while rest:
        taken = write(rest)
        if not taken:
            raise BlockingIOError(errno.EAGAIN, "The target of the archive takes no bytes")
        rest = rest[taken:]


# The type's name exists for type checkers only.
def _inflated(inflate: zlib._Decompress, chunk: bytes, room: int, end: int) -> bytes:
    """At most `room` bytes out of a chunk that ends at byte `end` of the archive."""
    try:
        return inflate.decompress(chunk, room)
    except zlib.error as problem:
        reason = str(problem).rpartition(": ")[2]
        raise ArchiveDamaged(f"The archive is damaged in its bytes {end - len(chunk)} to {end}: {reason}.") from problem
