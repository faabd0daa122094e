"""Whether two paths are on one disk."""

from __future__ import annotations

from pathlib import Path


def are_on_one_disk(folder: Path, other: Path) -> bool:
    """Return whether two paths are on the same file system; False if that is unknown."""
    try:
        return folder.stat().st_dev == other.stat().st_dev
    except OSError:
        return False
