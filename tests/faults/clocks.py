"""Real workers whose wall clock the test puts forward and back."""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from tests.installation import Installation
from tests.processes import wait_until
from tests.workers import RunningWorker, rows
from tvarr_backup.backups.catalogue import read_folder
from tvarr_backup.backups.names import parse_name
from tvarr_backup.backups.sidecar import BackupKind

BEFORE = timedelta(seconds=5)
_A_LOOK_SECONDS = 40
_PATIENCE_SECONDS = 90


class Clock:
    """The wall clock of the processes that run under `clock.c`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset_ns = 0
        path.write_bytes(struct.pack("=q", 0))

    def put(self, moment: datetime) -> None:
        """From now on it is that moment."""
        self._offset_ns = round(moment.timestamp() * 10**9) - time.time_ns()
        with self._path.open("r+b") as file:
            file.write(struct.pack("=q", self._offset_ns))

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(microseconds=self._offset_ns // 1000)


@dataclass(frozen=True)
class Run:
    """An automatic backup: when it was due, when it began, and its result."""

    due: datetime
    started: datetime
    state: str


class ClockedWorker:
    """A worker under a clock of its own, with the schedule of its installation."""

    def __init__(self, installation: Installation, library: Path, cron: str, zone: str = "UTC") -> None:
        self.installation = installation
        path = installation.data.parent / "clock"
        self.clock = Clock(path)
        installation.environment |= {
            "LD_PRELOAD": str(library),
            "CLOCK_OFFSET_FILE": str(path),
            "TVARR_BACKUP_SCHEDULE_ENABLED": "true",
            "TVARR_BACKUP_SCHEDULE_CRON": cron,
            "TVARR_BACKUP_SCHEDULE_RETENTION": "1000",
            "TZ": zone,
        }
        self._running: RunningWorker | None = None
        self.busiest_share = 0.0

    def start(self, moment: str) -> None:
        """Begin at that moment, and wait until there is a schedule."""
        self.clock.put(at(moment))
        self._running = RunningWorker(self.installation)
        wait_until(
            lambda: rows(self.installation, "SELECT 1 FROM django_q_schedule"), "the next time is planned", seconds=60
        )

    def is_planned_for(self, moment: str) -> None:
        """Wait until the schedule is."""
        wait_until(
            lambda: (
                rows(self.installation, "SELECT next_run FROM django_q_schedule")
                == [(f"{at(moment):%Y-%m-%d %H:%M:%S}",)]
            ),
            f"{moment} is planned",
            seconds=60,
        )

    def stop(self) -> None:
        assert self._running is not None
        self._running.process.terminate()
        assert self._running.ends() == 0

    def end(self) -> None:
        if self._running is not None:
            self._running.end()

    def runs_at(self, moment: str) -> None:
        """Shortly before that moment, wait until one more scheduled backup has been made."""
        before = len(self.runs())
        self.clock.put(at(moment) - BEFORE)
        self.makes_one_more_than(before)

    def makes_one_more_than(self, before: int) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while [run.state for run in self.runs()][before:] != ["succeeded"]:
            assert time.monotonic() < deadline, f"not one more than {before}: {self.runs()}\n{self.log}"
            time.sleep(0.5)

    def does_nothing_at(self, moment: str) -> None:
        """From shortly before that moment on, no scheduled backup is made while the worker looks again."""
        before = self.runs()
        self.clock.put(at(moment) - BEFORE)
        assert self._running is not None
        process = psutil.Process(self._running.process.pid)
        began, spent = time.monotonic(), _seconds_of(process)
        time.sleep(_A_LOOK_SECONDS)
        share = (_seconds_of(process) - spent) / (time.monotonic() - began)
        self.busiest_share = max(self.busiest_share, share)
        assert self.runs() == before

    def runs(self) -> list[Run]:
        """In the order in which they were stored."""
        query = (
            "SELECT due_at, started_at, state FROM operations_operation WHERE kind = 'backup' AND origin = 'schedule' "
            "ORDER BY rowid"
        )
        return [Run(_utc(due), _utc(started), state) for due, started, state in rows(self.installation, query)]

    def backups(self) -> list[datetime]:
        """Return the times in the names of the automatic backups in the folder, in the order of their making."""
        found = [
            backup
            for backup in read_folder(self.installation.data / "backups").backups
            if backup.sidecar.kind is BackupKind.SCHEDULED
        ]
        names = [parse_name(backup.filename) for backup in sorted(found, key=lambda backup: backup.sidecar.seq)]
        return [name.moment for name in names if name is not None]

    @property
    def log(self) -> str:
        return self._running.log if self._running else ""


def at(moment: str) -> datetime:
    """`2026-03-29 01:00`, in UTC."""
    return datetime.fromisoformat(moment).replace(tzinfo=UTC)


def _utc(stored: Any) -> datetime:
    return datetime.fromisoformat(stored or "0001-01-01").replace(tzinfo=UTC)


def _seconds_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)
