"""Users at a real Chromium, on a real `up`, with checks of every page they see.

Tests use the fixtures of `tests/browser/conftest.py`:

    def test_a_backup_is_made(person: Person) -> None:
        person.open("/")
        person.press("Back up now")
        expect(person.page.get_by_role("heading", name="Backed up")).to_be_visible(timeout=20_000)
        person.look()

`open`, `press` and `follow` check the page they lead to: axe finds nothing, and nothing is wider than the window. After
changes by htmx or by Playwright's own calls, call `look`: at the end of the test each address must have been checked. A
test fails on any console message above `info`, violation of the content security policy, script error, or request to
another host. Expected errors are named: `open("/nowhere/", status=404)`.

Tests with `person` run twice, in a wide light and a narrow dark window. `@pytest.mark.looks(*ALL_LOOKS)` selects all four,
`@pytest.mark.looks(Look.WIDE_LIGHT)` one. `plain_person` has no JavaScript. Both are signed in as the administrator;
`people.come("viewer")` opens a window for another user. Each module has its own `up`. A module that needs more than an
empty installation overrides the fixture `installed`:

    @pytest.fixture(scope="module")
    def installed(installed: Installation) -> Installation:
        installed.ok("demo_data", "--channels", "100", "--programmes", "1000", "--items", "20")
        return installed

Tests in this folder cannot use Django's database, because of Playwright's event loop. The server has its own.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Frame, Page, Request, Response

from tests.installation import Installation
from tests.ups import Up

AXE = (Path(__file__).parent / "vendor/axe-core/axe.min.js").read_text(encoding="utf-8")
PASSWORD = "wharf-lantern-41"
SESSION_COOKIE = re.compile("tvarr_backup_session_")
CSRF_COOKIE = re.compile("tvarr_backup_csrf_")

_RUN_AXE = """async () => {
    const found = await axe.run(document, {resultTypes: ["violations"], preload: false});
    return found.violations.map(each => `${each.id} (${each.impact}): ${each.help}: `
        + each.nodes.map(node => node.target.join(" ") + " " + node.html.slice(0, 200)).slice(0, 5).join(" | "));
}"""
_UNTIL_COLOURS_HAVE_CHANGED = """async () => {
    const atMost = (wanted) => Promise.race([wanted, new Promise(over => setTimeout(over, 1000))]);
    await atMost(new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn))));
    await atMost(Promise.allSettled(document.getAnimations().map(each => each.finished)));
}"""
_ANSWERS = re.compile(
    r"/(account|expressions|import|settings|settings/reset|sign-in|export/preview|locations/add|locations/[a-z0-9-]+/(change|key)"
    r"|settings/receivers/add|settings/receivers/[a-z0-9-]+/change)/"
)
"""Addresses that may answer a form with a page. All others must redirect, so that the page can be reloaded."""
_TELL_VIOLATIONS = """
    document.addEventListener("securitypolicyviolation", found =>
        console.error(`CSP: ${found.violatedDirective} ${found.blockedURI} ${found.sample} in ${found.sourceFile} ${found.lineNumber}`));
