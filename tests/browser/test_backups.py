"""Backups in a real browser, on a real server with its worker."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.backups.makers import settled, tvarrs
from tests.browser.people import Look, People, Person, Site
from tests.browser.stories import (
    WAIT,
    backed_up,
    ends,
    mistake,
    number_of_filters,
    somebody_writing,
    worker_that_waits,
)
from tests.installation import Installation
from tvarr_backup.backups.archive_header import split_metadata
from tvarr_backup.backups.sidecar import decode_sidecar

wide = pytest.mark.looks(Look.WIDE_LIGHT)


@pytest.fixture(scope="module")
def installed(installed: Installation) -> Installation:
    """With configuration, and a backup."""
    installed.ok("demo_data", "--channels", "50", "--programmes", "100", "--items", "50")
    installed.ok("backup", "create")
    return installed


def test_a_backup_is_made_watched_protected_verified_and_downloaded(person: Person, site: Site) -> None:
    filename = backed_up(person, "before the new provider")
    assert person.page.input_value("#id_note") == "before the new provider"
    person.press("Protect")
    expect(person.page.get_by_role("status").filter(has_text="Backup protected")).to_be_visible()
    person.press("Verify")
    ends(person, "Verified")
    person.open(f"/backups/{filename}/")
    expect(person.page.get_by_text("full verification")).to_be_visible()
    with person.page.expect_download() as download:
        person.page.get_by_role("link", name="Download").click()
    archive, metadata = split_metadata(io.BytesIO(Path(download.value.path()).read_bytes()))
    assert archive.read(2**24) == (site.installation.data / "backups" / filename).read_bytes()
    assert metadata is not None
    assert decode_sidecar(metadata).note == "before the new provider"


def test_a_restore_and_its_undo_while_a_writer_runs(person: Person, site: Site) -> None:
    with somebody_writing(site):
        backed_up(person, "the good one")
        before = mistake(site)
        after = number_of_filters(site)
        person.follow("Restore")
        expect(person.page.get_by_text("of changes (since")).to_be_in_viewport(ratio=1)
        with person.page.expect_navigation():
            person.page.get_by_role("button", name="Restore backup of").click()
        ends(person, "Restored")
        assert number_of_filters(site) == before
        person.follow("Undo restore")
        with person.page.expect_navigation():
            person.page.get_by_role("button", name="Restore backup of").click()
        ends(person, "Restored")
        assert number_of_filters(site) == after


@wide
def test_a_restore_by_the_keyboard_alone(person: Person, site: Site) -> None:
    filename = backed_up(person)
    before = mistake(site)
    person.open(f"/backups/{filename}/restore/")
    button = person.page.get_by_role("button", name="Restore backup of")
    for _ in range(60):
        if button.evaluate("each => each === document.activeElement"):
            break
        person.page.keyboard.press("Tab")
    with person.page.expect_navigation():
        person.page.keyboard.press("Enter")
    ends(person, "Restored")
    assert number_of_filters(site) == before


def test_without_scripts_one_backs_up_and_restores(plain_person: Person, site: Site) -> None:
    page = plain_person.open("/")
    plain_person.press("Back up now")
    for word, title in (("Back up", "Backed up"), ("Restore backup", "Restored")):
        if word == "Restore backup":
            plain_person.follow("View backup")
            before = mistake(site)
            plain_person.follow("Restore")
            with page.expect_navigation():
                page.get_by_role("button", name=word).click()
        for _ in range(60):
            if page.get_by_role("heading", name=title, exact=True).count():
                break
            page.wait_for_timeout(500)
            page.reload()
        plain_person.look()
        expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
    assert number_of_filters(site) == before


def test_a_backup_from_elsewhere_is_uploaded(person: Person, tmp_path: Path) -> None:
    copy = settled(tvarrs(tmp_path / "from-the-attic.db"))
    person.open("/")
    person.follow("Upload")
    person.page.set_input_files("#id_file", copy)
    person.page.fill("#id_note", "from the attic")
    with person.page.expect_navigation():
        person.page.get_by_role("button", name="Upload").click()
    ends(person, "Uploaded")
    person.follow("View backup")
    assert person.page.input_value("#id_note") == "from the attic"


def test_a_photo_is_no_backup(person: Person, tmp_path: Path) -> None:
    photo = tmp_path / "holiday.png"
    photo.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100_000))
    person.open("/backups/upload/")
    person.page.set_input_files("#id_file", photo)
    with person.page.expect_navigation():
        person.page.get_by_role("button", name="Upload").click()
    ends(person, "Upload rejected")
    expect(person.page.get_by_text("This file is not a backup. It looks like an image.")).to_be_visible()


@wide
def test_a_photo_is_refused_without_scripts_too(plain_person: Person, tmp_path: Path) -> None:
    (tmp_path / "holiday.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(3_000_000))
    plain_person.open("/backups/upload/")
    plain_person.page.set_input_files("#id_file", tmp_path / "holiday.png")
    plain_person.press("Upload")
    expect(plain_person.page.get_by_text("This file is not a backup. It looks like an image.")).to_be_visible()


@wide
def test_an_empty_file_is_not_even_sent(person: Person, tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    person.open("/backups/upload/")
    person.page.set_input_files("#id_file", tmp_path / "empty.db")
    assert person.page.eval_on_selector("#id_file", "each => each.validationMessage") == (
        "This file is not a backup. It is empty."
    )


@pytest.mark.looks(Look.NARROW_DARK)
def test_several_are_chosen_and_deleted(person: Person, site: Site) -> None:
    names = [backed_up(person, "to go"), backed_up(person, "to go")]
    person.open("/")
    for name in names:
        person.page.check(f"input[value='{name}']")
    with person.page.expect_navigation():
        person.page.get_by_role("button", name="Delete selected").click()
    person.look()
    expect(person.page.get_by_text("will be deleted permanently")).to_be_visible()
    person.press("Delete 2 backups")
    expect(person.page.get_by_text("2 backups deleted.")).to_be_visible()
    assert not any((site.installation.data / "backups" / name).exists() for name in names)


def test_more_opens_and_protects(person: Person) -> None:
    person.open("/")
    more = person.page.locator("details.more", has=person.page.locator("button[name=protected][value=true]")).first
    more.locator("summary").click()
    person.look()
    with person.page.expect_navigation():
        more.get_by_role("button", name="Protect", exact=True).click()
    person.look()
    person.press("Unprotect")


@wide
def test_more_closes_on_escape_and_on_a_click_outside(person: Person) -> None:
    page = person.open("/")
    menu = page.locator("details.more").first
    menu.locator("summary").click()
    page.keyboard.press("Escape")
    expect(menu.locator("summary")).to_be_focused()
    expect(menu).not_to_have_attribute("open", "")
    menu.locator("summary").click()
    page.locator("h1").click()
    expect(menu).not_to_have_attribute("open", "")


@wide
def test_arrow_keys_show_the_days(person: Person) -> None:
    page = person.open("/")
    days = page.locator(".day")
    days.last.focus()
    expect(days.last.locator("span")).to_be_in_viewport()
    page.keyboard.press("ArrowLeft")
    expect(days.nth(-2)).to_be_focused()


@pytest.mark.looks(Look.NARROW_LIGHT)
def test_on_a_small_screen_the_navigation_is_a_menu(person: Person) -> None:
    page = person.open("/")
    expect(page.get_by_role("link", name="History")).to_be_hidden()
    page.get_by_role("button", name="Menu").press("Enter")
    person.look()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="History")).to_be_hidden()
    person.follow("History")


@pytest.mark.looks(Look.NARROW_LIGHT)
def test_the_longest_state_of_a_backup_fits_on_a_small_screen(person: Person, site: Site, tmp_path: Path) -> None:
    newer = tmp_path / "newer.db"
    with closing(sqlite3.connect(site.installation.data / "tvarr.db")) as live:
        live.execute("VACUUM INTO ?", [str(newer)])
    with closing(sqlite3.connect(newer)) as copy, copy:
        copy.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('tvarr_backup', '9999_x', '')")
    name = site.installation.json("backup", "add", str(newer), "--json")["filename"]
    expect(person.open("/").get_by_text("Made by a newer version")).to_be_visible()
    site.installation.ok("backup", "protect", name, "--off")
    site.installation.ok("backup", "delete", name, "--yes")


@wide
def test_a_double_click_backs_up_once(person: Person, site: Site) -> None:
    person.open("/")
    before = len(list((site.installation.data / "backups").glob("*.db.gz")))
    person.page.get_by_role("button", name="Back up now").dblclick()
    ends(person, "Backed up")
    person.page.go_back()
    person.look()
    person.page.reload()
    assert len(list((site.installation.data / "backups").glob("*.db.gz"))) == before + 1


@wide
def test_what_runs_is_asked_for_once_a_second_at_most_and_then_no_more(person: Person, site: Site) -> None:
    with worker_that_waits(site):
        person.open("/")
        person.press("Back up now")
        pages = [person.page, person.page.context.new_page(), person.page.context.new_page()]
        pages[1].goto(f"{person.address}/")
        pages[2].goto(f"{person.address}/history/")
        asked = [requests_of(page) for page in pages]
        person.page.wait_for_timeout(3500)
        assert all(2 <= len(each) <= 4 for each in asked), asked
    for page in pages:
        expect(page.locator("[hx-trigger^=every]")).to_have_count(0, timeout=WAIT)
        page.wait_for_load_state("networkidle")
    asked = [requests_of(page) for page in pages]
    person.page.wait_for_timeout(1500)
    assert not any(asked), asked


def requests_of(page: Page) -> list[str]:
    """Collect the addresses of requests from now on."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    return asked


