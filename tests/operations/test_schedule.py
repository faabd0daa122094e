"""The schedule: its settings, changes, and the operations that are due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection
from django_q.models import OrmQ, Schedule
from ulid import ULID

from tests.events import told
from tests.operations.elsewhere import queued
from tvarr_backup import conf
from tvarr_backup.backups.catalogue import find_backup, read_folder
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.backups.verify import verify_backup
from tvarr_backup.cron import parse_zone
from tvarr_backup.errors import BackupUnsupported
from tvarr_backup.operations.models import BackupSettings, Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.schedule import (
    change_settings,
    describe_retention,
    plan_next_run,
    report_problems,
    request_due,
    schedule_as_data,
)
from tvarr_backup.operations.track import create_operation
from tvarr_backup.tasks import run_operation

pytestmark = pytest.mark.django_db


def row() -> Schedule:
    return Schedule.objects.get(name="scheduled-backup")


def let_the_time_come(ago: timedelta = timedelta(minutes=1)) -> None:
    Schedule.objects.update(next_run=datetime.now(UTC) - ago)


def ended(state: OperationState, *, kind: OperationKind = OperationKind.BACKUP, **columns: Any) -> Operation:
    """A scheduled operation of a minute ago, ended in this state."""
    now = datetime.now(UTC)
    operation = create_operation(
        kind, origin=Origin.SCHEDULE, state=OperationState.RUNNING, due_at=columns.pop("due_at", now)
    )
    Operation.objects.filter(pk=operation.pk).update(state=state, finished_at=now, **columns)
    operation.refresh_from_db()
    return operation


def soon(minutes: int) -> tuple[str, datetime]:
    """A cron for every day at a time so many minutes from now, and that time."""
    time = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=minutes)
    return f"{time.minute} {time.hour} * * *", time


# --- Settings --------------------------------------------------------------------------------------------------------


def test_by_itself_it_is_as_the_environment_says(settings: Any) -> None:
    settings.BACKUP_SCHEDULE_CRON, settings.TIME_ZONE = "30 4 * * SUN", "Europe/Berlin"
    settings.BACKUP_MAX_AGE = timedelta(days=30, hours=6)
    data = schedule_as_data()
    values = {
        "enabled": True,
        "cron": "30 4 * * SUN",
        "retention": 7,
        "timezone": "Europe/Berlin",
        "max_age": "30d6h",
        "rehearsal_interval": "7d",
        "retention_daily": 0,
        "retention_weekly": 0,
        "retention_monthly": 0,
        "retention_yearly": 0,
    }
    assert list(data)[:3] == ["enabled", "cron", "retention"]
    assert data == values | {
        "description": "Every Sunday at 04:30 (Europe/Berlin)",
        "next_runs": data["next_runs"],
        "overdue_since": None,
        "last_run": None,
        "last_check": None,
        "problems": [],
        "defaults": values,
    }
    assert BackupSettings.objects.count() == 0


def test_stored_values_count_and_the_defaults_are_listed_too() -> None:
    change_settings({"cron": "0 3 * * *", "time_zone": "America/New_York", "keep": 3, "max_age": "1w2d"})
    data = schedule_as_data()
    assert (data["cron"], data["timezone"], data["retention"], data["max_age"]) == (
        "0 3 * * *",
        "America/New_York",
        3,
        "1w2d",
    )
    assert data["defaults"] == {
        "enabled": True,
        "cron": "0 2 * * *",
        "retention": 7,
        "timezone": "UTC",
        "max_age": "none",
        "rehearsal_interval": "7d",
        "retention_daily": 0,
        "retention_weekly": 0,
        "retention_monthly": 0,
        "retention_yearly": 0,
    }


def test_it_needs_few_queries(django_assert_max_num_queries: Any) -> None:
    change_settings({"cron": "0 3 * * *"})
    ended(OperationState.SUCCEEDED)
    with django_assert_max_num_queries(5):
        schedule_as_data()


def test_numbers_of_periods_are_listed_whether_stored_or_not(settings: Any) -> None:
    settings.BACKUP_RETENTION_WEEKLY = 4
    change_settings({"daily": 7, "yearly": 2})
    data = schedule_as_data()
    names = [f"retention_{period}" for period in ("daily", "weekly", "monthly", "yearly")]
    assert [data[name] for name in names] == [7, 4, 0, 2]
    assert [data["defaults"][name] for name in names] == [0, 4, 0, 0]


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({}, "the newest 7 automatic backups"),
        ({"keep": 1}, "the newest automatic backup"),
        ({"keep_all": True}, "all automatic backups"),
        ({"keep": 3, "daily": 7}, "the newest 3 automatic backups, plus 7 daily"),
        ({"daily": 7, "weekly": 4, "yearly": 1}, "the newest 7 automatic backups, plus 7 daily, 4 weekly and 1 yearly"),
        ({"weekly": 4, "max_age": "90d"}, "the newest 7 automatic backups, plus 4 weekly, at most 90d old"),
        ({"keep_all": True, "weekly": 4, "max_age": "90d"}, "all automatic backups, at most 90d old"),
    ],
)
def test_the_retention_is_described(columns: dict[str, Any], sentence: str) -> None:
    assert describe_retention(BackupSettings(**columns)) == sentence


def test_that_all_are_kept_is_tvarrs_zero() -> None:
    change_settings({"keep_all": True, "keep": 5})
    assert schedule_as_data()["retention"] == 0


def test_the_next_three_times_are_listed_in_the_zone() -> None:
    change_settings({"cron": "0 3 * * *", "time_zone": "Asia/Kathmandu"})
    now = datetime.now(UTC)
    times = [datetime.fromisoformat(text) for text in schedule_as_data()["next_runs"]]
    assert [f"{time:%H:%M:%S %z}" for time in times] == ["03:00:00 +0545"] * 3
    assert now < times[0] <= now + timedelta(days=1)
    assert [later - earlier for earlier, later in pairwise(times)] == [timedelta(days=1)] * 2


def test_off_there_is_no_next_time() -> None:
    change_settings({"enabled": False})
    data = schedule_as_data()
    assert (data["enabled"], data["description"], data["next_runs"]) == (False, "Automatic backups are off", [])


def test_on_where_the_environment_says_off(settings: Any) -> None:
    settings.BACKUP_SCHEDULE_ENABLED = False
    assert schedule_as_data()["enabled"] is False
    change_settings({"enabled": True})
    assert schedule_as_data()["enabled"] is True
    change_settings({"enabled": None})
    assert schedule_as_data()["enabled"] is False


def test_an_invalid_stored_value_is_ignored_and_reported() -> None:
    """It may come from a newer version, or be a zone that an update of the system has removed."""
    BackupSettings.objects.create(pk=1, cron="@sunrise", time_zone="Mars/Base", keep=3, max_age="1y")
    data = schedule_as_data()
    assert (data["cron"], data["timezone"], data["max_age"], data["retention"]) == ("0 2 * * *", "UTC", "none", 3)
    assert [(problem.partition(":")[0], problem.partition(" got ")[2]) for problem in data["problems"]] == [
        ("cron", '"@sunrise".'),
        ("time_zone", '"Mars/Base".'),
        ("max_age", '"1y".'),
    ]
    plan_next_run()
    assert row().next_run == datetime.fromisoformat(data["next_runs"][0])


def test_a_stored_age_that_cannot_be_read_removes_nothing(settings: Any) -> None:
    settings.BACKUP_MAX_AGE = timedelta(hours=1)
    BackupSettings.objects.create(pk=1, max_age="1y")
    assert BackupSettings.load().policy().max_age is None


def test_what_cannot_be_read_is_logged_when_the_worker_starts(caplog: pytest.LogCaptureFixture) -> None:
    BackupSettings.objects.create(pk=1, cron="@sunrise")
    report_problems()
    assert 'got "@sunrise".' in caplog.text


def test_the_last_run_is_listed_with_its_state() -> None:
    assert schedule_as_data()["last_run"] is None
    operation = ended(OperationState.FAILED, error="The disk is full.")
    ended(OperationState.SUCCEEDED, kind=OperationKind.VERIFY)
    times = {name: getattr(operation, name).isoformat() for name in ("due_at", "started_at", "finished_at")}
    assert schedule_as_data()["last_run"] == times | {
        "operation": str(operation.pk),
        "state": "failed",
        "message": "The disk is full.",
        "filename": None,
    }


def test_the_last_run_names_what_it_made_and_the_last_check_what_it_checked() -> None:
    ended(OperationState.SUCCEEDED, result={"backup": {"filename": "a"}, "removed": []})
    ended(OperationState.ATTENTION, kind=OperationKind.VERIFY, result={"verified": [{"backup": {"filename": "b"}}]})
    data = schedule_as_data()
    assert (data["last_run"]["filename"], data["last_check"]["filename"]) == ("a", "b")


def test_what_a_clock_that_ran_ahead_has_dated_is_not_the_last() -> None:
    ahead = datetime.now(UTC) + timedelta(days=400)
    ended(OperationState.FAILED)
    Operation.objects.update(id=str(ULID.from_datetime(ahead)), created_at=ahead)
    right = ended(OperationState.SUCCEEDED)
    assert schedule_as_data()["last_run"]["operation"] == str(right.pk)


@pytest.mark.parametrize(("minutes", "overdue"), [(-60, False), (1, False), (6, True)])
def test_one_that_has_not_been_asked_for_within_five_minutes_is_overdue(minutes: int, *, overdue: bool) -> None:
    plan_next_run()
    let_the_time_come(timedelta(minutes=minutes))
    assert schedule_as_data()["overdue_since"] == (row().next_run.isoformat() if overdue else None)


def test_off_nothing_is_overdue(settings: Any) -> None:
    plan_next_run()
    let_the_time_come(timedelta(days=1))
    settings.BACKUP_SCHEDULE_ENABLED = False
    assert schedule_as_data()["overdue_since"] is None


# --- Changing --------------------------------------------------------------------------------------------------------


def test_six_fields_are_stored_as_five() -> None:
    change_settings({"cron": " 0 0 3 * * * "})
    assert BackupSettings.load().cron == "0 3 * * *"


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("cron", "x y z a b c", "invalid_cron"),
        ("cron", "30 0 2 * * *", "invalid_cron"),
        ("cron", "@daily", "invalid_cron"),
        ("cron", "0 0 31 2 *", "invalid_cron"),
        ("time_zone", "Mars/Base", "invalid_time_zone"),
        ("keep", 0, "min_value"),
        ("daily", -1, "min_value"),
        ("monthly", 100_001, "max_value"),
        ("max_age", "soon", "invalid_duration"),
    ],
)
def test_an_invalid_value_is_refused_and_the_old_schedule_stays(column: str, value: Any, code: str) -> None:
    change_settings({"cron": "0 3 * * *", "time_zone": "Europe/Berlin", "keep": 3, "max_age": "30d"})
    before = (schedule_as_data(), Schedule.objects.values().get())
    with pytest.raises(ValidationError) as refusal:
        change_settings({"enabled": False, column: value})
    assert {name: errors[0].code for name, errors in refusal.value.error_dict.items()} == {column: code}
    assert (schedule_as_data(), Schedule.objects.values().get()) == before


def test_two_who_change_different_things_both_succeed() -> None:
    change_settings({"cron": "0 3 * * *"})
    change_settings({"time_zone": "Europe/Berlin"})
    change_settings({"keep": 2})
    stored = BackupSettings.load()
    assert (stored.cron, stored.time_zone, stored.keep) == ("0 3 * * *", "Europe/Berlin", 2)


# --- The row ---------------------------------------------------------------------------------------------------------


def test_there_is_one_row_with_the_next_time() -> None:
    plan_next_run()
    plan_next_run()
    assert row().next_run == datetime.fromisoformat(schedule_as_data()["next_runs"][0])


@pytest.mark.parametrize(
    "change",
    [{"cron": "17 5 * * *"}, {"time_zone": "Asia/Kathmandu"}, {"cron": "1 1 1 1 *", "time_zone": "Asia/Tokyo"}],
)
def test_a_change_plans_the_next_backup_again(change: dict[str, str]) -> None:
    plan_next_run()
    before = row().next_run
    change_settings(change)
    assert row().next_run == datetime.fromisoformat(schedule_as_data()["next_runs"][0]) != before


def test_off_there_is_no_row_and_on_there_is_one_again() -> None:
    plan_next_run()
    change_settings({"enabled": False})
    assert not Schedule.objects.exists()
    request_due()
    assert not OrmQ.objects.exists()
    change_settings({"enabled": True})
    assert row().next_run > datetime.now(UTC)


def test_what_the_environment_changed_while_nothing_ran_counts_when_the_worker_starts(settings: Any) -> None:
    plan_next_run()
    settings.BACKUP_SCHEDULE_CRON = "17 5 * * *"
    plan_next_run()
    assert (row().next_run.hour, row().next_run.minute) == (5, 17)
    settings.BACKUP_SCHEDULE_ENABLED = False
    plan_next_run()
    assert not Schedule.objects.exists()


def test_a_clock_that_was_years_ahead_does_not_silence_it() -> None:
    plan_next_run()
    right = row().next_run
    Schedule.objects.update(next_run=right + timedelta(days=1500))
    plan_next_run()
    assert row().next_run == right


# --- When the time has come ------------------------------------------------------------------------------------------


def test_nothing_is_done_before_its_time() -> None:
    request_due()
    request_due()
    assert not OrmQ.objects.exists()
    assert not Operation.objects.exists()


def test_a_backup_is_asked_for_and_the_next_time_is_planned() -> None:
    plan_next_run()
    let_the_time_come()
    request_due()
    operation = Operation.objects.get()
    assert (operation.kind, operation.origin, operation.state, operation.requested_by) == (
        "backup",
        "schedule",
        "queued",
        None,
    )
    assert row().next_run == datetime.fromisoformat(schedule_as_data()["next_runs"][0])
    request_due()
    assert [task.func() for task in OrmQ.objects.all()] == ["tvarr_backup.tasks.run_operation"]


def test_the_backup_is_of_the_kind_scheduled(folder: Path, attached: Path) -> None:
    plan_next_run()
    let_the_time_come()
    request_due()
    run_operation(Operation.objects.get().pk)
    (backup,) = read_folder(folder).backups
    assert (Operation.objects.get().state, backup.sidecar.kind) == ("succeeded", "scheduled")


def test_however_many_times_were_missed_it_is_made_up_once() -> None:
    change_settings({"cron": "* * * * *"})
    let_the_time_come(timedelta(days=40))
    request_due()
    assert Operation.objects.count() == 1
    assert datetime.now(UTC) < row().next_run <= datetime.now(UTC) + timedelta(minutes=1)


def test_a_time_that_has_come_is_done_by_the_old_settings_before_new_ones_count() -> None:
    plan_next_run()
    let_the_time_come()
    change_settings({"cron": "17 5 * * *"})
    assert row().next_run < datetime.now(UTC)
    request_due()
    assert Operation.objects.count() == 1
    assert (row().next_run.hour, row().next_run.minute) == (5, 17)


def test_the_operation_knows_the_time_that_it_is_for() -> None:
    plan_next_run()
    let_the_time_come()
    time = row().next_run
    request_due()
    assert Operation.objects.get().due_at == time


# --- Clocks that are put back, and backups that were cut off ---------------------------------------------------------


@pytest.mark.parametrize(("minutes", "again"), [(5, False), (59, False), (62, True)])
def test_a_time_that_comes_again_within_the_hour_was_done(minutes: int, *, again: bool) -> None:
    """The clock was put back right after the run. By more than an hour, it was wrong, and the time is repeated."""
    cron, time = soon(minutes)
    ended(OperationState.SUCCEEDED, due_at=time)
    change_settings({"cron": cron})
    assert row().next_run == (time if again else time + timedelta(days=1))
    assert schedule_as_data()["next_runs"][0] == row().next_run.isoformat()


def test_a_time_that_was_planned_again_comes_although_a_clock_that_was_put_back_has_done_it() -> None:
    """By a day, hours ago: what was done then is dated within the hour now."""
    cron, time = soon(30)
    change_settings({"cron": cron})
    ended(OperationState.SUCCEEDED, due_at=time)
    plan_next_run()
    assert row().next_run == time
    assert schedule_as_data()["next_runs"][0] == time.isoformat()


@pytest.mark.parametrize("state", [OperationState.SUCCEEDED, OperationState.ATTENTION, OperationState.FAILED, OperationState.CANCELLED])  # fmt: skip
def test_what_has_come_to_an_end_is_not_made_up(state: OperationState) -> None:
    ended(state)
    plan_next_run()
    assert row().next_run > datetime.now(UTC)


def test_one_that_was_cut_off_is_made_up_once() -> None:
    plan_next_run()
    first = ended(OperationState.INTERRUPTED)
    request_due()
    second = Operation.objects.exclude(pk=first.pk).get()
    assert (second.state, second.due_at) == ("queued", first.due_at)
    Operation.objects.filter(pk=second.pk).update(state=OperationState.SUCCEEDED)
    plan_next_run()
    assert row().next_run > datetime.now(UTC)


def test_one_that_is_cut_off_again_and_again_is_tried_three_times() -> None:
    plan_next_run()
    let_the_time_come()
    for _ in range(3):
        request_due()
        Operation.objects.update(state=OperationState.INTERRUPTED)
    plan_next_run()
    assert row().next_run > datetime.now(UTC)
    assert len(set(Operation.objects.values_list("due_at", flat=True))) == 1


def test_off_nothing_is_made_up() -> None:
    ended(OperationState.INTERRUPTED)
    change_settings({"enabled": False})
    plan_next_run()
    assert not Schedule.objects.exists()


# --- Switched off, lost, refused -------------------------------------------------------------------------------------


def test_switched_off_in_between_nothing_is_asked_for() -> None:
    plan_next_run()
    let_the_time_come()
    change_settings({"enabled": False})
    request_due()
    assert not Operation.objects.exists()
    assert not Schedule.objects.exists()


def test_while_another_operation_is_open_it_stays_due(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    other = queued()
    plan_next_run()
    let_the_time_come()
    request_due()
    assert Operation.objects.get() == other
    (event,) = told(caplog, "schedule.waiting", "schedule.due")
    assert event["event"] == "schedule.waiting"
    assert event["reason"].startswith("A backup has been queued since ")
    Operation.objects.update(state=OperationState.SUCCEEDED)
    request_due()
    assert Operation.objects.filter(origin="schedule").count() == 1
    assert row().next_run > datetime.now(UTC)


def test_one_that_cannot_be_asked_for_is_logged_and_the_next_comes_as_usual(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> Path:
        raise BackupUnsupported("tvarr's database is on PostgreSQL.")

    plan_next_run()
    let_the_time_come()
    monkeypatch.setattr(conf, "live_database", refuse)
    request_due()
    (event,) = told(caplog)
    assert (event["level"], event["event"]) == ("error", "schedule.skipped")
    assert event["reason"] == "tvarr's database is on PostgreSQL."
    assert row().next_run > datetime.now(UTC)


def test_one_that_fails_is_logged_with_its_reason_and_the_next_comes_as_usual(
    folder: Path, attached: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan_next_run()
    let_the_time_come()
    request_due()
    folder.rmdir()
    folder.write_bytes(b"")
    run_operation(Operation.objects.get().pk)
    operation = Operation.objects.get()
    assert (operation.state, bool(operation.error)) == ("failed", True)
    (event,) = told(caplog, "backup.failed")
    assert (event["level"], event["operation"], event["origin"]) == ("error", operation.pk, "schedule")
    assert (event["code"], event["reason"]) == (operation.error_code, operation.error)
    assert row().next_run > datetime.now(UTC)


@pytest.mark.sqlite  # by its trigger
def test_where_the_queue_refuses_it_stays_due() -> None:
    plan_next_run()
    let_the_time_come()
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON django_q_ormq BEGIN SELECT RAISE(ABORT, 'no queue today'); END"
        )
    with pytest.raises(DatabaseError, match="no queue today"):
        request_due()
    assert not Operation.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER refuse")
    request_due()
    assert Operation.objects.count() == 1


# --- The nightly check -----------------------------------------------------------------------------------------------


def night() -> datetime:
    """Four o'clock last night."""
    now = datetime.now(UTC)
    return now.replace(hour=4, minute=0, second=0, microsecond=0) - timedelta(days=now.hour < 4)


