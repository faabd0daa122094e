"""Exports in a real browser: select, search, preview, copy, download."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.people import ALL_LOOKS, Look, Person
from tests.installation import Installation


@pytest.fixture(scope="module")
def installed(installed: Installation) -> Installation:
    installed.ok("demo_data", "--channels", "10", "--programmes", "10", "--items", "500")
    return installed


def part(page: Page, slug: str) -> Locator:
    return page.locator(f"#{slug}")


def file_behind(page: Page, button: Locator) -> dict[str, Any]:
    with page.expect_download() as waited:
        button.click()
    content: dict[str, Any] = json.loads(Path(waited.value.path()).read_text())
    assert waited.value.suggested_filename.startswith("tvarr-")
    return content


@pytest.mark.looks(*ALL_LOOKS)
def test_single_items_are_found_chosen_and_downloaded(person: Person) -> None:
    page = person.open("/export/")
    filters = part(page, "filters")
    expect(page.locator("#export-summary")).to_contain_text("500 filters")
    filters.get_by_label("All 500 filters").uncheck()
    for other in ("data mapping rules", "client detection rules", "encoding profiles"):
        page.get_by_label(f"All 500 {other}").uncheck()
    expect(page.get_by_role("button", name="Download")).to_be_disabled()
    filters.get_by_text("Select individually").click()
    filters.get_by_label("Search").fill("500")
    filters.locator(".export-rows li:visible input").first.check()
    expect(page.locator("#export-summary")).to_contain_text("Selected: 1 filter.")
    person.look()
    file = file_behind(page, page.get_by_role("button", name="Download"))
    assert [item["name"].endswith("500") for item in file["items"]] == [True]


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_the_preview_follows_the_choice(person: Person) -> None:
    page = person.open("/export/")
    preview, profiles = page.locator("#file-encoding-profiles"), part(page, "encoding-profiles")
    page.get_by_label("A file for each kind").check()
    page.get_by_role("button", name="Preview").click()
    expect(preview).to_have_value(re.compile('"item_count": 500'))
    person.look()
    profiles.get_by_text("Select individually").click()
    profiles.locator(".export-rows input").first.uncheck()
    expect(preview).to_have_value(re.compile('"item_count": 499'))
    expect(page.locator("#export-summary")).to_contain_text("In a ZIP archive.")
    page.get_by_label("One file with all selected items").check()
    expect(page.locator("#file-all")).to_have_value(re.compile('"item_count": 1999'))
    expect(page.locator("#export-summary")).to_contain_text("In one file.")
    person.look()


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_a_file_can_be_copied_from_the_preview(person: Person) -> None:
    page = person.open("/export/")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_label("A file for each kind").check()
    page.get_by_role("button", name="Preview").click()
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_text("Copied")).to_be_visible()
    assert json.loads(page.evaluate("navigator.clipboard.readText()"))["metadata"]["item_count"] == 500


def test_without_scripts_items_are_chosen_and_downloaded(plain_person: Person) -> None:
    page = plain_person.open("/export/")
    filters = part(page, "filters")
    filters.get_by_text("Select individually").click()
    filters.get_by_role("link", name="List all 500").click()
    filters.locator(".export-rows input").first.uncheck()
    for other in ("data mapping rules", "client detection rules", "encoding profiles"):
        page.get_by_label(f"All 500 {other}").uncheck()
    file = file_behind(page, page.get_by_role("button", name="Download"))
    assert file["metadata"]["item_count"] == 499
    plain_person.press("Preview")
    expect(page.locator("textarea")).to_be_visible()
