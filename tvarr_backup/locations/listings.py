"""Names in the listings of servers, which may be anything."""

from __future__ import annotations

from tvarr_backup.texts import find_hidden

MOST_ENTRIES = 1_000_000
"""A longer listing is refused, so that a faulty server cannot use up the memory."""


def is_safe_name(name: str) -> bool:
    """Return whether a name can be joined to a path. Others are not ours, and are ignored."""
    return name not in {"", ".", ".."} and "/" not in name and "\\" not in name and not find_hidden(name)
