"""Items to check in the preview of an export, in a real browser."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from tests.browser.people import Look, Person
from tests.installation import Installation
from tests.portable.files import FILTERS, document, filter_item


@pytest.fixture(scope="module")
def installed(installed: Installation, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    leak = filter_item("Harbour leak", description="http://gull:feather7@tv.example.test/list.m3u")
    file = tmp_path_factory.mktemp("exports") / "filters.json"
    file.write_text(json.dumps(document(FILTERS, leak, filter_item("Harbour news"))))
    installed.ok("portable", "import", "filters", str(file))
    return installed


@pytest.mark.looks(Look.NARROW_LIGHT, Look.WIDE_DARK)
def test_an_item_with_credentials_is_left_out_from_the_preview(person: Person) -> None:
    page = person.open("/export/")
    page.get_by_role("button", name="Preview").click()
    findings = page.get_by_role("region", name="Check before you share")
    expect(findings).to_contain_text("The description may contain credentials")
    person.look()
    findings.get_by_role("button", name='Leave out filter "Harbour leak"').click()
    expect(findings).to_have_count(0)
    expect(page.locator("#export-summary")).to_contain_text("Selected: 1 filter.")
    expect(page.get_by_label("Harbour leak")).not_to_be_checked()
    person.look()


def test_without_scripts_an_item_is_left_out_too(plain_person: Person) -> None:
    page = plain_person.open("/export/")
    plain_person.press("Preview")
    plain_person.press('Leave out filter "Harbour leak" (stream)')
    expect(page.get_by_label("Harbour leak")).not_to_be_checked()
    expect(page.locator("#file-filters")).to_contain_text("Harbour news")
