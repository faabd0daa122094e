"""Real processes in tests: waited for, found below another, and shown as a table."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import psutil
import pytest

_Found = TypeVar("_Found")

told_to_end = pytest.mark.parametrize(
    ("send", "number"),
    [
        (os.kill, signal.SIGTERM),
        (os.killpg, signal.SIGINT),
        pytest.param(os.kill, signal.SIGINT, marks=pytest.mark.long),
        pytest.param(os.killpg, signal.SIGTERM, marks=pytest.mark.long),
    ],
)
"""Runs a test with each way to end a service: a signal to its process, as systemd sends it, or to its group, as a terminal does."""


def wait_until(look: Callable[[], _Found], what: str, *, seconds: float = 120) -> _Found:
    """The first true answer of `look`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.02)
    pytest.fail(f"not within {seconds} s: {what}")


def living(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; what only waits to be seen off by its parent does not."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def family(pid: int) -> list[psutil.Process]:
    """A process and all below it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return living([process, *process.children(recursive=True)])
    return []


def none_is_left(processes: Iterable[psutil.Process], *, seconds: float = 5) -> None:
    """Wait until all of them have ended; fail with a table of those that have not."""
    processes = list(processes)
    deadline = time.monotonic() + seconds
    while living(processes) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not living(processes), table(processes)


def table(processes: Iterable[psutil.Process]) -> str:
    """One line for each that still runs: number, parent, session, state, seconds of age and command."""
    lines = ["    PID    PPID     SID STATE       AGE  COMMAND"]
    for process in living(processes):
        with contextlib.suppress(psutil.NoSuchProcess):
            session = os.getsid(process.pid)
            words = [word.rpartition("/")[2] if word.startswith("/") else word for word in process.cmdline()]
            age = time.time() - process.create_time()
            lines.append(
                f"{process.pid:>7} {process.ppid():>7} {session:>7} {process.status():<9} {age:>5.1f}  {' '.join(words)[:60]}"
            )
    return "\n".join(lines if len(lines) > 1 else [*lines, "    (none)"])
