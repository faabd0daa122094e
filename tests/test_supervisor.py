"""`up` during real backups: after any kill or signal, the operation is interrupted and nothing is left.

`-s` shows the processes before and after each signal.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from tests.installation import Installation
from tests.processes import family, none_is_left, wait_until
from tests.ups import Up, free_port, start_up
from tests.workers import (
    backups,
    hold_in_the_middle,
    resume_when_it_must_end,
    show,
    states,
    the_next_one_succeeds,
    work_files,
)

pytestmark = pytest.mark.long


@pytest.fixture
def up(large: Installation) -> Iterator[Up]:
    running = complete(large)
    yield running
    end(running)


def complete(installation: Installation) -> Up:
    running = start_up(installation, free_port())
    wait_until(lambda: running.process.poll() is not None or running.is_complete(), "it is complete", seconds=60)
    assert running.process.poll() is None, running.log
    return running


def end(running: Up) -> None:
    if running.process.poll() is None:
        running.process.terminate()
        running.process.wait(timeout=30)


def check_that_the_next_up_recovers(installation: Installation) -> None:
    successor = complete(installation)
    try:
        assert states(installation) == ["interrupted"]
        assert work_files(installation) == backups(installation) == []
        the_next_one_succeeds(installation)
    finally:
        end(successor)


@pytest.mark.parametrize("send", [os.kill, os.killpg])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_busy_it_ends_after_a_signal(
    large: Installation, up: Up, send: Callable[[int, int], None], number: signal.Signals
) -> None:
    task = hold_in_the_middle(large, lambda: up.program("worker").pid)
    tree = family(up.process.pid)
    blow = show(f"busy, before {number.name} to the supervisor {up.process.pid}", tree)
    send(up.process.pid, number)
    resume_when_it_must_end(task)
    assert up.process.wait(timeout=10) == 0
    none_is_left(tree, seconds=0.1)
    show("after", tree, blow)
    assert states(large) == ["interrupted"]
    assert work_files(large) == backups(large) == []
    check_that_the_next_up_recovers(large)


def test_busy_it_is_killed(large: Installation, up: Up) -> None:
    task = hold_in_the_middle(large, lambda: up.program("worker").pid)
    tree = family(up.process.pid)
    blow = show(f"busy, before SIGKILL to the supervisor {up.process.pid}", tree)
    up.process.kill()
    up.process.wait()
    task.resume()
    none_is_left(tree, seconds=10)
    show("after", tree, blow)
    assert states(large) == ["interrupted"]
    check_that_the_next_up_recovers(large)


def test_busy_its_worker_is_killed(large: Installation, up: Up) -> None:
    hold_in_the_middle(large, lambda: up.program("worker").pid)
    tree = family(up.process.pid)
    worker = up.program("worker")
    blow = show(f"busy, before SIGKILL to the worker {worker.pid}", tree)
    worker.kill()
    wait_until(lambda: states(large) == ["interrupted"], "it is interrupted")
    wait_until(up.is_complete, "it is complete again")
    show("after", family(up.process.pid), blow)
    assert work_files(large) == backups(large) == []
    the_next_one_succeeds(large)


def test_busy_its_web_server_is_killed_and_the_backup_continues(large: Installation, up: Up) -> None:
    task = hold_in_the_middle(large, lambda: up.program("worker").pid)
    arbiter = up.program("gunicorn")
    blow = show(f"busy, before SIGKILL to gunicorn {arbiter.pid}", family(up.process.pid))
    arbiter.kill()
    wait_until(lambda: up.starts("web server") == 2 and up.answers(), "it answers again")
    show("after", family(up.process.pid), blow)
    task.resume()
    wait_until(lambda: states(large) == ["succeeded"], "the backup")


def test_programs_that_do_not_end_are_killed_after_the_grace_period(large: Installation, up: Up) -> None:
    hold_in_the_middle(large, lambda: up.program("worker").pid)
    for program in ("worker", "gunicorn"):
        up.program(program).suspend()
    tree = family(up.process.pid)
    blow = show("busy and held, before SIGTERM to the supervisor", tree)
    up.process.terminate()
    assert up.process.wait(timeout=12) == 0
    none_is_left(tree, seconds=0.1)
    show("after", tree, blow)
    check_that_the_next_up_recovers(large)
