"""Metadata in the gzip header of an archive (the extra field of RFC 1952), so that a download is one file with everything.

Stored archives do not have it. Other programs skip it. Without it, the archive is the stored one byte for byte, so the
checksum in the metadata applies to that.
"""

from __future__ import annotations

import io
from typing import IO

from tvarr_backup.backups.sidecar import Sidecar, encode_embedded
from tvarr_backup.errors import SidecarInvalid
from tvarr_backup.file_types import GZIP

HEADER_BYTES = 10
_FLAGS = 3
_HAS_CHECKSUM, _HAS_EXTRA = 2, 4
_ID = b"tb"
_START_BYTES = len(_ID) + 2
MOST_BYTES = 2**16 - 1 - _START_BYTES
"""The largest metadata that fits: both lengths in the header have 16 bits."""


def add_metadata(start: bytes, sidecar: Sidecar) -> bytes:
    """Return the header that replaces the first `HEADER_BYTES` of an archive, with the metadata.

    A header with an extra field or a checksum, which only other programs write, is returned unchanged.
    """
    if not _is_header(start) or start[_FLAGS] & (_HAS_CHECKSUM | _HAS_EXTRA):
        return start
    metadata = encode_embedded(sidecar, MOST_BYTES)
    field = _ID + _length(metadata) + metadata
    return start[:_FLAGS] + bytes([start[_FLAGS] | _HAS_EXTRA]) + start[_FLAGS + 1 :] + _length(field) + field


def split_metadata(file: IO[bytes]) -> tuple[Archive, bytes | None]:
    """Return the archive without the metadata in its header, and the metadata, or `None` if it has none of ours.

    Reads from the start of the file, and at most 64 KiB. Raises `SidecarInvalid` if the metadata has another length than the
    header says.
    """
    start = file.read(HEADER_BYTES)
    if _is_header(start) and start[_FLAGS] & (_HAS_CHECKSUM | _HAS_EXTRA) == _HAS_EXTRA:
        length = int.from_bytes(file.read(2), "little")
        field = file.read(length)
        if len(field) == length and field.startswith(_ID):
            metadata = field[_START_BYTES:]
            if field[len(_ID) : _START_BYTES] != _length(metadata):
                raise SidecarInvalid("it has another length than the header says.")
            header = start[:_FLAGS] + bytes([start[_FLAGS] & ~_HAS_EXTRA]) + start[_FLAGS + 1 :]
            return Archive(file, header), metadata
    file.seek(0)
    return Archive(file, b""), None


class Archive:
    """A file that is read from its present position, after other first bytes."""

    def __init__(self, file: IO[bytes], start: bytes) -> None:
        self._file = file
        self._begin = file.tell()
        self._content = io.BytesIO(start)
        self.fileno = file.fileno

    def read(self, size: int, /) -> bytes:
        data = self._content.read(size)
        return data + self._file.read(size - len(data))

    def rewind(self) -> None:
        """Read from the first byte again."""
        self._content.seek(0)
        self._file.seek(self._begin)


def _is_header(start: bytes) -> bool:
    return len(start) == HEADER_BYTES and start.startswith(GZIP)


def _length(data: bytes) -> bytes:
    return len(data).to_bytes(2, "little")
