"""The expression tester in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.people import ALL_LOOKS, Look, Person, Site

EVERYTHING = "/expressions/?expression=true&domain=stream_filter"


@pytest.fixture(scope="module", autouse=True)
def _channels(site: Site) -> None:
    site.installation.ok("demo_data", "--items=3", "--channels=200", "--programmes=10")


def first_channel(page: Page) -> str:
    """Open the names that match, and return the first."""
    page.get_by_text(re.compile("^Matches [0-9]+")).click()
    return page.locator("#tested details li").first.inner_text()


@pytest.mark.looks(*ALL_LOOKS)
def test_a_linked_expression_is_tested_and_explained(person: Person) -> None:
    page = person.open(EVERYTHING)
    summary = page.locator("#test-summary")
    expect(summary).to_have_text(re.compile("Matches: 200 of 200 channels"))
    name = first_channel(page)
    page.get_by_label("Explain the result for").fill(name)
    page.get_by_label("Expression").fill('channel_name equals "x" OR (channel_name contains "a" AND radio equals "1")')
    tree = page.locator(".explanation")
    expect(tree.get_by_text('channel_name equals "x"')).to_be_visible()
    page.get_by_text("Fields and operators").click()
    person.look()


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_results_follow_what_is_typed_and_the_focus_stays(person: Person) -> None:
    page = person.open("/expressions/")
    page.get_by_label("Expression").press_sequentially("channel_name")
    expect(page.locator("#test-summary")).to_have_text("tvarr refuses this expression.")
    expect(page.get_by_label("Expression")).to_be_focused()
    person.look()


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_names_are_completed_by_keyboard(person: Person) -> None:
    page = person.open("/expressions/")
    page.get_by_label("Expression").press_sequentially("chann")
    expect(page.get_by_role("group", name="Completions").get_by_role("button").first).to_have_text("channel_name")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.type("con")
    page.get_by_role("button", name="contains", exact=True).focus()
    page.keyboard.press("Space")
    page.keyboard.type('""')
    expect(page.get_by_label("Expression")).to_have_value('channel_name contains ""')
    expect(page.locator("#test-summary")).to_have_text(re.compile("Matches: 200 of 200 channels"))
    person.look()


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_another_use_offers_other_names_and_the_priority(person: Person) -> None:
    page = person.open("/expressions/")
    expect(page.get_by_label("Priority")).to_be_hidden()
    page.get_by_label("Used as").select_option("Channel mapping rule")
    expect(page.get_by_label("Priority")).to_be_visible()
    expect(page.locator("#names")).to_contain_text("SET_IF_EMPTY")
    person.look()


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_a_count_can_be_canceled(person: Person) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page = person.open("/expressions/")
    page.route(re.compile("/expressions/$"), hold)
    page.get_by_label("Expression").fill("true")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#test-summary")).to_have_text("Canceled.")
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    person.forgive_console()  # htmx complains of its canceled request
    person.look()


def test_without_scripts_it_is_a_form(plain_person: Person) -> None:
    page = plain_person.open(EVERYTHING)
    plain_person.press("Test expression")
    expect(page.get_by_text("Matches: 200 of 200 channels")).to_be_visible()
    page.get_by_label("Explain the result for").fill(first_channel(page))
    plain_person.press("Test expression")
    expect(page.locator(".explanation")).to_contain_text("True")
    page.get_by_text("Fields and operators").click()
    expect(page.get_by_role("rowheader", name="channel_name")).to_be_visible()


@pytest.mark.looks(*ALL_LOOKS)
def test_the_admin_shows_what_a_filter_matches(person: Person) -> None:
    page = person.open("/admin/tvarr_backup/filter/")
    page.locator("#result_list tbody th a").first.click()
    expect(page.locator(".item-matches")).to_contain_text("Matches: ")
    person.look()
    person.follow("Test this expression")
    expect(page.locator("#test-summary")).to_have_text(re.compile("Matches: "))
    person.look()
