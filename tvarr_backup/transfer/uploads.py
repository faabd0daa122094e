"""Receive an uploaded backup directly into the backup folder, within limits, and only if it is complete."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest, QueryDict
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.utils.http import parse_header_parameters

from tvarr_backup.backups import sidecar
from tvarr_backup.backups.durable import create_private
from tvarr_backup.backups.folder import receive_in
from tvarr_backup.backups.room import require_room
from tvarr_backup.backups.source import WAL_ENDING
from tvarr_backup.errors import BackupBusy, LengthRequired, UploadIncomplete, UploadTooLarge
from tvarr_backup.formatting import format_size
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.models import Operation
from tvarr_backup.operations.run import run_here
from tvarr_backup.transfer.connection import release_databases

MEDIA_TYPE = "multipart/form-data"
_FILE, _META, _WAL = "file", "meta", "wal"
_NAMES = {_FILE: "file", _META: "meta", _WAL: f"file{WAL_ENDING}"}
"""The fields that are files, and their names on disk, where SQLite's journal must be next to its database."""
_FORM_BYTES = 2**21
"""Limit for the rest of the form: the metadata file, other fields, and the lines between them."""
_BLOCK_BYTES = 2**20
_BYTES_BETWEEN_ROOM_CHECKS = 2**26
_LONGEST_NAME = 80
_END_BYTES = 256
"""More than the longest line that ends a form."""
_FIRST_FIELD_BYTES = 2**10
_DISCARD_SECONDS = 20.0

# If another operation is running, a complete upload waits as long as sending it took, within these limits.
_LEAST_PATIENCE_SECONDS = 5.0
_MOST_PATIENCE_SECONDS = 600.0
_SECONDS_BETWEEN_ATTEMPTS = 0.5


class FormUnreadable(Exception):
    """A form that is not valid `multipart/form-data`; the message says why."""


class FieldRefused(Exception):
    """An invalid file or field of the form; `code` is machine-readable."""

    def __init__(self, name: str, message: str, code: str) -> None:
        super().__init__(message)
        self.name = name[:_LONGEST_NAME]
        self.code = code


@dataclass(frozen=True)
class Upload:
    """A complete form: its fields and files. `filename` is the sender's name for the backup."""

    fields: Mapping[str, str]
    path: Path
    filename: str
    meta: Path | None
    seconds: float
    """How long receiving took."""


@contextlib.contextmanager
def receive(request: HttpRequest, actor: Actor, body: Body | None = None) -> Iterator[Upload]:
    """Receive a form with a backup in `file`, optional metadata in `meta` and an optional journal in `wal`.

    The files are removed at the end. `body` is needed if a part of the request has been read. Raises what
    `actions.prepare_upload` raises, `LengthRequired`, `UploadTooLarge`, `NoRoom`, `UploadIncomplete`, `FormUnreadable`,
    `FieldRefused`, and Django's `RequestDataTooBig`.
    """
    folder = actions.prepare_upload(actor)
    length = _checked_length(request)
    require_room(folder, length or 0, "The upload")
    release_databases()
    began = time.monotonic()
    with receive_in(folder) as place:
        fields, filenames = _read_form(request, body or Body(request), length, place)
        _require_complete(fields, filenames)
        texts = {name: str(value) for name, value in fields.items()}
        meta = place / _NAMES[_META] if _META in filenames else None
        yield Upload(texts, place / _NAMES[_FILE], filenames[_FILE], meta, time.monotonic() - began)


def add_upload(
    upload: Upload,
    actor: Actor,
    *,
    note: str,
    accept_broken_references: bool,
    accept_code: bool | Collection[str],
    on_begin: Callable[[Operation], object] = lambda _operation: None,
) -> Operation:
    """Make a backup of an upload, after any running operation. Raises what the operation raised, or `OperationRunning`."""
    give_up_at = time.monotonic() + min(max(upload.seconds, _LEAST_PATIENCE_SECONDS), _MOST_PATIENCE_SECONDS)
    while True:
        try:
            return actions.add_backup(
                actor,
                upload.path,
                filename=upload.filename,
                sidecar=upload.meta,
                note=note,
                accept_broken_references=accept_broken_references,
                accept_code=accept_code,
                start=partial(run_here, on_begin=on_begin),
            )
        except BackupBusy:
            if time.monotonic() > give_up_at:
                raise
        time.sleep(_SECONDS_BETWEEN_ATTEMPTS)


def _checked_length(request: HttpRequest) -> int | None:
    """Return the length of the body, or None if it is chunked. Raises for errors that are known before it is read."""
    if request.content_type != MEDIA_TYPE:
        raise FormUnreadable(f"Expected a form of the type {MEDIA_TYPE}.")
    if is_chunked(request):
        return None
    try:
        length = int(request.META["CONTENT_LENGTH"])
    except (KeyError, ValueError):
        raise LengthRequired("Expected a request with a Content-Length.") from None
    if length > settings.UPLOAD_BYTES + _FORM_BYTES:
        raise _too_large("The upload", settings.UPLOAD_BYTES)
    return length


