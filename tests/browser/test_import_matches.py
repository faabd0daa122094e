"""What the expressions of an import match, in a real browser."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.people import ALL_LOOKS, Look, Person, Site
from tests.portable.files import CLIENTS, FILTERS, bundle, client_item, filter_item

RULE = '@dynamic(request.headers):user-agent contains "VLC"'


@pytest.fixture(scope="module", autouse=True)
def _channels(site: Site) -> None:
    site.installation.ok("demo_data", "--items=3", "--channels=200", "--programmes=10")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    filters = [
        filter_item("Everything", expression="true"),
        filter_item("Nothing", expression='channel_name equals ""'),
    ]
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(bundle((FILTERS, filters), (CLIENTS, [client_item("VLC", expression=RULE)]))))
    return path


def bring(person: Person, file: Path) -> Page:
    page = person.open("/import/")
    with page.expect_navigation():
        page.set_input_files("#id_file", file)
    return page


@pytest.mark.looks(*ALL_LOOKS)
def test_the_counts_appear_and_open_by_keyboard(person: Person, file: Path) -> None:
    page = bring(person, file)
    summary = page.locator("#matches-summary")
    expect(summary).to_have_text(re.compile("What the expressions match: 3 expressions, 2 warnings"))
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("It matches none of 200 channels.")).to_be_visible()
    person.look()


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_a_count_can_be_canceled_and_begun_again(person: Person, file: Path) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    person.page.route(re.compile("/matches/$"), hold)
    page = bring(person, file)
    page.locator("#matches-summary").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#matches-summary")).to_have_text(re.compile("What the expressions match: not counted"))
    person.forgive_console()  # htmx complains of its canceled request
    person.page.unroute(re.compile("/matches/$"))
    page.get_by_role("link", name="Count now").click()
    expect(page.locator("#matches-summary")).to_have_text(re.compile("3 expressions"))
    person.look()


def test_without_scripts_it_is_a_page_of_its_own(plain_person: Person, file: Path) -> None:
    page = plain_person.open("/import/")
    page.set_input_files("#id_file", file)
    plain_person.press("Preview files")
    page.locator("#matches-summary").click()
    plain_person.follow("Count now")
    expect(page.get_by_text("It matches none of 200 channels.")).to_be_visible()
    plain_person.follow("Back to the preview")
