"""Workers of an installation in tests, as real processes."""

import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil

from tests.installation import Installation
from tests.processes import family, none_is_left, table, wait_until
from tvarr_backup.backups.folder import UPLOADS_NAME

_SUBMIT = """
from tvarr_backup.operations.models import OperationKind, Origin
from tvarr_backup.operations.run import submit
submit(OperationKind.BACKUP, requested_by=None, origin=Origin.WEB)
"""


class RunningWorker:
    """A worker of an installation, in a process group of its own."""

    def __init__(self, installation: Installation, *before: str) -> None:
        """`before` are words that stand before its command."""
        self.installation = installation
        self.folder = installation.data.parent
        self.log_path = self.folder / "worker.log"
        starts = self.log.count("worker.started")
        with self.log_path.open("ab") as output:
            self.process = subprocess.Popen(
                [*before, *installation.command("worker")],
                env=installation.variables(),
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(lambda: self.log.count("worker.started") > starts or self.process.poll() is not None, "it starts")
        assert self.process.poll() is None, self.log

    @property
    def log(self) -> str:
        return self.log_path.read_text() if self.log_path.exists() else ""

    def tree(self) -> list[psutil.Process]:
        """Its processes: the worker itself, and that of the task it runs, if any."""
        return family(self.process.pid)

    def ends(self) -> int:
        """Wait for its end, then for that of all its processes; the exit status."""
        processes = self.tree()
        status = self.process.wait(timeout=20)
        none_is_left(processes)
        return status

    def end(self) -> None:
        """By force, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def rows(installation: Installation, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(installation.data / "app.db")) as connection:
        return connection.execute(query).fetchall()


def submit_backup(installation: Installation) -> None:
    installation.ok("shell", "-c", _SUBMIT)


def operations(installation: Installation) -> list[tuple[str, str]]:
    """State and phase of each, in the order of their creation."""
    return rows(installation, "SELECT state, phase FROM operations_operation ORDER BY id")


def states(installation: Installation) -> list[str]:
    return [state for state, _phase in operations(installation)]


def work_files(installation: Installation) -> list[str]:
    """Temporary files of a backup; what is on its way in, such as a probe of the folder, has a folder of its own."""
    folder = installation.data / "backups" / ".work"
    return sorted({path.name for path in folder.iterdir()} - {UPLOADS_NAME}) if folder.exists() else []


def backups(installation: Installation) -> list[str]:
    """The files of backups of tvarr's database; those of our settings have other names."""
    folder = installation.data / "backups"
    return sorted(path.name for path in folder.glob("tvarr-backup-2*"))


def hold_in_the_middle(installation: Installation, pid: Callable[[], int]) -> psutil.Process:
    """Start a backup, and stop the process that works on it while its temporary file grows, so that it stays there."""
    with ThreadPoolExecutor(1) as thread:  # on a busy machine the command ends long after the worker has begun
        submitting = thread.submit(submit_backup, installation)
        wait_until(lambda: work_files(installation), "a temporary file")
        task = next(child for child in psutil.Process(pid()).children() if child.ppid() == pid())
        task.suspend()
        submitting.result()
    assert states(installation)[-1] == "running"
    assert work_files(installation)
    return task


def resume_when_it_must_end(task: psutil.Process) -> None:
    """Let a stopped process go on once SIGTERM waits for it: resumed before that, it may finish its work first."""

    def is_pending() -> bool:
        status = Path(f"/proc/{task.pid}/status").read_text()
        masks = re.findall(r"^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$", status, re.MULTILINE)
        return any(int(mask, 16) & 1 << signal.SIGTERM - 1 for mask in masks)

    wait_until(is_pending, "a signal to the task")
    task.resume()


def show(title: str, processes: list[psutil.Process], since: float = 0) -> float:
    """Print a table for whoever asks with -s; the moment, to be given as `since` of what comes after."""
    now = time.monotonic()
    print(f"\n--- {title}{f', {now - since:.2f} s later' if since else ''}\n{table(processes)}")  # noqa: T201
    return now


def the_next_one_succeeds(installation: Installation) -> None:
    """And what was interrupted has not been done again behind our back."""
    before = states(installation)
    submit_backup(installation)
    wait_until(lambda: states(installation)[-1] == "succeeded", "the next backup")
    assert states(installation) == [*before, "succeeded"]
    assert len(backups(installation)) == 2
    assert work_files(installation) == []
    query = "SELECT count(*) FROM django_q_ormq WHERE lock < datetime('now')"
    wait_until(lambda: rows(installation, query) == [(0,)], "nothing waits in the queue")
