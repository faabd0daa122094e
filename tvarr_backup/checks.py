"""System checks: what must be right before anything is served, each with its id."""

import os
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from tvarr_backup import conf
from tvarr_backup.errors import DatabaseUnusable


@register
def check_storage_folder(**_: Any) -> list[CheckMessage]:
    """E001: the storage folder can be written, or can be created."""
    folder = conf.storage_folder()
    existing = next(place for place in (folder, *folder.parents) if os.access(place, os.F_OK))
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return []
    return [
        Error(
            f"TVARR_STORAGE_BASE_DIR is {str(folder)!r}, and {existing} is not a folder that we may write to.",
            hint="Name a folder that belongs to the user this program runs as.",
            id="tvarr_backup.E001",
        )
    ]


@register
def check_tvarr_database(**_: Any) -> list[CheckMessage]:
    """E002: the file behind the `tvarr` alias is tvarr's or ours, another one than `default`'s, and there if named."""
    try:
        conf.require_usable_tvarr(may_be_missing=not settings.TVARR_DATABASE_NAMED)
    except DatabaseUnusable as problem:
        return [Error(str(problem), id="tvarr_backup.E002")]
    return []
