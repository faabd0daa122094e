"""Which backups cleanup deletes, and which never."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.retention import Period, Policy, Rule, expired, rules_keeping, why_kept
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


FOLDERS = st.lists(
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
)


@given(
    FOLDERS,
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


# --- Periods ---------------------------------------------------------------------------------------------------------

BERLIN = ZoneInfo("Europe/Berlin")


def made_at(*times: str, **changes: Any) -> list[Backup]:
    """Return scheduled, checked backups of these local times, in the order in which they were made."""
    return [
        backup(seq, **{"created_at": datetime.fromisoformat(time).replace(tzinfo=BERLIN)} | changes)
        for seq, time in enumerate(times, start=1)
    ]


def kept_times(backups: list[Backup], now: datetime = NOW, **limits: Any) -> list[str]:
    given: dict[str, Any] = {"keep": 0, "zone": BERLIN} | limits
    policy = Policy(**given)
    gone = expired(backups, policy, now)
    return [f"{kept.sidecar.created_at.astimezone(BERLIN):%Y-%m-%dT%H:%M}" for kept in backups if kept not in gone]


@pytest.mark.parametrize(
    ("period", "times", "kept"),
    [
        (Period.DAILY, ["2026-03-01T02:00", "2026-03-02T02:00", "2026-03-02T23:59", "2026-03-03T00:00"], [2, 3]),
        (Period.WEEKLY, ["2026-03-01T23:59", "2026-03-02T00:00", "2026-03-08T23:59", "2026-03-09T00:00"], [2, 3]),
        (Period.MONTHLY, ["2026-01-31T23:59", "2026-02-01T00:00", "2026-02-28T23:59", "2026-03-01T00:00"], [2, 3]),
        (Period.YEARLY, ["2024-12-31T23:59", "2025-01-01T00:00", "2025-12-31T23:59", "2026-01-01T00:00"], [2, 3]),
    ],
)
def test_the_newest_of_each_of_the_last_periods_is_kept(period: Period, times: list[str], kept: list[int]) -> None:
    assert kept_times(made_at(*times), periods={period: 2}) == [times[number] for number in kept]


def test_a_backup_is_kept_when_any_rule_keeps_it() -> None:
    times = ["2025-12-31T02:00", "2026-01-31T02:00", "2026-02-15T02:00", "2026-02-22T02:00", "2026-02-23T02:00"]
    times += ["2026-02-24T02:00", "2026-02-24T14:00", "2026-02-24T20:00"]
    numbers = {Period.DAILY: 2, Period.WEEKLY: 3, Period.MONTHLY: 2, Period.YEARLY: 5}
    assert kept_times(made_at(*times), keep=2, periods=numbers) == [*times[:5], *times[6:]]


def test_periods_without_a_backup_do_not_count() -> None:
    times = ["2025-11-03T02:00", "2026-02-01T02:00", "2026-06-01T02:00"]
    assert kept_times(made_at(*times), periods={Period.DAILY: 2}) == times[1:]


def test_a_number_of_zero_keeps_none() -> None:
    times = ["2026-06-01T02:00", "2026-06-02T02:00"]
    assert kept_times(made_at(*times), periods=dict.fromkeys(Period, 0)) == times[1:]  # the newest good one


def test_without_a_limit_on_the_number_periods_delete_nothing() -> None:
    times = ["2026-06-01T02:00", "2026-06-01T03:00"]
    assert kept_times(made_at(*times), keep=None, periods={Period.DAILY: 1}) == times


def test_the_days_are_those_of_the_time_zone() -> None:
    backups = [backup(1, created_at=datetime(2026, 6, 1, 21, 59, tzinfo=UTC))]
    backups += [backup(2, created_at=datetime(2026, 6, 1, 22, 1, tzinfo=UTC))]
    assert kept_times(backups, periods={Period.DAILY: 2}) == ["2026-06-01T23:59", "2026-06-02T00:01"]
    assert kept_times(backups, periods={Period.DAILY: 2}, zone=UTC) == ["2026-06-02T00:01"]


@pytest.mark.parametrize(
    "hours",
    [
        ["2026-03-28T23:30+00:00", "2026-03-29T21:30+00:00"],  # 23 hours
        ["2026-10-24T22:30+00:00", "2026-10-25T22:30+00:00"],  # 25 hours
    ],
)
def test_a_day_on_which_clocks_change_is_one_day(hours: list[str]) -> None:
    first, last = (backup(n, created_at=datetime.fromisoformat(hour)) for n, hour in enumerate(hours, start=1))
    policy = Policy(0, periods={Period.DAILY: 9}, zone=BERLIN)
    assert expired([first, last], policy, NOW + timedelta(days=300)) == [first]
    assert len({kept.sidecar.created_at.astimezone(BERLIN).date() for kept in (first, last)}) == 1


def test_a_day_that_a_zone_left_out_joins_nothing() -> None:
    """Samoa had no 30 December 2011."""
    apia = ZoneInfo("Pacific/Apia")
    hours = [datetime(2011, 12, 30, 9, 59, tzinfo=UTC), datetime(2011, 12, 30, 10, 1, tzinfo=UTC)]
    backups = [backup(seq, created_at=hour) for seq, hour in enumerate(hours, start=1)]
    policy = Policy(0, periods={Period.DAILY: 2}, zone=apia)
    assert expired(backups, policy, NOW) == []
    assert [rules_keeping(each, backups, policy, NOW)[0].first_day for each in backups] == [
        date(2011, 12, 29),
        date(2011, 12, 31),
    ]


def test_a_week_across_two_years_is_one_week() -> None:
    times = ["2026-12-27T02:00", "2026-12-31T02:00", "2027-01-01T02:00", "2027-01-04T02:00"]
    backups, now = made_at(*times), datetime(2027, 1, 5, tzinfo=UTC)
    assert kept_times(backups, now, periods={Period.WEEKLY: 9}) == [times[0], *times[2:]]
    policy = Policy(0, periods={Period.WEEKLY: 9}, zone=BERLIN)
    assert rules_keeping(backups[2], backups, policy, now) == [Rule(Period.WEEKLY, date(2026, 12, 28))]


@pytest.mark.parametrize("checked", [BAD, None])
def test_a_backup_that_is_not_good_uses_up_no_period(checked: Checked | None) -> None:
    times = ["2026-06-01T02:00", "2026-06-02T02:00", "2026-06-02T14:00", "2026-06-03T02:00"]
    backups = made_at(*times)
    backups[2:] = made_at(*times, checked=checked)[2:]
    assert kept_times(backups, periods={Period.DAILY: 2}) == times[:2]


@pytest.mark.parametrize("changes", [{"kind": BackupKind.MANUAL}, {"kind": BackupKind.UPLOADED}, {"protected": True}])
def test_a_backup_that_cleanup_never_deletes_uses_up_no_period(changes: dict[str, Any]) -> None:
    times = ["2026-06-01T02:00", "2026-06-01T03:00", "2026-06-02T02:00"]
    backups = made_at(*times)
    backups[2:] = made_at(*times, **changes)[2:]
    assert kept_times(backups, periods={Period.DAILY: 1}) == times[1:]


def test_a_clock_that_goes_back_does_not_make_an_older_backup_the_newest_of_a_day() -> None:
    times = ["2026-06-01T20:00", "2026-06-01T08:00"]
    assert kept_times(made_at(*times), periods={Period.DAILY: 3}) == times[1:]


def test_backups_of_a_clock_that_ran_ahead_do_not_use_up_periods_for_years() -> None:
    ahead = [f"2031-01-0{day}T02:00" for day in (1, 2, 3)]
    right = [f"2026-06-0{day}T02:00" for day in (1, 2, 3)]
    assert kept_times(made_at(*ahead, *right), periods={Period.DAILY: 3}) == right


def test_the_maximum_age_comes_last_and_spares_the_newest_good_one() -> None:
    times = ["2026-04-30T02:00", "2026-05-31T02:00"]
    limits: dict[str, Any] = {"periods": {Period.MONTHLY: 12}, "max_age": timedelta(days=30)}
    assert kept_times(made_at(*times), **limits) == times[1:]
    assert kept_times(made_at(*times), NOW + timedelta(days=90), **limits) == times[1:]


POLICIES = st.builds(
    lambda keep, days, numbers, zone: Policy(
        keep, None if days is None else timedelta(days=days), dict(zip(Period, numbers, strict=True)), ZoneInfo(zone)
    ),
    st.none() | st.integers(0, 5),
    st.none() | st.floats(0, 500),
    st.lists(st.integers(0, 5), min_size=4, max_size=4),
    st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia", "America/St_Johns"]),
)


def names(backups: list[Backup]) -> set[str]:
    return {each.filename for each in backups}


@given(FOLDERS, POLICIES)
def test_whatever_the_policy_the_newest_good_one_stays_and_a_second_cleanup_finds_nothing(
    backups: list[Backup], policy: Policy
) -> None:
    gone = names(expired(backups, policy, NOW))
    stay = [each for each in backups if each.filename not in gone]
    good = [each for each in backups if each.sidecar.is_good]
    assert not good or max(good, key=lambda each: each.sidecar.seq) in stay
    assert expired(stay, policy, NOW) == []


@given(FOLDERS, POLICIES, st.sampled_from(Period), st.integers(1, 5))
def test_a_larger_number_never_deletes_more(backups: list[Backup], policy: Policy, period: Period, more: int) -> None:
    larger = replace(policy, periods={**policy.periods, period: policy.periods[period] + more})
    assert names(expired(backups, larger, NOW)) <= names(expired(backups, policy, NOW))
    if policy.keep is not None:
        larger = replace(policy, keep=policy.keep + more)
        assert names(expired(backups, larger, NOW)) <= names(expired(backups, policy, NOW))


@given(FOLDERS, POLICIES)
def test_several_rules_keep_what_each_keeps_alone(backups: list[Backup], policy: Policy) -> None:
    alone = [replace(policy, periods={})]
    alone += [replace(policy, keep=0, periods={period: number}) for period, number in policy.periods.items()]
    assert names(expired(backups, policy, NOW)) == set.intersection(
        *(names(expired(backups, each, NOW)) for each in alone)
    )


@given(FOLDERS, POLICIES)
def test_a_backup_that_is_counted_stays_if_a_rule_keeps_it_or_it_is_the_newest_good_one(
    backups: list[Backup], policy: Policy
) -> None:
    gone = names(expired(backups, policy, NOW))
    for each in backups:
        rules = rules_keeping(each, backups, policy, NOW)
        reason = why_kept(each, lambda: backups, policy, NOW)
        assert bool(rules) == (reason == "within limits")
        assert (reason is None) == (each.filename in gone)


# --- Why one stays ---------------------------------------------------------------------------------------------------


def why(backups: list[Backup], seq: int, **limits: Any) -> str | None:
    chosen = next(one for one in backups if one.sidecar.seq == seq)
    policy = Policy(**({"keep": None} | limits))
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


def test_all_rules_that_keep_a_backup_are_listed() -> None:
    backups = made_at("2026-05-31T02:00", "2026-06-06T02:00", "2026-06-07T02:00", "2026-06-08T02:00")
    policy = Policy(1, periods=dict.fromkeys(reversed(Period), 2), zone=BERLIN)
    assert [rules_keeping(each, backups, policy, NOW) for each in backups] == [
        [Rule(Period.MONTHLY, date(2026, 5, 1))],
        [],
        [Rule(Period.DAILY, date(2026, 6, 7)), Rule(Period.WEEKLY, date(2026, 6, 1))],
        [
            Rule(),
            Rule(Period.DAILY, date(2026, 6, 8)),
            Rule(Period.WEEKLY, date(2026, 6, 8)),
            Rule(Period.MONTHLY, date(2026, 6, 1)),
            Rule(Period.YEARLY, date(2026, 1, 1)),
        ],
    ]


def test_no_rule_keeps_a_backup_that_is_too_old_or_not_counted() -> None:
    policy = Policy(3, timedelta(days=30), {Period.YEARLY: 3})
    for changes in ({"days_old": 31.0}, {"kind": BackupKind.MANUAL}, {"protected": True}):
        each = backup(1, **{"days_old": 1.0} | changes)
        assert rules_keeping(each, [each], policy, NOW) == []


def test_the_newest_good_one_has_its_rules_as_the_reason_if_a_period_keeps_it() -> None:
    backups = [backup(97), backup(98, checked=BAD)]
    assert why(backups, 97, keep=1, periods={Period.WEEKLY: 1}) == "within limits"
    assert why(backups, 97, keep=1) == "newest good"
