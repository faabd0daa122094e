"""The Configuration pages in a real browser: the history, comparisons, and items that are taken back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.backups.makers import changed
from tests.browser.people import Look, Person
from tests.installation import Installation
from tests.management.test_config_command import compare
from tests.portable.files import FILTERS, document, filter_item


@pytest.fixture(scope="module")
def installed(installed: Installation, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An installation with three filters in a backup, of which one was changed and one deleted since."""
    file = tmp_path_factory.mktemp("exports") / "filters.json"
    items = [filter_item(name, description="a calm old harbour") for name in ("Quay", "Pier", "Mole")]
    file.write_text(json.dumps(document(FILTERS, *items)))
    installed.ok("portable", "import", "filters", str(file))
    installed.ok("backup", "create")
    changed(
        Path(installed.environment.get("TVARR_DATABASE_DSN", installed.data / "tvarr.db")),
        "UPDATE filters SET description = 'a calm new harbour' WHERE name = 'Quay'",
        "UPDATE filters SET deleted_at = '2026-03-01 10:00:00+00:00' WHERE name = 'Pier'",
    )
    compare(installed)
    return installed


def reach(page: Page, name: str) -> None:
    """Press Tab until the element with this name has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim() || document.activeElement.value") == name:
            return
    pytest.fail(f"{name} cannot be reached with Tab.")


@pytest.mark.looks(Look.NARROW_LIGHT, Look.WIDE_DARK)
def test_a_changed_filter_is_followed_from_the_timeline_to_its_former_version(person: Person) -> None:
    page = person.open("/configuration/")
    expect(page.get_by_role("cell", name="1 filter changed: Quay")).to_be_visible()
    person.look()
    page.get_by_role("link", name="Edited outside this program").first.click()
    page.locator("summary").first.click()
    expect(page.locator("del")).to_have_text("old")
    expect(page.locator("ins")).to_have_text("new")
    person.look()
    page.get_by_role("link", name="History of Quay").click()
    person.look()
    page.get_by_role("button", name="Restore this version").click()
    expect(page.locator("#import-totals")).to_contain_text("Will overwrite 1.")
    person.look()


@pytest.mark.looks(Look.NARROW_DARK)
def test_an_event_shows_on_demand_what_its_expressions_match(person: Person) -> None:
    page = person.open("/configuration/")
    page.get_by_role("link", name="Edited outside this program").first.click()
    page.get_by_text("What the changed expressions match").click()
    expect(page.locator(".counts").get_by_role("rowheader", name="Quay")).to_be_visible()
    person.look()


@pytest.mark.looks(Look.WIDE_LIGHT)  # on small screens, Restore is on the page of the backup
def test_an_item_is_taken_from_a_backup_by_keyboard_alone(person: Person) -> None:
    page = person.open("/")
    page.get_by_role("link", name="Restore").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 filter changed, 1 added")).to_be_visible()
    person.look()
    reach(page, "Take items from this backup")
    page.keyboard.press("Enter")
    expect(page.locator("p[role=status]")).to_contain_text("1 filter changed, 1 added.")
    person.look()
    reach(page, "filters/stream:Pier")
    page.keyboard.press("Space")
    reach(page, "Take selected items")
    page.keyboard.press("Enter")
    expect(page.locator("#import-totals")).to_contain_text("Will add 1.")
    reach(page, "Import 1 item")
    page.keyboard.press("Enter")
    expect(page.get_by_role("rowheader", name="Pier")).to_be_visible()
    person.look()


def test_without_scripts_two_states_are_compared_and_an_event_is_undone(plain_person: Person) -> None:
    page = plain_person.open("/configuration/")
    page.get_by_label("From").fill("latest")
    plain_person.press("Compare")
    expect(page.locator("p[role=status]")).to_contain_text("1 filter changed")
    plain_person.look()
    page = plain_person.open("/configuration/")
    page.get_by_role("link", name="Edited outside this program").first.click()
    plain_person.look()
    page.get_by_label("Pier").uncheck()
    plain_person.press("Undo selected changes")
    expect(page.locator("#import-totals")).to_contain_text("Will overwrite 1.")
