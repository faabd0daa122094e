"""Receive an uploaded backup: from the connection straight into the backup folder, within limits, and only whole."""

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
from django.http import HttpRequest, QueryDict, UnreadablePostError
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
"""The fields that are files, and their names on disk: SQLite's journal must be next to its database."""
_FORM_BYTES = 2**21
"""What a form may have besides the file: the metadata file, other fields, and the lines between them."""
_BLOCK_BYTES = 2**20
_ROOM_ASKED_EVERY_BYTES = 2**26
_MOST_OF_NAME = 80
_END_BYTES = 256
"""More than the longest line that ends a form."""
_FIRST_FIELD_BYTES = 2**10
_DISCARDED_FOR_SECONDS = 20.0

# When another operation runs, a complete upload waits as long as it took, within these limits, so that hours of sending
# are not in vain.
_LEAST_PATIENCE_SECONDS = 5.0
_MOST_PATIENCE_SECONDS = 600.0
_SECONDS_BETWEEN_ATTEMPTS = 0.5


class FormUnreadable(Exception):
    """A form that is not valid `multipart/form-data`; the message says why."""


class FieldRefused(Exception):
    """An invalid file or field of the form; `code` is machine-readable."""

    def __init__(self, name: str, message: str, code: str) -> None:
        super().__init__(message)
        self.name = name[:_MOST_OF_NAME]
        self.code = code


@dataclass(frozen=True)
class Upload:
    """A complete form: its fields, each given once, and its files; `filename` is the sender's name for the backup."""

    fields: Mapping[str, str]
    path: Path
    filename: str
    meta: Path | None
    seconds: float
    """How long receiving took."""


@contextlib.contextmanager
def receive(request: HttpRequest, actor: Actor, body: Body | None = None) -> Iterator[Upload]:
    """Receive a form with a backup in `file`, and perhaps its metadata in `meta` and its journal in `wal`; remove it at the end.

    `body` is given where a part of the request has been read. Raises what `actions.prepare_upload` raises,
    `LengthRequired`, `UploadTooLarge`, `NoRoom`, `UploadIncomplete`, `FormUnreadable`, `FieldRefused`, and Django's
    `RequestDataTooBig`.
    """
    folder = actions.prepare_upload(actor)
    length = _checked_length(request)
    require_room(folder, length, "The upload")
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
    """Make a backup of an upload with `actions.add_backup`, and return the operation. Wait while another one runs.

    `on_begin` is called with each operation as it begins. Raises what ended it, or `OperationRunning` after the wait.
    """
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


def _checked_length(request: HttpRequest) -> int:
    """Return the length of the body. Raises what is known before any of it is read."""
    if request.content_type != MEDIA_TYPE:
        raise FormUnreadable(f"The form is not sent as {MEDIA_TYPE}.")
    try:
        length = int(request.META["CONTENT_LENGTH"])
    except (KeyError, ValueError):
        raise LengthRequired("The request must say how long it is (Content-Length); chunks are not taken.") from None
    if length > settings.UPLOAD_BYTES + _FORM_BYTES:
        raise _too_large("The upload", settings.UPLOAD_BYTES)
    return length


def _read_form(request: HttpRequest, body: Body, length: int, place: Path) -> tuple[QueryDict, Mapping[str, str]]:
    """Read the fields of the form and the names of its files, which are written into `place`."""
    files = _Files(place)
    try:
        fields, _ = MultiPartParser(request.META, body, [files], "utf-8").parse()  # type: ignore[arg-type]  # it has `read`
    except RequestDataTooBig:
        raise
    except (MultiPartParserError, SuspiciousOperation) as problem:
        raise FormUnreadable(f"The form cannot be read as {MEDIA_TYPE}.") from problem
    finally:
        files.close()
    if body.read_bytes < length:
        raise UploadIncomplete(f"The upload broke off: {body.read_bytes} of {length} bytes came.")
    _, parameters = parse_header_parameters(request.META["CONTENT_TYPE"])
    if not body.ends_with(parameters["boundary"]):
        raise FormUnreadable(f"The form cannot be read as {MEDIA_TYPE}: it has no end.")
    return fields, files.filenames


def _require_complete(fields: QueryDict, filenames: Mapping[str, str]) -> None:
    if _FILE not in filenames:
        message = "Allowed is a file, with a file name." if _FILE in fields else "The file is missing."
        raise FieldRefused(_FILE, message, "required")
    for name, values in fields.lists():
        if len(values) > 1:
            raise FieldRefused(name, "It is given more than once; allowed is once.", "repeated")


class Body:
    """The body of the request. It counts bytes and keeps the last ones, because the parser accepts forms without an end."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._start = b""
        self._end = b""
        self.read_bytes = 0

    def first_field(self, name: str) -> str:
        """Return the text of the form's first field if it has this name, else "". It can still be read afterwards."""
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
        """Read the rest for some seconds at most, because a browser reads the answer only after it has sent everything."""
        deadline = time.monotonic() + _DISCARDED_FOR_SECONDS
        with contextlib.suppress(UploadIncomplete):
            while time.monotonic() < deadline and self.read(_BLOCK_BYTES):
                pass

    def ends_with(self, boundary: str) -> bool:
        """Whether the body ends with the line that ends the form."""
        return f"\r\n--{boundary}--".encode() in b"\r\n" + self._end

    def _read(self, size: int) -> bytes:
        try:
            return self._request.read(size)
        except UnreadablePostError as problem:
            raise UploadIncomplete(f"The upload broke off after {self.read_bytes} bytes.") from problem


class _Files(FileUploadHandler):
    """Write the files of the form to their places as they arrive."""

    chunk_size = _BLOCK_BYTES

    def __init__(self, place: Path) -> None:
        super().__init__()
        self._place = place
        self._limits = {_FILE: settings.UPLOAD_BYTES, _META: sidecar.MAX_BYTES, _WAL: settings.UPLOAD_BYTES}
        self._file: IO[bytes] | None = None
        self._room_asked_at = 0
        self.filenames: dict[str, str] = {}

    def new_file(self, field_name: str, file_name: str, *args: Any, **kwargs: Any) -> None:
        super().new_file(field_name, file_name, *args, **kwargs)
        if field_name not in self._limits:
            raise FieldRefused(field_name, "No file of this name is known here.", "unknown_member")
        if field_name in self.filenames:
            raise FieldRefused(field_name, "It is given more than once; allowed is once.", "repeated")
        self.close()
        self._file = os.fdopen(create_private(self._place / _NAMES[field_name]), "wb")
        self._room_asked_at = 0
        self.filenames[field_name] = file_name[:_MOST_OF_NAME]

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        limit = self._limits[str(self.field_name)]
        if start + len(raw_data) > limit:
            raise _too_large(f"“{self.field_name}”", limit)
        if start - self._room_asked_at >= _ROOM_ASKED_EVERY_BYTES:
            require_room(self._place, 0, "The upload")
            self._room_asked_at = start
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
    return UploadTooLarge(f"{what} is larger than {format_size(limit)}, which is the most that is taken in here.")
