"""Receiving a backup: straight from the connection into the backup folder, within limits, and only if all of it comes."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest, QueryDict, UnreadablePostError
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.utils.http import parse_header_parameters
from rest_framework import serializers
from rest_framework.exceptions import ParseError, UnsupportedMediaType

from tvarr_backup.api.connection import limit_silence
from tvarr_backup.api.strict import StrictSerializer, Text, Word
from tvarr_backup.backups import sidecar
from tvarr_backup.backups.catalogue import checked_note
from tvarr_backup.backups.durable import create_private
from tvarr_backup.backups.folder import megabytes, receive_in, require_room
from tvarr_backup.errors import BackupBusy, LengthRequired, UploadIncomplete, UploadTooLarge
from tvarr_backup.operations.models import Operation, OperationKind, Origin
from tvarr_backup.operations.run import run_here

_MEDIA_TYPE = "multipart/form-data"
_FILE, _META = "file", "meta"
_FORM_BYTES = 2**21
"""What a form may have beside the file: the description, the other fields, and the lines between them."""
_BLOCK_BYTES = 2**20
_ROOM_ASKED_EVERY_BYTES = 2**26
_LONGEST_SHOWN = 80
_END_BYTES = 256
"""More than the longest line that ends a form."""

# An operation that runs when the upload is complete is waited for as long as receiving took, within these limits: whoever
# has sent for hours does not mind minutes, and should not have sent in vain.
_LEAST_PATIENCE_SECONDS = 5.0
_MOST_PATIENCE_SECONDS = 600.0
_SECONDS_BETWEEN_ATTEMPTS = 0.5


class _FieldsSerializer(StrictSerializer):
    note = Text(required=False, default="", allow_blank=True, help_text="One line; without it, that of `meta` counts.")
    accept_broken_references = Word(
        choices=["true", "false"],
        required=False,
        default="false",
        help_text="Take it in also with rows that refer to rows which are not there.",
    )


class UploadFormSerializer(_FieldsSerializer):
    """The form of an upload, for the schema."""

    file = serializers.FileField(help_text="A backup of ours or of tvarr's, or a plain copy of a database.")
    meta = serializers.FileField(required=False, help_text="The `.meta.json` that lies beside a `.db.gz`.")


def take_in(request: HttpRequest, folder: Path) -> Operation:
    """Receive a file and make a backup of it; the operation that did so. Nothing of what was received is left.

    Raises `LengthRequired`, `UploadTooLarge`, `NoRoom`, `UploadIncomplete`, `UploadRefused`, `OperationRunning` and
    `BackupFolderUnusable`, and what REST framework has for forms that are none.
    """
    length = _checked_length(request)
    require_room(folder, length, "The upload")
    limit_silence(request)
    began = time.monotonic()
    with receive_in(folder) as place:
        arguments = _received(request, length, place)
        took = time.monotonic() - began
        patience = min(max(took, _LEAST_PATIENCE_SECONDS), _MOST_PATIENCE_SECONDS)
        return _adopt(request, arguments, give_up_at=time.monotonic() + patience)


def _checked_length(request: HttpRequest) -> int:
    """How long the body is, as its sender says. Raises what can be told before any of it is read."""
    if request.content_type != _MEDIA_TYPE:
        raise UnsupportedMediaType((request.content_type or "")[:_LONGEST_SHOWN])
    try:
        length = int(request.META["CONTENT_LENGTH"])
    except (KeyError, ValueError):
        raise LengthRequired("The request must say how long it is (Content-Length); chunks are not taken.") from None
    if length > settings.UPLOAD_BYTES + _FORM_BYTES:
        raise _too_large("The upload", settings.UPLOAD_BYTES)
    return length


def _adopt(request: HttpRequest, arguments: Mapping[str, Any], *, give_up_at: float) -> Operation:
    while True:
        try:
            return run_here(OperationKind.ADOPT, requested_by=request.user, origin=Origin.API, arguments=arguments)
        except BackupBusy:
            if time.monotonic() > give_up_at:
                raise
        time.sleep(_SECONDS_BETWEEN_ATTEMPTS)


def _received(request: HttpRequest, length: int, place: Path) -> dict[str, Any]:
    """The form, its files in `place`, as the arguments of the operation that takes them in."""
    body, files = _Body(request), _Files(place)
    try:
        fields, _ = MultiPartParser(request.META, body, [files], "utf-8").parse()  # type: ignore[arg-type]  # it has `read`
    except RequestDataTooBig:
        raise
    except (MultiPartParserError, SuspiciousOperation) as problem:
        raise ParseError(f"The form cannot be read as {_MEDIA_TYPE}.") from problem
    finally:
        files.close()
    if body.read_bytes < length:
        raise UploadIncomplete(f"The upload broke off: {body.read_bytes} of {length} bytes came.")
    if not body.ends_with(_boundary(request)):
        raise ParseError(f"The form cannot be read as {_MEDIA_TYPE}: it has no end.")
    return _arguments(fields, files.received)


def _arguments(fields: QueryDict, received: Mapping[str, _Received]) -> dict[str, Any]:
    if _FILE not in received:
        words = "Allowed is a file, with a file name." if _FILE in fields else "The file is missing."
        raise serializers.ValidationError({_FILE: serializers.ErrorDetail(words, code="required")})
    for name, values in fields.lists():
        if len(values) > 1:
            raise _refused(name, "It is given more than once; allowed is once.", "repeated")
    checked = _FieldsSerializer(data=fields.dict())
    checked.is_valid(raise_exception=True)
    values = checked.validated_data
    return {
        "source": str(received[_FILE].path),
        "filename": received[_FILE].filename,
        "sidecar": str(received[_META].path) if _META in received else "",
        "note": checked_note(values["note"]),
        "accept_broken_references": values["accept_broken_references"] == "true",
    }


@dataclass(frozen=True)
class _Received:
    """A file of the form: where it lies, and what its sender called it."""

    path: Path
    filename: str


class _Body:
    """The body of the request: counted, and its last bytes remembered, because the parser takes any end for the end."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._end = b""
        self.read_bytes = 0

    def read(self, size: int) -> bytes:
        try:
            data = self._request.read(size)
        except UnreadablePostError as problem:
            raise UploadIncomplete(f"The upload broke off after {self.read_bytes} bytes.") from problem
        self.read_bytes += len(data)
        self._end = (self._end + data[-_END_BYTES:])[-_END_BYTES:]
        return data

    def ends_with(self, boundary: str) -> bool:
        """Whether the line is there that ends the form."""
        return f"\r\n--{boundary}--".encode() in b"\r\n" + self._end


