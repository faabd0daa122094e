"""JSON that is safe to print on a terminal."""

from __future__ import annotations

from typing import Any

from rest_framework.renderers import JSONRenderer

from tvarr_backup.texts import escape_for_json


class VisibleJSONRenderer(JSONRenderer):
    r"""JSON with `\u` escapes for invisible characters and for those that control a terminal. Values stay the same."""

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        body = bytes(super().render(data, accepted_media_type, renderer_context))
        is_visible = body.isascii() and b"\x7f" not in body  # other control characters are escaped already
        return body if is_visible else escape_for_json(body.decode()).encode()