@wide
def test_what_is_ticked_and_opened_stays_so_when_the_list_is_renewed(person: Person, site: Site) -> None:
    filename = backed_up(person)
    page = person.page
    with worker_that_waits(site):
        person.open("/")
        person.press("Back up now")
        person.open("/")
        row = page.locator("tr", has=page.locator(f"input[value='{filename}']"))
        row.get_by_role("checkbox").check()
        row.locator("summary").click()
        row.get_by_role("button", name="Verify").focus()
    expect(page.get_by_role("heading", name="Backed up", exact=True)).to_be_visible(timeout=WAIT)
    expect(page.locator("tbody tr").first.get_by_role("checkbox")).not_to_be_checked()
    expect(row.get_by_role("checkbox")).to_be_checked()
    expect(row.get_by_role("button", name="Verify")).to_be_focused()
    person.look()
    with page.expect_navigation():
        page.get_by_role("button", name="Delete selected").click()
    person.look()
    expect(page.get_by_role("listitem").filter(has_text=filename)).to_be_visible()


@wide
def test_the_list_is_renewed_when_a_backup_ends_while_it_is_shown(person: Person) -> None:
    filename = backed_up(person)
    person.open(f"/backups/{filename}/")
    person.press("Verify")
    person.open("/")
    expect(person.page.get_by_role("heading", name="Verified", exact=True)).to_be_visible(timeout=WAIT)
    expect(person.page.get_by_role("button", name="Dismiss")).to_be_visible()
    person.look()
    person.press("Dismiss")
    expect(person.page.get_by_role("heading", name="Verified", exact=True)).to_have_count(0)


