"""How bodies of requests are read: JSON as strictly as export files, and never more than is allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import UnreadablePostError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from tvarr_backup.errors import FileTooLarge, NotJson
from tvarr_backup.portable.json_events import value_of

SMALL_BODY_BYTES = 2**20
_BOM = b"\xef\xbb\xbf"
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class StrictJSON(BaseParser):
    """A JSON body of an ordinary call, at most 1 MiB.

    Refused beyond what no JSON parser takes: repeated members, NaN, lone surrogates, NUL, more than 32 levels, other
    encodings than UTF-8. Refusals name line and column where they are known.
    """

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:  # noqa: ARG002  # as in the framework
        body = _read(stream, SMALL_BODY_BYTES, parser_context).removeprefix(_BOM)
        if _NUL.search(body):
            raise NotJson("A text holds the character NUL, which no text here may.")
        try:
            return value_of(body)
        except FileTooLarge as problem:  # the body is not, but what is in it
            raise NotJson(str(problem)) from problem


class RawJSON(BaseParser):
    """A JSON body that may hold an export: its bytes, for the reader of exports."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:  # noqa: ARG002  # as in the framework
        return _read(stream, settings.API_BODY_BYTES, parser_context)


def require_body_within_limit(request: Request) -> None:
    """Raise `RequestDataTooBig` for a body that says it is larger than is allowed, before any of it is read."""
    if _said_length(request.META) > settings.API_BODY_BYTES:
        raise RequestDataTooBig


def _read(stream: Any, most: int, parser_context: Any) -> bytes:
    """All of a body. Raises `RequestDataTooBig` before reading one that says so, `UnreadablePostError` for half of one."""
    said = _said_length(parser_context["request"].META)
    if said > most:
        raise RequestDataTooBig
    body: bytes = stream.read(most + 1)
    if len(body) < said:
        raise UnreadablePostError
    return body


def _said_length(headers: Mapping[str, Any]) -> int:
    try:
        return int(headers.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0
