"""The schedule: what is in force, how it is changed, and what becomes of a time that has come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection
from django_q.models import OrmQ, Schedule
from django_q.scheduler import scheduler

from tests.events import told
from tests.operations.elsewhere import queued
from tvarr_backup import conf
from tvarr_backup.backups.catalogue import read_folder
from tvarr_backup.errors import BackupUnsupported
from tvarr_backup.operations.models import BackupSettings, Operation, OperationState
from tvarr_backup.operations.schedule import arm, change_settings, schedule_as_data
from tvarr_backup.tasks import run_operation, scheduled_backup

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """django-q2 begins each look with a new connection; here it would be outside of the test's transaction."""
    monkeypatch.setattr("django_q.scheduler.close_old_django_connections", lambda: None)


def row() -> Schedule:
    return Schedule.objects.get(name="scheduled-backup")


def let_the_time_come(ago: timedelta = timedelta(minutes=1)) -> None:
    Schedule.objects.update(next_run=datetime.now(UTC) - ago)


def hand_out() -> OrmQ:
    """What the worker does at its look; the task that is queued then."""
    arm()
    scheduler()
    task = OrmQ.objects.get()
    assert task.func() == "tvarr_backup.tasks.scheduled_backup"
    return task


def run_the_task(task: OrmQ) -> None:
    scheduled_backup()
    task.delete()


# --- What is in force ------------------------------------------------------------------------------------------------


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
    }
    assert list(data)[:3] == ["enabled", "cron", "retention"]
    assert data == values | {
        "description": "Every Sunday at 04:30 (Europe/Berlin)",
        "next_runs": data["next_runs"],
        "defaults": values,
    }
    assert BackupSettings.objects.count() == 0


def test_what_is_set_counts_and_the_defaults_are_told_beside_it() -> None:
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
    }


def test_it_is_told_with_one_query(django_assert_num_queries: Any) -> None:
    change_settings({"cron": "0 3 * * *"})
    with django_assert_num_queries(1):
        schedule_as_data()


def test_that_all_are_kept_is_tvarrs_zero() -> None:
    change_settings({"keep_all": True, "keep": 5})
    assert schedule_as_data()["retention"] == 0


def test_the_next_three_times_are_told_in_the_zone() -> None:
    change_settings({"cron": "0 3 * * *", "time_zone": "Asia/Kathmandu"})
    now = datetime.now(UTC)
    times = [datetime.fromisoformat(text) for text in schedule_as_data()["next_runs"]]
    assert [f"{time:%H:%M:%S %z}" for time in times] == ["03:00:00 +0545"] * 3
    assert now < times[0] <= now + timedelta(days=1)
    assert [later - earlier for earlier, later in pairwise(times)] == [timedelta(days=1)] * 2


def test_off_there_is_no_next_time() -> None:
    change_settings({"enabled": False})
    data = schedule_as_data()
    assert (data["enabled"], data["description"], data["next_runs"]) == (False, "Scheduled backups are off", [])


def test_on_where_the_environment_says_off(settings: Any) -> None:
    settings.BACKUP_SCHEDULE_ENABLED = False
    assert schedule_as_data()["enabled"] is False
    change_settings({"enabled": True})
    assert schedule_as_data()["enabled"] is True
    change_settings({"enabled": None})
    assert schedule_as_data()["enabled"] is False


# --- Changing --------------------------------------------------------------------------------------------------------


def test_six_fields_are_stored_as_five() -> None:
    change_settings({"cron": " 0 0 3 * * * "})
    assert BackupSettings.load().cron == "0 3 * * *"


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("cron", "x y z a b c", "cron “x y z a b c” is not allowed; allowed are five fields (minute, hour, "),
        ("cron", "30 0 2 * * *", "cron “30 0 2 * * *” is not allowed; allowed are five fields"),
        ("cron", "@daily", "a sixth one in front, the second, must be 0; or nothing for the environment's default."),
        ("cron", "0 0 31 2 *", "that come true some day, such as 0 2 * * *"),
        (
            "time_zone",
            "Mars/Base",
            "time zone “Mars/Base” is not allowed; allowed are names of time zones, such as UTC",
        ),
        ("keep", 0, "keep 0 is not allowed; allowed are whole numbers from 1 to 100000, or nothing."),
        ("max_age", "soon", "max_age “soon” is not allowed; allowed are whole weeks, days and hours"),
    ],
)
def test_nonsense_is_refused_and_the_old_schedule_stays(column: str, value: Any, words: str) -> None:
    change_settings({"cron": "0 3 * * *", "time_zone": "Europe/Berlin", "keep": 3, "max_age": "30d"})
    before = (schedule_as_data(), Schedule.objects.values().get())
    with pytest.raises(ValidationError) as refusal:
        change_settings({"enabled": False, column: value})
    assert list(refusal.value.message_dict) == [column]
    assert words in refusal.value.message_dict[column][0]
    assert (schedule_as_data(), Schedule.objects.values().get()) == before


