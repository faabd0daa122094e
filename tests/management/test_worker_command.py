"""The command `worker`: after any kill or signal, no process is left and nothing runs twice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.installation import Installation
from tests.processes import none_is_left, told_to_end, wait_until
from tests.worker_tasks import notes
from tests.workers import RunningWorker, rows, states, submit_backup


@pytest.fixture
def worker(prepared: Installation) -> Iterator[RunningWorker]:
    running = RunningWorker(prepared)
    yield running
    running.end()


def queue(installation: Installation, task: str, *arguments: Any, **options: Any) -> None:
    """Put one of the tests' own tasks into the queue."""
    parts = [repr(f"tests.worker_tasks.{task}"), repr(str(installation.data.parent)), *map(repr, arguments)]
    parts += [f"{name}={value!r}" for name, value in options.items()]
    installation.ok("shell", "-c", f"from django_q.tasks import async_task; async_task({', '.join(parts)})")


def queue_is_empty(installation: Installation) -> bool:
    """Return whether no task is waiting for a worker."""
    return rows(installation, "SELECT count(*) FROM django_q_ormq WHERE lock < datetime('now')") == [(0,)]


def wait_for_note(installation: Installation, line: str) -> None:
    wait_until(lambda: line in notes(installation.data.parent), line)


def make_busy(worker: RunningWorker, task: str = "nap") -> None:
    queue(worker.installation, task, "long", 60)
    wait_for_note(worker.installation, "long begun")


def next_worker_does_only(installation: Installation, name: str) -> None:
    """Check that the next worker runs only the task of this name."""
    before = notes(installation.data.parent)
    running = RunningWorker(installation)
    try:
        wait_for_note(installation, f"{name} done")
        wait_until(lambda: queue_is_empty(installation), "the queue is empty")
    finally:
        running.end()
    assert notes(installation.data.parent) == [*before, f"{name} begun", f"{name} done"]


def test_it_runs_a_task_and_stores_its_result(worker: RunningWorker) -> None:
    queue(worker.installation, "nap", "short", 0)
    wait_until(lambda: rows(worker.installation, "SELECT success FROM django_q_task"), "the result")
    assert notes(worker.folder) == ["short begun", "short done"]
    assert rows(worker.installation, "SELECT success FROM django_q_task") == [(1,)]
    wait_until(lambda: queue_is_empty(worker.installation), "the queue is empty")


def test_a_row_that_is_signed_with_another_key_does_not_stop_it(prepared: Installation) -> None:
    prepared.environment["SECRET_KEY"] = "of another installation " * 3
    queue(prepared, "nap", "foreign", 0)
    del prepared.environment["SECRET_KEY"]
    queue(prepared, "nap", "ours", 0)
    next_worker_does_only(prepared, "ours")


@pytest.mark.parametrize(
    "name", ["django_q_ormq", "operations_operation", pytest.param("django_q_schedule", marks=pytest.mark.long)]
)
def test_a_table_that_is_unreadable_for_a_while_does_not_stop_it(prepared: Installation, name: str) -> None:
    rename(prepared, name, "away")
    running = RunningWorker(prepared)
    try:
        wait_until(lambda: "no such table" in running.log, "the failure")
        rename(prepared, "away", name)
        queue(prepared, "nap", "short", 0)
        wait_for_note(prepared, "short done")
    finally:
        running.end()


def rename(installation: Installation, name: str, to: str) -> None:
    with closing(sqlite3.connect(installation.data / "app.db")) as connection:
        connection.execute(f"ALTER TABLE {name} RENAME TO {to}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_idle_it_ends_after_a_signal(worker: RunningWorker, number: signal.Signals) -> None:
    worker.process.send_signal(number)
    assert worker.ends() == 0
    assert " worker.stopped " in worker.log


def test_idle_it_ends_after_a_signal_to_its_group(worker: RunningWorker) -> None:
    os.killpg(worker.process.pid, signal.SIGTERM)
    assert worker.ends() == 0


@told_to_end
def test_busy_it_stops_the_task_and_ends(worker: RunningWorker, send: Any, number: signal.Signals) -> None:
    make_busy(worker)
    queue(worker.installation, "nap", "waiting", 0)
    send(worker.process.pid, number)
    assert worker.ends() == 0
    assert notes(worker.folder) == ["long begun", "long told"]
    next_worker_does_only(worker.installation, "waiting")


@pytest.mark.long
def test_a_task_that_ignores_signals_is_killed_after_the_grace_period(worker: RunningWorker) -> None:
    make_busy(worker, "sleep_deafly")
    queue(worker.installation, "nap", "waiting", 0)
    worker.process.terminate()
    assert worker.process.wait(timeout=9.5) == 0
    assert worker.ends() == 0
    next_worker_does_only(worker.installation, "waiting")


@pytest.mark.parametrize("busy", [False, True])
def test_the_task_ends_with_a_killed_worker(worker: RunningWorker, busy: bool) -> None:
    if busy:
        make_busy(worker)
    processes = worker.tree()
    assert len(processes) == 1 + busy
    worker.process.kill()
    none_is_left(processes, seconds=2)
    queue(worker.installation, "nap", "waiting", 0)
    next_worker_does_only(worker.installation, "waiting")


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGSEGV, marks=pytest.mark.long)])
def test_a_task_whose_process_is_killed_is_recorded_and_the_next_runs(
    worker: RunningWorker, number: signal.Signals
) -> None:
    make_busy(worker)
    queue(worker.installation, "nap", "waiting", 0)
    worker.tree()[1].send_signal(number)
    wait_for_note(worker.installation, "waiting done")
    wait_until(lambda: len(rows(worker.installation, "SELECT id FROM django_q_task")) == 2, "both results")
    assert notes(worker.folder) == ["long begun", "waiting begun", "waiting done"]
    assert rows(worker.installation, "SELECT success FROM django_q_task ORDER BY started") == [(0,), (1,)]
    wait_until(lambda: rows(worker.installation, "SELECT count(*) FROM django_q_ormq") == [(0,)], "an empty queue")
    assert f" how={number.name}\n" in worker.log


