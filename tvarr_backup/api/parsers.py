"""Parsers of request bodies. JSON is read as strictly as export files, and bodies have a limit."""

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
    """A JSON body of at most 1 MiB, in UTF-8.

    Repeated members, NaN, lone surrogates, NUL and more than 32 levels are refused, if possible with line and column.
    """

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:  # noqa: ARG002  # as in the framework
        body = _read(stream, SMALL_BODY_BYTES, parser_context).removeprefix(_BOM)
        if _NUL.search(body):
            raise NotJson("The body contains the character NUL, which is not supported.")
        try:
            return value_of(body)
        except FileTooLarge as problem:  # not the body is too large, but something in it
            raise NotJson(str(problem)) from problem


class RawJSON(BaseParser):
    """The bytes of a JSON body that may contain an export, for `portable.envelope`."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:  # noqa: ARG002  # as in the framework
        return _read(stream, settings.API_BODY_BYTES, parser_context)


def require_body_within_limit(request: Request) -> None:
    """Raise `RequestDataTooBig` if `Content-Length` exceeds the limit, before the body is read."""
    if _content_length(request.META) > settings.API_BODY_BYTES:
        raise RequestDataTooBig


def _read(stream: Any, most: int, parser_context: Any) -> bytes:
    """Return the whole body. Raises `RequestDataTooBig`, or `UnreadablePostError` if the body ends early."""
    length = _content_length(parser_context["request"].META)
    if length > most:
        raise RequestDataTooBig
    body: bytes = stream.read(most + 1)
    if len(body) < length:
        raise UnreadablePostError
    return body


def _content_length(headers: Mapping[str, Any]) -> int:
    try:
        return int(headers.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0
