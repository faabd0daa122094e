"""Send the archive of a backup or one range of it over HTTP (RFC 9110)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import IO

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import parse_etags

from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.durable import open_regular
from tvarr_backup.backups.folder import explained
from tvarr_backup.errors import BackupNotFound
from tvarr_backup.etags import require_match
from tvarr_backup.quoting import quoted
from tvarr_backup.transfer.connection import release_databases

ARCHIVE_TYPE = "application/gzip"
_BLOCK_BYTES = 2**16
# More digits than any size has, but fewer than Python refuses to convert.
_RANGE = re.compile(r"bytes=\s*([0-9]{1,1000})?-([0-9]{1,1000})?\s*", re.ASCII | re.IGNORECASE)


class RangeUnsatisfiable(Exception):
    """A range that begins after the end of the archive; `content_range` is the header of the 416 response."""

    def __init__(self, size: int) -> None:
        super().__init__(f"Expected a range that begins within the {size} bytes of the archive.")
        self.content_range = f"bytes */{size}"


def download(request: HttpRequest, folder: Path, backup: Backup) -> HttpResponseBase:
    """Return a response with the archive or a range of it, which is sent even if the backup is deleted in the meantime.

    Raises `BackupNotFound`, `BackupFolderUnusable`, `PreconditionFailed` for `If-Match`, or `RangeUnsatisfiable`.
    """
    etag = f'"{backup.sidecar.checksum}"'
    require_match(request, etag, "The archive has changed: its ETag is not the requested one.")
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "no-transform"}
    if _is_cached_by_client(request, etag):
        return HttpResponse(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    file = _open(folder, backup)
    size = os.fstat(file.fileno()).st_size
    try:
        requested = _requested_range(request, etag, size)
    except RangeUnsatisfiable:
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
        _FilePart(file, first, last - first + 1), status=status, headers=headers, content_type=ARCHIVE_TYPE
    )


class _FilePart:
    """Iterate over the blocks of a part of a file. Closing this closes the file."""

    def __init__(self, file: IO[bytes], first: int, length: int) -> None:
        self._file = file
        self._first = first
        self._length = length
        self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(self._first)
        left = self._length
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
