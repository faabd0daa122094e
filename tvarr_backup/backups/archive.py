"""Pack and unpack archives: a database as one gzip member. Uploads may be any valid gzip.

isal packs several times as fast as zlib, where it is installed. zlib always unpacks: it is stricter (reserved header
flags), and each archive is checked by a library that did not write it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

from tvarr_backup.errors import ArchiveDamaged, ArchiveTooLarge
from tvarr_backup.file_types import GZIP

_BLOCK_BYTES = 2**20
_CHUNK_BYTES = 2**18
_SLICE_BYTES = 2**14
"""For archives of several members: zlib copies the rest of a slice at the end of each member."""
_AHEAD = 2
_MEMBERS_OF_START = 64
_GZIP = 31  # zlib's wbits for a gzip wrapper with the largest window; its header has neither a time nor a name
ByteProgress = Callable[[int], None]
"""Called after each block with the bytes of the source done so far; may raise to cancel."""
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


# The installed compressors, fastest first. Each creates an object like that of `zlib.compressobj`.
COMPRESSORS: dict[str, Callable[[], Any]] = {"zlib": partial(zlib.compressobj, 1, wbits=_GZIP)}
try:
    from isal import isal_zlib
except ImportError:  # isal does not exist for every processor
    pass
else:
    # Larger buffers make packing neither faster nor denser, and fragment memory over gigabytes.
    COMPRESSORS = {"isal": partial(isal_zlib.compressobj, 2, wbits=_GZIP, memLevel=3), **COMPRESSORS}


@dataclass(frozen=True)
class Packed:
    """A database and its archive: sizes in bytes, checksums as `sha256:<hex>`."""

    database_size: int
    database_checksum: str
    archive_size: int
    archive_checksum: str


def pack(
    source: Path, target: IO[bytes] | int, *, progress: ByteProgress | None = None, compressor: str = ""
) -> Packed:
    """Write the archive of the file `source` to an open file or descriptor, which the caller syncs.

    The same content gives the same bytes with the same compressor. `source` must not be a live database, because closing it
    would drop SQLite's locks in this process. Raises `OSError` or what `progress` raises; the archive is incomplete then.
    """
    database, archive = _Tally(), _Tally()
    write = partial(os.write, target) if isinstance(target, int) else target.write
    deflate = COMPRESSORS[compressor or next(iter(COMPRESSORS))]()

    def compress(block: bytes) -> bytes:
        data: bytes = deflate.compress(block) if block else deflate.flush()
        return data

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


class Members(StrEnum):
    """The gzip members that an archive may consist of."""

    ONE = "one"
    """Exactly one gzip member from the first byte to the last: every archive of ours."""
    ANY = "any"
    """Any number of members, and zeros at the end, as the gzip format allows."""


class Readable(Protocol):
    """A source of bytes, such as a file."""

    def read(self, size: int, /) -> bytes: ...
    def fileno(self) -> int: ...


def unpack(
    source: Readable,
    write: Callable[[bytes], object],
    *,
    limit_bytes: int,
    members: Members = Members.ONE,
    progress: ByteProgress | None = None,
) -> Packed:
    """Pass the database in an archive to `write`, block by block, in a few MiB of memory.

    `write` is called in another thread and must write whole blocks, as a buffered file does. Raises `ArchiveDamaged` unless the
    whole source is what `members` allows, and `ArchiveTooLarge` before more than `limit_bytes` are written. The caller
    compares the checksums with the recorded ones, because gzip does not protect its header.
    """
    database, archive = _Tally(), _Tally()

    def deliver(block: bytes) -> None:
        database.add(block)
        write(block)

    blocks = _blocks(source, archive, limit_bytes, members, progress)
    with closing(_in_thread(deliver, blocks)) as delivered:
        deque(delivered, maxlen=0)
    return _packed(database, archive)


def _blocks(
    source: Readable, archive: _Tally, limit_bytes: int, members: Members, progress: ByteProgress | None
) -> Iterator[bytes]:
    """Yield the unpacked content of an archive."""
    read_bytes = _CHUNK_BYTES if members is Members.ONE else _SLICE_BYTES
    inflate, size, rest = zlib.decompressobj(_GZIP), 0, b""
    while data := rest or source.read(read_bytes):
        if not rest:
            archive.add(data)
        if inflate.eof:
            if members is Members.ONE:
                end = archive.size - len(data)
                raise ArchiveDamaged("The archive ends at byte {end}, but more data follows.", end=end)
            data = _next_member(source, archive, data)
            if not data:
                return
            inflate = zlib.decompressobj(_GZIP)
        # At the limit, ask for one more byte to see whether there is one: 0 means no limit to zlib.
        block = _inflated(inflate, data, max(1, min(_BLOCK_BYTES, limit_bytes - size)), archive.size)
        size += len(block)
        if size > limit_bytes:
            raise ArchiveTooLarge(
                "The archive unpacks to more than the expected {limit_bytes} bytes.", limit_bytes=limit_bytes
            )
        if block:
            yield block
        rest = inflate.unconsumed_tail or inflate.unused_data
        if progress is not None:
            progress(archive.size - len(rest))
    if not archive.size:
        raise ArchiveDamaged("The archive is empty.")
    if not inflate.eof:
        raise ArchiveDamaged("The archive is cut off after {size} bytes.", size=archive.size)


def _next_member(source: Readable, archive: _Tally, data: bytes) -> bytes:
    """Return the first bytes of the next member, or nothing if only zeros follow to the end of the file."""
    end = archive.size - len(data)
    while not data.strip(b"\0"):
        data = source.read(_CHUNK_BYTES)
        archive.add(data)
        if not data:
            return b""
    if end + len(data) == archive.size and GZIP.startswith(data[:2]):
        return data
    raise ArchiveDamaged(
        "The gzip data ends at byte {end}, and other data follows. Copy the file from its source again.",
        end=end,
    )


def unpacked_start(start: bytes) -> bytes:
    """Unpack the first bytes of an archive to about 1 MiB, or less if they are damaged."""
    unpacked = b""
    with contextlib.suppress(zlib.error):
        for _ in range(_MEMBERS_OF_START):
            if not start.startswith(GZIP) or len(unpacked) >= _BLOCK_BYTES:
                break
            inflate = zlib.decompressobj(_GZIP)
            unpacked += inflate.decompress(start, _BLOCK_BYTES + _CHUNK_BYTES - len(unpacked))
            start = inflate.unused_data
    return unpacked


class _Tally:
    """Running size and checksum of a stream."""

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


def _read(file: IO[bytes], tally: _Tally, progress: ByteProgress | None) -> Iterator[bytes]:
    """Yield the blocks of a file, and an empty one at its end."""
    while block := file.read(_BLOCK_BYTES):
        tally.add(block)
        yield block
        if progress is not None:
            progress(tally.size)
    yield b""


def _in_thread(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Generator[_Result]:
    """Map `work` over items in another thread, in order and a few items ahead. Closing the generator ends the thread."""
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
    """Write all data to a file that may accept only a part at a time, such as a descriptor or an unbuffered file."""
    rest = memoryview(data)
    while rest:
        written = write(rest)
        if not written:
            raise BlockingIOError(errno.EAGAIN, "The target of the archive accepts no data")
        rest = rest[written:]


# `zlib._Decompress` exists for type checkers only.
def _inflated(inflate: zlib._Decompress, chunk: bytes, room: int, end: int) -> bytes:
    """Unpack at most `room` bytes of a chunk that ends at byte `end` of the archive."""
    try:
        return inflate.decompress(chunk, room)
    except zlib.error as problem:
        reason = str(problem).rpartition(": ")[2]  # zlib gives no code, only this text
        raise ArchiveDamaged(
            "The archive is damaged between byte {first} and byte {last}: {reason}.",
            first=end - len(chunk),
            last=end,
            reason=reason,
        ) from problem
