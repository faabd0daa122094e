"""The card on top of the page of the backups: whether all is well, and how much there is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from tvarr_backup import conf
from tvarr_backup.backups.catalogue import Backup, Listing
from tvarr_backup.errors import BackupFolderUnmounted
from tvarr_backup.operations.health import SUBJECT_NAMES, Health, State, Subject

_DRAWN = 100
_WIDTH, _HEIGHT = 200, 40


class Level(StrEnum):
    """How the card looks."""

    GOOD = "good"
    WARNING = "warning"
    FAILING = "failing"
    NONE_YET = "none yet"


@dataclass(frozen=True)
class Curve:
    """The sizes of the newest backups over time, as points of an SVG polyline, and what it shows in words."""

    points: str
    first: int
    last: int


@dataclass(frozen=True)
class Status:
    """What the card says; `folder` is empty where it is nobody's business who asks.

    `is_closed` says that the folder cannot be read, so that nobody knows what is in it; `is_unmounted` that its disk is not
    mounted, so that a new backup needs a confirmation. `unsupported` says why no backups can be made of tvarr's database.
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
    curve: Curve | None
    is_closed: bool
    is_unmounted: bool
    unsupported: str


def status_of(health: Health, *, with_folder: bool) -> Status:
    """The card of what one look has found."""
    backups = health.listing.backups if health.listing else ()
    wrong = [check for check in health.checks if check.state is not State.OK]
    known = [check for check in wrong if check.is_known]
    return Status(
        level=_level([check.state for check in known], has_backup=health.last_good is not None),
        sentences=tuple(f"{SUBJECT_NAMES[check.subject]}: {check.message.for_page()}" for check in known),
        last_good=health.last_good,
        next_run=health.next_run,
        number=len(backups),
        total_bytes=sum(backup.sidecar.compressed_size for backup in backups),
        free_bytes=health.free_in_folder,
        folder=str(conf.backup_path()) if with_folder else "",
        on_same_disk=_are_on_one_disk(conf.backup_path(), conf.database_path(conf.tvarr_alias())),
        curve=_curve(health.listing) if health.listing else None,
        is_closed=any(check.subject is Subject.FOLDER for check in wrong) and not health.listing,
        is_unmounted=health.folder_code == BackupFolderUnmounted.code,
        unsupported=health.unsupported,
    )


def _level(wrong: list[State], *, has_backup: bool) -> Level:
    if wrong:
        return Level.FAILING if State.SICK in wrong else Level.WARNING
    return Level.GOOD if has_backup else Level.NONE_YET


def _are_on_one_disk(folder: Path, database: Path) -> bool:
    try:
        return folder.stat().st_dev == database.stat().st_dev
    except OSError:
        return False


def _curve(listing: Listing) -> Curve | None:
    """Of what was made here; none for fewer than two."""
    made = [backup.sidecar for backup in listing.backups if not backup.sidecar.imported][:_DRAWN]
    made.sort(key=lambda sidecar: sidecar.created_at)
    if len(made) < 2:
        return None
    since = made[0].created_at
    seconds = [(sidecar.created_at - since).total_seconds() for sidecar in made]
    largest = max(sidecar.compressed_size for sidecar in made) or 1
    points = " ".join(
        f"{_WIDTH * second / (seconds[-1] or 1):.0f},{_HEIGHT - (_HEIGHT - 2) * sidecar.compressed_size / largest:.1f}"
        for second, sidecar in zip(seconds, made, strict=True)
    )
    return Curve(points, made[0].compressed_size, made[-1].compressed_size)