def _read_form(
    request: HttpRequest, body: Body, length: int | None, place: Path
) -> tuple[QueryDict, Mapping[str, str]]:
    """Read the form and write its files into `place`. Return its fields and the senders' names for the files."""
    files = _Files(place)
    headers = {**request.META, "CONTENT_LENGTH": str(settings.UPLOAD_BYTES)} if length is None else request.META
    try:
        fields, _ = MultiPartParser(headers, body, [files], "utf-8").parse()  # type: ignore[arg-type]  # it has `read`
    except RequestDataTooBig:
        raise
    except (MultiPartParserError, SuspiciousOperation) as problem:
        raise FormUnreadable(f"The form cannot be read as {MEDIA_TYPE}.") from problem
    finally:
        files.close()
    if length is not None and body.read_bytes < length:
        raise UploadIncomplete(
            "The upload was cut off after {read} of {length} bytes. Nothing was saved. Upload the file again.",
            read=body.read_bytes,
            length=length,
        )
    _, parameters = parse_header_parameters(request.META["CONTENT_TYPE"])
    if not body.ends_with(parameters["boundary"]):
        raise FormUnreadable(f"The form cannot be read as {MEDIA_TYPE}: its end is missing.")
    return fields, files.filenames


def _require_complete(fields: QueryDict, filenames: Mapping[str, str]) -> None:
    if _FILE not in filenames:
        message = "Expected a file with a file name, got a text." if _FILE in fields else "The file is missing."
        raise FieldRefused(_FILE, message, "required")
    for name, values in fields.lists():
        if len(values) > 1:
            raise FieldRefused(name, _REPEATED, "repeated")


_REPEATED = "Expected this field once, got it more than once."


def is_chunked(request: HttpRequest) -> bool:
    """Return whether the body has no length, because it is chunked and longer than a form (`config.handler`)."""
    return "HTTP_TRANSFER_ENCODING" in request.META


class Body:
    """The body of a request. Keeps its last bytes, because Django's parser accepts forms without an end."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._start = b""
        self._end = b""
        self.read_bytes = 0

    def first_field(self, name: str) -> str:
        """Return the text of the form's first field if it has this name, else "". `read` returns it again."""
        release_databases()
        self._start = self._read(_FIRST_FIELD_BYTES)
        field = rb'--[^\r\n]+\r\nContent-Disposition: form-data; name="%s"\r\n\r\n([^\r\n]*)\r\n--' % name.encode()
        found = re.match(field, self._start, re.IGNORECASE)
        return found[1].decode(errors="replace") if found else ""

    def read(self, size: int) -> bytes:
        data, self._start = self._start[:size], self._start[size:]
        if not data:
            data = self._read(size)
        self.read_bytes += len(data)
        self._end = (self._end + data[-_END_BYTES:])[-_END_BYTES:]
        return data

    def discard_rest(self) -> None:
        """Read the rest for a few seconds at most, because a browser reads the response only after sending everything."""
        deadline = time.monotonic() + _DISCARD_SECONDS
        with contextlib.suppress(UploadIncomplete):
            while time.monotonic() < deadline and self.read(_BLOCK_BYTES):
                pass

    def ends_with(self, boundary: str) -> bool:
        """Return whether the body ends with the last line of the form."""
        return f"\r\n--{boundary}--".encode() in b"\r\n" + self._end

    def _read(self, size: int) -> bytes:
        try:
            chunks = self._request.META["wsgi.input"] if is_chunked(self._request) else self._request
            data: bytes = chunks.read(size)
        except OSError as problem:
            raise UploadIncomplete(
                "The upload was cut off after {read} bytes. Nothing was saved. Upload the file again.",
                read=self.read_bytes,
            ) from problem
        return data


class _Files(FileUploadHandler):
    """Write the files of the form to the disk as they arrive."""

    chunk_size = _BLOCK_BYTES

    def __init__(self, place: Path) -> None:
        super().__init__()
        self._place = place
        self._limits = {_FILE: settings.UPLOAD_BYTES, _META: sidecar.MAX_BYTES, _WAL: settings.UPLOAD_BYTES}
        self._file: IO[bytes] | None = None
        self._room_checked_at = 0
        self.filenames: dict[str, str] = {}

    def new_file(self, field_name: str, file_name: str, *args: Any, **kwargs: Any) -> None:
        super().new_file(field_name, file_name, *args, **kwargs)
        if field_name not in self._limits:
            expected = ", ".join(f'"{name}"' for name in _NAMES)
            raise FieldRefused(field_name, f"Expected a file in one of the fields {expected}.", "unknown_member")
        if field_name in self.filenames:
            raise FieldRefused(field_name, _REPEATED, "repeated")
        self.close()
        self._file = os.fdopen(create_private(self._place / _NAMES[field_name]), "wb")
        self._room_checked_at = 0
        self.filenames[field_name] = file_name[:_LONGEST_NAME]

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        limit = self._limits[str(self.field_name)]
        if start + len(raw_data) > limit:
            raise _too_large(f'The file in "{self.field_name}"', limit)
        if start - self._room_checked_at >= _BYTES_BETWEEN_ROOM_CHECKS:
            require_room(self._place, 0, "The upload")
            self._room_checked_at = start
        assert self._file is not None
        self._file.write(raw_data)

    def file_complete(self, file_size: int) -> None:  # noqa: ARG002  # the framework's signature
        self.close()

    def close(self) -> None:
        """Close the file that is open, if any."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _too_large(what: str, limit: int) -> UploadTooLarge:
    return UploadTooLarge(
        "{what} is larger than the limit of {limit}. Nothing was saved. The setting TVARR_BACKUP_UPLOAD_LIMIT changes the limit.",
        what=what,
        limit=format_size(limit),
    )
