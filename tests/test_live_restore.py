"""A restore while the web server, the worker and writers continue, and the data afterwards.

With `-s` the long test prints its course.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.backups.makers import changed, query, slow_to_check, with_ballast
from tests.browsers import Browser
from tests.exports import exports_of
from tests.installation import Installation
from tests.management.test_large_backup import WRITER, acknowledged
from tests.processes import family, wait_until
from tests.tvarr_own import FILTER_ID, MAPPING_ID, RULE_ID, build_tvarr_database, insert, schema_of
from tests.ups import Up, free_port, start_up
from tests.workers import RunningWorker, rows

BACKUPS = "/admin/operations/backup/"
FILTERS = "/admin/tvarr_backup/filter/"
MAPPING_RULES = "/admin/tvarr_backup/datamappingrule/"
CLIENT_RULES = "/admin/tvarr_backup/clientdetectionrule/"

PHASES = re.compile(r"(unpack )?((check|safety copy) )*((replace|safety copy) )*((check|pack|publish) )*")
"""Their order. Progress is stored at most twice a second, so a short phase may be missing."""


@pytest.fixture
def up(installation: Installation) -> Iterator[Up]:
    """Start the web server and worker of the installation, which prepare it if necessary."""
    running = start_up(installation, free_port())
    try:
        wait_until(lambda: running.process.poll() is not None or running.is_complete(), "it is complete", seconds=60)
        assert running.process.poll() is None, running.log
        yield running
    finally:
        if running.process.poll() is None:
            running.process.terminate()
            running.process.wait(timeout=30)
        shutil.rmtree(installation.data)  # pytest keeps the folders of the last runs


# --- Writers and their commits ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Writers:
    """Two processes that write to a live database, each through one connection opened at its start."""

    database: Path
    processes: dict[str, subprocess.Popen[bytes]]
    logs: dict[str, Path]

    def go_on(self) -> None:
        """Wait until both have committed more, and check that both still run."""
        before = {name: len(acknowledged(log)) for name, log in self.logs.items()}
        wait_until(
            lambda: all(len(acknowledged(self.logs[name])) > number + 10 for name, number in before.items()),
            "both go on",
        )
        assert [process.poll() for process in self.processes.values()] == [None, None]


@contextlib.contextmanager
def writing(database: Path, folder: Path) -> Iterator[Writers]:
    """Run writers; at the end each finishes its last commit."""
    changed(
        database,
        "CREATE TABLE oracle (name, number)",
        "CREATE TABLE total (value)",
        "INSERT INTO total VALUES (0)",
    )
    writers = Writers(database, {}, {name: folder / f"writer-{name}.log" for name in "ab"})
    stop = database.with_name(f"{database.name}.stop")
    try:
        for name, log in writers.logs.items():
            log.touch()
            writers.processes[name] = subprocess.Popen([sys.executable, "-c", WRITER, str(database), name, str(log)])
        writers.go_on()
        yield writers
        stop.touch()
        assert [process.wait(timeout=60) for process in writers.processes.values()] == [0, 0]
    finally:
        for process in writers.processes.values():
            process.kill()
            process.wait()
        stop.unlink(missing_ok=True)


def written(database: Path) -> dict[str, set[int]]:
    """Return the numbers of each writer in a database, after checking that it is whole and no transaction is torn."""
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found = connection.execute("SELECT name, number FROM oracle").fetchall()
        assert connection.execute("SELECT value FROM total").fetchall() == [(len(found),)]
    assert len(set(found)) == len(found)
    return {name: {number for writer, number in found if writer == name} for name in "ab"}


def what_became_of_the_commits(writers: Writers, backup: Path, safety: Path, since: float) -> list[str]:
    """Check that every commit is where it must be, and return a sentence for each writer.

    The safety backup has all commits before the replacement. Live are the backup and all commits after it.
    """
    then, before, live = written_in(backup), written_in(safety), written(writers.database)
    lines = []
    for name, log in writers.logs.items():
        commits = acknowledged(log)
        lost = {number for _, number, _ in commits} - before[name] - live[name]
        assert not lost, f"writer {name} has lost {sorted(lost)}"
        assert before[name] == set(range(1, len(before[name]) + 1)) > then[name]
        after = set(range(len(before[name]) + 1, len(commits) + 1))
        assert live[name] == then[name] | after
        longest = max(seconds for moment, _, seconds in commits if moment > since)
        lines.append(
            f"writer {name} (process {writers.processes[name].pid}): {len(commits)} commits acknowledged; "
            f"{len(then[name])} are in the backup, {len(before[name])} in the safety backup, {len(after)} came after "
            f"it and are live; {len(lost)} lost; longest wait {longest:.2f} s"
        )
    return lines


def written_in(archive: Path) -> dict[str, set[int]]:
    with gzip.open(archive) as packed, tempfile.NamedTemporaryFile(dir=archive.parent.parent) as database:
        shutil.copyfileobj(packed, database)
        database.flush()
        return written(Path(database.name))


# --- Watching an operation -------------------------------------------------------------------------------------------


@dataclass
class Course:
    """The observed states of an operation, and the pages that were requested in the meantime."""

    began: float = field(default_factory=time.time)
    lines: list[str] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    pages: int = 0
    slowest_page_seconds: float = 0

    def see(self, state: str, phase: str, done: int) -> None:
        line = f"{state:<10} {phase:<12} {done / 1e6:7.1f} MB"
        if not self.lines or not self.lines[-1].endswith(line):
            self.lines.append(f"{time.time() - self.began:6.2f} s  {line}")
        if phase and phase not in self.phases[-1:]:
            self.phases.append(phase)

    def open(self, browser: Browser, path: str) -> None:
        asked = time.monotonic()
        assert browser.open(path).path == path, "the user was signed out"
        self.pages += 1
        self.slowest_page_seconds = max(self.slowest_page_seconds, time.monotonic() - asked)


def follow(installation: Installation, browser: Browser, page: str) -> Course:
    """Watch an operation, its page, and a page of the admin, until it has succeeded."""
    course = Course()
    number = next(part for part in page.split("/") if len(part) == 26)
    select = f"SELECT state, phase, done_bytes, error || message FROM operations_operation WHERE id = '{number}'"
    state = "queued"
    while state in ("queued", "running"):
        assert time.time() - course.began < 200, course.lines
        ((state, phase, done, sentence),) = rows(installation, select)
        course.see(state, phase, done)
        course.open(browser, page)
        course.open(browser, FILTERS)
        time.sleep(0.05)
    assert state == "succeeded", "\n".join([*course.lines, sentence])
    return course


def history(installation: Installation) -> list[tuple[Any, ...]]:
    """Return the operations without the mark of the alerts, which take note of each end a little later."""
    columns = [
        name for _, name, *_ in rows(installation, "PRAGMA table_info(operations_operation)") if name != "is_noticed"
    ]
    return rows(installation, f"SELECT {', '.join(columns)} FROM operations_operation ORDER BY id")


def restore_seen_by_all(installation: Installation, up: Up) -> tuple[list[str], list[str]]:
    """Restore through the admin while two processes write. Return the phases, and lines about the course."""
    live, folder = installation.data / "tvarr.db", installation.data / "backups"
    browser = Browser(up)
    cookie = browser.cookie
    rule = {"name": "Kingfisher", "source_type": "stream", "action": "include", "expression": 'tvg_id equals "x"'}
    browser.send(f"{FILTERS}add/", **rule)
    with writing(live, installation.data.parent) as writers:
        browser.send(BACKUPS, to="/backups/create/", note="before the mistake")
        ((newest,),) = rows(installation, "SELECT max(id) FROM operations_operation")
        follow(installation, browser, f"/operations/{newest}/")
        (backup,) = folder.glob("*.db.gz")
        row = query(live, "SELECT id FROM filters WHERE name = 'Kingfisher'")
        browser.send(f"{FILTERS}{row}/delete/", post="yes")
        assert "Kingfisher" not in browser.open(FILTERS).text
        writers.go_on()

        worker, web = up.program("worker"), [process.pid for process in family(up.program("gunicorn").pid)]
        processes, place, past = set(family(up.process.pid)), live.stat().st_ino, history(installation)
        confirmation = browser.act(BACKUPS, "restore", backup.name)
        assert "Note before the mistake" in confirmation.text
        course = follow(installation, browser, browser.send(confirmation.path).path)
        writers.go_on()

        assert "Kingfisher" in browser.open(FILTERS).text
        assert browser.cookie == cookie
        time.sleep(2.5)  # a second delivery would come within this time
        assert history(installation)[:-1] == past
        assert rows(installation, "SELECT kind, state, origin FROM operations_operation ORDER BY id") == [
            ("backup", "succeeded", "web"),
            ("restore", "succeeded", "web"),
        ]
        assert rows(installation, "SELECT count(*) FROM django_q_ormq") == [(0,)]
        assert set(family(up.process.pid)) == processes
        assert live.stat().st_ino == place
    (safety,) = set(folder.glob("*.db.gz")) - {backup}
    assert PHASES.fullmatch("".join(f"{phase} " for phase in course.phases)), course.lines
    return course.phases, [
        *course.lines,
        f"{course.pages} pages were answered, the slowest after {course.slowest_page_seconds:.2f} s",
        f"the same processes before and after: supervisor {up.process.pid}, worker {worker.pid}, web server {web}",
        *what_became_of_the_commits(writers, backup, safety, course.began),
        f"live afterwards: {live.stat().st_size / 1e6:.1f} MB, integrity_check: {query(live, 'PRAGMA integrity_check')}",
    ]


def test_a_restore_from_the_admin_is_seen_by_all_and_stops_nobody(installation: Installation, up: Up) -> None:
    slow_to_check(with_ballast(installation.data / "tvarr.db", 100))
    phases, _ = restore_seen_by_all(installation, up)
    assert phases[0] == "unpack"
    assert len(phases) > 2


@pytest.mark.long
def test_so_is_a_restore_of_a_gigabyte(installation: Installation, up: Up) -> None:
    demo = ("demo_data", "--programmes", "1500000", "--channels", "50000")
    subprocess.run(
        installation.command(*demo), env=installation.variables(), check=True, capture_output=True, timeout=200
    )
    phases, lines = restore_seen_by_all(installation, up)
    print("", *lines, sep="\n")  # noqa: T201
    assert set(phases) == {"unpack", "check", "safety copy", "replace", "pack"}


# --- Restored data ---------------------------------------------------------------------------------------------------


@pytest.fixture
def tvarrs(installation: Installation, tmp_path: Path) -> Path:
    """Build a database of tvarr's and name it to the installation; use it before `up`."""
    live = build_tvarr_database(tmp_path / "tvarr.db")
    with closing(sqlite3.connect(live)) as connection, connection:
        for number in range(3):
            name, expression = f"Pier {number}", f'channel_name contains "{number}" SET tvg_name = "pier"'
            values = {"name": name, "source_type": "stream", "expression": expression, "priority": number}
            insert(connection, "data_mapping_rules", id=f"01KADSVJKCJK2MZWQCQJET2R0{number}", **values)
    installation.environment["TVARR_DATABASE_DSN"] = str(live)
    return live


