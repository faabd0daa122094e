"""Two installations on one host name in one browser: one at its own port, one below a base path behind nginx."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.people import PASSWORD, Person, Site
from tests.installation import ROOT, Installation
from tests.proxies import BASE, Nginx, Route
from tests.servers import running
from tests.test_wheel import serving
from tests.ups import free_port


@pytest.fixture(scope="module")
def neighbor(_with_known_password: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Route]:
    """Another installation, with a key of its own, behind nginx that removes the base path."""
    port = free_port()
    installation = Installation(tmp_path_factory.mktemp("neighbor") / "data")
    shutil.copytree(_with_known_password, installation.data)
    (installation.data / "secret-key").write_text("another-key-" * 5)
    installation.environment["TVARR_SERVER_BASE_PATH"] = BASE
    route = Route(port, removes_base=True)
    with serving(installation, port), running(lambda folder: Nginx(folder, [route])):
        yield route


def sign_in(page: Page, address: str) -> None:
    page.goto(f"{address}/sign-in/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    with page.expect_navigation():
        page.get_by_role("button", name="Sign in").click()


def test_two_installations_on_one_host_name_stay_signed_in(browser: Browser, site: Site, neighbor: Route) -> None:
    page = browser.new_page()
    addresses = (site.up.address, neighbor.address)
    for address in addresses:
        sign_in(page, address)
    for address in addresses:
        page.goto(f"{address}/history/")
        assert page.url == f"{address}/history/"
    page.context.close()


def test_scripts_work_below_a_base_path(browser: Browser, neighbor: Route) -> None:
    """A file is sent when it is selected; a choice in its preview is sent by htmx, with the token of the cookie."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    person = Person(context, neighbor.address, has_scripts=True)
    person.open("/sign-in/")
    person.page.get_by_label("Username").fill("admin")
    person.page.get_by_label("Password").fill(PASSWORD)
    person.press("Sign in")
    person.open("/import/")
    with person.page.expect_navigation():
        person.page.set_input_files("input[type=file]", ROOT / "docs/examples/filters.json")
    person.look()
    with person.page.expect_response(lambda answer: answer.url.endswith("/choices/")) as chosen:
        person.page.locator("select").first.select_option("skip")
    assert chosen.value.status == 200
    expect(person.page.get_by_role("button", name="Import 2 items")).to_be_visible()
    context.close()
    person.leave()