"""


class Look(enum.Enum):
    """Width of the window, and color scheme."""

    WIDE_LIGHT = (1280, "light")
    WIDE_DARK = (1280, "dark")
    NARROW_LIGHT = (400, "light")
    NARROW_DARK = (400, "dark")


ALL_LOOKS = tuple(Look)


@dataclass
class Site:
    """A running `up`, its installation, and its sessions."""

    up: Up
    installation: Installation
    states: dict[str, Any] = field(default_factory=dict)


class Person:
    """A user's window; see the module's docstring."""

    def __init__(self, context: BrowserContext, address: str, *, has_scripts: bool) -> None:
        self.address = address
        self._has_scripts = has_scripts
        self._complaints: list[tuple[str, str]] = []
        self._reached: set[str] = set()
        self._looked_at: set[str] = set()
        self._refused: set[str] = set()
        context.add_init_script(_TELL_VIOLATIONS)
        context.on("console", self._hear)
        context.on("request", self._see_request)
        context.on("weberror", lambda error: self._complaints.append((f"script: {error.error}", "")))
        self.page = context.new_page()
        self.page.on("framenavigated", self._see_frame)

    def open(self, path: str, *, status: int = 200) -> Page:
        """Go to an address of the site, and check the page."""
        self._reach(self.page.goto(self.address + path), path, status)
        return self.page

    def press(self, name: str, *, status: int = 200) -> Page:
        """Press the button of this name, and check the page it leads to."""
        return self._go("button", name, status)

    def follow(self, name: str, *, status: int = 200) -> Page:
        """Follow the link of this name, and check the page."""
        return self._go("link", name, status)

    def _go(self, role: Any, name: str, status: int) -> Page:
        menu = self.page.get_by_role("button", name="Menu", exact=True)
        if menu.is_visible() and self.page.locator("#app-menu").get_by_text(name, exact=True).count():
            menu.click()
        with self.page.expect_navigation() as reached:
            self.page.get_by_role(role, name=name, exact=True).click()
        self._reach(reached.value, name, status)
        if reached.value.request.method == "POST" and status < 400:
            assert _ANSWERS.fullmatch(self._where(self.page.url)), (
                f"{name}: the page would send the form again when it is reloaded"
            )
        return self.page

    def _reach(self, answer: Response | None, what: str, status: int) -> None:
        assert answer is not None
        assert answer.status == status, f"{what} was answered with {answer.status}"
        if status >= 400:
            self._refused.add(answer.url)
        self.look()

    def look(self) -> None:
        """Check the page: axe finds nothing, nothing is wider than the window, and there were no complaints."""
        self.page.wait_for_load_state()
        where = self._where(self.page.url)
        self._looked_at.add(where)
        width, room = self.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert width <= room, f"{where} is {width} pixels wide, the window {room}"
        if self._has_scripts:
            self.page.evaluate(AXE)
            found = self.page.evaluate(_RUN_AXE)
            assert not found, f"axe on {where}:\n" + "\n".join(found)
        self._require_no_complaint()

    def look_in_all_windows(self) -> None:
        """Check the page in each look, without reloading it."""
        for look in Look:
            width, scheme = look.value
            self.page.set_viewport_size({"width": width, "height": 800})
            self.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            self.page.evaluate(_UNTIL_COLOURS_HAVE_CHANGED)
            self.look()

    def leave(self) -> None:
        """At the end of a test, check that there were no complaints and every page was checked."""
        self._require_no_complaint()
        assert self._reached <= self._looked_at, f"not looked at: {sorted(self._reached - self._looked_at)}"

    def forgive_console(self) -> None:
        """Ignore complaints until now, such as those of a server that was stopped on purpose."""
        self._complaints.clear()

    def forgive(self) -> None:
        """Ignore everything until now, for tests of these checks."""
        self.forgive_console()
        self._reached.clear()

    def _require_no_complaint(self) -> None:
        complaints = [f"{what} {url}" for what, url in self._complaints if url not in self._refused]
        assert not complaints, complaints

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            self._complaints.append((f"console, {message.type}: {message.text}", message.location.get("url", "")))

    def _see_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.address}/", "data:", f"blob:{self.address}/")):
            self._complaints.append(("request to another host", request.url))

    def _see_frame(self, frame: Frame) -> None:
        if frame.parent_frame is None and frame.url.startswith(self.address):
            self._reached.add(self._where(frame.url))

    def _where(self, url: str) -> str:
        return urlsplit(url).path


class People:
    """Opens windows for users, and closes them at the end of the test."""

    def __init__(self, browser: Browser, site: Site) -> None:
        self._browser = browser
        self._site = site
        self._present: list[tuple[Person, BrowserContext]] = []

    def come(self, name: str = "admin", look: Look = Look.WIDE_LIGHT, *, has_scripts: bool = True) -> Person:
        """Open a window for `admin`, a user added with `add_person`, or "" for nobody signed in."""
        width, scheme = look.value
        context = self._browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme="dark" if scheme == "dark" else "light",
            java_script_enabled=has_scripts,
            storage_state=self._session(name) if name else None,
        )
        context.set_default_timeout(10_000)
        person = Person(context, self._site.up.address, has_scripts=has_scripts)
        self._present.append((person, context))
        return person

    def see_off(self) -> None:
        """Close all windows, and then report problems."""
        for _, context in self._present:
            context.close()  # closing twice does nothing
        for person, _ in self._present:
            person.leave()

    def _session(self, name: str) -> Any:
        """Return a session, which is created once for each module."""
        if name not in self._site.states:
            context = self._browser.new_context()
            page = context.new_page()
            page.goto(f"{self._site.up.address}/sign-in/")
            page.fill("#id_username", name)
            page.fill("#id_password", PASSWORD)
            page.click("main button[type=submit]")
            page.wait_for_url(f"{self._site.up.address}/**")
            assert "/sign-in/" not in page.url, page.inner_text("main")
            self._site.states[name] = context.storage_state()
            context.close()
        return self._site.states[name]


def add_person(installation: Installation, name: str, group: str) -> None:
    """Add a user of a group (Viewer, Operator, Administrator) with `PASSWORD`."""
    lines = (
        "from django.contrib.auth.models import Group, User",
        f"User.objects.create_user({name!r}, password={PASSWORD!r}).groups.add(Group.objects.get(name={group!r}))",
    )
    installation.ok("shell", "-c", "\n".join(lines))
