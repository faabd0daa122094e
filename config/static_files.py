"""The address of static files, which changes with any of them, so that browsers can keep them forever."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

_WITH_FILES_OF_THEIR_OWN = ("Django", "django-htmx", "djangorestframework", "drf-spectacular-sidecar")


def mark_of(folders: Iterable[Path]) -> str:
    """Return eight hexadecimal digits of the content of our files and the versions of libraries that bring some."""
    digest = hashlib.sha256(" ".join(version(name) for name in _WITH_FILES_OF_THEIR_OWN).encode())
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(f"\0{path.relative_to(folder)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:8]
