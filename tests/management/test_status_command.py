"""`status` and `/readyz` of real installations with every kind of problem."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.installation import _HEED_MODES, ROOT, Installation
from tests.processes import wait_until
from tests.ups import free_port
from tests.workers import RunningWorker, rows, states, submit_backup
from tvarr_backup.backups.restore_journal import Unfinished, write_journal
from tvarr_backup.formatting import format_time
from tvarr_backup.operations.heartbeat import Heartbeat
from tvarr_backup.sentences import Advice, Sentence


def status(installation: Installation, prefix: Sequence[str] = ()) -> tuple[int, dict[str, Any]]:
    """Exit status of `status --json`, and what it says."""
    done = subprocess.run(
        [*prefix, *installation.command("status", "--json")],
        env=installation.variables(),
        cwd=installation.data.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


@contextmanager
def served(installation: Installation, prefix: Sequence[str] = ()) -> Iterator[str]:
    """The address of a web server for the installation, behind words such as `unshare`."""
    port, log = free_port(), installation.data.parent / "web.log"
    command = [*prefix, sys.executable, "-m", "gunicorn", "config.wsgi", "--pythonpath", str(ROOT), "--bind",
               f"127.0.0.1:{port}", "--worker-class", "gthread", "--threads", "4", "--no-control-socket"]  # fmt: skip
    with (
        log.open("wb") as written,
        subprocess.Popen(
            command, env=installation.variables(), cwd=installation.data.parent, stdout=written, stderr=written
        ) as server,
    ):
        try:
            wait_until(lambda: "Booting worker" in log.read_text() and answers(port), "the web server")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
    assert "Traceback" not in log.read_text(), log.read_text()[-5000:]


def answers(port: int) -> bool:
    with contextlib.suppress(urllib.error.URLError, ConnectionError):
        return ask(f"http://127.0.0.1:{port}", "/healthz", "") == (200, {"status": "alive"})
    return False


def ask(address: str, path: str, token: str) -> tuple[int, Any]:
    request = urllib.request.Request(address + path, headers={"X-Api-Key": token} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)


@dataclass
class Place:
    """An installation with a schedule, a token, and a backup of just now."""

    installation: Installation
    token: str

    @property
    def data(self) -> Path:
        return self.installation.data

    @property
    def live(self) -> Path:
        return self.data / "tvarr.db"

    @property
    def backups(self) -> Path:
        return self.data / "backups"

    def change(self, database: str, statement: str) -> None:
        with closing(sqlite3.connect(self.data / database, isolation_level=None)) as connection:
            connection.execute(statement)

    def both(self, address: str, prefix: Sequence[str] = ()) -> Both:
        """What `status` says, and `/readyz`."""
        return Both(status(self.installation, prefix), ask(address, "/readyz", self.token))

    def require_sick(self, both: Both, check: str, sentence: str) -> None:
        """Both say so, `/readyz` without the folders of the machine."""
        without = sentence.replace(f"{self.data}/", "")
        assert (both.status[0], said(both.status[1], check)) == (1, ("sick", sentence))
        assert (both.readyz[0], said(both.readyz[1], check)) == (503, ("sick", without))


@dataclass(frozen=True)
class Both:
    """Status codes and bodies."""

    status: tuple[int, Any]
    readyz: tuple[int, Any]


def said(body: Any, check: str) -> tuple[str, str]:
    return next((one["state"], one["message"]) for one in body["checks"] if one["name"] == check)


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    installation = Installation(tmp_path_factory.mktemp("made") / "data").prepared()
    installation.ok("backup", "create")
    return Place(installation, installation.json("token", "create", "t", "--user", "admin", "--json")["token"])


@pytest.fixture
def idle(installation: Installation, _made: Place) -> Place:
    """Where no worker runs."""
    shutil.copytree(_made.data, installation.data)
    installation.environment["TVARR_BACKUP_SCHEDULE_ENABLED"] = "true"
    installation.environment["TVARR_BACKUP_SCHEDULE_CRON"] = "0 2 1 1 *"  # not while the tests run
    return Place(installation, _made.token)


@pytest.fixture
def place(idle: Place, settings: Any) -> Iterator[Place]:
    """Where a worker gives a sign of life."""
    settings.STORAGE_BASE_DIR = idle.data
    with Heartbeat():
        yield idle


@pytest.fixture
def worker(idle: Place) -> Iterator[RunningWorker]:
    """A worker that really runs there."""
    running = RunningWorker(idle.installation)
    wait_until(lambda: rows(idle.installation, "SELECT 1 FROM django_q_schedule"), "the next time is planned")
    yield running
    running.process.send_signal(signal.SIGCONT)
    running.end()


# --- Without problems ------------------------------------------------------------------------------------------------


def test_everything_fits_on_one_screen(idle: Place, worker: RunningWorker) -> None:
    screen = idle.installation.ok("status").splitlines()
    assert screen[0] == "Everything is fine."
    assert len(screen) < 24
    assert [line.split()[0] for line in screen[2:11]] == ["OK"] * 9
    facts = {line[:11].strip(): line[11:].strip() for line in screen[-4:]}
    assert list(facts) == ["Last good", "Next run", "Running", "Free space"]
    assert facts["Last good"].endswith(".db.gz")
    assert facts["Next run"].endswith("-01-01 02:00:00 UTC")


def test_readyz_answers_the_same(idle: Place, worker: RunningWorker) -> None:
    with served(idle.installation) as address:
        both = idle.both(address)
    assert (both.status[0], both.status[1]["state"]) == (0, "ok")
    assert (both.readyz[0], both.readyz[1]["state"]) == (200, "ok")
    assert both.readyz[1]["last_good_backup"] == both.status[1]["last_good_backup"]


def test_a_warning_is_shown_and_does_not_fail(place: Place) -> None:
    (archive,) = place.backups.glob("*.gz")
    shutil.copy(archive, archive.with_name("tvarr-backup-2020-01-01T00-00-00.db.gz"))
    screen = place.installation.ok("status")
    assert screen.startswith("Backups are made, but there are warnings.\n")
    assert (
        "warning  Backups           Do not rely on these backups: tvarr-backup-2020-01-01T00-00-00.db.gz is broken"
        in screen
    )


def test_a_running_operation_is_shown(place: Place) -> None:
    place.change(
        "app.db",
        "UPDATE operations_operation SET state = 'running', phase = 'pack', percent = 25",
    )
    assert ", pack, 25 %" in place.installation.ok("status").splitlines()[-2]


def test_before_anything_is_prepared_it_says_what_to_do_and_makes_nothing(installation: Installation) -> None:
    done = installation.run("status")
    assert (done.returncode, done.stderr) == (1, "")
    assert "create a new one with `manage.py prepare`" in done.stdout
    assert not installation.data.exists()


def test_nothing_is_written(idle: Place) -> None:
    def found() -> dict[Path, tuple[int, bytes]]:
        files = [path for path in idle.data.rglob("*") if path.is_file()]
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    before = found()
    status(idle.installation)
    assert found() == before


# --- tvarr's database ------------------------------------------------------------------------------------------------


def move_away(place: Place, name: str = "tvarr.db") -> None:
    for path in place.data.glob(f"{name}*"):
        path.rename(path.with_name(f"away-{path.name}"))


def put_garbage(place: Place) -> None:
    place.live.write_bytes(b"This is a shopping list, not a database. " * 500)


def put_another_programs(place: Place) -> None:
    place.live.unlink()
    place.change("tvarr.db", "CREATE TABLE recipes (id)")


def put_a_newer_ones(place: Place) -> None:
    place.change("tvarr.db", "INSERT INTO django_migrations (app, name, applied) VALUES ('tvarr_backup', '0099_x', 0)")


def put_an_older_ones(place: Place) -> None:
    place.change("tvarr.db", "DELETE FROM django_migrations WHERE name = '0002_system_rows'")


def damage_its_first_page(place: Place) -> None:
    with place.live.open("r+b") as file:
        file.seek(100)
        file.write(b"\xaa" * 3000)


BRING_BACK, NAME_DATABASE, NEW_DATABASE, RESTORE = (
    Sentence("{advice}", advice=advice)
    for advice in (Advice.BRING_BACK, Advice.NAME_DATABASE, Advice.NEW_DATABASE, Advice.RESTORE)
)

SICK_DATABASES: dict[str, tuple[Callable[[Place], None], str]] = {
    "moved away": (
        move_away,
        f"does not exist. {BRING_BACK}",
    ),
    "garbage": (
        put_garbage,
        f"is not an SQLite database. {RESTORE}",
    ),
    "another program's": (
        put_another_programs,
        f"is not tvarr's database. It has neither tvarr's nor our tables, but recipes. {NAME_DATABASE}",
    ),
    "of an older version": (
        put_an_older_ones,
        "is not up to date with this version of tvarr-backup. Run `manage.py prepare`.",
    ),
    "damaged": (
        damage_its_first_page,
        f"cannot be read: database disk image is malformed. {RESTORE}",
    ),
}


@pytest.mark.parametrize(
    "what", [name if name == "moved away" else pytest.param(name, marks=pytest.mark.long) for name in SICK_DATABASES]
)
def test_what_is_wrong_with_tvarrs_database_is_said_by_both(what: str, place: Place) -> None:
    change, sentence = SICK_DATABASES[what]
    with served(place.installation) as address:
        change(place)
        both = place.both(address)
    show(f"tvarr's database: {what}", both, "tvarr_database")
    place.require_sick(both, "tvarr_database", f"{place.live} {sentence}")


@pytest.mark.long
def test_a_database_that_a_newer_version_has_migrated_is_a_warning_of_both(place: Place) -> None:
    with served(place.installation) as address:
        put_a_newer_ones(place)
        both = place.both(address)
    show("tvarr's database: of a newer version", both, "tvarr_database")
    for _, answer in (both.status, both.readyz):
        state, sentence = said(answer, "tvarr_database")
        assert state == "warning"
        assert "A newer tvarr-backup has migrated it (tvarr-backup 0099_x)." in sentence


_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA locking_mode=EXCLUSIVE")
connection.execute("BEGIN EXCLUSIVE")
connection.execute(sys.argv[2])
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked_by_another_program(path: Path, write: str = "UPDATE filters SET description = 'mine'") -> Iterator[None]:
    command = [sys.executable, "-c", _LOCK, str(path), write]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        yield
        other.communicate("")


@pytest.mark.long
def test_a_database_that_another_program_has_locked_is_said_by_both(place: Place) -> None:
    with served(place.installation) as address, locked_by_another_program(place.live):
        both = place.both(address)
    show("tvarr's database: locked", both, "tvarr_database")
    sentence = f"{place.live} cannot be read, because another program has locked it. Try again when it has finished."
    place.require_sick(both, "tvarr_database", sentence)


@pytest.mark.long
def test_that_is_told_within_seconds(place: Place) -> None:
    with served(place.installation) as address, locked_by_another_program(place.live):
        began = time.monotonic()
        ask(address, "/readyz", place.token)
        assert time.monotonic() - began < 8


# --- Our own database ------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_our_own_database_moved_away_is_said_by_both(place: Place) -> None:
    with served(place.installation) as address:
        assert ask(address, "/api/v1/backups", place.token)[0] == 200  # so that the server has it open
        move_away(place, "app.db")
        both = place.both(address)
        assert ask(address, "/healthz", "")[0] == 200
    show("our own database: moved away", both, "default_database")
    sentence = f"{place.data}/app.db does not exist. Put it back if it was lost, or {NEW_DATABASE}"
    assert (both.status[0], said(both.status[1], "default_database")) == (1, ("sick", sentence))
    assert (both.readyz[0], both.readyz[1]["code"]) == (503, "database_missing")
    assert not (place.data / "app.db").exists()


def test_our_own_database_locked_is_said_by_both_within_seconds(place: Place) -> None:
    with (
        served(place.installation) as address,
        locked_by_another_program(place.data / "app.db", "UPDATE auth_user SET first_name = 'mine'"),
    ):
        began = time.monotonic()
        both = place.both(address)
        assert time.monotonic() - began < 15
    show("our own database: locked", both, "default_database")
    sentence = (
        f"{place.data}/app.db cannot be read, because another program has locked it. Try again when it has finished."
    )
    assert (both.status[0], said(both.status[1], "default_database")) == (1, ("sick", sentence))
    assert (both.readyz[0], both.readyz[1]["code"]) == (503, "database_unusable")


# --- The worker and the queue ----------------------------------------------------------------------------------------


def test_a_worker_that_was_killed_is_missed_by_both(idle: Place, worker: RunningWorker) -> None:
    with served(idle.installation) as address:
        worker.end()
        both = idle.both(address)
    show("worker: killed", both, "worker")
    sentence = (
        "No worker is running. Operations and automatic backups wait. Start one with `manage.py worker`, or everything with "
        "`manage.py up`."
    )
    idle.require_sick(both, "worker", sentence)


@pytest.mark.long
def test_what_waits_for_too_long_is_said_by_both(idle: Place, worker: RunningWorker) -> None:
    worker.process.send_signal(signal.SIGSTOP)
    submit_backup(idle.installation)
    idle.change(
        "app.db", "UPDATE operations_operation SET created_at = datetime('now', '-1 hour') WHERE state = 'queued'"
    )
    with served(idle.installation) as address:
        both = idle.both(address)
    show("queue: waits for too long", both, "queue")
    since = format_time(datetime.fromisoformat(both.status[1]["queued_since"]))
    sentence = (
        f"A backup has been queued since {since}; no worker has started it. Check that a worker is running and what it logs, "
        "or cancel the operation."
    )
    idle.require_sick(both, "queue", sentence)


@pytest.mark.long
def test_a_scheduled_backup_that_failed_is_said_by_both(idle: Place, worker: RunningWorker) -> None:
    worker.end()
    damage_in_the_middle(idle)
    idle.change("app.db", "UPDATE django_q_schedule SET next_run = datetime('now', '-1 minute')")
    again = RunningWorker(idle.installation)
    try:
        wait_until(lambda: states(idle.installation)[-1] == "failed", "it has failed", seconds=40)
        with served(idle.installation) as address:
            both = idle.both(address)
    finally:
        again.end()
    show("schedule: the last backup failed", both, "schedule")
    state, sentence = said(both.status[1], "schedule")
    assert (both.status[0], state, both.readyz[0]) == (0, "warning", 200)
    assert (
        f"{idle.live} could not be copied: database disk image is malformed. It is damaged. To fix it, restore a backup. The next one is due on "
        in sentence
    )
    assert said(both.readyz[1], "schedule") == ("warning", sentence.replace(f"{idle.data}/", ""))


def damage_in_the_middle(place: Place) -> None:
    """Where no look finds it, but a copy does."""
    place.change("tvarr.db", "CREATE TABLE ballast (data)")
    place.change("tvarr.db", "INSERT INTO ballast VALUES (zeroblob(100000))")
    with place.live.open("r+b") as file:
        file.seek(-4096 * 5, os.SEEK_END)
        file.write(bytes(4096))


# --- Backups and their folder ----------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_last_good_backup_that_is_too_old_is_said_by_both(place: Place) -> None:
    (sidecar,) = place.backups.glob("*.meta.json")
    made = datetime.now(UTC) - timedelta(days=800)
    values = json.loads(sidecar.read_bytes()) | {"created_at": f"{made:%Y-%m-%dT%H:%M:%SZ}"}
    sidecar.write_text(json.dumps(values))
    with served(place.installation) as address:
        both = place.both(address)
    show("last good backup: too old", both, "last_backup")
    sentence = (
        f"The last good backup was made on {format_time(made)}, 800 days ago. With this schedule it should be at most 730 "
        "days old. To make one, use `manage.py backup create`."
    )
    place.require_sick(both, "last_backup", sentence)


def test_a_folder_whose_disk_is_not_mounted_is_missed_by_both(place: Place) -> None:
    with served(place.installation) as address:
        shutil.rmtree(place.backups)
        both = place.both(address)
    show("backup folder: unmounted", both, "backup_folder")
    sentence = (
        f"The backup folder {place.backups} does not exist any more, although backups were made. Check that its disk is "
        "mounted."
    )
    place.require_sick(both, "backup_folder", sentence)


@pytest.mark.parametrize(
    ("what", "mode", "sentence"),
    [
        ("unreadable", 0, "cannot be used: Permission denied (backups). "),
        pytest.param("read-only", 0o500, "is read-only. It belongs to ", marks=pytest.mark.long),
    ],
)
def test_a_folder_that_is_closed_to_us_is_said_by_both(what: str, mode: int, sentence: str, place: Place) -> None:
    place.installation.heeds_modes = True
    with served(place.installation, _HEED_MODES if os.geteuid() == 0 else ()) as address:
        place.backups.chmod(mode)
        both = place.both(address)
        place.backups.chmod(0o700)
    show(f"backup folder: {what}", both, "backup_folder")
    message = said(both.status[1], "backup_folder")[1]
    assert message.startswith(f"The backup folder {place.backups} {sentence}")
    place.require_sick(both, "backup_folder", message)


def test_a_disk_without_room_for_the_next_backup_is_said_by_both(place: Place) -> None:
    disk = place.data / "disk"
    disk.mkdir()
    place.installation.environment["TVARR_BACKUP_DIRECTORY"] = str(disk)
    mount = 'mount -t tmpfs -o size=64k tmpfs "$1" && shift && exec "$@"'
    prefix = ["unshare", "-rm", "bash", "-c", mount, "bash", str(disk)]
    with served(place.installation, prefix) as address:
        both = place.both(address, prefix)
    show("backup folder: no room", both, "backup_folder")
    _, sentence = said(both.status[1], "backup_folder")
    assert sentence.startswith("The backup needs about 0.")
    assert sentence.endswith(
        f" MB of free space in {disk}, but only 0.1 MB is free. Free some space, or use another folder."
    )
    place.require_sick(both, "backup_folder", sentence)


@pytest.mark.long
def test_a_restore_that_was_not_finished_is_said_by_both(place: Place) -> None:
    (archive,) = place.backups.glob("*.gz")
    write_journal(
        place.backups / ".work", Unfinished(7, str(place.live), archive.name, "b", "2026-01-01T00:00:00+00:00")
    )
    with served(place.installation) as address:
        both = place.both(address)
    show("restore: unfinished", both, "restore")
    sentence = (
        f"The restore of {archive.name} was not finished. Run `manage.py backup recover` to finish or undo it. The "
        "previous data is kept."
    )
    assert (both.status[0], said(both.status[1], "restore")) == (0, ("warning", sentence))
    assert (both.readyz[0], said(both.readyz[1], "restore")) == (200, ("warning", sentence))
    place.installation.ok("backup", "recover")
    assert said(status(place.installation)[1], "restore") == ("ok", "No restore is unfinished.")


def show(what: str, both: Both, check: str) -> None:
    """Print a row of a table, visible with -s."""
    command = "; ".join((f"exit {both.status[0]}", ": ".join(said(both.status[1], check))))
    body = both.readyz[1]
    answer = ": ".join(said(body, check)) if "checks" in body else f"{body['code']}: {body['detail']}"
    print(f"\n| {what} | {command} | {both.readyz[0]}; {answer} |")  # noqa: T201
