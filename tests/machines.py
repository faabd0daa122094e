"""Machines that share one PostgreSQL, one Redis and one of tvarr's databases, each with a web server and a worker."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests.installation import ROOT, Installation
from tests.processes import wait_until
from tests.servers import PostgreSQL, RedisServer
from tests.ups import free_port
from tests.workers import RunningWorker
from tvarr_backup.backups.folder import UPLOADS_NAME

BACKUPS = "/api/v1/backups"


class Machine:
    """A storage folder of its own; what else it uses, others use too."""

    def __init__(self, folder: Path, shared: dict[str, str]) -> None:
        folder.mkdir()
        self.name = folder.name
        self.port = free_port()
        self.installation = Installation(folder / "data", dict(shared))
        self.token = ""
        self.web: subprocess.Popen[bytes] | None = None
        self.worker: RunningWorker | None = None

    @property
    def web_log(self) -> str:
        return self.installation.data.with_name("web.log").read_text()

    def start_web(self) -> None:
        """As `up` does, without its supervisor."""
        command = [sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"127.0.0.1:{self.port}"]
        command += ["--pythonpath", str(ROOT), "--worker-class", "gthread", "--threads", "4", "--no-control-socket"]
        with self.installation.data.with_name("web.log").open("ab") as log:
            self.web = subprocess.Popen(
                command,
                env=self.installation.variables(),
                cwd=self.installation.data.parent,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(lambda: self.call("GET", "/api/v1/operations")[0] == 200, "the web server answers", seconds=60)

    def start_worker(self, *before: str) -> RunningWorker:
        self.worker = RunningWorker(self.installation, *before)
        return self.worker

    def call(self, method: str, path: str, data: Any = None) -> tuple[int, Any]:
        """Status and JSON of an answer; 0 where there is none."""
        body = None if method == "GET" else json.dumps(data or {}).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.load(refusal)
        except OSError:
            return 0, None

    def page(self, path: str) -> tuple[int, bool]:
        """The status of a page for somebody who was signed in, and whether it says that a database is not there."""
        name = self.installation.cookie_name("SESSION_COOKIE_NAME")
        cookie = {"Cookie": f"{name}=someone-who-was-signed-in-before"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=cookie)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, False
        except urllib.error.HTTPError as refusal:
            return refusal.code, "Temporarily unavailable" in refusal.read().decode()

    def sees_a_worker(self) -> bool:
        """What its pages go by when they say whether one seems to run."""
        script = "from tvarr_backup.operations.heartbeat import worker_seems_alive; print(worker_seems_alive())"
        return self.installation.ok("shell", "--no-imports", "-c", script).split()[-1] == "True"

    def end(self) -> None:
        if self.worker is not None:
            self.worker.end()
            self.worker = None
        if self.web is not None:
            self.web.terminate()
            self.web.wait(timeout=30)


@dataclass
class Machines:
    """All of it."""

    postgresql: PostgreSQL
    redis: RedisServer
    each: tuple[Machine, ...]
    url: str
    folder: Path
    """Of backups."""

    def workers(self) -> list[RunningWorker]:
        """Those that have not ended."""
        found = [machine.worker for machine in self.each if machine.worker is not None]
        return [worker for worker in found if worker.process.poll() is None]

    def ask_everywhere(self) -> list[tuple[int, Any]]:
        """For a backup, on all machines in the same moment."""
        with ThreadPoolExecutor(len(self.each)) as pool:
            return list(pool.map(lambda machine: machine.call("POST", BACKUPS), self.each))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode()).fetchall()

    def operations(self) -> list[tuple[Any, ...]]:
        """Id and state of each, in the order of their creation."""
        return self.rows("SELECT id, state FROM operations_operation ORDER BY id")

    def state(self, operation: str) -> str:
        return dict(self.operations())[operation]  # type: ignore[no-any-return]

    def ends(self, operation: str, *states: str, seconds: float = 60) -> None:
        """Wait until an operation has ended, in one of these states, or as is wished."""
        wait_until(lambda: self.state(operation) not in ("queued", "running"), f"{operation} ends", seconds=seconds)
        assert self.state(operation) in (states or ("succeeded",)), self.rows(
            f"SELECT * FROM operations_operation WHERE id = '{operation}'"
        )

    def listed(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("tvarr-backup*.db.gz"))

    def work_files(self) -> list[str]:
        """The temporary files of a backup. Uploads and probes of the folder have a folder of their own."""
        work = self.folder / ".work"
        return sorted({path.name for path in work.iterdir()} - {UPLOADS_NAME}) if work.exists() else []

    def accepted(self, machine: Machine) -> str:
        """The id of a backup that was asked for there."""
        status, answer = machine.call("POST", BACKUPS)
        assert status == 202, answer
        return str(answer["operation"]["id"])

    def held(self, machine: Machine) -> tuple[str, RunningWorker, psutil.Process]:
        """A backup that was asked for there and is held in its middle; who does it, and its process, which is stopped."""
        for _ in range(10):
            operation = self.accepted(machine)
            task = wait_until(self._task, "the process of the task")
            assert task is not None
            with contextlib.suppress(psutil.NoSuchProcess):
                wait_until(lambda task=task: self.work_files() or not task.is_running(), "a temporary file")  # type: ignore[misc]  # bound now
                task.suspend()
                if self.state(operation) == "running" and self.work_files():
                    worker = next(one for one in self.workers() if one.process.pid == task.ppid())
                    return operation, worker, task
                task.resume()
            self.ends(operation)  # it was too quick
        pytest.fail("Ten backups were over before they could be held.")

    def _task(self) -> psutil.Process | None:
        tasks = [child for one in self.workers() for child in psutil.Process(one.process.pid).children()]
        return tasks[0] if tasks else None