def spoil_the_rules(browser: Browser, live: Path) -> None:
    """Change one kind, delete from another, and delete all of a third, as a user can in the admin."""
    columns = "name, description, source_type, action, source_id"
    with closing(sqlite3.connect(live)) as connection:
        values = connection.execute(f"SELECT {columns} FROM filters WHERE id = ?", (FILTER_ID,)).fetchone()
    fields = {name: value or "" for name, value in zip(columns.split(", "), values, strict=True)}
    assert browser.send(f"{FILTERS}{FILTER_ID}/change/", **fields, expression='tvg_id equals "x"').path == FILTERS
    assert browser.send(f"{CLIENT_RULES}{RULE_ID}/delete/", post="yes").path == CLIENT_RULES
    with closing(sqlite3.connect(live)) as connection:
        mappings = [key for (key,) in connection.execute("SELECT id FROM data_mapping_rules WHERE is_system IS NOT 1")]
    assert MAPPING_ID in mappings
    assert browser.act(MAPPING_RULES, "delete_selected", *mappings, post="yes").path == MAPPING_RULES


def tables_of(path: Path) -> list[tuple[Any, ...]]:
    """Return type, name, table and statement of each; root pages may differ."""
    return [(kind, name, table, sql) for kind, name, table, _, sql in schema_of(path)]


