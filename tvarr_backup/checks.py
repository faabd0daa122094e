"""System checks: what must be right before anything is served, each with its id."""

import os
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.db import DEFAULT_DB_ALIAS

from tvarr_backup import conf
from tvarr_backup.errors import DatabaseUnusable
from tvarr_backup.tvarr_database import State


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
def check_databases_differ(**_: Any) -> list[CheckMessage]:
    """E002: the two aliases are two files; one file would make a restore undo its own bookkeeping."""
    paths = [conf.database_path(alias).resolve() for alias in (DEFAULT_DB_ALIAS, conf.tvarr_alias())]
    if paths[0] != paths[1]:
        return []
    return [
        Error(
            f"DATABASE_URL and TVARR_DATABASE_DSN are the same file, {paths[0]}; allowed are two different ones.",
            id="tvarr_backup.E002",
        )
    ]


@register
def check_tvarr_database(**_: Any) -> list[CheckMessage]:
    """E003: the file behind the `tvarr` alias is tvarr's or ours; E004: one that was named exists."""
    path = conf.database_path(conf.tvarr_alias())
    try:
        state = conf.tvarr_state()
    except DatabaseUnusable as problem:
        return [Error(f"TVARR_DATABASE_DSN: {problem}", id="tvarr_backup.E003")]
    if settings.TVARR_DATABASE_NAMED and state in (State.MISSING, State.EMPTY):
        return [
            Error(
                f"TVARR_DATABASE_DSN names {path}, which {'does not exist' if state is State.MISSING else 'is empty'}.",
                hint="Name tvarr's database, or leave the variable unset to start with a new one; "
                "`prepare --create` makes a new one at that path.",
                id="tvarr_backup.E004",
            )
        ]
    return []
