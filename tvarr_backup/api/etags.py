"""Two writers: what one has read is named by an ETag, and `If-Match` refuses to change anything else."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from django.utils.http import parse_etags
from rest_framework.request import Request

from tvarr_backup.errors import PreconditionFailed


def etag_of(answer: dict[str, Any]) -> str:
    """The strong ETag of an answer: the same for the same members and values, whatever else has happened."""
    return f'"{hashlib.sha256(orjson.dumps(answer, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]}"'


def require_match(request: Request, answer: dict[str, Any]) -> None:
    """Raise `PreconditionFailed` where the request has an `If-Match` that does not fit what is here now."""
    header = request.META.get("HTTP_IF_MATCH")
    if header is not None and not {"*", etag_of(answer)}.intersection(parse_etags(header)):
        raise PreconditionFailed("It has changed since it was read, and was left as it is; read it again.")