def test_rules_of_tvarrs_database_that_were_spoilt_in_the_admin_come_back_as_they_were(
    installation: Installation, tvarrs: Path, up: Up
) -> None:
    exports, tables = exports_of(installation), tables_of(tvarrs)
    backup = installation.json("backup", "create", "--json")["filename"]
    browser = Browser(up)
    spoil_the_rules(browser, tvarrs)
    spoilt = exports_of(installation)
    assert all(name in exports and name not in spoilt for name in ("Kitchen Tablet", "Tidy", "Pier 2"))
    assert 'tvg_id equals \\"x\\"' in spoilt
    installation.ok("backup", "restore", backup, "--yes")
    assert exports_of(installation) == exports
    assert tables_of(tvarrs) == tables
    assert "Kitchen Tablet" in browser.open(CLIENT_RULES).text


# --- A backup that is gone when its restore starts -------------------------------------------------------------------


def test_the_restore_of_a_backup_that_is_gone_fails(prepared: Installation) -> None:
    backup = prepared.json("backup", "create", "--json")["filename"]
    prepared.ok("shell", "-c", f"""
from tvarr_backup.operations.models import OperationKind, Origin
from tvarr_backup.operations.run import submit
submit(OperationKind.RESTORE, requested_by=None, origin=Origin.WEB, arguments={{"filename": {backup!r}}})
""")  # fmt: skip
    for path in (prepared.data / "backups").glob("tvarr-backup-*"):
        path.unlink()
    before = (prepared.data / "tvarr.db").read_bytes()
    worker = RunningWorker(prepared)
    try:
        query_error = "SELECT error_code FROM operations_operation WHERE kind = 'restore' AND state = 'failed'"
        ((error,),) = wait_until(lambda: rows(prepared, query_error), "it has failed")
    finally:
        worker.end()
    assert error == "backup_not_found"
    assert (prepared.data / "tvarr.db").read_bytes() == before
