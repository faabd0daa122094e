"""Which backups cleanup deletes, and which never."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.retention import Policy, expired, why_kept
from tvarr_backup.backups.sidecar import BackupKind, Checked, CheckLevel, Sidecar

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
GOOD = Checked(CheckLevel.QUICK, NOW)
BAD = Checked(CheckLevel.FULL, NOW, ("damaged",))


def backup(seq: int, *, days_old: float | None = None, **changes: Any) -> Backup:
    """A scheduled, checked backup; without a word about its age it is as many days old as its number is below 100."""
    age = timedelta(days=100 - seq if days_old is None else days_old)
    base = Sidecar(
        created_at=NOW - age,
        database_size=1,
        compressed_size=1,
        checksum="sha256:" + "a" * 64,
        kind=BackupKind.SCHEDULED,
        seq=seq,
        checked=GOOD,
    )
    return Backup(f"b{seq}", base.with_changes(**changes))


def removed(
    backups: list[Backup], *, keep: int | None = None, days: float | None = None, in_use: str = ""
) -> list[str]:
    policy = Policy(keep, None if days is None else timedelta(days=days))
    return [gone.filename for gone in expired(backups, policy, NOW, {in_use})]


FIVE = [backup(number) for number in (95, 96, 97, 98, 99)]


@pytest.mark.parametrize(
    ("keep", "days", "gone"),
    [
        (None, None, []),
        (5, None, []),
        (3, None, ["b95", "b96"]),
        (1, None, ["b95", "b96", "b97", "b98"]),
        (0, None, ["b95", "b96", "b97", "b98"]),
        (None, 2.5, ["b95", "b96", "b97"]),
        (4, 2.5, ["b95", "b96", "b97"]),
        (2, 4.5, ["b95", "b96", "b97"]),
        (None, 0, ["b95", "b96", "b97", "b98"]),
    ],
)
def test_the_newest_are_kept_and_those_that_are_too_old_go(
    keep: int | None, days: float | None, gone: list[str]
) -> None:
    assert removed(FIVE, keep=keep, days=days) == gone


@pytest.mark.parametrize(
    "changes",
    [
        {"protected": True},
        {"kind": BackupKind.MANUAL},
        {"kind": BackupKind.UPLOADED},
        {"kind": BackupKind.UPLOADED, "protected": True, "imported": True},
        {"kind": BackupKind.TVARR},
    ],
)
def test_protected_manual_uploaded_and_tvarrs_own_neither_go_nor_count(changes: dict[str, Any]) -> None:
    spared = [backup(number, **changes) for number in (1, 2, 3)]
    assert removed([*spared, *FIVE], keep=5) == []
    assert removed([*spared, *FIVE], keep=2, days=50) == ["b95", "b96", "b97"]


@pytest.mark.parametrize(("days", "gone"), [(0.1, []), (-0.1, ["b1"])])
def test_a_copy_made_before_a_restore_counts_once_its_protection_is_over(days: float, gone: list[str]) -> None:
    end = NOW + timedelta(days=days)
    copy = backup(1, kind=BackupKind.PRE_RESTORE, protected=True, protected_until=end)
    assert removed([copy, *FIVE], keep=5) == gone


def test_a_copy_made_before_a_restore_stays_whatever_its_age_when_a_person_protects_it() -> None:
    copy = backup(1, days_old=400, kind=BackupKind.PRE_RESTORE, protected=True)
    assert removed([copy, *FIVE], keep=5, days=50) == []


def test_an_unprotected_copy_made_before_a_restore_counts_at_once() -> None:
    assert removed([backup(1, days_old=1, kind=BackupKind.PRE_RESTORE), *FIVE], keep=5) == ["b1"]


def test_the_newest_good_one_stays_however_many_bad_ones_are_newer() -> None:
    bad = [backup(number, checked=BAD) for number in (97, 98)] + [backup(99, checked=None)]
    assert removed([backup(95), backup(96), *bad], keep=1) == ["b95", "b97", "b98"]
    assert removed([backup(95), backup(96), *bad], keep=0, days=0) == ["b95", "b97", "b98", "b99"]


def test_a_newer_good_manual_one_lets_old_automatic_ones_go() -> None:
    assert removed([backup(95), backup(99, kind=BackupKind.MANUAL)], keep=0) == ["b95"]


def test_one_that_is_in_use_stays() -> None:
    assert removed(FIVE, keep=1, in_use="b96") == ["b95", "b97", "b98"]


def test_the_clock_stepping_back_a_year_does_not_make_the_newest_the_oldest() -> None:
    newest = backup(100, days_old=365)
    assert removed([*FIVE, newest], keep=1) == ["b95", "b96", "b97", "b98", "b99"]


def test_a_date_in_the_future_is_neither_too_old_nor_makes_others_so() -> None:
    future = backup(94, days_old=-365)
    assert removed([future, *FIVE], days=50) == []
    assert removed([future, *FIVE], keep=5) == ["b94"]


@given(
    st.lists(
        st.builds(
            lambda seq, days, kind, protected, checked: backup(
                seq, days_old=days, kind=kind, protected=protected, checked=checked
            ),
            st.integers(1, 1_000),
            st.floats(-400, 400),
            st.sampled_from(BackupKind),
            st.booleans(),
            st.sampled_from([None, GOOD, BAD]),
        ),
        unique_by=lambda kept: kept.filename,
        max_size=30,
    ),
    st.none() | st.integers(0, 5),
    st.none() | st.floats(0, 300),
)
def test_whatever_the_folder_the_newest_good_one_and_enough_automatic_ones_stay(
    backups: list[Backup], keep: int | None, days: float | None
) -> None:
    gone = set(removed(backups, keep=keep, days=days))
    stay = [kept for kept in backups if kept.filename not in gone]
    good = [kept for kept in backups if kept.sidecar.checked == GOOD]
    if good:
        assert max(good, key=lambda kept: kept.sidecar.seq) in stay
    if days is None:
        automatic = [
            kept for kept in backups if kept.sidecar.kind is BackupKind.SCHEDULED and not kept.sidecar.protected
        ]
        left = [kept for kept in automatic if kept in stay]
        assert keep is None or len(left) >= min(keep, len(automatic)) - sum(
            kept.sidecar.kind is BackupKind.PRE_RESTORE for kept in stay
        )
    assert removed(stay, keep=keep, days=days) == []


# --- Why one stays ---------------------------------------------------------------------------------------------------


def why(backups: list[Backup], seq: int, **limits: Any) -> str | None:
    chosen = next(one for one in backups if one.sidecar.seq == seq)
    policy = Policy(limits.get("keep"), limits.get("max_age"))
    return why_kept(chosen, lambda: backups, policy, NOW)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "within limits"),
        ({"protected": True}, "protected"),
        ({"kind": BackupKind.MANUAL}, "not automatic"),
        ({"kind": BackupKind.UPLOADED, "protected": True}, "protected"),
        (
            {"kind": BackupKind.PRE_RESTORE, "protected": True, "protected_until": NOW + timedelta(days=1)},
            "protected for now",
        ),
        (
            {"kind": BackupKind.PRE_RESTORE, "protected": True, "protected_until": NOW - timedelta(days=1)},
            "within limits",
        ),
    ],
)
def test_what_stays_has_its_reason(changes: dict[str, Any], reason: str) -> None:
    assert why([*FIVE, backup(100, **changes)], 100, keep=3) == reason


def test_what_goes_has_none_and_the_newest_good_one_stays_for_that_alone() -> None:
    backups = [backup(96), backup(97), backup(98, checked=BAD)]
    assert [why(backups, seq, keep=1) for seq in (96, 97, 98)] == [None, "newest good", "within limits"]


def test_for_one_that_is_never_counted_the_others_are_not_asked_for() -> None:
    for changes in ({"kind": BackupKind.MANUAL}, {"protected": True}):
        assert why_kept(backup(1, **changes), lambda: pytest.fail("asked"), Policy(3, None), NOW)
