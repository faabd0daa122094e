"""The worker during real backups: after any kill or signal, the operation is interrupted and nothing is left.

`-s` shows the processes before and after each signal.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from tests.installation import Installation
from tests.processes import living, none_is_left, wait_until
from tests.workers import (
    RunningWorker,
    backups,
    hold_in_the_middle,
    resume_when_it_must_end,
    rows,
    show,
    states,
    submit_backup,
    the_next_one_succeeds,
    work_files,
)
from tvarr_backup.backups.catalogue import read_folder
from tvarr_backup.operations.models import Operation, OperationKind, Origin
from tvarr_backup.operations.queue import GRACE, find_forgotten
from tvarr_backup.operations.run import submit
from tvarr_backup.worker import Worker


@pytest.fixture
def worker(large: Installation) -> Iterator[RunningWorker]:
    running = RunningWorker(large)
    yield running
    running.end()


class StoppedWhileClaiming(Worker):
    """A worker that is stopped between claiming a task and starting it."""

    def _claim(self) -> list[dict[str, Any]]:
        tasks = super()._claim()
        self._is_stop_requested = bool(tasks)
        return tasks


@pytest.fixture
def _usual_signals() -> Iterator[None]:
    usual = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in usual.items():
        signal.signal(number, handler)


@pytest.mark.django_db(transaction=True, databases=["default"])
@pytest.mark.usefixtures("_usual_signals")
def test_a_task_claimed_during_a_stop_is_left_to_the_next_worker(tmp_path: Path, settings: Any) -> None:
    settings.STORAGE_BASE_DIR = tmp_path
    settings.BACKUP_SCHEDULE_ENABLED = False
    operation = submit(OperationKind.BACKUP, requested_by=None, origin=Origin.WEB)
    StoppedWhileClaiming().run()
    assert OrmQ.objects.get().lock > timezone.now()
    assert find_forgotten() is None
    Operation.objects.update(created_at=timezone.now() - GRACE)
    assert find_forgotten() == operation


def test_a_backup_is_made_and_recorded(worker: RunningWorker) -> None:
    submit_backup(worker.installation)
    wait_until(lambda: states(worker.installation) == ["succeeded"], "the backup")
    assert len(backups(worker.installation)) == 2
    assert work_files(worker.installation) == []


def test_the_process_of_a_task_is_killed(worker: RunningWorker) -> None:
    task = hold_in_the_middle(worker.installation, lambda: worker.process.pid)
    tree = worker.tree()
    blow = show(f"busy, before SIGKILL to the task's process {task.pid}", tree)
    task.kill()
    wait_until(lambda: states(worker.installation) == ["interrupted"], "it is interrupted")
    show("after", tree, blow)
    assert work_files(worker.installation) == backups(worker.installation) == []
    the_next_one_succeeds(worker.installation)


def test_the_worker_is_killed(worker: RunningWorker) -> None:
    task = hold_in_the_middle(worker.installation, lambda: worker.process.pid)
    tree = worker.tree()
    blow = show(f"busy, before SIGKILL to the worker {worker.process.pid}", tree)
    worker.process.kill()
    none_is_left(tree, seconds=2)
    show("after", [*tree, task], blow)
    successor = RunningWorker(worker.installation)
    try:
        wait_until(lambda: states(worker.installation) == ["interrupted"], "it is interrupted")
        assert work_files(worker.installation) == backups(worker.installation) == []
        the_next_one_succeeds(worker.installation)
    finally:
        successor.end()


@pytest.mark.parametrize(
    ("send", "number"),
    [
        (os.kill, signal.SIGTERM),
        pytest.param(os.kill, signal.SIGINT, marks=pytest.mark.long),
        pytest.param(os.killpg, signal.SIGTERM, marks=pytest.mark.long),
        pytest.param(os.killpg, signal.SIGINT, marks=pytest.mark.long),
    ],
)
def test_the_worker_ends_after_a_signal(
    worker: RunningWorker, send: Callable[[int, int], None], number: signal.Signals
) -> None:
    task = hold_in_the_middle(worker.installation, lambda: worker.process.pid)
    tree = worker.tree()
    whom = "its whole group" if send is os.killpg else "it alone"
    blow = show(f"busy, before {number.name} to the worker {worker.process.pid}, {whom}", tree)
    send(worker.process.pid, number)
    resume_when_it_must_end(task)
    assert worker.ends() == 0
    show("after", tree, blow)
    assert states(worker.installation) == ["interrupted"]
    assert work_files(worker.installation) == backups(worker.installation) == []
    successor = RunningWorker(worker.installation)
    try:
        the_next_one_succeeds(worker.installation)
    finally:
        successor.end()


def test_a_stopped_worker_kills_a_task_that_does_not_end(worker: RunningWorker) -> None:
    hold_in_the_middle(worker.installation, lambda: worker.process.pid)
    tree = worker.tree()
    worker.process.terminate()  # the suspended task does not react
    assert worker.process.wait(timeout=9.5) == 0
    assert living(tree) == []
    assert states(worker.installation) == ["interrupted"]
    assert work_files(worker.installation) == []


def test_what_a_killed_worker_had_claimed_is_done_immediately(large: Installation) -> None:
    """It was requested a minute ago."""
    submit_backup(large)
    execute(large, "UPDATE django_q_ormq SET lock = datetime('now', '+1 day')")
    execute(large, "UPDATE operations_operation SET created_at = datetime('now', '-1 minute')")
    running = RunningWorker(large)
    try:
        wait_until(lambda: states(large) == ["succeeded"], "the backup")
    finally:
        running.end()


# --- The schedule ----------------------------------------------------------------------------------------------------


def execute(installation: Installation, statement: str) -> None:
    with closing(sqlite3.connect(installation.data / "app.db", isolation_level=None)) as connection:
        connection.execute(statement)


def origins(installation: Installation) -> list[tuple[Any, ...]]:
    return rows(installation, "SELECT origin, state FROM operations_operation ORDER BY id")


def next_run(installation: Installation) -> datetime:
    ((time,),) = rows(installation, "SELECT next_run FROM django_q_schedule")
    return datetime.fromisoformat(time).replace(tzinfo=UTC)


@pytest.fixture
def scheduled(prepared: Installation) -> Installation:
    """A schedule whose next run is half a day from now."""
    then = datetime.now(UTC) + timedelta(hours=12)
    prepared.environment["TVARR_BACKUP_SCHEDULE_ENABLED"] = "true"
    prepared.environment["TVARR_BACKUP_SCHEDULE_CRON"] = f"{then.minute} {then.hour} * * *"
    return prepared


def test_a_missed_backup_is_made_once(scheduled: Installation) -> None:
    for _ in range(2):
        running = RunningWorker(scheduled)
        wait_until(lambda: rows(scheduled, "SELECT next_run FROM django_q_schedule"), "the next time is planned")
        running.process.terminate()
        assert running.ends() == 0
    assert origins(scheduled) == []
    usual = next_run(scheduled)
    execute(scheduled, "UPDATE django_q_schedule SET next_run = datetime('now', '-40 days')")
    running = RunningWorker(scheduled)
    try:
        wait_until(lambda: origins(scheduled) == [("schedule", "succeeded")], "the backup")
        wait_until(lambda: rows(scheduled, "SELECT id FROM django_q_ormq") == [], "the queue is empty")
        assert next_run(scheduled) == usual
        (backup,) = read_folder(scheduled.data / "backups").backups
        assert backup.sidecar.kind == "scheduled"
    finally:
        running.end()
    running = RunningWorker(scheduled)
    running.process.terminate()
    assert running.ends() == 0
    assert origins(scheduled) == [("schedule", "succeeded")]


def test_without_a_schedule_nothing_is_made(scheduled: Installation) -> None:
    scheduled.ok("shell", "-c", "from tvarr_backup.operations.schedule import plan_next_run; plan_next_run()")
    execute(scheduled, "UPDATE django_q_schedule SET next_run = datetime('now', '-1 minute')")
    scheduled.environment["TVARR_BACKUP_SCHEDULE_ENABLED"] = "false"
    running = RunningWorker(scheduled)
    try:
        wait_until(lambda: rows(scheduled, "SELECT id FROM django_q_schedule") == [], "there is no next time")
    finally:
        running.end()
    assert origins(scheduled) == rows(scheduled, "SELECT id FROM django_q_ormq") == []


@pytest.mark.long
def test_a_backup_is_made_every_minute(prepared: Installation) -> None:
    prepared.environment["TVARR_BACKUP_SCHEDULE_ENABLED"] = "true"
    prepared.environment["TVARR_BACKUP_SCHEDULE_CRON"] = "* * * * *"
    running = RunningWorker(prepared)
    began = datetime.now(UTC)
    try:
        wait_until(lambda: origins(prepared) == [("schedule", "succeeded")] * 2, "two backups", seconds=200)
        assert datetime.now(UTC) < next_run(prepared) <= datetime.now(UTC) + timedelta(minutes=1)
    finally:
        running.end()
    assert datetime.now(UTC) - began > timedelta(minutes=1)
