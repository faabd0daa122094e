"""The way of the README for who is new, in a real browser: from the first start to the first restore, every click counted."""

from __future__ import annotations

import re
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing

import pytest
from playwright.sync_api import expect

from tests.browser.people import Look, People, Person, Site
from tests.installation import ROOT, Installation

WAIT = 30_000
_TELL_CLICKS = "addEventListener('click', event => event.isTrusted && window.clicked(), true)"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Nothing at all yet: `make run` and this test start `up` in the same way, and that prints how to sign in."""
    return Installation(tmp_path_factory.mktemp("newcomer") / "data")


class Counter:
    """Counts what a person clicks, on whatever page, and the seconds; those that the looking takes are left out."""

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


def in_the_readme() -> dict[str, int]:
    """The clicks of its table, by what they are for."""
    rows = re.findall(r"^\| (sign in|first [a-z]+) \| (\d+) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    return {what: int(clicks) for what, clicks in rows}


def sign_in(person: Person, site: Site) -> None:
    printed = re.search(r"^One-time password: (\S+) ", site.up.log, re.MULTILINE)
    assert printed is not None, site.up.log
    person.open("/")
    person.page.keyboard.type("admin")
    person.page.keyboard.press("Tab")
    person.page.keyboard.type(printed[1])
    person.press("Sign in")
    expect(person.page.get_by_role("heading", name="Backups", exact=True)).to_be_visible()


def back_up(person: Person, _site: Site) -> None:
    person.press("Back up now")
    expect(person.page.get_by_role("heading", name="Backed up", exact=True)).to_be_visible(timeout=WAIT)


def bring_in(person: Person, site: Site) -> None:
    person.follow("Import")
    with person.page.expect_navigation(), person.page.expect_file_chooser() as chooser:
        person.page.get_by_label("Choose the file").click()
        chooser.value.set_files(ROOT / "docs" / "examples" / "filters.json")
    person.look()
    person.press("Import 3 items")
    expect(person.page.get_by_text("3 added, 0 overwritten")).to_be_visible()
    assert number_of_own_filters(site) == 3


def take_out(person: Person, _site: Site) -> None:
    person.follow("Export")
    with person.page.expect_download() as download:
        person.page.get_by_role("button", name="Download 3 filters").click()
    assert download.value.suggested_filename.startswith("tvarr-filters")


def go_back(person: Person, site: Site) -> None:
    person.follow("Backups")
    with person.page.expect_navigation():
        person.page.get_by_role("link", name=re.compile("^Restore")).click()
    person.look()
    with person.page.expect_navigation():
        person.page.get_by_role("button", name="Replace with the backup of").click()
    expect(person.page.get_by_role("heading", name="Restored", exact=True)).to_be_visible(timeout=WAIT)
    expect(person.page.get_by_role("link", name="Undo: go back to before the restore")).to_be_visible()
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
def test_it_takes_as_many_clicks_as_the_readme_says(
    people: People, site: Site, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = people.come("", look)
    counter, counted = Counter(person, monkeypatch), {}
    for what, do in STEPS.items():
        before, began = counter.clicks, counter.seconds
        do(person, site)
        counted[what] = counter.clicks - before
        sys.stdout.write(f"{what}: {counted[what]} clicks, {counter.seconds - began:.1f} s\n")
    assert counted == in_the_readme()