def test_two_who_change_different_things_both_succeed() -> None:
    change_settings({"cron": "0 3 * * *"})
    change_settings({"time_zone": "Europe/Berlin"})
    change_settings({"keep": 2})
    stored = BackupSettings.load()
    assert (stored.cron, stored.time_zone, stored.keep) == ("0 3 * * *", "Europe/Berlin", 2)


# --- The row ---------------------------------------------------------------------------------------------------------


def test_there_is_one_row_with_the_next_time() -> None:
    arm()
    arm()
    assert (row().func, row().schedule_type, row().next_run) == (
        "tvarr_backup.tasks.scheduled_backup",
        Schedule.ONCE,
        datetime.fromisoformat(schedule_as_data()["next_runs"][0]),
    )


@pytest.mark.parametrize(
    "change",
    [{"cron": "17 5 * * *"}, {"time_zone": "Asia/Kathmandu"}, {"cron": "1 1 1 1 *", "time_zone": "Asia/Tokyo"}],
)
def test_a_change_arms_anew(change: dict[str, str]) -> None:
    arm()
    before = row().next_run
    change_settings(change)
    assert row().next_run == datetime.fromisoformat(schedule_as_data()["next_runs"][0]) != before


def test_off_there_is_no_row_and_on_there_is_one_again() -> None:
    arm()
    change_settings({"enabled": False})
    assert not Schedule.objects.exists()
    arm(worker_starts=True)
    scheduler()
    assert not OrmQ.objects.exists()
    change_settings({"enabled": True})
    assert row().next_run > datetime.now(UTC)


def test_what_the_environment_changed_while_nothing_ran_counts_when_the_worker_starts(settings: Any) -> None:
    arm()
    settings.BACKUP_SCHEDULE_CRON = "17 5 * * *"
    arm(worker_starts=True)
    assert (row().next_run.hour, row().next_run.minute) == (5, 17)
    settings.BACKUP_SCHEDULE_ENABLED = False
    arm(worker_starts=True)
    assert not Schedule.objects.exists()


def test_a_clock_that_was_years_ahead_does_not_silence_it() -> None:
    arm()
    right = row().next_run
    Schedule.objects.update(next_run=right + timedelta(days=1500))
    arm()
    assert row().next_run == right


# --- When the time has come ------------------------------------------------------------------------------------------


def test_nothing_is_done_before_its_time() -> None:
    arm()
    scheduler()
    scheduled_backup()
    assert not OrmQ.objects.exists()
    assert not Operation.objects.exists()


def test_a_backup_is_asked_for_and_the_next_time_is_armed() -> None:
    arm()
    let_the_time_come()
    run_the_task(hand_out())
    operation = Operation.objects.get()
    assert (operation.kind, operation.origin, operation.state, operation.requested_by) == (
        "backup",
        "schedule",
        "queued",
        None,
    )
    assert (row().repeats, row().next_run) == (1, datetime.fromisoformat(schedule_as_data()["next_runs"][0]))
    scheduler()
    assert [task.func() for task in OrmQ.objects.all()] == ["tvarr_backup.tasks.run_operation"]


def test_the_backup_is_of_the_kind_scheduled(folder: Path, attached: Path) -> None:
    arm()
    let_the_time_come()
    run_the_task(hand_out())
    run_operation(Operation.objects.get().pk)
    (backup,) = read_folder(folder).backups
    assert (Operation.objects.get().state, backup.sidecar.kind) == ("succeeded", "scheduled")


def test_however_many_times_were_missed_it_is_made_up_once() -> None:
    change_settings({"cron": "* * * * *"})
    let_the_time_come(timedelta(days=40))
    arm(worker_starts=True)
    run_the_task(hand_out())
    assert Operation.objects.count() == 1
    assert datetime.now(UTC) < row().next_run <= datetime.now(UTC) + timedelta(minutes=1)


