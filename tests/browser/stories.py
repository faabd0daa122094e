"""Common steps of the browser tests about backups."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.backups.makers import query
from tests.browser.people import Person, Site

WAIT = 30_000

_WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
while True:
    connection.execute("UPDATE encoding_profiles SET description = 'written'")
    time.sleep(0.005)
"""


def ends(person: Person, title: str) -> Page:
    """Wait until the operation has this title, and check the page."""
    expect(person.page.get_by_role("heading", name=title, exact=True)).to_be_visible(timeout=WAIT)
    person.look()
    return person.page


def backed_up(person: Person, note: str = "") -> str:
    """Make a backup, go to its page, and return its file name."""
    person.open("/")
    if note:
        person.page.get_by_text("Add a note").click()
        person.page.fill("#id_note", note)
    person.press("Back up now")
    ends(person, "Backed up")
    person.follow("View backup")
    return person.page.url.rstrip("/").rpartition("/")[2]


def live(site: Site) -> Path:
    return site.installation.data / "tvarr.db"


def number_of_filters(site: Site) -> int:
    return int(query(live(site), "SELECT count(*) FROM filters"))


@contextmanager
def somebody_writing(site: Site) -> Iterator[None]:
    """Another program that writes all the time."""
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, live(site)])
    try:
        yield
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.wait()


@contextmanager
def worker_that_waits(site: Site) -> Iterator[None]:
    """No queued operation starts in the meantime."""
    worker = site.up.program("worker")
    worker.suspend()
    try:
        yield
    finally:
        worker.resume()


def mistake(site: Site) -> int:
    """Delete a filter, and return the previous number."""
    before = number_of_filters(site)
    with closing(sqlite3.connect(live(site), timeout=20)) as connection, connection:
        connection.execute("DELETE FROM filters WHERE id = (SELECT id FROM filters WHERE is_system = 0 LIMIT 1)")
    assert number_of_filters(site) == before - 1
    return before
