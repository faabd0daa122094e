"""Automatic backups with real workers and various obstacles: logs, pages, and the next backup as usual."""

from __future__ import annotations

import faulthandler
import itertools
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.harness import require_tool
from tests.installation import Installation
from tests.processes import wait_until
from tests.ups import Up, free_port, start_up
from tests.workers import RunningWorker, backups, resume_when_it_must_end, rows, work_files
from tvarr_backup.backups.catalogue import Backup, read_folder
from tvarr_backup.backups.sidecar import BackupKind

pytestmark = pytest.mark.long

A_LOOK_SECONDS = 60
"""The worker looks every 30 s."""


def runs(installation: Installation) -> list[tuple[Any, ...]]:
    """State and error of the scheduled backups, in the order in which they were stored."""
    query = "SELECT state, error FROM operations_operation WHERE origin = 'schedule' AND kind = 'backup' ORDER BY rowid"
    return rows(installation, query)


def states(installation: Installation) -> list[str]:
    return [state for state, _error in runs(installation)]


def let_the_time_come(installation: Installation) -> None:
    """Whatever the next time was."""
    with closing(sqlite3.connect(installation.data / "app.db", isolation_level=None, timeout=20)) as connection:
        connection.execute("UPDATE django_q_schedule SET next_run = datetime('now', '-1 minute')")


def is_planned(installation: Installation) -> bool:
    """For a time to come."""
    return bool(rows(installation, "SELECT 1 FROM django_q_schedule WHERE next_run > datetime('now')"))


def ends(installation: Installation, *expected: str) -> None:
    """Wait until the scheduled backups have ended so, and the next time is planned."""
    wait_until(lambda: states(installation) == list(expected), f"they are {expected}", seconds=A_LOOK_SECONDS)
    assert is_planned(installation)


def shown(installation: Installation) -> dict[str, Any]:
    """Return what pages and API show of the schedule."""
    code = "import json; from tvarr_backup.operations.schedule import schedule_as_data; print(json.dumps(schedule_as_data()))"
    data: dict[str, Any] = installation.json("shell", "-v", "0", "-c", code)
    return data


@pytest.fixture
def scheduled(prepared: Installation) -> Installation:
    """Every day, half a day from now: at no time of the test by itself."""
    return with_schedule(prepared)


def with_schedule(installation: Installation) -> Installation:
    then = datetime.now(UTC) + timedelta(hours=12)
    installation.environment["TVARR_BACKUP_SCHEDULE_ENABLED"] = "true"
    installation.environment["TVARR_BACKUP_SCHEDULE_CRON"] = f"{then.minute} {then.hour} * * *"
    return installation


# --- The disk of the backup folder -----------------------------------------------------------------------------------


class OnADisk(Installation):
    """Its backup folder is a disk in memory, which is there for its own processes alone."""

    mounted: int | None = None

    @property
    def disk(self) -> Path:
        return self.data.parent / "disk"

    def command(self, *arguments: str) -> list[str]:
        usual = super().command(*arguments)
        if self.mounted is not None:
            return ["nsenter", "-t", str(self.mounted), "-U", "-m", "--preserve-credentials", *usual]
        mount = 'mount -t tmpfs -o size=100m tmpfs "$1" && shift && exec "$@"'
        return ["unshare", "-rm", "bash", "-c", mount, "bash", str(self.disk), *usual]

    def seen(self) -> Path:
        """The disk, as it is seen from here."""
        return Path(f"/proc/{self.mounted}/root{self.disk}")

    def inside(self, *command: str) -> None:
        enter = ["nsenter", "-t", str(self.mounted), "-U", "-m", "--preserve-credentials"]
        subprocess.run([*enter, *command], check=True, capture_output=True)


@pytest.fixture
def on_a_disk(scheduled: Installation) -> Iterator[OnADisk]:
    """With a worker that runs, and one scheduled backup made."""
    for tool in ("unshare", "nsenter"):
        require_tool(tool)
    installation = OnADisk(scheduled.data, scheduled.environment)
    installation.disk.mkdir()
    installation.environment["TVARR_BACKUP_DIRECTORY"] = str(installation.disk)
    running = RunningWorker(installation)
    installation.mounted = running.process.pid
    wait_until(lambda: is_planned(installation), "the next time is planned")
    let_the_time_come(installation)
    ends(installation, "succeeded")
    yield installation
    running.end()


def complete(folder: Path) -> list[str]:
    return [backup.filename for backup in read_folder(folder).backups]


