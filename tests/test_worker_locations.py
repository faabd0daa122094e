"""The worker and locations: copies run beside backups, and nothing is left of one whose process ends."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.installation import Installation
from tests.processes import wait_until
from tests.workers import RunningWorker, resume_when_it_must_end, rows, submit_backup

_ADD = """
from tvarr_backup.locations.addresses import LocationKind
from tvarr_backup.operations import locations
from tvarr_backup.operations.models import OperationKind, Origin
from tvarr_backup.operations.run import run_here
location = locations.add_location("nas", LocationKind.FOLDER, {"path": "PATH"})
run_here(OperationKind.TEST_LOCATION, origin=Origin.COMMAND, arguments={"location": str(location.pk)})
"""


class Copying:
    """A worker with a location, and a copy that is held in its middle."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.nas = installation.data.parent / "nas"
        self.nas.mkdir()
        installation.ok("shell", "--no-imports", "-c", _ADD.replace("PATH", str(self.nas)))
        installation.ok("backup", "create")
        self.worker = RunningWorker(installation)
        self.process = self._hold()

    def _hold(self) -> psutil.Process:
        wait_until(lambda: list(self.nas.rglob("*.part")), "an unfinished copy", seconds=60)
        (process,) = psutil.Process(self.worker.process.pid).children()
        process.suspend()
        while not self._is_app_database_free():
            process.resume()
            time.sleep(0.01)
            process.suspend()
        assert self.complete() == []
        return process

    def _is_app_database_free(self) -> bool:
        """Return whether the copy was held outside of a transaction, which would keep others waiting."""
        with closing(
            sqlite3.connect(self.installation.data / "app.db", timeout=0.1, isolation_level=None)
        ) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            connection.execute("ROLLBACK")
            return True

    def complete(self) -> list[Path]:
        """The metadata objects there."""
        return sorted(self.nas.rglob("*.meta.json"))

    def states(self, kind: str) -> list[str]:
        query = f"SELECT state FROM operations_operation WHERE kind = '{kind}' ORDER BY id"
        return [state for (state,) in rows(self.installation, query)]


@pytest.fixture
def copying(large: Installation) -> Iterator[Copying]:
    made = Copying(large)
    yield made
    made.worker.end()


def test_a_backup_is_made_while_a_copy_takes_long(copying: Copying) -> None:
    submit_backup(copying.installation)
    wait_until(lambda: copying.states("backup") == ["succeeded"] * 2, "the backup")
    assert copying.states("copy") == ["running"]
    copying.process.resume()
    wait_until(lambda: copying.states("copy") == ["succeeded"] * 2, "both copies", seconds=60)
    assert len(copying.complete()) == 2


@pytest.mark.long
def test_a_copy_whose_process_is_killed_is_made_again(copying: Copying) -> None:
    copying.process.kill()
    wait_until(lambda: copying.states("copy") == ["interrupted", "succeeded"], "the next copy", seconds=60)
    assert len(copying.complete()) == 1
    assert list(copying.nas.rglob("*.part")) == []


@pytest.mark.long
def test_a_stopped_worker_ends_its_copy(copying: Copying) -> None:
    copying.worker.process.send_signal(signal.SIGTERM)
    resume_when_it_must_end(copying.process)
    assert copying.worker.ends() == 0
    assert copying.states("copy") == ["interrupted"]
    assert copying.complete() == []