@pytest.fixture
def older() -> Operation:
    """A backup that was made before last night."""
    long_before = night() - timedelta(days=2)
    return ended(OperationState.SUCCEEDED, created_at=long_before, due_at=long_before)


def look() -> list[Operation]:
    """The checks, after the worker has looked at the schedule."""
    request_due()
    return list(Operation.objects.filter(kind=OperationKind.VERIFY))


def test_every_night_one_check_is_asked_for(older: Operation) -> None:
    (operation,) = look()
    assert (operation.origin, operation.state, operation.due_at) == ("schedule", "queued", night())
    assert operation.requested_by is None
    Operation.objects.update(state=OperationState.SUCCEEDED)
    assert look() == [operation]


def test_however_many_nights_were_missed_it_is_made_up_once(older: Operation) -> None:
    long_ago = night() - timedelta(days=40)
    ended(OperationState.SUCCEEDED, kind=OperationKind.VERIFY, due_at=long_ago, created_at=long_ago)
    look()
    Operation.objects.update(state=OperationState.SUCCEEDED)
    assert len(look()) == 2


def test_one_that_was_cut_off_is_left_for_the_next_night(older: Operation) -> None:
    ended(OperationState.INTERRUPTED, kind=OperationKind.VERIFY, due_at=night())
    assert len(look()) == 1


