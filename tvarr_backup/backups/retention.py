"""Retention: decide which backups the next cleanup deletes, and delete them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from itertools import islice
from pathlib import Path

from tvarr_backup.backups.catalogue import Backup, read_folder, remove_backup
from tvarr_backup.backups.folder import work_in
from tvarr_backup.backups.progress import Phase, Progress, no_progress
from tvarr_backup.backups.sidecar import BackupKind, Checked, CheckLevel, Sidecar


class Period(StrEnum):
    """How often a rule keeps a backup. Weeks are those of ISO 8601, which begin on Monday."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    YEARLY = "yearly"

    def first_day(self, day: date) -> date:
        """Return the first day of the period that contains a day."""
        match self:
            case Period.DAILY:
                return day
            case Period.WEEKLY:
                return day - timedelta(days=day.weekday())
            case Period.MONTHLY:
                return day.replace(day=1)
            case Period.YEARLY:
                return day.replace(month=1, day=1)


@dataclass(frozen=True)
class Policy:
    """Which automatic backups to keep: a backup is kept if any rule keeps it, unless it is too old.

    `keep` is how many of the newest to keep; `None` keeps all, and 0 keeps none by this rule. `periods` has, for each
    period, how many of the last periods keep their newest good backup. Days begin and end in `zone`. `max_age` is `None`
    for no limit.
    """

    keep: int | None
    max_age: timedelta | None = None
    periods: Mapping[Period, int] = field(default_factory=dict)
    zone: tzinfo = UTC


@dataclass(frozen=True)
class Rule:
    """A rule that keeps a backup: as the newest one of a period, or, without a period, as one of the newest of all."""

    period: Period | None = None
    first_day: date | None = None
    """The first day of the period."""


def expired(backups: Iterable[Backup], policy: Policy, now: datetime, in_use: Collection[str] = ()) -> list[Backup]:
    """Return the backups that a cleanup deletes, oldest first.

    Only automatic backups are counted and deleted; these include safety backups whose protection has ended. Backups in use
    (`in_use`, file names) and the newest backup of any kind without a problem are kept. The newest has the highest `seq`,
    because clocks can go back. A date in the future is not too old.
    """
    everything = _newest_first(backups)
    newest_good = next((backup for backup in everything if backup.sidecar.is_good), None)
    rules = find_rules(everything, policy, now)
    spared = {backup.filename for backup in (newest_good,) if backup is not None} | set(in_use)
    doomed = {name for name, found in rules.items() if not found} - spared
    return [backup for backup in reversed(everything) if backup.filename in doomed]


def rules_keeping(backup: Backup, backups: Iterable[Backup], policy: Policy, now: datetime) -> list[Rule]:
    """Return the rules that keep a backup; none if it is too old, or is not counted."""
    return find_rules(backups, policy, now).get(backup.filename, [])


def find_rules(backups: Iterable[Backup], policy: Policy, now: datetime) -> dict[str, list[Rule]]:
    """Return the rules that keep each automatic backup, by file name. A backup that is too old has none."""
    automatic = [backup for backup in _newest_first(backups) if _is_automatic(backup.sidecar, now)]
    rules: dict[str, list[Rule]] = {backup.filename: [] for backup in automatic}
    for backup in automatic[: policy.keep]:
        rules[backup.filename].append(Rule())
    for period in Period:
        newest = _newest_by_period(automatic, period, policy.zone)
        for first_day, backup in islice(newest.items(), policy.periods.get(period, 0)):
            rules[backup.filename].append(Rule(period, first_day))
    for backup in automatic:
        if policy.max_age is not None and now - backup.sidecar.created_at > policy.max_age:
            rules[backup.filename] = []
    return rules


def _newest_first(backups: Iterable[Backup]) -> list[Backup]:
    return sorted(backups, key=lambda backup: (backup.sidecar.seq, backup.filename), reverse=True)


def _newest_by_period(newest_first: Iterable[Backup], period: Period, zone: tzinfo) -> dict[date, Backup]:
    """Return the newest good backup of each period that has one, newest first.

    The order is that of the backups, so that dates from a clock that ran ahead do not displace later backups.
    """
    newest: dict[date, Backup] = {}
    for backup in newest_first:
        if backup.sidecar.is_good:
            newest.setdefault(period.first_day(backup.sidecar.created_at.astimezone(zone).date()), backup)
    return newest


def expired_after_backup(backups: Iterable[Backup], policy: Policy, now: datetime) -> list[Backup]:
    """Return the backups that the cleanup after a new manual backup deletes, oldest first."""
    existing = list(backups)
    new = Sidecar(
        created_at=now,
        database_size=0,
        compressed_size=0,
        checksum="",
        kind=BackupKind.MANUAL,
        seq=max((backup.sidecar.seq for backup in existing), default=0) + 1,
        checked=Checked(CheckLevel.QUICK, now),
    )
    return expired([*existing, Backup("", new)], policy, now)


class KeptReason(StrEnum):
    """Why the next cleanup keeps a backup."""

    PROTECTED = "protected"
    PROTECTED_FOR_NOW = "protected for now"
    """Until `protected_until`."""
    NOT_AUTOMATIC = "not automatic"
    NEWEST_GOOD = "newest good"
    WITHIN_LIMITS = "within limits"
    """`rules_keeping` has the rules."""


def why_kept(
    backup: Backup, listed: Callable[[], Collection[Backup]], policy: Policy, now: datetime
) -> KeptReason | None:
    """Return why the next cleanup keeps a backup, or `None` if it deletes it. `listed` is called only if necessary."""
    sidecar = backup.sidecar
    if sidecar.is_protected(now):
        return KeptReason.PROTECTED_FOR_NOW if sidecar.protected_until else KeptReason.PROTECTED
    if not _is_automatic(sidecar, now):
        return KeptReason.NOT_AUTOMATIC
    backups = listed()
    if any(gone.filename == backup.filename for gone in expired(backups, policy, now)):
        return None
    return KeptReason.WITHIN_LIMITS if rules_keeping(backup, backups, policy, now) else KeptReason.NEWEST_GOOD


def prune(
    folder: Path,
    policy: Policy,
    *,
    in_use: Collection[str] = (),
    now: datetime | None = None,
    progress: Progress = no_progress,
    on_removal: Callable[[Backup], None] | None = None,
) -> list[Backup]:
    """Delete the expired backups, oldest first, call `on_removal` after each, and return them.

    Raises `BackupBusy`, `BackupFolderUnusable` or what `progress` raises, perhaps after deleting some.
    """
    if not folder.exists():  # a new installation
        return []
    with work_in(folder) as work:
        doomed = expired(read_folder(folder).backups, policy, now or datetime.now(UTC), in_use)
        for done, backup in enumerate(doomed):
            progress(Phase.PRUNE, done, len(doomed))
            remove_backup(folder, work, backup.name)
            if on_removal is not None:
                on_removal(backup)
        return doomed


def _is_automatic(sidecar: Sidecar, now: datetime) -> bool:
    return sidecar.kind in (BackupKind.SCHEDULED, BackupKind.PRE_RESTORE) and not sidecar.is_protected(now)
