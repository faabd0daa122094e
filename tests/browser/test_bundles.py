"""Bundles and the undo of an import in a real browser, also without scripts."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.people import ALL_LOOKS, Look, Person, Site
from tests.portable.files import CLIENTS, FILTERS, PROFILES, bundle, client_item, document, filter_item, profile_item


@pytest.fixture(autouse=True)
def _as_at_first(site: Site) -> None:
    """Only built-in items exist."""
    with closing(sqlite3.connect(site.installation.data / "tvarr.db", timeout=20)) as connection, connection:
        for table in ("client_detection_rules", "filters", "encoding_profiles"):
            connection.execute(f"DELETE FROM {table} WHERE NOT is_system")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two filters, a rule and its profile, and an invalid profile."""
    path = tmp_path / "everything.json"
    sections = (
        (FILTERS, [filter_item("One"), filter_item("Two")]),
        (CLIENTS, [client_item(encoding_profile_name="Tablet HEVC")]),
        (PROFILES, [profile_item("Tablet HEVC"), profile_item("")]),
    )
    path.write_text(json.dumps(bundle(*sections)))
    return path


def bring(person: Person, *files: Path) -> Page:
    page = person.open("/import/")
    with page.expect_navigation():
        page.set_input_files("#id_file", files)
    person.look()
    return page


def names_here(site: Site, table: str = "filters") -> list[str]:
    with closing(sqlite3.connect(site.installation.data / "tvarr.db")) as connection:
        return [name for (name,) in connection.execute(f"SELECT name FROM {table} WHERE NOT is_system ORDER BY name")]


def change(site: Site, statement: str) -> None:
    """Change a row, as tvarr would."""
    with closing(sqlite3.connect(site.installation.data / "tvarr.db", timeout=20)) as connection, connection:
        connection.execute(statement)


@pytest.mark.looks(*ALL_LOOKS)
def test_a_bundle_is_imported_kind_by_kind_and_undone(person: Person, file: Path, site: Site) -> None:
    page = bring(person, file)
    expect(page.locator("#import-totals")).to_have_text("Will add 4. Fix or skip 1 invalid item to continue.")
    person.follow("Filters 2")
    person.follow("Go to the first invalid item")
    page.get_by_label("Action for (no name)").or_(page.locator("#action-2")).first.select_option("skip")
    expect(page.locator("#import-totals")).to_have_text("Will add 4, skip 1.")
    person.follow("Client detection rules 1")
    page.locator("#action-1").select_option("skip")
    expect(page.locator("#import-totals")).to_have_text("Will add 3, skip 2.")
    person.look()
    person.press("Import 3 items")
    expect(page.get_by_text("3 added, 2 skipped.")).to_be_visible()
    person.look()
    assert names_here(site) == ["One", "Two"]
    change(site, "UPDATE filters SET description = 'mine' WHERE name = 'Two'")
    person.follow("Undo this import")
    expect(page.get_by_text("Two (filter): changed since. Undo it anyway")).to_be_visible()
    person.look()
    person.press("Undo import")
    expect(page.get_by_text("2 removed, 1 kept.")).to_be_visible()
    person.look()
    assert (names_here(site), names_here(site, "encoding_profiles")) == (["Two"], [])


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_several_files_are_selected_together(person: Person, tmp_path: Path, site: Site) -> None:
    files = [tmp_path / "1.json", tmp_path / "2.json"]
    files[0].write_text(json.dumps(document(FILTERS, filter_item("One"))))
    files[1].write_text(json.dumps(document(PROFILES, profile_item())))
    page = bring(person, *files)
    expect(page.get_by_text("1.json, 2.json")).to_be_visible()
    person.press("Import 2 items")
    assert names_here(site) == ["One"]
    assert names_here(site, "encoding_profiles") == ["Tablet HEVC"]


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_an_import_is_undone_from_the_history_by_keyboard(person: Person, tmp_path: Path, site: Site) -> None:
    path = tmp_path / "filters.json"
    path.write_text(json.dumps(document(FILTERS, filter_item("One"))))
    bring(person, path)
    person.press("Import 1 item")
    page = person.open("/history/")
    page.get_by_role("link", name="Undo import").first.press("Enter")
    person.look()
    page.get_by_role("button", name="Undo import").press("Enter")
    expect(page.get_by_role("heading", name="Import undone")).to_be_visible()
    person.look()
    assert names_here(site) == []
    page.get_by_role("link", name="Undo this undo").press("Enter")
    person.look()
    page.get_by_role("button", name="Undo import").press("Enter")
    expect(page.get_by_text("1 added back")).to_be_visible()
    person.look()
    assert names_here(site) == ["One"]


def test_without_scripts_a_bundle_is_imported_and_undone(plain_person: Person, file: Path, site: Site) -> None:
    page = plain_person.open("/import/")
    page.set_input_files("#id_file", file)
    plain_person.press("Preview files")
    plain_person.press("Skip all invalid")
    plain_person.follow("Filters 2")
    page.locator("#action-1").select_option("skip")
    plain_person.press("Update totals")
    expect(page.locator("#import-totals")).to_have_text("Will add 3, skip 2.")
    plain_person.press("Import 3 items")
    expect(page.get_by_text("3 added")).to_be_visible()
    plain_person.follow("Undo this import")
    plain_person.press("Undo import")
    expect(page.get_by_text("3 removed")).to_be_visible()
    assert names_here(site) == []