def test_the_night_is_that_of_the_zone(older: Operation) -> None:
    change_settings({"time_zone": "Asia/Kathmandu"})
    (operation,) = look()
    assert operation.due_at is not None
    assert f"{operation.due_at.astimezone(parse_zone('Asia/Kathmandu')):%H:%M}" == "04:00"
    assert timedelta(0) <= datetime.now(UTC) - operation.due_at < timedelta(days=1)


def test_no_check_is_asked_for_before_there_was_a_backup_that_night() -> None:
    ended(OperationState.SUCCEEDED)
    assert look() == []


def test_no_check_is_asked_for_while_it_is_off(older: Operation) -> None:
    change_settings({"enabled": False})
    assert look() == []


def test_a_check_waits_for_what_is_open(older: Operation) -> None:
    queued()
    assert look() == []


def test_a_check_waits_for_a_backup_that_is_due(older: Operation) -> None:
    plan_next_run()
    let_the_time_come()
    assert look() == []
    assert Operation.objects.filter(kind=OperationKind.BACKUP, state=OperationState.QUEUED).exists()
    Operation.objects.update(state=OperationState.SUCCEEDED)
    assert len(look()) == 1


def test_a_backup_that_comes_due_during_a_check_is_made_right_after(older: Operation) -> None:
    look()
    let_the_time_come()
    request_due()
    assert [operation.kind for operation in Operation.objects.filter(state="queued")] == ["verify"]
    Operation.objects.update(state=OperationState.SUCCEEDED)
    request_due()
    assert [operation.kind for operation in Operation.objects.filter(state="queued")] == ["backup"]


