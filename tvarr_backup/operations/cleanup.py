"""Predicts which backups cleanup will delete."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import Error

from tvarr_backup import conf
from tvarr_backup.backups import retention
from tvarr_backup.backups.catalogue import Backup, read_folder
from tvarr_backup.backups.retention import Policy
from tvarr_backup.errors import DatabaseUnusable
from tvarr_backup.operations.app_database import require_app_database
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.models import BackupSettings
from tvarr_backup.sentences import Sentence

RETENTION_UNKNOWN = Sentence("the retention settings are unknown while this program's own database cannot be used.")


def why_retention_is_unknown() -> str:
    """Return why the retention settings cannot be read now; empty if they can."""
    try:
        require_app_database()
        BackupSettings.load()
    except (DatabaseUnusable, Error) as problem:
        return conf.in_a_line(problem)
    return ""


def find_deletions(policy: Policy | None = None) -> list[str]:
    """Return the file names that the next cleanup will delete. `policy` replaces the stored settings."""
    backups = read_folder(backup_folder()).backups
    expired = retention.expired(backups, policy or BackupSettings.load().policy(), datetime.now(UTC))
    return [backup.filename for backup in expired]


def find_new_deletions(changed: BackupSettings) -> list[Backup]:
    """Return the backups, oldest first, that cleanup would delete with these settings but not with the stored ones."""
    before, after = BackupSettings.load().policy(), changed.policy()
    if before == after:
        return []
    backups, now = read_folder(backup_folder()).backups, datetime.now(UTC)
    expired = {backup.filename for backup in retention.expired(backups, before, now)}
    return [backup for backup in retention.expired(backups, after, now) if backup.filename not in expired]
