"""A Chromium, an `up` and users for each module; see `people.py`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.chromium import start_chromium
from tests.browser.people import PASSWORD, Look, People, Person, Site
from tests.installation import Installation
from tests.processes import wait_until
from tests.ups import free_port, start_up

_USUAL_LOOKS = (Look.WIDE_LIGHT, Look.NARROW_DARK)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each look. All but the first are long tests."""
    if "look" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("looks")
        first, *others = marker.args if marker else _USUAL_LOOKS
        looks = [first, *(pytest.param(look, marks=pytest.mark.long) for look in others)]
        metafunc.parametrize("look", looks, ids=[look.name.lower() for look in (first, *others)])


@pytest.fixture(scope="session")
def _with_known_password(tmp_path_factory: pytest.TempPathFactory) -> Path:
    installation = Installation(tmp_path_factory.mktemp("browser") / "data")
    installation.environment["TVARR_ADMIN_PASSWORD"] = PASSWORD
    return installation.prepared().data


@pytest.fixture(scope="module")
def installed(_with_known_password: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A prepared installation with only the administrator. Modules may override this to add more."""
    installation = Installation(tmp_path_factory.mktemp("site") / "data")
    shutil.copytree(_with_known_password, installation.data)
    return installation


@pytest.fixture(scope="module")
def site(installed: Installation) -> Iterator[Site]:
    """A running `up`."""
    up = start_up(installed, free_port())
    wait_until(lambda: up.process.poll() is not None or up.is_complete(), "it is complete", seconds=60)
    assert up.process.poll() is None, up.log
    yield Site(up, installed)
    up.process.terminate()
    assert up.process.wait(timeout=30) == 0
    assert "Internal Server Error" not in up.log, up.log


# One for each module: while Playwright runs, Django refuses database access to all tests of this process.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium for this module."""
    with sync_playwright() as playwright:
        try:
            started = start_chromium(playwright)
        except LookupError as problem:
            pytest.fail(str(problem))
        yield started
        started.close()


@pytest.fixture
def people(browser: Browser, site: Site) -> Iterator[People]:
    """Windows of several users, or of nobody signed in."""
    brought = People(browser, site)
    yield brought
    brought.see_off()


@pytest.fixture
def person(people: People, look: Look) -> Person:
    """The administrator, signed in."""
    return people.come(look=look)


@pytest.fixture
def plain_person(people: People) -> Person:
    """The administrator, signed in, without JavaScript."""
    return people.come(has_scripts=False)
