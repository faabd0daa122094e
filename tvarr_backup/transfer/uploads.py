"""Receiving a backup: straight from the connection into the backup folder, within limits, and only if all of it comes."""

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
"""What a form may have beside the file: the description, the other fields, and the lines between them."""
_BLOCK_BYTES = 2**20
_ROOM_ASKED_EVERY_BYTES = 2**26
_LONGEST_SHOWN = 80
_END_BYTES = 256
"""More than the longest line that ends a form."""
_FIRST_FIELD_BYTES = 2**10
_DISCARDED_FOR_SECONDS = 20.0

# An operation that runs when the upload is complete is waited for as long as receiving took, within these limits: whoever
# has sent for hours does not mind minutes, and should not have sent in vain.
_LEAST_PATIENCE_SECONDS = 5.0
_MOST_PATIENCE_SECONDS = 600.0
_SECONDS_BETWEEN_ATTEMPTS = 0.5


class FormUnreadable(Exception):
    """A form that breaks the rules of `multipart/form-data`; the sentence says how."""


class FieldRefused(Exception):
    """A file of the form, or a field, that is not as it must be; `code` is a word for programs."""

    def __init__(self, name: str, words: str, code: str) -> None:
        super().__init__(words)
        self.name = name[:_LONGEST_SHOWN]
        self.code = code


@dataclass(frozen=True)
class Received:
    """A file of the form: where it lies, and what its sender called it."""

    path: Path
    filename: str


@dataclass(frozen=True)
class Upload:
    """A form that has come whole: its fields, each given once, and its files."""

    fields: Mapping[str, str]
    file: Received
    meta: Received | None
    seconds: float
    """How long it took."""


@contextlib.contextmanager
def receive(request: HttpRequest, actor: Actor, body: Body | None = None) -> Iterator[Upload]:
    """Receive a form with a backup in `file`, and perhaps its description in `meta` and its journal in `wal`.

    At the end nothing of it is left.

    `body` is what of the request has been looked at already. Raises what `actions.prepare_upload` raises,
    `LengthRequired`, `UploadTooLarge`, `NoRoom`, `UploadIncomplete`, `FormUnreadable`, `FieldRefused`, and Django's
    `RequestDataTooBig`.
    """
    folder = actions.prepare_upload(actor)
    length = _checked_length(request)
    require_room(folder, length, "The upload")
    release_databases()
    began = time.monotonic()
    with receive_in(folder) as place:
        fields, files = _received(request, body or Body(request), length, place)
        yield _whole(fields, files, time.monotonic() - began)


def take_in(
    upload: Upload,
    actor: Actor,
    *,
    note: str,
    accept_broken_references: bool,
    accept_code: bool | Collection[str],
    on_begin: Callable[[Operation], object] = lambda _operation: None,
) -> Operation:
    """Make a backup of what has come, as `actions.add_backup`; the operation that did so. One that runs just now is waited for.

    `on_begin` gets each operation as it begins. Raises what ended it, and `OperationRunning` where waiting was in vain.
    """
    patience = min(max(upload.seconds, _LEAST_PATIENCE_SECONDS), _MOST_PATIENCE_SECONDS)
    give_up_at = time.monotonic() + patience
    while True:
        try:
            return actions.add_backup(
                actor,
                upload.file.path,
                filename=upload.file.filename,
                sidecar=upload.meta.path if upload.meta else None,
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
    """How long the body is, as its sender says. Raises what can be told before any of it is read."""
    if request.content_type != MEDIA_TYPE:
        raise FormUnreadable(f"The form is not sent as {MEDIA_TYPE}.")
    try:
        length = int(request.META["CONTENT_LENGTH"])
    except (KeyError, ValueError):
        raise LengthRequired("The request must say how long it is (Content-Length); chunks are not taken.") from None
    if length > settings.UPLOAD_BYTES + _FORM_BYTES:
        raise _too_large("The upload", settings.UPLOAD_BYTES)
    return length


def _received(request: HttpRequest, body: Body, length: int, place: Path) -> tuple[QueryDict, Mapping[str, Received]]:
    """The fields of the form, and its files in `place`."""
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
    if not body.ends_with(_boundary(request)):
        raise FormUnreadable(f"The form cannot be read as {MEDIA_TYPE}: it has no end.")
    return fields, files.received


def _whole(fields: QueryDict, files: Mapping[str, Received], seconds: float) -> Upload:
    if _FILE not in files:
        words = "Allowed is a file, with a file name." if _FILE in fields else "The file is missing."
        raise FieldRefused(_FILE, words, "required")
    for name, values in fields.lists():
        if len(values) > 1:
            raise FieldRefused(name, "It is given more than once; allowed is once.", "repeated")
    return Upload({name: str(value) for name, value in fields.items()}, files[_FILE], files.get(_META), seconds)


class Body:
    """The body of the request: counted, and its last bytes remembered, because the parser takes any end for the end."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._start = b""
        self._end = b""
        self.read_bytes = 0

    def first_field(self, name: str) -> str:
        """The text of the field that the form begins with, where it has this name; a look that takes nothing away."""
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
        """Read to the end what nobody wants: a browser looks at the answer only after all was sent.

        No longer than for some seconds: then it will say itself that the connection was lost.
        """
        deadline = time.monotonic() + _DISCARDED_FOR_SECONDS
        with contextlib.suppress(UploadIncomplete):
            while time.monotonic() < deadline and self.read(_BLOCK_BYTES):
                pass

    def ends_with(self, boundary: str) -> bool:
        """Whether the line is there that ends the form."""
        return f"\r\n--{boundary}--".encode() in b"\r\n" + self._end

    def _read(self, size: int) -> bytes:
        try:
            return self._request.read(size)
        except UnreadablePostError as problem:
            raise UploadIncomplete(f"The upload broke off after {self.read_bytes} bytes.") from problem


class _Files(FileUploadHandler):
    """Writes the files of the form where they belong as they come in."""

    chunk_size = _BLOCK_BYTES

    def __init__(self, place: Path) -> None:
        super().__init__()
        self._place = place
        self._limits = {_FILE: settings.UPLOAD_BYTES, _META: sidecar.MAX_BYTES, _WAL: settings.UPLOAD_BYTES}
        self._file: IO[bytes] | None = None
        self._room_asked_at = 0
        self.received: dict[str, Received] = {}

    def new_file(self, field_name: str, file_name: str, *args: Any, **kwargs: Any) -> None:
        super().new_file(field_name, file_name, *args, **kwargs)
        if field_name not in self._limits:
            raise FieldRefused(field_name, "No file of this name is known here.", "unknown_member")
        if field_name in self.received:
            raise FieldRefused(field_name, "It is given more than once; allowed is once.", "repeated")
        self.close()
        path = self._place / _NAMES[field_name]
        self._file = os.fdopen(create_private(path), "wb")
        self._room_asked_at = 0
        self.received[field_name] = Received(path, file_name[:_LONGEST_SHOWN])

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


def _boundary(request: HttpRequest) -> str:
    _, parameters = parse_header_parameters(request.META["CONTENT_TYPE"])
    return str(parameters["boundary"])


def _too_large(what: str, limit: int) -> UploadTooLarge:
    return UploadTooLarge(f"{what} is larger than {format_size(limit)}, which is the most that is taken in here.")
