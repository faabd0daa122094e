"""The status badge: an image of the state of all checks, without details."""

from __future__ import annotations

import base64
import hashlib
from typing import NamedTuple

from django.template.loader import render_to_string

from tvarr_backup.operations.health import Health, HealthState

CONTENT_TYPE = "image/svg+xml"


class _Look(NamedTuple):
    """The word for a state, its color (a class of the style), and the width of the word in pixels."""

    word: str
    color: str
    width: int


_LOOKS = {
    HealthState.OK: _Look("OK", "ok", 16),
    HealthState.WARNING: _Look("warning", "warning", 45),
    HealthState.FAILING: _Look("failing", "failing", 35),
}
_UNKNOWN = _Look("unknown", "unknown", 50)

_NAME_WIDTH = 71
_PADDING = 8
_STYLE = """
.name { fill: #eceff1; } .name-text { fill: #263238; }
.ok { fill: #1b6e3c; } .warning { fill: #8a5300; } .failing { fill: #b3261e; } .unknown { fill: #55606a; }
.word { fill: #fff; }
@media (prefers-color-scheme: dark) {
  .name { fill: #37424a; } .name-text { fill: #f1f4f5; }
  .ok { fill: #7ddc9f; } .warning { fill: #ffc766; } .failing { fill: #ffaaa3; } .unknown { fill: #b6c0c8; }
  .word { fill: #10181d; }
}
"""
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

POLICY = {"default-src": ["'none'"], "style-src": [f"'sha256-{_DIGEST}'"], "img-src": None}
"""Directives of the content security policy for a badge that is opened as a page."""


def render_badge(health: Health | None) -> bytes:
    """Return the badge as SVG. Without `health` the state is unknown."""
    look = _LOOKS[health.state] if health else _UNKNOWN
    left, right = _NAME_WIDTH + 2 * _PADDING, look.width + 2 * _PADDING
    context = {
        "look": look,
        "style": _STYLE,
        "width": left + right,
        "left": left,
        "right": right,
        "name_width": _NAME_WIDTH,
        "word_x": left + _PADDING,
    }
    return render_to_string("status.svg", context).encode()
