"""A double click on each button acts once, and the next page says so."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Download, Request, expect

from tests.backups.makers import settled, tvarrs
from tests.browser.people import PASSWORD, Look, People, Person, Site
from tests.browser.stories import backed_up, ends, mistake, worker_that_waits
from tests.installation import Installation
from tests.portable.files import FILTERS, document, filter_item

pytestmark = pytest.mark.looks(Look.WIDE_LIGHT)


@pytest.fixture(scope="module")
def installed(installed: Installation) -> Installation:
    installed.ok("demo_data", "--channels", "10", "--programmes", "10", "--items", "5")
    return installed


def twice(person: Person, name: str) -> None:
    """Double-click a button, check that one form was sent, and check the next page."""
    sent: list[Request] = []
    page = person.page

    def hear(request: Request) -> None:
        sent.append(request)

    page.on("request", hear)
    with page.expect_navigation():
        page.get_by_role("button", name=name).first.dblclick(no_wait_after=True)
    page.wait_for_load_state("networkidle")
    page.remove_listener("request", hear)
    person.look()
    assert [request.method for request in sent].count("POST") == 1, [request.url for request in sent]


def says(person: Person, words: str) -> None:
    """The page has exactly one message, with this text."""
    expect(person.page.locator("main > .alert")).to_have_count(1)
    expect(person.page.locator("main > .alert")).to_contain_text(words)


def operations(site: Site, kind: str) -> int:
    with closing(sqlite3.connect(site.installation.data / "app.db")) as connection:
        query = "SELECT count(*) FROM operations_operation WHERE kind = ?"
        return int(connection.execute(query, [kind]).fetchone()[0])


def test_on_the_page_of_a_backup(person: Person, site: Site) -> None:
    filename = backed_up(person)
    person.page.fill("#id_note", "the good one")
    twice(person, "Save note")
    says(person, "Note saved.")
    for button, words in (("Protect", "Backup protected."), ("Unprotect", "Backup unprotected.")):
        twice(person, button)
        says(person, words)
    twice(person, "Verify")
    ends(person, "Verified")
    person.open(f"/backups/{filename}/")
    person.follow("Delete")
    twice(person, "Delete 1 backup")
    says(person, f"{filename} deleted.")
    assert (operations(site, "verify"), operations(site, "delete")) == (1, 1)


def test_on_the_page_of_a_restore_and_of_its_result(person: Person, site: Site) -> None:
    backed_up(person)
    mistake(site)
    person.follow("Restore")
    twice(person, "Restore backup of")
    ends(person, "Restored")
    assert operations(site, "restore") == 1
    person.open("/")
    twice(person, "Dismiss")
    expect(person.page.get_by_role("heading", name="Restored")).to_have_count(0)


def test_on_cancel(person: Person, site: Site) -> None:
    with worker_that_waits(site):
        person.open("/")
        person.press("Back up now")
        twice(person, "Cancel operation")
        says(person, "Operation canceled.")


def test_on_the_page_for_uploads(person: Person, site: Site, tmp_path: Path) -> None:
    person.open("/backups/upload/")
    person.page.set_input_files("#id_file", settled(tvarrs(tmp_path / "copy.db")))
    twice(person, "Upload")
    ends(person, "Uploaded")
    assert operations(site, "adopt") == 1


def test_on_the_settings(person: Person) -> None:
    page = person.open("/settings/")
    page.get_by_label("Time", exact=True).fill("04:45")
    twice(person, "Save")
    says(person, "Settings saved.")
    expect(page.get_by_label("Time", exact=True)).to_have_value("04:45")
    twice(person, "Reset to defaults")
    says(person, "Settings saved.")


def test_on_the_pages_for_imports(person: Person) -> None:
    page = person.open("/import/")
    page.fill("#id_text", json.dumps(document(FILTERS, filter_item("New"))))
    twice(person, "Preview text")
    twice(person, "Import 1 item")
    expect(page.get_by_text("1 added")).to_be_visible()


def test_on_the_download_of_an_export(person: Person) -> None:
    page = person.open("/export/")
    downloads: list[Download] = []

    def hear(download: Download) -> None:
        downloads.append(download)

    page.on("download", hear)
    page.get_by_role("button", name="Download").dblclick()
    page.wait_for_timeout(1000)
    assert len(downloads) == 1


def test_on_what_one_has_to_do_with_tokens(person: Person) -> None:
    page = person.open("/account/")
    page.get_by_label("Name").fill("Harbour script")
    twice(person, "Create token")
    twice(person, "Revoke")
    says(person, "revoked.")


def test_on_signing_in_and_out(people: People) -> None:
    person = people.come("")
    page = person.open("/sign-in/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    twice(person, "Sign in")
    expect(page.get_by_role("heading", name="Backups")).to_be_visible()
    twice(person, "Sign out")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_without_scripts_what_is_sent_twice_is_not_told_as_a_mistake(plain_person: Person, site: Site) -> None:
    site.installation.ok("backup", "create")
    (newest, *_) = site.installation.json("backup", "list", "--json")["backups"]
    page = plain_person.open(f"/backups/{newest['filename']}/")
    page.fill("#id_note", "the good one")
    page.get_by_role("button", name="Save note").dblclick()
    page.wait_for_timeout(1000)  # for the page that the second click leads to
    page.wait_for_load_state("networkidle")
    plain_person.look()
    expect(page.locator(".alert-danger")).to_have_count(0)
    expect(page.locator("#id_note")).to_have_value("the good one")
    with worker_that_waits(site):
        plain_person.open("/")
        page.get_by_role("button", name="Back up now").dblclick()
        expect(page.get_by_role("heading", name="Backup: queued")).to_be_visible()
        plain_person.look()
        plain_person.press("Cancel operation")
