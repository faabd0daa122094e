"""`up` starts the web server whatever state the databases are in, and only once on a storage folder."""

from __future__ import annotations

import shutil
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.installation import Installation
from tests.processes import family, none_is_left, wait_until
from tests.ups import Up, free_port, start_up

Start = Callable[[Installation], Up]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `up`s that do not outlive their test, and waits for their web server."""
    started = []

    def start(installation: Installation) -> Up:
        up = start_up(installation, free_port())
        started.append(up)
        wait_until(lambda: up.process.poll() is not None or status(up, "/healthz") == 200, "its web server", seconds=60)
        return up

    yield start
    for up in started:
        if up.process.poll() is None:
            up.process.terminate()
            up.process.wait(timeout=30)


def ask(up: Up, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{up.address}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()
    except OSError:
        return 0, ""


def status(up: Up, path: str) -> int:
    return ask(up, path)[0]


def spoil(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\xaa" * 65_536)


def test_with_a_damaged_database_of_tvarrs_it_starts_and_says_what_to_do(prepared: Installation, start: Start) -> None:
    spoil(prepared.data / "tvarr.db")
    up = start(prepared)
    assert status(up, "/sign-in/") == 200
    wait_until(lambda: "worker.started" in up.log, "the worker")
    assert "Starting with problems:" in up.log
    assert f"{prepared.data}/tvarr.db is not an SQLite database. Restore a backup:" in up.log
    assert "Traceback" not in up.log


def test_a_database_that_is_named_and_missing_is_reported_and_not_created(
    prepared: Installation, start: Start, tmp_path: Path
) -> None:
    prepared.environment["TVARR_DATABASE_DSN"] = str(tmp_path / "elsewhere.db")
    up = start(prepared)
    assert status(up, "/sign-in/") == 200
    assert f"TVARR_DATABASE_DSN names {tmp_path}/elsewhere.db, which does not exist." in up.log
    assert "restore a backup there (`manage.py backup restore NAME --yes --offline`" in up.log
    assert not (tmp_path / "elsewhere.db").exists()


@pytest.mark.long
def test_a_file_that_is_not_a_database_is_reported_and_left_as_it_is(
    prepared: Installation, start: Start, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("not a database " * 100)
    prepared.environment["TVARR_DATABASE_DSN"] = str(notes)
    up = start(prepared)
    assert status(up, "/sign-in/") == 200
    assert f"TVARR_DATABASE_DSN: {notes} is not an SQLite database." in up.log
    assert notes.read_text() == "not a database " * 100


def test_with_a_damaged_app_db_it_shows_one_page_until_that_is_back(prepared: Installation, start: Start) -> None:
    app = prepared.data / "app.db"
    kept = app.with_name("kept.db")
    shutil.copy(app, kept)
    spoil(app)
    up = start(prepared)
    code, page = ask(up, "/")
    assert (code, "Temporarily unavailable" in page) == (503, True)
    assert status(up, "/api/v1/backups") == 503
    wait_until(lambda: "worker.waits" in up.log, "the worker waits")
    assert "worker.started" not in up.log
    kept.replace(app)
    assert status(up, "/sign-in/") == 200
    wait_until(lambda: "worker.started" in up.log, "the worker works")
    assert up.starts("web server") == up.starts("worker") == 1
    assert "Traceback" not in up.log


@pytest.mark.long
def test_another_programs_file_stays_byte_for_byte_as_it_is(
    prepared: Installation, start: Start, tmp_path: Path
) -> None:
    prepared.ok("backup", "create")
    theirs = tmp_path / "recipes" / "recipes.db"
    theirs.parent.mkdir()
    with closing(sqlite3.connect(theirs)) as connection, connection:
        connection.execute("CREATE TABLE recipes (name)")
    before = theirs.read_bytes()
    prepared.environment["DATABASE_URL"] = f"sqlite:///{theirs}"
    for words in (
        ("status",),
        ("prepare",),
        ("backup", "list"),
        ("backup", "create"),
        ("portable", "export", "filters", "--all"),
    ):
        done = prepared.run(*words)
        assert "Traceback" not in done.stderr
    up = start(prepared)
    assert status(up, "/") == 503
    assert status(up, "/readyz") == 503
    wait_until(lambda: "worker.waits" in up.log, "the worker waits")
    assert (theirs.read_bytes(), [path.name for path in theirs.parent.iterdir()]) == (before, [theirs.name])


def test_without_a_storage_folder_that_can_be_made_it_shows_that_page(installation: Installation, start: Start) -> None:
    installation.data.mkdir(mode=0o500)
    installation.heeds_modes = True
    folder = installation.data / "deeper"
    installation.environment["TVARR_STORAGE_BASE_DIR"] = str(folder)
    up = start(installation)
    code, page = ask(up, "/")
    assert (code, "app.db does not exist." in page) == (503, True)
    assert f"TVARR_STORAGE_BASE_DIR names {folder}, which cannot be written to" in up.log


def test_a_second_one_on_the_same_folder_is_refused_and_names_the_first(prepared: Installation, start: Start) -> None:
    first = start(prepared)
    second = start(prepared)
    assert second.process.wait(timeout=30) == 1
    assert second.log.endswith(
        f"error: `manage.py up` is already running with the storage folder {prepared.data}, as process "
        f"{first.process.pid}. Stop it first, or set TVARR_STORAGE_BASE_DIR to another folder.\n"
    )
    assert status(first, "/sign-in/") == 200


@pytest.mark.long
def test_one_that_was_killed_is_in_nobodys_way(prepared: Installation, start: Start) -> None:
    first = start(prepared)
    processes = family(first.process.pid)
    first.process.kill()
    first.process.wait()
    none_is_left(processes, seconds=20)
    assert status(start(prepared), "/sign-in/") == 200
