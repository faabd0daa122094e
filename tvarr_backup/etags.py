"""Entity tags (RFC 9110): a change can name the version that it is based on."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from django.utils.http import parse_etags

from tvarr_backup.errors import PreconditionFailed


def etag_of(answer: dict[str, Any]) -> str:
    """Return the strong entity tag of an answer: equal members and values have equal tags."""
    return f'"{hashlib.sha256(orjson.dumps(answer, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]}"'


def expected_etags(request: Any) -> list[str] | None:
    """Return the strong entity tags in `If-Match`, or None if it is missing or `*`."""
    etags = parse_etags(request.headers.get("If-Match", "*"))
    return None if etags == ["*"] else [etag for etag in etags if not etag.startswith("W/")]


def require_match(request: Any, etag: str, message: str) -> None:
    """Raise `PreconditionFailed` with this message if the request expects another entity tag."""
    expected = expected_etags(request)
    if expected is not None and etag not in expected:
        raise PreconditionFailed(message)
