"""Exports by command, which need tvarr's database and not this program's own."""

from __future__ import annotations

from collections.abc import Collection

from tvarr_backup.errors import DatabaseUnusable
from tvarr_backup.operations.app_database import require_app_database
from tvarr_backup.portable.export import Export, stream_export
from tvarr_backup.portable.kinds import Kind


def start_export(kind: Kind, ids: Collection[str] | None = None) -> Export:
    """Start an export as `stream_export` does, also while this program's own database cannot be used.

    References that wait for what is not here are kept in that database. Without it they are left out with a warning.
    """
    try:
        require_app_database()
    except DatabaseUnusable as problem:
        return stream_export(kind, ids, why_held_are_unknown=str(problem))
    return stream_export(kind, ids)
