"""Pictures of the pages for `docs/screenshots/`: `make screenshots` writes them, in a wide light and a narrow dark window.

A state that a page can be in, and its address alone does not show, is a function of `STATES`.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.chromium import start_chromium
from tests.browser.people import PASSWORD, Look, People, Person, Site
from tests.installation import ROOT, Installation
from tests.processes import wait_until
from tests.ups import free_port, start_up

FOLDER = ROOT / "docs" / "screenshots"
LOOKS = {"wide": Look.WIDE_LIGHT, "narrow": Look.NARROW_DARK}


def sign_in(person: Person) -> None:
    person.page.goto(f"{person.address}/sign-in/")


def wrong_password(person: Person) -> None:
    sign_in(person)
    person.page.fill("#id_username", "admin")
    person.page.fill("#id_password", "not this one")
    person.page.click("main button[type=submit]")


def page(path: str) -> Callable[[Person], None]:
    def show(person: Person) -> None:
        person.page.goto(f"{person.address}{path}")

    return show


def weekly(person: Person) -> None:
    page("/settings/")(person)
    person.page.get_by_label("Every week", exact=True).check()
    person.page.get_by_label("Time zone").fill("Europe/Berlin")
    person.page.get_by_text("Every Sunday at 02:00 (Europe/Berlin).").wait_for()


def mistake(person: Person) -> None:
    page("/settings/")(person)
    person.page.get_by_label("Time zone").fill("Mars/Base")
    person.page.get_by_role("button", name="Save").click()


def would_remove(person: Person) -> None:
    page("/settings/")(person)
    person.page.get_by_label("How many of the automatic backups").fill("1")
    person.page.get_by_role("button", name="Save").click()
    person.page.get_by_role("heading", name="These settings remove").wait_for()


def new_token(person: Person) -> None:
    page("/account/")(person)
    person.page.get_by_label("Name").fill(f"Harbour script {person.page.evaluate('innerWidth')}")
    person.page.get_by_role("button", name="Make it").click()
    person.page.locator("#secret").wait_for()


STRANGERS = {"sign-in": sign_in, "sign-in-wrong": wrong_password}
EMPTY = {"backups-empty": page("/"), "history-empty": page("/history/")}
STATES = {
    "backups": page("/"),
    "history": page("/history/"),
    "settings": page("/settings/"),
    "settings-weekly": weekly,
    "settings-mistake": mistake,
    "settings-would-remove": would_remove,
    "account": page("/account/"),
    "account-token": new_token,
    "password": page("/account/password/"),
    "not-found": page("/nowhere/"),
}

_TO_WEBP = """async png => {
    const bytes = Uint8Array.from(atob(png), each => each.charCodeAt(0));
    const picture = await createImageBitmap(new Blob([bytes], {type: "image/png"}));
    const canvas = Object.assign(document.createElement("canvas"), {width: picture.width, height: picture.height});
    canvas.getContext("2d").drawImage(picture, 0, 0);
    return canvas.toDataURL("image/webp", 0.8).split(",")[1];
}"""
_FURNISH = """
from tvarr_backup import conf
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.sidecar import BackupKind
for _ in range(3):
    create_backup(conf.live_database(), conf.backup_folder(), conf.required_schema(), kind=BackupKind.SCHEDULED)
"""


def main() -> None:
    """Write them all, and no others."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.webp"):
        old.unlink()
    with tempfile.TemporaryDirectory(prefix="tvarr-backup-") as folder, sync_playwright() as playwright:
        installation = Installation(Path(folder) / "data")
        installation.environment |= {"TVARR_ADMIN_PASSWORD": PASSWORD, "TVARR_BACKUP_SCHEDULE_ENABLED": "true"}
        up = start_up(installation.prepared(), free_port())
        try:
            wait_until(up.is_complete, "it is complete", seconds=60)
            people = People(start_chromium(playwright), Site(up, installation))
            picture(people, "", STRANGERS)
            picture(people, "admin", EMPTY)
            installation.ok("demo_data", "--channels", "1000", "--programmes", "10000", "--items", "40")
            installation.ok("backup", "create", "--note", "before the new provider")
            installation.ok("shell", "-c", _FURNISH)
            picture(people, "admin", STATES)
        finally:
            up.process.terminate()
            up.process.wait(timeout=30)


def picture(people: People, name: str, states: Mapping[str, Callable[[Person], None]]) -> None:
    """Each state in both looks."""
    for width, look in LOOKS.items():
        for state, show in states.items():
            person = people.come(name, look)
            show(person)
            person.page.wait_for_load_state("networkidle")
            target = FOLDER / f"{state}-{width}.webp"
            target.write_bytes(small(person.page, person.page.screenshot(full_page=True, animations="disabled")))
            sys.stdout.write(f"{target.name}: {target.stat().st_size // 1000} KB\n")


def small(page: Page, png: bytes) -> bytes:
    """The same picture as WebP, made by the browser: a fifth of the size."""
    page.goto("about:blank")
    return base64.b64decode(page.evaluate(_TO_WEBP, base64.b64encode(png).decode()))


if __name__ == "__main__":
    main()
