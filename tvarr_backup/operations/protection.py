"""Protection and note of a backup, and who may lift a protection."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from tvarr_backup.backups.catalogue import Backup, find_backup, protect_backup
from tvarr_backup.backups.sidecar import BackupKind, Sidecar
from tvarr_backup.errors import UnprotectDenied
from tvarr_backup.operations.disk import backup_folder

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

logger = structlog.stdlib.get_logger(__name__)


def may_unprotect(user: User | AnonymousUser, sidecar: Sidecar, now: datetime) -> bool:
    """Return whether a user may lift the protection of a backup.

    A safety backup without protection can be deleted by cleanup, so that it needs the right to delete.
    """
    is_safety = sidecar.kind is BackupKind.PRE_RESTORE and sidecar.is_protected(now)
    return user.has_perm("operations.protect_backup") and (not is_safety or user.has_perm("operations.delete_backup"))


def change_backup(filename: str, *, user: User | AnonymousUser | None, **changes: Any) -> Backup:
    """Change the protection or the note of a backup as `protect_backup` does, without an operation.

    `user` is None for commands, which have no users. Raises `UnprotectDenied`, and what `protect_backup` raises; then
    nothing is changed.
    """
    folder = backup_folder()
    if user is not None and changes.get("protected") is False:
        backup = find_backup(folder, filename)
        if not may_unprotect(user, backup.sidecar, datetime.now(UTC)):
            raise UnprotectDenied(
                "The protection was not lifted. {filename} is still protected. Unprotecting a safety backup requires the "
                "right to delete backups. Ask an administrator.",
                filename=filename,
            )
    backup = protect_backup(folder, filename, **changes)
    logger.info("backup.changed", filename=filename, protected=backup.sidecar.protected)
    return backup
