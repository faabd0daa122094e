"""The status card on the Backups page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tvarr_backup import conf
from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.errors import BackupFolderUnmounted
from tvarr_backup.operations.health import Health, HealthState, Subject
from tvarr_backup.operations.observe import ObservedAlerts, ObservedLocation, ObservedRehearsal
from tvarr_backup.web.disks import are_on_one_disk


class Level(StrEnum):
    GOOD = "good"
    WARNING = "warning"
    FAILING = "failing"
    NONE_YET = "none yet"


@dataclass(frozen=True)
class Status:
    """Contents of the card. `folder` is empty for users who may not see it.

    `is_closed`: the backup folder cannot be read. `is_unmounted`: its disk is not mounted, so a new backup needs a
    confirmation. `unsupported`: why tvarr's database cannot be backed up.
    """

    level: Level
    sentences: tuple[str, ...]
    last_good: Backup | None
    next_run: datetime | None
    number: int
    total_bytes: int
    free_bytes: int | None
    folder: str
    on_same_disk: bool
    locations: tuple[ObservedLocation, ...]
    receivers: ObservedAlerts
    rehearsals: tuple[ObservedRehearsal, ...]
    is_closed: bool
    is_unmounted: bool
    unsupported: str


def status_of(health: Health, *, with_folder: bool) -> Status:
    folder, records = health.observation.folder, health.observation.records
    backups = folder.listing.backups if folder.listing else ()
    wrong = {subject: check for subject, check in health.checks.items() if check.state is not HealthState.OK}
    known = {subject: check for subject, check in wrong.items() if check.is_known}
    return Status(
        level=_level([check.state for check in known.values()], has_backup=health.last_good is not None),
        sentences=tuple(f"{subject.label}: {check.message.for_page()}" for subject, check in known.items()),
        last_good=health.last_good,
        next_run=health.expected.next_run,
        number=len(backups),
        total_bytes=sum(backup.sidecar.compressed_size for backup in backups),
        free_bytes=folder.free,
        folder=str(conf.backup_path()) if with_folder else "",
        on_same_disk=are_on_one_disk(conf.backup_path(), conf.database_path(conf.tvarr_alias())),
        locations=records.locations if records else (),
        receivers=records.alerts if records else ObservedAlerts(is_advice_dismissed=True),
        rehearsals=records.rehearsals if records else (),
        is_closed=Subject.FOLDER in wrong and not folder.listing,
        is_unmounted=folder.code == BackupFolderUnmounted.code,
        unsupported=health.observation.unsupported,
    )


def _level(wrong: list[HealthState], *, has_backup: bool) -> Level:
    if wrong:
        return Level.FAILING if HealthState.FAILING in wrong else Level.WARNING
    return Level.GOOD if has_backup else Level.NONE_YET
