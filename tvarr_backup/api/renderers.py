"""Answers as JSON that can be shown on a terminal."""

from __future__ import annotations

from typing import Any

from rest_framework.renderers import JSONRenderer

from tvarr_backup.texts import escape_for_json


class VisibleJSONRenderer(JSONRenderer):
    r"""JSON with `\u` escapes for characters that are not seen or that act on a terminal: the same values."""

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        body = bytes(super().render(data, accepted_media_type, renderer_context))
        has_only_seen = body.isascii() and b"\x7f" not in body  # others are escaped already
        return body if has_only_seen else escape_for_json(body.decode()).encode()