def test_a_task_that_takes_too_long_is_stopped(worker: RunningWorker) -> None:
    queue(worker.installation, "nap", "long", 60, timeout=1)
    queue(worker.installation, "nap", "waiting", 0)
    wait_for_note(worker.installation, "waiting done")
    assert notes(worker.folder) == ["long begun", "waiting begun", "waiting done"]
    assert " error    task.failed " in worker.log
    assert "Task exceeded maximum timeout value (1 seconds)" in worker.log


def test_a_task_whose_result_cannot_be_stored_is_logged_with_a_traceback(prepared: Installation) -> None:
    prepared.environment["TVARR_LOGGING_FORMAT"] = "json"
    running = RunningWorker(prepared)
    try:
        queue(prepared, "nap", "short", 1)
        wait_for_note(prepared, "short begun")
        rename(prepared, "django_q_ormq", "away")
        wait_until(lambda: "task.died" in running.log, "the failure")
        events = {line["event"]: line for line in map(json.loads, running.log.splitlines())}
    finally:
        running.end()
    assert "no such table: django_q_ormq" in events["task.unrecorded"]["exception"]
    assert events["task.died"]["how"] == "exit status 1"


@pytest.mark.long
def test_a_task_that_takes_too_long_and_ignores_signals_is_killed(worker: RunningWorker) -> None:
    queue(worker.installation, "sleep_deafly", "long", 300, timeout=1)
    queue(worker.installation, "nap", "waiting", 0)
    wait_until(lambda: "waiting done" in notes(worker.folder), "the next task", seconds=60)
    assert notes(worker.folder) == ["long begun", "waiting begun", "waiting done"]


def test_a_task_does_not_hold_the_lock_of_its_worker(worker: RunningWorker) -> None:
    make_busy(worker)
    main, task = ({Path(file.path).name for file in process.open_files()} for process in worker.tree())
    assert "worker" in main - task


def test_a_second_worker_is_refused(worker: RunningWorker) -> None:
    assert worker.installation.refused("worker") == (
        f"error: A worker is already running: {worker.installation.data}/worker is locked by process "
        f"{worker.process.pid} on {os.uname().nodename}.\n"
    )
    assert worker.process.poll() is None


def test_without_app_db_it_waits_and_logs_that_once(prepared: Installation) -> None:
    app = prepared.data / "app.db"
    app.rename(app.with_name("away.db"))
    log = prepared.data.parent / "waiting.log"
    with log.open("wb") as output:
        process = subprocess.Popen(prepared.command("worker"), env=prepared.variables(), stderr=output)
    try:
        wait_until(lambda: "worker.waits" in log.read_text(), "it waits")
        time.sleep(3)
        assert log.read_text().count("\n") == 1
        assert not app.exists()
        app.with_name("away.db").rename(app)
        wait_until(lambda: "worker.started" in log.read_text(), "it starts")
    finally:
        process.terminate()
        assert process.wait(timeout=20) == 0


def test_when_app_db_disappears_it_logs_that_once_and_works_again_when_it_is_back(worker: RunningWorker) -> None:
    app = worker.installation.data / "app.db"
    app.rename(app.with_name("away.db"))
    wait_until(lambda: "appdb.unusable" in worker.log, "it notices")
    time.sleep(3)
    assert worker.log.count("appdb.unusable") == 1
    assert "Traceback" not in worker.log
    assert not app.exists()
    app.with_name("away.db").rename(app)
    wait_until(lambda: "appdb.usable" in worker.log, "it notices that too")
    submit_backup(worker.installation)
    wait_until(lambda: states(worker.installation) == ["succeeded"], "it works again")


def test_a_damaged_database_of_tvarrs_does_not_stop_it(prepared: Installation) -> None:
    name = prepared.json("backup", "create", "--json")["filename"]
    with (prepared.data / "tvarr.db").open("r+b") as file:
        file.write(b"\xaa" * 65_536)
    running = RunningWorker(prepared)
    try:
        prepared.ok("shell", "-c", VERIFY.format(name=name))
        wait_until(lambda: states(prepared)[-1] == "succeeded", "it verifies", seconds=60)
        assert "Traceback" not in running.log
    finally:
        running.end()


VERIFY = """
from tvarr_backup.operations.models import OperationKind, Origin
from tvarr_backup.operations.run import submit
submit(OperationKind.VERIFY, requested_by=None, origin=Origin.WEB, arguments={{"filenames": ["{name}"]}})
"""
