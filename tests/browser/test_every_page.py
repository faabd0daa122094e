"""Every page passes `Person.look` in all looks. New pages are included automatically."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from django.urls import URLPattern, reverse
from playwright.sync_api import expect

from tests.browser.people import Look, People, Person, Site, add_person
from tests.installation import Installation
from tests.portable.files import FILTERS, document, filter_item
from tvarr_backup.web.urls import urlpatterns

_PENDING = f"""
from django.contrib.auth.models import User
from tvarr_backup.operations.imports import keep_import
keep_import({json.dumps(document(FILTERS, filter_item())).encode()!r}, file_name="mine.json", user=User.objects.get())
"""
_LOCATION = """
from datetime import UTC, datetime
from tvarr_backup.locations.addresses import LocationKind
from tvarr_backup.operations import locations
options = {"host": "nas.example.com", "user": "me", "path": "/backups", "password": "wharf-lantern"}
state = {"is_enabled": False, "failing_since": datetime.now(UTC), "error": "The host key is not known yet."}
state["offered_host_key"] = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFakeFakeFakeFakeFakeFakeFakeFakeFakeFakeFake"
locations.add_location("nas", LocationKind.SFTP, options, **state)
"""
_RECEIVERS = """
from datetime import UTC, datetime
from tvarr_backup.operations import receivers
from tvarr_backup.operations.alert_models import Alert, OutboxMessage
from tvarr_backup.operations.outbox import Content, queue_message
from tvarr_backup.sentences import Sentence
phone = receivers.add_receiver("phone", "ntfys://ntfy.example.com/wharf-lantern", is_enabled=False).receiver
now, sentence = datetime.now(UTC), Sentence("{host} did not answer.", host="ntfy.example.com")
failure = {"error_code": "receiver_unreachable", "error": str(sentence), "sentences": {"error": sentence.as_data()}}
content = Content("backup_failed", "backup_failed", "Backup failed (tvarr-backup on harbour)", "The disk is full.")
queue_message(phone, content, now)
OutboxMessage.objects.update(attempts=3, **failure)
queue_message(phone, content, now)
Alert.objects.create(key="backup_failed", event="backup_failed", sentence=sentence.as_data(), since=now, reminded_at=now)
"""
NAMES = sorted(str(pattern.name) for pattern in urlpatterns if pattern.name)


@pytest.fixture(scope="module")
def installed(installed: Installation) -> Installation:
    """With some of everything."""
    installed.ok("demo_data", "--channels", "50", "--programmes", "200", "--items", "10")
    installed.ok("backup", "create", "--note", "before the new provider")
    installed.ok("backup", "create")
    installed.ok("shell", "-c", _PENDING)
    installed.ok("shell", "-c", _LOCATION)
    installed.ok("shell", "-c", _RECEIVERS)
    file = installed.data / "filters.json"
    file.write_text(json.dumps(document(FILTERS, filter_item("Imported before"))))
    installed.ok("portable", "import", "filters", str(file))
    add_person(installed, "viola", "Viewer")
    return installed


@pytest.fixture(scope="module")
def parts(site: Site) -> dict[str, str]:
    """Values for the parameters of addresses."""
    (newest, *_) = site.installation.json("backup", "list", "--json")["backups"]
    with closing(sqlite3.connect(site.installation.data / "app.db")) as connection:
        ((operation,), *_) = connection.execute("SELECT id FROM operations_operation ORDER BY id DESC").fetchall()
        imports = dict(connection.execute("SELECT state, id FROM operations_importrecord"))
        (event, kind, row_id) = connection.execute(
            "SELECT event_id, kind, row_id FROM operations_itemversion ORDER BY id DESC"
        ).fetchone()
    return {
        "pk": operation,
        "filename": newest["filename"],
        "name": "guides/install",
        "location": "nas",
        "receiver": "phone",
        "record": imports["pending"],
        "applied": imports["applied"],
        "number": str(event),
        "kind": kind.replace("_", "-"),
        "row_id": row_id,
    }


def address_of(name: str, parts: dict[str, str]) -> str:
    pattern: URLPattern = next(each for each in urlpatterns if each.name == name)
    unknown = set(pattern.pattern.converters) - set(parts)
    assert not unknown, f"add values for {sorted(unknown)} in the address of {name} to `parts`"
    return reverse(name, kwargs={part: parts[part] for part in pattern.pattern.converters})


def is_page(answer: Any) -> bool:
    """Return whether an answer is a whole page."""
    return "text/html" in answer.headers["content-type"] and b"<html" in answer.body()


@pytest.fixture
def person(people: People) -> Person:
    """The administrator, in a window of changing size."""
    return people.come()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_wrong_with(person: Person, parts: dict[str, str], name: str) -> None:
    address = address_of(name, parts)
    answer = person.page.request.get(person.address + address)
    assert answer.status in (200, 405), f"{address} was answered with {answer.status}"
    if is_page(answer) and answer.status == 200:
        person.open(address)
        person.look_in_all_windows()


@pytest.mark.parametrize("name", ["sign-in", "home", "settings", "history", "account"])
def test_nothing_is_wrong_with_what_others_see_at(people: People, parts: dict[str, str], name: str) -> None:
    other = people.come("" if name == "sign-in" else "viola")
    other.open(address_of(name, parts))
    other.look_in_all_windows()


def test_nothing_is_wrong_with_the_refusals(people: People, person: Person) -> None:
    nothing = "/backups/tvarr-backup-2020-01-01T00-00-00.db.gz/"
    for path, status in (("/nowhere/", 404), (nothing, 404), ("/backups/create/", 405)):
        person.open(path, status=status)
        person.look_in_all_windows()
    other = people.come("viola")
    other.open("/admin/", status=403)
    other.look_in_all_windows()


def test_nothing_is_wrong_without_scripts(people: People, parts: dict[str, str], look: Look) -> None:
    person = people.come(look=look, has_scripts=False)
    for name in NAMES:
        answer = person.page.request.get(person.address + address_of(name, parts))
        if is_page(answer) and answer.status == 200:
            person.open(address_of(name, parts))


@pytest.mark.parametrize(
    ("path", "button"),
    [
        ("/", "Back up now"),
        ("/settings/", "Save"),
        ("/backups/upload/", "Upload"),
        ("/backups/delete/?name={filename}", "Delete 1 backup"),
    ],
)
def test_on_a_small_screen_the_main_button_stays_visible_at(
    people: People, parts: dict[str, str], path: str, button: str
) -> None:
    person = people.come(look=Look.NARROW_LIGHT)
    page = person.open(path.format(**parts))
    scrolled = (
        "scrollTo(0, 0)",
        "scrollTo(0, 700)",
        "document.querySelector('main form').scrollIntoView({block: 'end'})",
    )
    for place in scrolled:
        page.evaluate(place)
        expect(page.get_by_role("button", name=button)).to_be_in_viewport(ratio=1)
        assert page.get_by_role("button", name=button).evaluate(_IS_ON_TOP), f"covered at {place}"
    person.look()


_IS_ON_TOP = """each => {
    const box = each.getBoundingClientRect();
    return each.contains(document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2));
}"""


def test_nothing_is_asked_for_on_any_page_while_nothing_runs(person: Person, parts: dict[str, str]) -> None:
    addresses = [address_of(name, parts) for name in NAMES]
    asked: list[str] = []
    for address in addresses:
        answer = person.page.request.get(person.address + address)
        if is_page(answer) and answer.status == 200:
            person.page.context.new_page().goto(person.address + address)
    person.page.context.on("request", lambda request: asked.append(request.url))
    person.page.wait_for_timeout(2500)
    assert [url for url in asked if not url.endswith("favicon.svg")] == []


@pytest.mark.parametrize(
    "address",
    [
        "",
        "operations/backup/",
        "operations/operation/",
        "tvarr_backup/filter/",
        "tvarr_backup/filter/add/",
    ],
)
def test_nothing_is_wrong_in_the_admin_at(person: Person, address: str) -> None:
    person.open(f"/admin/{address}")
    person.look_in_all_windows()
