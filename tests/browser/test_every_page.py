"""Every page there is, in all looks: what `Person.look` asks of a page holds for each, and none can be forgotten."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from django.urls import URLPattern, reverse

from tests.browser.people import ALL_LOOKS, Look, People, Person, Site, add_person
from tests.installation import Installation
from tvarr_backup.web.urls import urlpatterns

NAMES = sorted(str(pattern.name) for pattern in urlpatterns if pattern.name)


@pytest.fixture(scope="module")
def installed(installed: Installation) -> Installation:
    """With a little of everything."""
    installed.ok("demo_data", "--channels", "50", "--programmes", "200", "--items", "10")
    installed.ok("backup", "create", "--note", "before the new provider")
    installed.ok("backup", "create")
    add_person(installed, "viola", "Viewer")
    return installed


@pytest.fixture(scope="module")
def parts(site: Site) -> dict[str, str]:
    """What stands for the parts of addresses."""
    (newest, *_) = site.installation.json("backup", "list", "--json")["backups"]
    with closing(sqlite3.connect(site.installation.data / "app.db")) as connection:
        ((operation,), *_) = connection.execute("SELECT id FROM operations_operation ORDER BY id DESC").fetchall()
    return {"pk": operation, "filename": newest["filename"], "slug": "filters", "mark": "nothing"}


def address_of(name: str, parts: dict[str, str]) -> str:
    pattern: URLPattern = next(each for each in urlpatterns if each.name == name)
    unknown = set(pattern.pattern.converters) - set(parts)
    assert not unknown, f"say in `parts` what stands for {sorted(unknown)} in the address of {name}"
    return reverse(name, kwargs={part: parts[part] for part in pattern.pattern.converters})


def is_page(answer: Any) -> bool:
    """Not a part that htmx fetches, nor a file."""
    return "text/html" in answer.headers["content-type"] and b"<html" in answer.body()


@pytest.mark.looks(*ALL_LOOKS)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_wrong_with(person: Person, parts: dict[str, str], name: str) -> None:
    address = address_of(name, parts)
    answer = person.page.request.get(person.address + address)
    assert answer.status in (200, 405), f"{address} was answered with {answer.status}"
    if is_page(answer) and answer.status == 200:
        person.open(address)


@pytest.mark.looks(*ALL_LOOKS)
@pytest.mark.parametrize("name", ["sign-in", "home", "settings", "history", "account"])
def test_nothing_is_wrong_with_what_others_see_at(people: People, parts: dict[str, str], look: Look, name: str) -> None:
    people.come("" if name == "sign-in" else "viola", look).open(address_of(name, parts))


@pytest.mark.looks(*ALL_LOOKS)
def test_nothing_is_wrong_with_the_refusals(people: People, look: Look) -> None:
    person = people.come(look=look)
    person.open("/nowhere/", status=404)
    person.open("/backups/create/", status=405)
    people.come("viola", look).open("/admin/", status=403)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_wrong_without_scripts_at(people: People, parts: dict[str, str], look: Look, name: str) -> None:
    person = people.come(look=look, has_scripts=False)
    address = address_of(name, parts)
    answer = person.page.request.get(person.address + address)
    if is_page(answer) and answer.status == 200:
        person.open(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "operations/backup/",
        "operations/operation/",
        "operations/backupsettings/1/change/",
        "tvarr_backup/filter/",
        "tvarr_backup/filter/add/",
        "tvarr_backup/channel/",
    ],
)
def test_nothing_is_wrong_in_the_admin_at(person: Person, address: str) -> None:
    person.open(f"/admin/{address}")
