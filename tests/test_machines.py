"""Two machines, one queue: one operation at a time, whoever is asked and whatever is killed, or gone for a while.

With `-s` the processes and the logs are shown.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from itertools import pairwise

import psutil
import pytest

from tests.machines import BACKUPS, Machine, Machines
from tests.processes import family, none_is_left, wait_until
from tests.servers import PostgreSQL, RedisServer, running
from tests.tvarr_own import build_tvarr_database
from tests.workers import show


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    with running(PostgreSQL) as server:
        yield server


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with running(RedisServer) as server:
        yield server


_BALLAST = """
    CREATE TABLE ballast (bytes BLOB);
    WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 40)
    INSERT INTO ballast SELECT randomblob(1000000) FROM number;
"""


@pytest.fixture(scope="module")
def _machines(
    postgresql: PostgreSQL, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machines]:
    """Prepared at the same moment, with web servers and without workers."""
    folder = tmp_path_factory.mktemp("machines")
    database = build_tvarr_database(folder / "tvarr.db")
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(f"PRAGMA journal_mode=WAL; {_BALLAST}")
    shared = {
        "DATABASE_URL": postgresql.create("ours"),
        "REDIS_URL": redis.url,
        "SECRET_KEY": "the same on every machine " * 2,
        "TVARR_DATABASE_DSN": str(database),
        "TVARR_BACKUP_DIRECTORY": str(folder / "backups"),
        "TVARR_BACKUP_SCHEDULE_RETENTION": "100",
    }
    each = tuple(Machine(folder / name, shared) for name in ("harbour", "lighthouse"))
    with ThreadPoolExecutor() as pool:
        printed = list(pool.map(lambda machine: machine.installation.ok("prepare"), each))
    assert sum("One-time password" in text for text in printed) == 1
    for machine in each:
        token = machine.installation.json("token", "create", machine.name, "--user", "admin", "--json")
        machine.token = token["token"]
        machine.start_web()
    machines = Machines(postgresql, redis, each, shared["DATABASE_URL"], folder / "backups")
    yield machines
    for machine in each:
        machine.end()
    database.unlink()  # pytest keeps the folders of the last runs


@pytest.fixture
def machines(_machines: Machines) -> Iterator[Machines]:
    """With a worker each, and nothing done yet. A server that a failed test has left stopped is started again."""
    for server in (_machines.postgresql, _machines.redis):
        if not server.answers():
            server.start()
    for machine in _machines.each:
        machine.start_worker()
    yield _machines
    processes = [process for worker in _machines.workers() for process in worker.tree()]
    for machine in _machines.each:
        if machine.worker is not None:
            print(f"\n--- the worker on {machine.name} said\n{machine.worker.log}")  # noqa: T201  # for whoever asks with -s
            machine.worker.end()
            machine.worker.log_path.unlink()
            machine.worker = None
    none_is_left(processes)
    for path in _machines.folder.glob("tvarr-backup*"):
        path.unlink()
    _machines.rows("WITH gone AS (DELETE FROM operations_operation RETURNING 1) SELECT count(*) FROM gone")
    _machines.redis.client().flushall()


def overlap(machines: Machines) -> bool:
    """Whether two operations have run at the same time."""
    times = machines.rows(
        "SELECT started_at, finished_at FROM operations_operation WHERE started_at IS NOT NULL ORDER BY started_at"
    )
    return any(later[0] < earlier[1] for earlier, later in pairwise(times))


def complaints(log: str) -> int:
    return sum(line.split()[1:2] in (["error"], ["warning"]) for line in log.splitlines())


@pytest.mark.long
def test_asked_for_on_both_at_once_twenty_times_one_backup_is_made_each_time(machines: Machines) -> None:
    refused = 0
    for _ in range(20):
        answers = machines.ask_everywhere()
        accepted = [answer["operation"]["id"] for status, answer in answers if status == 202]
        codes = [answer["code"] for status, answer in answers if status != 202]
        assert len(accepted) >= 1
        assert set(codes) <= {"operation_running"}
        refused += len(codes)
        for operation in accepted:
            machines.ends(operation)
    show("after twenty rounds", [process for machine in machines.each for process in _all_of(machine)])
    states = [state for _id, state in machines.operations()]
    assert states == ["succeeded"] * (40 - refused)
    assert refused > 0
    assert not overlap(machines)
    assert len(machines.listed()) == len(states)


def _all_of(machine: Machine) -> list[psutil.Process]:
    web = family(machine.web.pid) if machine.web else []
    return [*web, *(machine.worker.tree() if machine.worker else [])]


def test_a_worker_that_is_killed_in_the_middle_is_cleared_up_after_by_the_other(machines: Machines) -> None:
    operation, worker, task = machines.held(machines.each[0])
    blow = show(f"before SIGKILL to the worker {worker.process.pid}", worker.tree())
    worker.process.kill()
    none_is_left([task])
    machines.ends(operation, "interrupted", seconds=30)
    show("after", [process for one in machines.workers() for process in one.tree()], blow)
    assert machines.listed() == machines.work_files() == []
    machines.ends(machines.accepted(machines.each[1]))
    assert len(machines.listed()) == 1


@pytest.mark.long
def test_while_redis_is_gone_nothing_is_asked_for_and_then_all_goes_on(machines: Machines) -> None:
    machines.redis.stop()
    for machine in machines.each:
        status, answer = machine.call("POST", BACKUPS)
        assert (status, answer["code"]) == (503, "queue_unreachable")
        assert machine.call("GET", BACKUPS)[0] == 200
    assert machines.operations() == []
    time.sleep(5)
    assert all(0 < complaints(worker.log) <= 2 for worker in machines.workers())
    machines.redis.start()
    machines.ends(machines.accepted(machines.each[0]))


def test_what_redis_forgets_is_delivered_again(machines: Machines) -> None:
    for worker in machines.workers():
        worker.process.send_signal(signal.SIGSTOP)
    time.sleep(1.5)  # what they have asked Redis for would be handed to them
    operation = machines.accepted(machines.each[0])
    machines.redis.stop(signal.SIGKILL)
    machines.redis.start()
    for worker in machines.workers():
        worker.process.send_signal(signal.SIGCONT)
    machines.ends(operation)
    assert sum(worker.log.count("task.redelivered") for worker in machines.workers()) >= 1
    assert len(machines.listed()) == 1


@pytest.mark.long
def test_while_postgresql_is_gone_it_is_said_and_then_all_goes_on(machines: Machines) -> None:
    machines.postgresql.stop()
    for machine in machines.each:
        status, answer = machine.call("POST", BACKUPS)
        assert (status, answer["code"]) == (503, "database_unusable")
        assert machine.page("/") == (503, True)
        assert machine.call("GET", "/healthz")[0] == 200
        status, answer = machine.call("GET", "/readyz")
        assert (status, answer["code"]) == (503, "database_unusable")
        assert "Not ready: this program's own database cannot be used" in answer["detail"]
    said = machines.each[0].installation.run("status").stdout
    assert "This program's own database does not answer. The log has the reason." in said
    time.sleep(11)
    assert all(0 < complaints(worker.log) <= 4 for worker in machines.workers())
    machines.postgresql.start()
    for machine in machines.each:
        assert machine.call("GET", BACKUPS)[0] == 200
        machines.ends(machines.accepted(machine))


@pytest.mark.long
def test_a_backup_outlives_a_restart_of_postgresql(machines: Machines) -> None:
    operation, _worker, task = machines.held(machines.each[0])
    machines.postgresql.stop()
    try:
        task.resume()
        wait_until(machines.listed, "the backup is complete")
    finally:
        machines.postgresql.start()
    machines.ends(operation, "succeeded", "attention")  # the clean-up after it may have found no settings


@pytest.mark.long
def test_a_task_that_was_signed_with_another_key_is_refused_and_its_operation_done(machines: Machines) -> None:
    for worker in machines.workers():
        worker.end()
    operation = machines.accepted(machines.each[0])
    other = machines.each[1]
    usual = other.installation.environment["SECRET_KEY"]
    other.installation.environment["SECRET_KEY"] = "another one than before " * 3
    try:
        worker = other.start_worker()
        machines.ends(operation)
    finally:
        other.installation.environment["SECRET_KEY"] = usual
    assert "task.foreign" in worker.log


@pytest.mark.long
def test_a_worker_that_does_not_see_the_backups_leaves_the_work_to_one_that_does(machines: Machines) -> None:
    blind = machines.each[1]
    assert blind.worker is not None
    blind.worker.end()
    usual = blind.installation.environment["TVARR_BACKUP_DIRECTORY"]
    blind.installation.environment["TVARR_BACKUP_DIRECTORY"] = "/nowhere/backups"
    try:
        worker = blind.start_worker()
        wait_until(lambda: "worker.leaves_work" in worker.log, "it leaves the work")
        for _ in range(3):
            machines.ends(machines.accepted(machines.each[0]))
    finally:
        blind.installation.environment["TVARR_BACKUP_DIRECTORY"] = usual
    here, there = machines.workers()
    wait_until(lambda: here.log.count("operation.succeeded") == 3, "all three are told")
    assert "operation.succeeded" not in there.log


@pytest.mark.long
def test_a_worker_is_seen_from_everywhere_until_it_is_gone(machines: Machines) -> None:
    here, there = machines.each
    assert here.worker is not None
    assert there.worker is not None
    here.worker.end()
    wait_until(here.sees_a_worker, "the other one is seen")
    there.worker.process.kill()
    there.worker.process.wait()
    assert not here.sees_a_worker()


@pytest.mark.long
def test_a_second_worker_in_one_storage_folder_is_refused(machines: Machines) -> None:
    assert "A worker is already running" in machines.each[0].installation.refused("worker")


@pytest.mark.long
def test_a_worker_on_another_host_that_is_killed_is_cleared_up_after_within_two_minutes(machines: Machines) -> None:
    for worker in machines.workers():
        worker.end()
    new_name = 'hostname lighthouse.example; exec "$@"'
    away = machines.each[1].start_worker(*_OTHER_HOST, "sh", "-c", new_name, "sh")
    operation, _worker, task = machines.held(machines.each[0])
    assert machines.rows("SELECT host FROM operations_operation") == [("lighthouse.example",)]
    machines.each[0].start_worker()
    for process in (*away.tree(), task):
        process.kill()
    killed = time.monotonic()
    machines.ends(operation, "interrupted", seconds=120)
    assert time.monotonic() - killed > 50  # so long is somebody believed who cannot be looked at
    assert machines.listed() == []
    machines.ends(machines.accepted(machines.each[0]))


@pytest.mark.long
def test_every_minute_one_of_the_workers_makes_one_backup(machines: Machines) -> None:
    assert machines.each[0].call("PUT", "/api/v1/backups/schedule", {"enabled": True, "cron": "* * * * *"})[0] == 200
    try:
        wait_until(lambda: len(machines.operations()) >= 4, "four backups", seconds=300)
    finally:
        machines.each[0].call("PUT", "/api/v1/backups/schedule", {"enabled": False})
    times = machines.rows("SELECT origin, date_trunc('minute', created_at) FROM operations_operation ORDER BY id")
    minutes = [minute for _origin, minute in times]
    assert {origin for origin, _minute in times} == {"schedule"}
    assert minutes == [minutes[0] + timedelta(minutes=number) for number in range(len(minutes))]


_OTHER_HOST = ["unshare", "--uts"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--uts"]


@pytest.mark.long
def test_whatever_is_killed_or_gone_what_was_accepted_ends_and_what_succeeded_is_there(machines: Machines) -> None:
    chance = random.Random(20260301)
    accepted: list[str] = []
    for number in range(30):
        for status, answer in machines.ask_everywhere():
            if status == 202:
                accepted.append(answer["operation"]["id"])
            else:
                assert answer["code"] in ("operation_running", "queue_unreachable", "database_unusable")
        time.sleep(chance.uniform(0, 1.5))
        _blow(machines, chance.choice(["worker", "task", "redis", "postgresql", "nothing"]))
        if number % 3 == 2:
            for operation in accepted:
                wait_until(
                    lambda operation=operation: machines.state(operation) not in ("queued", "running"),  # type: ignore[misc]  # bound now
                    f"{operation} ends",
                    seconds=120,
                )
    states = dict(machines.operations())
    print({state: list(states.values()).count(state) for state in set(states.values())})  # noqa: T201  # the same
    assert set(accepted) == set(states)
    assert set(states.values()) <= {"succeeded", "attention", "interrupted"}  # the clean-up may have found no settings
    done = sum(state != "interrupted" for state in states.values())
    assert done <= len(machines.listed()) <= len(states)
    assert not overlap(machines)
    machines.ends(machines.accepted(machines.each[0]))
    assert machines.work_files() == []


def _blow(machines: Machines, what: str) -> None:
    if what in ("redis", "postgresql"):
        server = machines.redis if what == "redis" else machines.postgresql
        server.stop(signal.SIGKILL)
        time.sleep(2)
        server.start()
    elif what == "worker":
        for machine in machines.each:
            assert machine.worker is not None
            machine.worker.process.kill()
            machine.worker.process.wait()
            machine.start_worker()
    elif what == "task":
        for worker in machines.workers():
            for task in worker.tree()[1:]:
                task.kill()
