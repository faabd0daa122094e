"""The pages of receivers of alerts in a real browser: setting up, and test messages to a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.people import Look, Person
from tests.receivers.web_receiver import Reply, WebReceiver, running_receiver

WAIT = 60_000
ADD = "/settings/receivers/add/?kind=webhook"


@pytest.fixture(scope="module")
def web() -> Iterator[WebReceiver]:
    """A receiver that accepts requests, except to `/broken`."""
    with running_receiver(lambda asked: Reply(503 if asked.path == "/broken" else 200, b"Thank you")) as receiver:
        yield receiver


def fill_in(page: Page, name: str, address: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Address").fill(address)


def remove(person: Person, name: str) -> None:
    person.open(f"/settings/receivers/{name}/remove/")
    person.press("Remove receiver")


def test_a_webhook_is_added_and_gets_a_test_message(person: Person, web: WebReceiver) -> None:
    page = person.open("/")
    page.goto(f"{person.address}/settings/receivers/")
    person.follow("Add receiver")
    person.look()
    person.follow("Webhook")
    fill_in(page, "server", f"{web.url}/wharf-lantern")
    person.press("Add receiver")
    expect(page.locator("#signing-secret")).to_contain_text("whsec_")
    person.look()
    person.follow("Continue")
    person.press("Send a test message")
    expect(page.locator("#test")).to_contain_text("Answer: 200 OK: Thank you", timeout=WAIT)
    person.look()
    person.open("/settings/receivers/messages/")
    page.locator(".outbox summary").first.click()
    expect(page.get_by_text("This is a test message.").first).to_be_visible()
    person.look()
    remove(person, "server")
    expect(page.get_by_text("Receiver server removed.")).to_be_visible()


@pytest.mark.looks(Look.NARROW_LIGHT)
def test_the_page_shows_why_a_test_message_was_not_accepted(person: Person, web: WebReceiver) -> None:
    page = person.open(ADD)
    fill_in(page, "broken", f"{web.url}/broken")
    person.press("Add receiver")
    person.follow("Continue")
    person.press("Send a test message")
    expect(page.locator("#test")).to_contain_text("503 Service Unavailable: Thank you", timeout=WAIT)
    expect(page.locator("#overview strong").first).to_have_text("Failing")
    person.look()
    remove(person, "broken")


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_the_keyboard_is_enough(person: Person, web: WebReceiver) -> None:
    page = person.open(ADD)
    page.get_by_label("Name").focus()
    page.keyboard.type("keys")
    page.keyboard.press("Tab")
    page.keyboard.type(f"{web.url}/keys")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    for text in ("Continue", "Send a test message"):
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent.trim()") == text:
                break
        with page.expect_navigation():
            page.keyboard.press("Enter")
    expect(page.locator("#test")).to_contain_text("Answer: 200 OK: Thank you", timeout=WAIT)
    person.look()
    remove(person, "keys")


def test_without_scripts_a_receiver_is_set_up_and_tested(plain_person: Person, web: WebReceiver) -> None:
    person = plain_person
    page = person.open(ADD)
    fill_in(page, "plain", f"{web.url}/plain")
    person.press("Add receiver")
    person.follow("Continue")
    person.press("Send a test message")
    for _ in range(60):
        if "Answer:" in page.locator("#test").inner_text():
            break
        page.wait_for_timeout(1000)
        person.open("/settings/receivers/plain/")
    expect(page.locator("#test")).to_contain_text("Answer: 200 OK: Thank you")
    remove(person, "plain")


@pytest.mark.looks(Look.NARROW_LIGHT)
def test_a_mistake_is_shown_beside_its_field(person: Person) -> None:
    page = person.open(ADD)
    fill_in(page, "My server", "hooks.example.com")
    person.press("Add receiver")
    expect(page.locator("#id_name_error")).to_contain_text("lower-case letters")
    expect(page.locator("#id_address_error")).to_contain_text("Expected an address")
    person.look()


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_the_advice_on_the_start_page_is_hidden_once_and_for_all(person: Person) -> None:
    page = person.open("/")
    advice = page.get_by_text("No receiver of alerts is set up")
    expect(advice).to_be_visible()
    person.press("Hide this advice")
    expect(advice).to_have_count(0)
    person.look()
