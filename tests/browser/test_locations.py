"""The pages of locations in a real browser: setting up, testing, copying, and the recovery kit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.people import Look, Person
from tests.installation import Installation

WAIT = 60_000
_ENDED = re.compile("^(Location tested|Copied|Copy checked)")


@pytest.fixture(scope="module")
def installed(installed: Installation) -> Installation:
    """With two backups."""
    installed.ok("backup", "create", "--note", "before the new provider")
    installed.ok("backup", "create")
    return installed


@pytest.fixture
def share(tmp_path: Path) -> Path:
    """The folder of a location."""
    path = tmp_path / "share"
    path.mkdir()
    return path


def fill_in(page: Page, name: str, share: Path) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Folder").fill(str(share))


def remove(person: Person, name: str) -> None:
    person.open(f"/locations/{name}/remove/")
    person.press("Remove location")


def state_of(page: Page, state: str) -> None:
    """Wait for a state of the location."""
    expect(page.locator("#overview strong").first).to_have_text(state, timeout=WAIT)


def test_a_folder_is_added_and_tested_and_gets_copies(person: Person, share: Path) -> None:
    page = person.open("/locations/")
    person.follow("Add location")
    person.follow("Folder")
    fill_in(page, "nas", share)
    person.press("Add location")
    expect(page.get_by_role("status").filter(has_text="Location added.")).to_be_visible()
    state_of(page, "Not tested yet")
    person.press("Test")
    state_of(page, "In sync")
    page.reload()
    expect(page.locator(".copies tbody tr")).to_have_count(2)
    person.look()
    person.press("Check a copy")
    expect(page.locator("#overview > .alert")).to_contain_text(_ENDED, timeout=WAIT)
    person.look()
    person.open("/")
    expect(page.get_by_text("Copied to nas")).to_have_count(2)
    remove(person, "nas")
    expect(page.get_by_text("Location nas removed. Its copies are still there.")).to_be_visible()
    assert len(list(share.rglob("*.db.gz"))) == 2


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_copies_start_when_the_identity_is_typed_back(person: Person, share: Path, tmp_path: Path) -> None:
    page = person.open("/locations/add/?kind=folder")
    fill_in(page, "vault", share)
    page.get_by_label("Encrypt, with a new key").check()
    person.press("Add location")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save as file").click()
    saved.value.save_as(tmp_path / "kit.txt")
    identity = page.locator("#identity").inner_text()
    assert (tmp_path / "kit.txt").read_text(encoding="utf-8").splitlines()[-1] == identity
    assert saved.value.suggested_filename == "tvarr-backup-recovery-vault.txt"
    page.get_by_label("Identity").fill(f"{identity[:-1]}X")
    person.press("Confirm key")
    expect(page.locator("#id_identity_error")).to_be_visible()
    page.get_by_label("Identity").fill(identity)
    person.press("Confirm key")
    state_of(page, "Not tested yet")
    person.press("Test")
    state_of(page, "In sync")
    assert len(list(share.rglob("*.db.gz.age"))) == 2
    person.look()
    remove(person, "vault")


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_only_the_kit_is_printed(person: Person, share: Path) -> None:
    page = person.open("/locations/add/?kind=folder")
    fill_in(page, "printed", share)
    page.get_by_label("Encrypt, with a new key").check()
    person.press("Add location")
    page.emulate_media(media="print")
    expect(page.locator("#identity")).to_be_visible()
    for hidden in (".app-header", "footer", "form button", "[data-print]"):
        expect(page.locator(hidden).first).to_be_hidden()
    page.emulate_media(media="screen")
    remove(person, "printed")


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_the_keyboard_is_enough(person: Person, share: Path) -> None:
    page = person.open("/locations/add/")
    page.get_by_role("link", name="Folder").focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    page.get_by_label("Name").focus()
    page.keyboard.type("keys")
    page.keyboard.press("Tab")
    page.keyboard.type(str(share))
    with page.expect_navigation():
        page.keyboard.press("Enter")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == "Test":
            break
    with page.expect_navigation():
        page.keyboard.press("Enter")
    state_of(page, "In sync")
    person.look()
    person.open("/locations/add/?kind=folder")
    remove(person, "keys")


def test_without_scripts_a_location_is_set_up(plain_person: Person, share: Path) -> None:
    person = plain_person
    page = person.open("/locations/add/?kind=folder")
    fill_in(page, "plain", share)
    page.get_by_label("Encrypt, with a new key").check()
    person.press("Add location")
    page.get_by_label("Identity").fill(page.locator("#identity").inner_text())
    person.press("Confirm key")
    person.press("Test")
    for _ in range(60):
        if page.locator("#overview strong").first.inner_text() == "In sync":
            break
        page.wait_for_timeout(1000)
        person.open("/locations/plain/")
    state_of(page, "In sync")
    remove(person, "plain")


@pytest.mark.looks(Look.NARROW_LIGHT)
def test_a_mistake_is_shown_beside_its_field(person: Person) -> None:
    page = person.open("/locations/add/?kind=sftp")
    page.get_by_label("Name").fill("My NAS")
    page.get_by_label("Host (required)").fill("nas.example.com")
    page.get_by_label("User").fill("me")
    page.get_by_label("Folder").fill("backups")
    person.press("Add location")
    expect(page.locator("#id_name_error")).to_contain_text("lower-case letters")
    expect(page.locator("#id_option_path_error")).to_contain_text("Expected an absolute path")
