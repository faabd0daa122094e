"""The first steps of the README in a real browser, from the first start to the first restore, with all clicks counted."""

from __future__ import annotations

import re
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing

import pytest
from playwright.sync_api import expect

from tests.browser.people import PASSWORD, Look, People, Person, Site
from tests.installation import ROOT, Installation

WAIT = 30_000
_TELL_CLICKS = "addEventListener('click', event => event.isTrusted && window.clicked(), true)"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An empty installation. `up` prints how to sign in, as with `make run`."""
    return Installation(tmp_path_factory.mktemp("newcomer") / "data")


class Counter:
    """Counts clicks on all pages, and seconds without the time for checking pages."""

    def __init__(self, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clicks, self._looking = 0, 0.0
        self._look = person.look
        monkeypatch.setattr(person, "look", self._look_beside_the_clock)
        person.page.expose_function("clicked", self._add)
        person.page.add_init_script(_TELL_CLICKS)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._looking

    def _add(self) -> None:
        self.clicks += 1

    def _look_beside_the_clock(self) -> None:
        began = time.monotonic()
        self._look()
        self._looking += time.monotonic() - began


def documented_clicks() -> dict[str, int]:
    """The clicks in the table of CONTRIBUTING, by task."""
    rows = re.findall(r"^\| (sign in|first [a-z]+) \| (\d+) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    return {what: int(clicks) for what, clicks in rows}


def sign_in(person: Person, site: Site) -> None:
    printed = re.search(r"^One-time password: (\S+) ", site.up.log, re.MULTILINE)
    assert printed is not None, site.up.log
    person.open("/")
    person.page.keyboard.type("admin")
    person.page.keyboard.press("Tab")
    person.page.keyboard.type(printed[1])
    person.press("Sign in")
    expect(person.page.get_by_role("heading", name="Choose a password")).to_be_visible()
    for text in (printed[1], PASSWORD, PASSWORD):
        person.page.keyboard.type(text)
        person.page.keyboard.press("Tab")
    person.press("Change password")
    expect(person.page.get_by_role("heading", name="Backups", exact=True)).to_be_visible()


def back_up(person: Person, _site: Site) -> None:
    person.press("Back up now")
    expect(person.page.get_by_role("heading", name="Backed up", exact=True)).to_be_visible(timeout=WAIT)


def bring_in(person: Person, site: Site) -> None:
    person.follow("Import")
    with person.page.expect_navigation(), person.page.expect_file_chooser() as chooser:
        person.page.get_by_label("Choose files").click()
        chooser.value.set_files(ROOT / "docs" / "examples" / "filters.json")
    person.look()
    person.press("Import 3 items")
    expect(person.page.get_by_text("3 added.")).to_be_visible()
    assert number_of_own_filters(site) == 3


def take_out(person: Person, _site: Site) -> None:
    person.follow("Export")
    with person.page.expect_download() as download:
        person.page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename.startswith("tvarr-filters")


def go_back(person: Person, site: Site) -> None:
    person.follow("Backups")
    with person.page.expect_navigation():
        person.page.get_by_role("link", name=re.compile("^Restore")).click()
    person.look()
    with person.page.expect_navigation():
        person.page.get_by_role("button", name="Restore backup of").click()
    expect(person.page.get_by_role("heading", name="Restored", exact=True)).to_be_visible(timeout=WAIT)
    expect(person.page.get_by_role("link", name="Undo restore")).to_be_visible()
    person.look()
    assert number_of_own_filters(site) == 0


def number_of_own_filters(site: Site) -> int:
    with closing(sqlite3.connect(site.installation.data / "tvarr.db", timeout=20)) as connection:
        (number,) = connection.execute("SELECT count(*) FROM filters WHERE NOT is_system").fetchone()
    return int(number)


STEPS: dict[str, Callable[[Person, Site], None]] = {
    "sign in": sign_in,
    "first backup": back_up,
    "first import": bring_in,
    "first export": take_out,
    "first restore": go_back,
}


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_the_first_steps_take_the_documented_number_of_clicks(
    people: People, site: Site, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = people.come("", look)
    counter, counted = Counter(person, monkeypatch), {}
    for what, do in STEPS.items():
        before, began = counter.clicks, counter.seconds
        do(person, site)
        counted[what] = counter.clicks - before
        sys.stdout.write(f"{what}: {counted[what]} clicks, {counter.seconds - began:.1f} s\n")
    assert counted == documented_clicks()
