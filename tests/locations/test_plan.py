"""What is copied to a location, and which copies are deleted there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.backups.makers import NOW
from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.names import new_name
from tvarr_backup.backups.retention import Period, Policy
from tvarr_backup.backups.sidecar import BackupKind, Checked, CheckLevel, Sidecar
from tvarr_backup.locations.plan import CopyPlan, KnownCopy, plan_copies


def made(days_ago: int, *, kind: BackupKind = BackupKind.SCHEDULED, damaged: bool = False) -> Backup:
    moment = NOW - timedelta(days=days_ago)
    checked = Checked(CheckLevel.FULL, moment, ("It is damaged.",) if damaged else ())
    sidecar = Sidecar(moment, 1, 1, "sha256:" + "0" * 64, kind, seq=1000 - days_ago, checked=checked)
    return Backup(new_name(moment, ()).filename, sidecar)


def known(*backups: Backup) -> dict[str, KnownCopy]:
    return {one.filename: KnownCopy(one.sidecar, one.etag) for one in backups}


def plan(local: list[Backup], copies: Mapping[str, KnownCopy], policy: Policy) -> CopyPlan:
    return plan_copies(local, copies, policy, NOW)


def test_the_newest_backup_is_copied_first() -> None:
    backups = [made(days) for days in (3, 1, 2)]
    assert [one.filename for one in plan(backups, {}, Policy(None)).to_copy] == [
        made(days).filename for days in (1, 2, 3)
    ]


def test_a_backup_that_retention_would_delete_there_is_not_copied() -> None:
    found = plan([made(days) for days in (1, 2, 3)], {}, Policy(2))
    assert [one.filename for one in found.to_copy] == [made(1).filename, made(2).filename]


def test_a_backup_that_was_deleted_here_stays_there_as_long_as_it_is_kept() -> None:
    found = plan([made(1)], known(made(1), made(2), made(40)), Policy(2))
    assert (found.to_copy, found.to_delete) == ((), (made(40).filename,))


def test_a_location_may_keep_more_than_the_backup_folder() -> None:
    old = [made(30 * months) for months in range(2, 6)]
    policy = Policy(1, periods={Period.MONTHLY: 12})
    assert plan([made(1)], known(*old), policy).to_delete == ()


def test_damaged_backups_and_archives_of_tvarr_are_not_copied() -> None:
    tvarrs = Backup("tvarr-backup-2026-06-01T00-00-00.tar.gz", made(14, kind=BackupKind.TVARR).sidecar)
    assert plan([made(1, damaged=True), tvarrs], {}, Policy(None)).is_empty


def test_a_changed_note_is_written_there() -> None:
    changed = Backup(made(1).filename, made(1).sidecar.with_changes(note="new"))
    found = plan([changed], known(made(1)), Policy(None))
    assert (found.to_copy, found.to_describe) == ((), (changed,))


def test_a_protected_copy_is_never_deleted() -> None:
    protected = Backup(made(50).filename, made(50).sidecar.with_changes(protected=True))
    assert plan([made(1)], known(protected), Policy(1, timedelta(days=2))).to_delete == ()


def test_an_empty_backup_folder_deletes_nothing_that_is_kept() -> None:
    assert plan([], known(made(1), made(2)), Policy(2)).is_empty


DAYS = st.sets(st.integers(0, 400), max_size=30)


@given(here=DAYS, there=DAYS, keep=st.one_of(st.none(), st.integers(1, 10)), weekly=st.integers(0, 5))
def test_after_the_plan_there_is_nothing_left_to_do(
    here: set[int], there: set[int], keep: int | None, weekly: int
) -> None:
    local, copies = [made(days) for days in here], known(*(made(days) for days in there))
    policy = Policy(keep, periods={Period.WEEKLY: weekly})
    found = plan(local, copies, policy)
    after = {name: copy for name, copy in copies.items() if name not in found.to_delete} | known(*found.to_copy)
    assert plan(local, after, policy).is_empty
    assert not {one.filename for one in found.to_copy} & set(copies)
    newest = max([*here, *there], key=lambda days: -days, default=None)
    assert newest is None or made(newest).filename in after