def test_the_disk_is_full_when_the_time_has_come(on_a_disk: OnADisk) -> None:
    before = complete(on_a_disk.seen())
    filler = on_a_disk.seen() / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(bytes(200 * 2**20))
    let_the_time_come(on_a_disk)
    ends(on_a_disk, "succeeded", "failed")
    error = runs(on_a_disk)[-1][1]
    assert "of free space in" in error
    assert error in log_of(on_a_disk)
    assert shown(on_a_disk)["last_run"]["message"] == error
    assert complete(on_a_disk.seen()) == before
    filler.unlink()
    let_the_time_come(on_a_disk)
    ends(on_a_disk, "succeeded", "failed", "succeeded")
    assert len(complete(on_a_disk.seen())) == 2


def test_the_disk_is_not_mounted_when_the_time_has_come(on_a_disk: OnADisk) -> None:
    on_a_disk.inside("umount", str(on_a_disk.disk))
    let_the_time_come(on_a_disk)
    ends(on_a_disk, "succeeded", "failed")
    error = runs(on_a_disk)[-1][1]
    assert "is not mounted at" in error
    assert "where it was when the last backup was made" in error
    assert error in log_of(on_a_disk)
    assert shown(on_a_disk)["last_run"]["state"] == "failed"
    assert complete(on_a_disk.seen()) == []
    on_a_disk.inside("mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(on_a_disk.disk))
    let_the_time_come(on_a_disk)
    ends(on_a_disk, "succeeded", "failed", "succeeded")
    assert len(complete(on_a_disk.seen())) == 1


def test_the_backup_folder_is_gone_when_the_time_has_come(scheduled: Installation) -> None:
    place = scheduled.data.parent / "far"
    place.mkdir()
    scheduled.environment["TVARR_BACKUP_DIRECTORY"] = str(place / "backups")
    running = RunningWorker(scheduled)
    try:
        wait_until(lambda: is_planned(scheduled), "the next time is planned")
        place.rename(place.with_name("away"))
        let_the_time_come(scheduled)
        ends(scheduled, "failed")
        assert "backups cannot be used: No such file or directory." in runs(scheduled)[-1][1]
        assert runs(scheduled)[-1][1] in running.log
        place.with_name("away").rename(place)
        let_the_time_come(scheduled)
        ends(scheduled, "failed", "succeeded")
    finally:
        running.end()


def log_of(installation: Installation) -> str:
    return (installation.data.parent / "worker.log").read_text()


# --- Cut off in the middle -------------------------------------------------------------------------------------------


def held_in_the_middle(installation: Installation, pid: int) -> psutil.Process:
    """The process of a scheduled backup, stopped while its temporary file grows."""
    wait_until(lambda: is_planned(installation), "the next time is planned")
    let_the_time_come(installation)
    wait_until(lambda: work_files(installation), "a temporary file", seconds=A_LOOK_SECONDS)
    task = next(child for child in psutil.Process(pid).children() if child.ppid() == pid)
    task.suspend()
    assert states(installation)[-1] == "running"
    return task


def due_times(installation: Installation) -> set[Any]:
    return set(rows(installation, "SELECT due_at FROM operations_operation WHERE origin = 'schedule'"))


@pytest.mark.parametrize("blow", ["SIGTERM", "SIGKILL"])
def test_a_worker_that_ends_in_the_middle_makes_it_up_once_when_it_is_started_again(
    large: Installation, blow: str
) -> None:
    with_schedule(large)
    running = RunningWorker(large)
    wait_until(lambda: is_planned(large), "the next time is planned")
    task = held_in_the_middle(large, running.process.pid)
    running.process.kill() if blow == "SIGKILL" else running.process.terminate()
    if blow == "SIGTERM":
        resume_when_it_must_end(task)
        assert running.ends() == 0
        assert states(large) == ["interrupted"]
    running.process.wait(timeout=20)
    assert backups(large) == []
    again = RunningWorker(large)
    began = time.monotonic()
    try:
        ends(large, "interrupted", "succeeded")
        print(f"\n{blow}: made up {time.monotonic() - began:.1f} s after the new start")  # noqa: T201
        assert len(due_times(large)) == 1
        assert len(backups(large)) == 2
        assert work_files(large) == []
        time.sleep(35)  # another look
        assert states(large) == ["interrupted", "succeeded"]
    finally:
        again.end()


def test_up_that_ends_in_the_middle_makes_it_up_once_when_it_is_started_again(large: Installation) -> None:
    def started() -> Up:
        up = start_up(with_schedule(large), free_port())
        wait_until(up.is_complete, "it is complete", seconds=60)
        return up

    up = started()
    task = held_in_the_middle(large, up.program("worker").pid)
    up.process.terminate()
    resume_when_it_must_end(task)
    up.process.wait(timeout=30)
    assert (states(large), backups(large), work_files(large)) == (["interrupted"], [], [])
    up = started()
    try:
        ends(large, "interrupted", "succeeded")
        assert len(due_times(large)) == 1
    finally:
        up.process.terminate()
        up.process.wait(timeout=30)


def test_one_whose_process_is_killed_each_time_is_tried_three_times(large: Installation) -> None:
    running = RunningWorker(with_schedule(large))
    worker = psutil.Process(running.process.pid)
    try:
        wait_until(lambda: is_planned(large), "the next time is planned")
        let_the_time_come(large)
        for number in range(1, 4):
            # The temporary file may be the last attempt's, which the next one removes.
            running_now = [*["interrupted"] * (number - 1), "running"]
            wait_until(lambda now=running_now: states(large) == now, "it has begun", seconds=A_LOOK_SECONDS)  # type: ignore[misc]  # mypy does not know the default
            wait_until(lambda: work_files(large), "a temporary file")
            worker.children()[0].kill()
            wait_until(lambda number=number: states(large) == ["interrupted"] * number, "it is recorded")  # type: ignore[misc]  # mypy does not know the default
        time.sleep(40)  # another look
        assert states(large) == ["interrupted"] * 3
        assert is_planned(large)
        assert (backups(large), work_files(large), len(due_times(large))) == ([], [], 1)
    finally:
        running.end()


def test_switched_off_in_the_middle_it_is_finished_and_none_follows(large: Installation) -> None:
    running = RunningWorker(with_schedule(large))
    try:
        wait_until(lambda: is_planned(large), "the next time is planned")
        task = held_in_the_middle(large, running.process.pid)
        code = "from tvarr_backup.operations.schedule import change_settings; change_settings({'enabled': False})"
        large.ok("shell", "-v", "0", "-c", code)
        task.resume()
        wait_until(lambda: states(large) == ["succeeded"], "it is finished")
        time.sleep(35)  # another look
        assert states(large) == ["succeeded"]
        assert rows(large, "SELECT 1 FROM django_q_schedule") == []
    finally:
        running.end()


# --- Five minutes ----------------------------------------------------------------------------------------------------


def listed(installation: Installation) -> str:
    return installation.ok("backup", "list")


def by_kind(installation: Installation) -> dict[BackupKind, list[Backup]]:
    found = read_folder(installation.data / "backups").backups
    return {kind: [backup for backup in found if backup.sidecar.kind is kind] for kind in BackupKind}


def test_five_minutes_of_a_backup_every_minute(prepared: Installation) -> None:
    """Three are kept; what is protected, and what was made by hand, stays."""
    faulthandler.cancel_dump_traceback_later()  # which takes a test of five minutes for one that hangs
    prepared.environment |= {"TVARR_BACKUP_SCHEDULE_CRON": "* * * * *", "TVARR_BACKUP_SCHEDULE_RETENTION": "3"}
    prepared.environment["TVARR_BACKUP_SCHEDULE_ENABLED"] = "true"
    before = {
        prepared.json("backup", "create", "--note", f"by hand {number}", "--json")["filename"] for number in (1, 2)
    }
    code = (
        "from tvarr_backup.operations.run import run_here; from tvarr_backup.operations.models import *\n"
        "print(run_here(OperationKind.BACKUP, origin=Origin.SCHEDULE).result['backup']['filename'])"
    )
    automatic = prepared.ok("shell", "-v", "0", "-c", code).strip()
    prepared.ok("backup", "protect", automatic, "--note", "automatic, protected")
    before.add(automatic)
    first = listed(prepared)
    began = datetime.now(UTC)
    running = RunningWorker(prepared)
    try:
        time.sleep(5 * 60)
        running.process.terminate()
        assert running.ends() == 0
    finally:
        running.end()
    print(f"\n--- Before\n{first}\n--- After\n{listed(prepared)}\n--- Log\n{running.log}")  # noqa: T201
    query = "SELECT due_at, started_at, state FROM operations_operation WHERE due_at IS NOT NULL ORDER BY rowid"
    done = [
        (datetime.fromisoformat(due), datetime.fromisoformat(begun), state)
        for due, begun, state in rows(prepared, query)
    ]
    for due, begun, state in done:
        print(f"due {due:%H:%M:%S}, begun {begun:%H:%M:%S.%f}: {state}")  # noqa: T201
    assert [state for _due, _begun, state in done] == ["succeeded"] * len(done)
    minutes = [due for due, _begun, _state in done]
    assert len(done) >= 4
    assert all(later - earlier == timedelta(minutes=1) for earlier, later in itertools.pairwise(minutes))
    assert minutes[0].replace(tzinfo=UTC) - began <= timedelta(minutes=1)
    assert all(timedelta(0) <= begun - due < timedelta(minutes=1) for due, begun, _state in done)
    found = by_kind(prepared)
    kept = [backup for backup in found[BackupKind.SCHEDULED] if not backup.sidecar.protected]
    assert len(kept) == 3
    assert before <= {backup.filename for backup in itertools.chain.from_iterable(found.values())}
    assert len(found[BackupKind.MANUAL]) == 2
    shutil.rmtree(prepared.data / "backups")
