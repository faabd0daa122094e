"""The address of static files, which contains a hash of their content, so that browsers can cache them forever."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("Django", "django-htmx", "djangorestframework", "drf-spectacular-sidecar")


def hash_static_files(folders: Iterable[Path]) -> str:
    """Return eight hexadecimal digits for the content of our files and the versions of libraries with static files."""
    digest = hashlib.sha256(" ".join(version(name) for name in _LIBRARIES).encode())
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(f"\0{path.relative_to(folder)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:8]
