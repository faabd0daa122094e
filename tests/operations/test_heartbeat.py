"""The worker's sign of life."""

import json
import multiprocessing
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tvarr_backup.errors import WorkerRunning
from tvarr_backup.operations.heartbeat import Heartbeat, worker_seems_alive
from tvarr_backup.operations.process import this_process


@pytest.fixture(autouse=True)
def path(tmp_path: Path, settings: Any) -> Path:
    settings.STORAGE_BASE_DIR = tmp_path
    return tmp_path / "worker"


def age(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


def test_nobody_has_ever_worked_here() -> None:
    assert not worker_seems_alive()


def test_it_is_seen_from_its_start_to_its_end() -> None:
    with Heartbeat():
        assert worker_seems_alive()
    assert not worker_seems_alive()


def test_a_worker_that_is_silent_for_a_minute_does_not_seem_alive(path: Path) -> None:
    with Heartbeat() as heartbeat:
        age(path, 61)
        assert not worker_seems_alive()
        heartbeat.beat()
        assert worker_seems_alive()


def test_a_worker_that_was_killed_is_missed_at_once(path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=os.getpid)
    process.start()
    pid = process.pid
    process.join()
    path.write_text(json.dumps(asdict(this_process()) | {"pid": pid}))
    assert not worker_seems_alive()


def test_a_worker_of_another_boot_is_gone(path: Path) -> None:
    path.write_text(json.dumps(asdict(this_process()) | {"boot": "00000000-0000-0000-0000-000000000000"}))
    assert not worker_seems_alive()


def test_a_worker_on_another_machine_is_believed(path: Path) -> None:
    path.write_text(json.dumps(asdict(this_process()) | {"pid": 999_999_999, "host": "elsewhere.example"}))
    assert worker_seems_alive()


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"pid": "x", "host": 1}', '{"pid": -1, "host": null}', "{}"])
def test_a_file_that_says_something_else_is_no_sign(path: Path, text: str) -> None:
    path.write_text(text)
    assert not worker_seems_alive()


def test_a_second_one_is_refused_and_the_first_stays() -> None:
    with Heartbeat():
        with pytest.raises(WorkerRunning, match=f"locked by process {os.getpid()} on "), Heartbeat():
            pass
        assert worker_seems_alive()


def test_one_that_leaves_makes_room() -> None:
    with Heartbeat():
        pass
    with Heartbeat():
        assert worker_seems_alive()


def test_a_file_that_cannot_be_read_does_not_hide_that_it_is_locked(path: Path) -> None:
    with Heartbeat():
        path.write_text("?")
        with pytest.raises(WorkerRunning, match="locked by another process"), Heartbeat():
            pass
