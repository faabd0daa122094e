"""The admin in a real browser."""

from __future__ import annotations

import pytest

from tests.browser.people import Look, Person
from tests.browser.test_settings import _MAKE
from tests.installation import Installation


@pytest.fixture(scope="module")
def installed(installed: Installation) -> Installation:
    """With three automatic backups."""
    installed.ok("shell", "-c", _MAKE)
    return installed


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_the_list_of_backups_fits_the_window(person: Person) -> None:
    results = person.open("/admin/operations/backup/").locator(".results")
    assert results.evaluate("part => part.scrollWidth <= part.clientWidth")