def test_a_time_that_has_come_is_done_by_the_old_settings_before_new_ones_count() -> None:
    arm()
    let_the_time_come()
    change_settings({"cron": "17 5 * * *"})
    task = hand_out()
    change_settings({"cron": "18 5 * * *"})
    run_the_task(task)
    assert Operation.objects.count() == 1
    assert (row().next_run.hour, row().next_run.minute) == (5, 18)


def test_switched_off_in_between_nothing_is_asked_for() -> None:
    arm()
    let_the_time_come()
    task = hand_out()
    change_settings({"enabled": False})
    run_the_task(task)
    assert not Operation.objects.exists()
    assert not Schedule.objects.exists()


def test_a_task_that_is_delivered_twice_asks_once() -> None:
    arm()
    let_the_time_come()
    hand_out()
    scheduled_backup()
    Operation.objects.update(state=OperationState.SUCCEEDED)
    scheduled_backup()
    assert Operation.objects.count() == 1


def test_a_task_that_is_lost_leaves_the_time_due() -> None:
    arm()
    let_the_time_come()
    hand_out().delete()
    run_the_task(hand_out())
    assert Operation.objects.count() == 1


def test_a_task_that_waits_in_the_queue_is_not_taken_for_lost() -> None:
    arm()
    let_the_time_come()
    hand_out()
    hand_out()
    assert OrmQ.objects.count() == 1


def test_a_task_that_a_dead_worker_had_taken_is_made_up_when_the_next_starts() -> None:
    arm()
    let_the_time_come()
    taken = hand_out()
    OrmQ.objects.update(lock=datetime.now(UTC) + timedelta(days=1))
    arm()
    scheduler()
    assert OrmQ.objects.count() == 1
    arm(worker_starts=True)
    scheduler()
    assert OrmQ.objects.count() == 2
    scheduled_backup()
    Operation.objects.update(state=OperationState.SUCCEEDED)
    run_the_task(taken)  # a day later
    assert Operation.objects.count() == 1


def test_while_another_operation_is_open_it_stays_due(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    other = queued()
    arm()
    let_the_time_come()
    run_the_task(hand_out())
    assert Operation.objects.get() == other
    (event,) = told(caplog, "schedule.waiting", "schedule.due")
    assert event["event"] == "schedule.waiting"
    assert event["reason"].startswith("A backup waits since")
    Operation.objects.update(state=OperationState.SUCCEEDED)
    run_the_task(hand_out())
    assert Operation.objects.filter(origin="schedule").count() == 1
    assert row().next_run > datetime.now(UTC)


def test_one_that_cannot_be_asked_for_is_logged_and_the_next_comes_as_usual(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> Path:
        raise BackupUnsupported("tvarr's database is on PostgreSQL.")

    arm()
    let_the_time_come()
    task = hand_out()
    monkeypatch.setattr(conf, "live_database", refuse)
    run_the_task(task)
    (event,) = told(caplog)
    assert (event["level"], event["event"]) == ("error", "schedule.skipped")
    assert event["reason"] == "tvarr's database is on PostgreSQL."
    assert (row().repeats, row().next_run > datetime.now(UTC)) == (1, True)


def test_one_that_fails_is_logged_with_its_reason_and_the_next_comes_as_usual(
    folder: Path, attached: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arm()
    let_the_time_come()
    run_the_task(hand_out())
    folder.rmdir()
    folder.write_bytes(b"")
    run_operation(Operation.objects.get().pk)
    operation = Operation.objects.get()
    assert (operation.state, bool(operation.error)) == ("failed", True)
    (event,) = told(caplog, "backup.failed")
    assert (event["level"], event["operation"], event["origin"]) == ("error", operation.pk, "schedule")
    assert (event["code"], event["reason"]) == (operation.error_code, operation.error)
    assert (row().repeats, row().next_run > datetime.now(UTC)) == (1, True)


def test_where_the_queue_refuses_it_stays_due() -> None:
    arm()
    let_the_time_come()
    task = hand_out()
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON django_q_ormq BEGIN SELECT RAISE(ABORT, 'no queue today'); END"
        )
    with pytest.raises(DatabaseError, match="no queue today"):
        scheduled_backup()
    task.delete()
    assert not Operation.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER refuse")
    run_the_task(hand_out())
    assert Operation.objects.count() == 1