class _Files(FileUploadHandler):
    """Writes the files of the form where they belong as they come in."""

    chunk_size = _BLOCK_BYTES

    def __init__(self, place: Path) -> None:
        super().__init__()
        self._place = place
        self._limits = {_FILE: settings.UPLOAD_BYTES, _META: sidecar.MAX_BYTES}
        self._file: IO[bytes] | None = None
        self._room_asked_at = 0
        self.received: dict[str, _Received] = {}

    def new_file(self, field_name: str, file_name: str, *args: Any, **kwargs: Any) -> None:
        super().new_file(field_name, file_name, *args, **kwargs)
        if field_name not in self._limits:
            raise _refused(field_name, "No file of this name is known here.", "unknown_member")
        if field_name in self.received:
            raise _refused(field_name, "It is given more than once; allowed is once.", "repeated")
        self.close()
        path = self._place / field_name
        self._file = os.fdopen(create_private(path), "wb")
        self._room_asked_at = 0
        self.received[field_name] = _Received(path, file_name[:_LONGEST_SHOWN])

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
    return UploadTooLarge(f"{what} is larger than {megabytes(limit)}, which is the most that is taken in here.")


def _refused(name: str, words: str, code: str) -> serializers.ValidationError:
    return serializers.ValidationError({name[:_LONGEST_SHOWN]: serializers.ErrorDetail(words, code=code)})
