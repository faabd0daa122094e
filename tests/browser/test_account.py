"""Signing in, and the account page, in a real browser."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.people import CSRF_COOKIE, PASSWORD, SESSION_COOKIE, Look, People, Person


def sign_in(person: Person, password: str, *, status: int = 200) -> None:
    person.page.get_by_label("Username").fill("admin")
    person.page.get_by_label("Password").fill(password)
    person.press("Sign in", status=status)


def test_a_wrong_password_says_so_and_the_right_one_leads_on(people: People, look: Look) -> None:
    person = people.come("", look)
    page = person.open("/history/")
    sign_in(person, "wrong")
    expect(page.get_by_text("Please enter a correct username and password.")).to_be_visible()
    sign_in(person, PASSWORD)
    assert page.url.endswith("/history/")


def test_by_the_keyboard_alone(people: People) -> None:
    person = people.come("")
    page = person.open("/sign-in/")
    page.keyboard.type("admin")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Backups")).to_be_visible()
    person.look()


def test_the_first_tab_offers_to_skip_to_the_content(person: Person) -> None:
    page = person.open("/account/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    person.look()


def test_signed_out_in_the_middle_of_a_form_one_comes_back_to_it(people: People, look: Look) -> None:
    person = people.come("", look)
    page = person.open("/sign-in/")
    sign_in(person, PASSWORD)
    person.open("/settings/")
    page.context.clear_cookies(name=SESSION_COOKIE)
    person.press("Save")
    expect(page.get_by_role("alert")).to_contain_text("You were signed out")
    sign_in(person, PASSWORD)
    assert page.url.endswith("/settings/")


def test_signed_out_while_htmx_asks_the_whole_page_changes(people: People) -> None:
    person = people.come("")
    page = person.open("/sign-in/")
    sign_in(person, PASSWORD)
    person.open("/settings/")
    page.context.clear_cookies(name=SESSION_COOKIE)
    page.get_by_label("Every week", exact=True).check()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    person.look()
    assert page.url.endswith("/sign-in/?next=/settings/")


def test_a_form_from_before_another_sign_in_says_what_to_do(people: People, look: Look) -> None:
    person = people.come("", look)
    page = person.open("/sign-in/")
    sign_in(person, PASSWORD)
    person.open("/settings/")
    page.context.clear_cookies(name=CSRF_COOKIE)
    person.press("Save", status=403)
    expect(page.get_by_role("heading", name="Page expired")).to_be_visible()
    person.follow("Reload page")
    assert page.url.endswith("/settings/")


def test_a_token_is_shown_once_and_a_double_click_makes_one(person: Person, look: Look) -> None:
    page = person.open("/account/")
    name = f"Harbour script {look.name}"
    page.get_by_label("Name").fill(name)
    with page.expect_navigation():
        page.get_by_role("button", name="Create token").dblclick(no_wait_after=True)
    expect(page.locator("#secret")).not_to_be_empty()
    person.look()
    page.reload()
    expect(page.locator("#secret")).to_have_count(0)
    person.open("/account/")
    person.press(f"Revoke {name}")
    expect(page.get_by_text(re.compile(f"Token .{name}. revoked"))).to_be_visible()


def test_too_many_wrong_passwords_close_the_door_in_words(people: People) -> None:
    person = people.come("")
    page = person.open("/sign-in/")
    for attempt in range(5):
        page.get_by_label("Username").fill("nobody")
        page.get_by_label("Password").fill("wrong")
        person.press("Sign in", status=429 if attempt == 4 else 200)
    expect(page.get_by_text("try again in 15 minutes")).to_be_visible()


def test_nothing_is_wrong_with_pages_that_have_nothing_to_show(people: People) -> None:
    person = people.come()
    for path, words in (
        ("/", "No backups yet."),
        ("/history/", "No activity yet."),
        ("/export/", "Nothing to export yet."),
    ):
        person.open(path)
        expect(person.page.get_by_text(words)).to_be_visible()
        person.look_in_all_windows()
