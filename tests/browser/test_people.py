"""The checks of pages find what is wrong with one."""

from __future__ import annotations

import pytest
from playwright.sync_api import Playwright, expect

from tests.browser.chromium import find_chromium
from tests.browser.people import Look, People, Person

pytestmark = pytest.mark.looks(Look.WIDE_LIGHT)


def change(person: Person, script: str) -> None:
    person.page.evaluate(f"() => {{ {script} }}")


def test_an_ordinary_page_is_right(person: Person) -> None:
    person.open("/")
    assert "tvarr-backup" in person.page.title()


def test_what_cannot_be_read_by_all_is_seen(person: Person) -> None:
    person.open("/account/")
    change(person, "document.querySelector('main').append(document.createElement('img'))")
    with pytest.raises(AssertionError, match="image-alt"):
        person.look()


def test_what_is_wider_than_the_window_is_seen(person: Person) -> None:
    person.open("/account/")
    change(person, "document.querySelector('main').style.minWidth = '2000px'")
    with pytest.raises(AssertionError, match="/account/ is 2000 pixels wide, the window 12"):
        person.look()


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("console.warn('take care')", "console, warning: take care"),
        ("setTimeout(() => { throw Error('lost') })", "script: lost"),
        ("document.body.append(Object.assign(document.createElement('script'), {text: '1'}))", "CSP: script-src-elem"),
        ("document.body.append(Object.assign(new Image(), {src: 'http://localhost:9/'}))", "request to another host"),
    ],
)
def test_what_the_browser_complains_of_is_seen(people: People, script: str, complaint: str) -> None:
    person = people.come()
    person.open("/account/")
    change(person, script)
    person.page.wait_for_timeout(200)
    with pytest.raises(AssertionError, match=complaint):
        people.see_off()
    person.forgive()


def test_a_page_that_nobody_looked_at_is_told(people: People) -> None:
    person = people.come()
    person.open("/account/")
    person.page.goto(f"{person.address}/history/")
    with pytest.raises(AssertionError, match=r"not looked at: \['/history/'\]"):
        people.see_off()
    person.forgive()


def test_a_refusal_that_is_expected_is_no_complaint(person: Person) -> None:
    person.open("/nowhere/", status=404)


def test_a_refusal_that_is_not_expected_fails(people: People) -> None:
    person = people.come()
    with pytest.raises(AssertionError, match="/nowhere/ was answered with 404"):
        person.open("/nowhere/")
    person.forgive()


def test_without_scripts_pages_are_looked_at_too(plain_person: Person) -> None:
    plain_person.open("/history/")
    plain_person.follow("Backups")
    expect(plain_person.page.get_by_role("button", name="Back up now")).to_be_visible()


def test_a_stranger_is_led_to_the_sign_in(people: People) -> None:
    assert people.come("").open("/history/").url.endswith("/sign-in/?next=/history/")


class Nothing:
    """Playwright without a browser."""

    class chromium:  # noqa: N801
        executable_path = "/nowhere/chromium"


def test_a_missing_chromium_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CHROMIUM", raising=False)
    nothing: Playwright = Nothing()  # type: ignore[assignment]  # all that is asked of it
    with pytest.raises(LookupError, match="need a Chromium: install one"):
        find_chromium(nothing)


def test_a_chromium_that_is_named_and_not_there_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", "/nowhere/chrome")
    nothing: Playwright = Nothing()  # type: ignore[assignment]  # all that is asked of it
    with pytest.raises(LookupError, match="Expected the path of a Chromium in CHROMIUM, got '/nowhere/chrome'"):
        find_chromium(nothing)