@wide
def test_what_somebody_else_deletes_meanwhile_is_told_wherever_one_presses(person: Person, site: Site) -> None:
    filename, page = backed_up(person), person.page
    person.open(f"/backups/delete/?name={filename}")
    site.installation.ok("backup", "delete", filename, "--yes")
    person.press("Delete 1 backup")
    expect(page.get_by_text(f"{filename} was already deleted.")).to_be_visible()
    person.open(f"/backups/{filename}/restore/", status=404)
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()


@wide
def test_two_tabs_do_one_thing_after_the_other(people: People, site: Site) -> None:
    first, second = people.come(), people.come()
    backed_up(first)
    first.follow("Restore")
    with worker_that_waits(site):
        second.open("/")
        second.press("Back up now")
        with first.page.expect_navigation():
            first.page.get_by_role("button", name="Restore backup of").click()
        expect(first.page.get_by_role("alert")).to_contain_text("A backup has been queued since")
        first.look()
        assert first.page.url.endswith("/restore/")
        second.press("Cancel operation")


@wide
def test_a_note_that_was_changed_in_another_tab_is_not_lost(people: People) -> None:
    first, second = people.come(), people.come()
    filename = backed_up(first)
    second.open(f"/backups/{filename}/")
    second.page.fill("#id_note", "theirs")
    second.press("Save note")
    first.page.fill("#id_note", "mine")
    first.press("Save note")
    expect(first.page.get_by_role("alert")).to_contain_text("changed")
    expect(first.page.locator("#id_note")).to_have_value("theirs")
