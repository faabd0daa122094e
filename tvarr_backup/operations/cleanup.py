"""What cleanup deletes by the stored settings, and whether they can be read."""

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
    """Why the retention settings cannot be read now; empty where they can."""
    try:
        require_app_database()
        BackupSettings.load()
    except (DatabaseUnusable, Error) as problem:
        return conf.in_a_line(problem)
    return ""


def next_to_go(policy: Policy | None = None) -> list[str]:
    """The file names of what the next clean-up removes; `policy` stands in for the stored settings."""
    backups = read_folder(backup_folder()).backups
    doomed = retention.expired(backups, policy or BackupSettings.load().policy(), datetime.now(UTC))
    return [backup.filename for backup in doomed]


def doomed_by(changed: BackupSettings) -> list[Backup]:
    """What a clean-up by these settings would remove now, and by those that are stored would not; oldest first."""
    before, after = BackupSettings.load().policy(), changed.policy()
    if before == after:
        return []
    backups, now = read_folder(backup_folder()).backups, datetime.now(UTC)
    goes_anyway = {backup.filename for backup in retention.expired(backups, before, now)}
    return [backup for backup in retention.expired(backups, after, now) if backup.filename not in goes_anyway]
