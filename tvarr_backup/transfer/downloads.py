"""Send a backup as one file, the archive with its metadata in the header, or a range of it over HTTP (RFC 9110)."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import IO

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import parse_etags

from tvarr_backup.backups.archive_header import HEADER_BYTES, add_metadata
from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.durable import open_regular
from tvarr_backup.backups.folder import explained
from tvarr_backup.backups.names import ArchiveFormat
from tvarr_backup.errors import BackupNotFound
from tvarr_backup.etags import require_match
from tvarr_backup.quoting import quoted
from tvarr_backup.transfer.connection import release_databases

ARCHIVE_TYPE = "application/gzip"
_BLOCK_BYTES = 2**16
# More digits than any size has, but fewer than Python refuses to convert.
_RANGE = re.compile(r"bytes=\s*([0-9]{1,1000})?-([0-9]{1,1000})?\s*", re.ASCII | re.IGNORECASE)


class RangeUnsatisfiable(Exception):
    """A range that begins after the end of the file; `content_range` is the header of the 416 response."""

    def __init__(self, size: int) -> None:
        super().__init__(f"Expected a range that begins within the {size} bytes of the file.")
        self.content_range = f"bytes */{size}"


def download(request: HttpRequest, folder: Path, backup: Backup) -> HttpResponseBase:
    """Return a response with the file or a range of it, which is sent even if the backup is deleted in the meantime.

    Its ETag changes with the metadata. Raises `BackupNotFound`, `BackupFolderUnusable`, `PreconditionFailed` for `If-Match`, or
    `RangeUnsatisfiable`.
    """
    file = _open(folder, backup)
    try:
        header = _build_header(file, backup)
        etag = f'"{hashlib.sha256(header + backup.sidecar.checksum.encode()).hexdigest()}"'
        require_match(request, etag, "The file has changed: its ETag is not the requested one.")
        headers = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "no-transform"}
        if _is_cached_by_client(request, etag):
            file.close()
            return HttpResponse(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        size = len(header) + os.fstat(file.fileno()).st_size - file.tell()
        requested = _requested_range(request, etag, size)
    except BaseException:
        file.close()
        raise
    first, last = requested or (0, size - 1)
    headers["Content-Length"] = str(last - first + 1)
    headers["Content-Disposition"] = f'attachment; filename="{backup.filename}"'
    status = HTTPStatus.OK
    if requested:
        status = HTTPStatus.PARTIAL_CONTENT
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    if request.method == "HEAD":
        file.close()
        return HttpResponse(status=status, headers=headers, content_type=ARCHIVE_TYPE)
    release_databases()
    return StreamingHttpResponse(
        _FilePart(header, file, first, last - first + 1), status=status, headers=headers, content_type=ARCHIVE_TYPE
    )


def _build_header(file: IO[bytes], backup: Backup) -> bytes:
    """Return the first bytes to send, and leave the file at the byte that follows them. tvarr's archives stay as they are."""
    if backup.name.format is ArchiveFormat.TAR:
        return b""
    return add_metadata(file.read(HEADER_BYTES), backup.sidecar)


class _FilePart:
    """Iterate over the blocks of a part of a header and the rest of a file. Closing this closes the file."""

    def __init__(self, header: bytes, file: IO[bytes], first: int, length: int) -> None:
        self._header = header[first : first + length]
        self._file = file
        self._first = file.tell() + max(0, first - len(header))
        self._length = length
        self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        if self._header:
            yield self._header
        self._file.seek(self._first)
        left = self._length - len(self._header)
        while left:
            block = self._file.read(min(_BLOCK_BYTES, left))
            if not block:
                raise OSError(f"{self._file.name} became shorter while it was being sent.")  # ends the connection
            left -= len(block)
            yield block


def _open(folder: Path, backup: Backup) -> IO[bytes]:
    with explained(folder):
        try:
            return open_regular(folder / backup.filename)
        except FileNotFoundError as gone:
            raise BackupNotFound("There is no backup {filename}.", filename=quoted(backup.filename)) from gone


def _is_cached_by_client(request: HttpRequest, etag: str) -> bool:
    header = request.headers.get("If-None-Match")
    return header is not None and bool({etag, f"W/{etag}", "*"} & set(parse_etags(header)))


def _requested_range(request: HttpRequest, etag: str, size: int) -> tuple[int, int] | None:
    """Return the first and last requested byte, or `None` for everything, as for the ranges that RFC 9110 lets us ignore."""
    match = _RANGE.fullmatch(request.headers.get("Range", ""))
    if match is None or request.method != "GET" or request.headers.get("If-Range", etag) != etag:
        return None
    first, last = (None if digits is None else int(digits) for digits in match.groups())
    if first is None and last is None:
        return None
    if first is None:
        first, last = max(0, size - (last or 0)), size - 1
    elif last is not None and last < first:
        return None
    if first >= size:
        raise RangeUnsatisfiable(size)
    return first, size - 1 if last is None else min(last, size - 1)