def made(folder: Path, number: int) -> str:
    """The file name of a real backup."""
    live, required = conf.live_database(), conf.required_schema()
    return create_backup(live, folder, required, kind=BackupKind.SCHEDULED, note=str(number)).filename


def test_a_check_is_of_the_backup_that_was_checked_longest_ago(folder: Path, attached: Path, older: Operation) -> None:
    names = [made(folder, number) for number in range(2)]
    verify_backup(folder, names[0], conf.required_schema())
    (operation,) = look()
    run_operation(operation.pk)
    operation.refresh_from_db()
    assert (operation.state, operation.arguments["filenames"]) == ("succeeded", [names[1]])
    checked = find_backup(folder, names[1]).sidecar.checked
    assert checked is not None
    assert checked.level == "full"


def test_damage_that_is_found_needs_attention_and_is_logged(
    folder: Path, attached: Path, older: Operation, caplog: pytest.LogCaptureFixture
) -> None:
    name = made(folder, 1)
    archive = bytearray((folder / name).read_bytes())
    archive[len(archive) // 2] ^= 1
    (folder / name).write_bytes(archive)
    (operation,) = look()
    run_operation(operation.pk)
    assert schedule_as_data()["last_check"]["state"] == "attention"
    assert name in schedule_as_data()["last_check"]["message"]
    assert [record.levelname for record in caplog.records if name in record.getMessage()] == ["ERROR", "WARNING"]


def test_a_check_of_nothing_succeeds(folder: Path, attached: Path, older: Operation) -> None:
    (operation,) = look()
    run_operation(operation.pk)
    operation.refresh_from_db()
    assert (operation.state, operation.result) == ("succeeded", {"verified": [], "broken": []})
