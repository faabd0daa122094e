"""The scenes of `make screenshots`, one after another on one installation, from its first start to its failures.

Operations run once and are then shown in all looks; `halfway` suspends the worker for that. Forms are filled in for each
look. Damage is real.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
from playwright.sync_api import Page

from tests.browser.contents import (
    BY_THE_SCHEDULE,
    EDITED_IN_TVARR,
    FILTERS,
    MESSAGES,
    MORE_THAN_A_PAGE,
    OF_THE_NEIGHBOUR,
    OF_THE_SUMMER_HOUSE,
    OWN,
    SOME_WEEKS,
    WITH_CREDENTIALS,
    WITH_REFERENCES,
)
from tests.browser.people import CSRF_COOKIE, PASSWORD, Person, add_person
from tests.browser.studio import HEIGHT, LOOKS, Show, Studio
from tests.processes import family, wait_until
from tests.receivers.web_receiver import Reply, running_receiver

ALL_LOOKS = tuple(LOOKS)


def page(path: str) -> Show:
    """Open an address."""
    return lambda person: person.page.goto(person.address + path)


def after(*steps: Show) -> Show:
    """Run several steps."""

    def show(person: Person) -> None:
        for step in steps:
            step(person)

    return show


def press(name: str, *, waits: bool = True) -> Show:
    """Press a button that leads to another page."""

    def show(person: Person) -> None:
        button = person.page.get_by_role("button", name=name).first
        if not waits:
            button.click()
            return
        with person.page.expect_navigation():
            button.click()

    return show


def follow(name: str) -> Show:
    """Follow a link to another page."""

    def show(person: Person) -> None:
        with person.page.expect_navigation():
            person.page.get_by_role("link", name=name).first.click()

    return show


def fill(label: str, text: str) -> Show:
    return lambda person: person.page.get_by_label(label, exact=True).first.fill(text)


def unfold(where: str) -> Show:
    """Open all details in a part of the page."""

    def show(person: Person) -> None:
        for summary in person.page.locator(f"{where} details:not([open]) > summary").all()[::-1]:
            summary.click()

    return show


def pause(milliseconds: int) -> Show:
    """Wait for requests that the page sends after a change."""
    return lambda person: person.page.wait_for_timeout(milliseconds)


def ask(studio: Studio, sql: str, *values: object) -> Any:
    """Return the first row of a query of app.db."""
    with closing(sqlite3.connect(studio.installation.data / "app.db", timeout=20)) as connection:
        return connection.execute(sql, values).fetchone()


def run_sql(database: Path, *statements: str) -> None:
    with closing(sqlite3.connect(database, timeout=20)) as connection, connection:
        for sql in statements:
            connection.execute(sql)


def newest_operation(studio: Studio) -> str:
    """Return the address of its page."""
    (key,) = ask(studio, "SELECT id FROM operations_operation ORDER BY id DESC")
    return f"/operations/{key}/"


def done(studio: Studio) -> str:
    """Wait until no operation is open, and return the address of the newest."""
    wait_until(
        lambda: not ask(studio, "SELECT 1 FROM operations_operation WHERE finished_at IS NULL"), "it ends", seconds=60
    )
    return newest_operation(studio)


def do(studio: Studio, path: str, button: str, **fields: str) -> str:
    """Press a button as administrator, wait for the operation, and return its address."""
    person = studio.person()
    page(path)(person)
    for label, text in fields.items():
        person.page.locator(f"details:has(#{label}) summary").click()
        person.page.fill(f"#{label}", text)
    press(button)(person)
    return done(studio)


@contextmanager
def halfway(studio: Studio, path: str, button: str) -> Iterator[str]:
    """Press a button, and suspend the worker in the middle of the operation."""
    person = studio.person()
    page(path)(person)
    press(button)(person)
    row = wait_until(lambda: ask(studio, "SELECT pid FROM operations_operation WHERE state = 'running'"), "it runs")
    members = family(row[0])
    try:
        _go_on_by_inches(studio, members)
        yield newest_operation(studio)
    finally:
        _each(members, psutil.Process.resume)
    done(studio)


def _go_on_by_inches(studio: Studio, members: list[psutil.Process]) -> None:
    """Let the worker run in short steps until it has reported progress, which it does once a second."""
    said = "SELECT percent FROM operations_operation WHERE state = 'running'"
    for _ in range(40):
        _each(members, psutil.Process.suspend)
        if 10 <= ((ask(studio, said) or [None])[0] or 0) <= 95:
            return
        time.sleep(1.05)
        _each(members, psutil.Process.resume)
        time.sleep(0.02)


def _each(members: list[psutil.Process], do_it: Callable[[psutil.Process], None]) -> None:
    for process in members:
        if process.is_running():
            do_it(process)


def dismiss(studio: Studio) -> None:
    person = studio.person()
    page("/")(person)
    press("Dismiss")(person)


def shell(studio: Studio, script: str) -> None:
    studio.installation.ok("shell", "-c", script)


def backups(studio: Studio) -> list[dict[str, Any]]:
    """Return all backups, newest first."""
    found: list[dict[str, Any]] = studio.installation.json("backup", "list", "--json")["backups"]
    return found


def written(studio: Studio, name: str, content: Any) -> Path:
    """Write a file outside the installation."""
    path = studio.installation.data.parent / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(json.dumps(content))
    return path


@contextmanager
def moved_away(path: Path) -> Iterator[None]:
    """Move a file or folder away in the meantime."""
    aside = path.with_name(path.name + "-aside")
    path.rename(aside)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        aside.rename(path)


def signing_in(studio: Studio) -> None:
    """The first start, with the one-time password."""
    studio.take("sign-in-first", page("/sign-in/"), who="")
    own = f"from django.contrib.auth.models import User; user = User.objects.get(); user.set_password({PASSWORD!r}); user.save()"
    shell(studio, own)
    add_person(studio.installation, "viola", "Viewer")
    studio.take("sign-in", page("/sign-in/"), who="")
    wrong = after(fill("Username", "admin"), fill("Password", "not this one"), press("Sign in"))
    studio.take("sign-in-wrong", after(page("/sign-in/"), wrong), who="")
    studio.take("sign-in-unsent", page("/sign-in/?unsent=1&next=/settings/"), who="", looks=("wide",))

    def guess(person: Person) -> None:
        page("/sign-in/")(person)
        for _ in range(5):
            fill("Username", f"guest-{person.page.evaluate('innerWidth')}")(person)
            after(fill("Password", "guess"), press("Sign in"))(person)

    studio.take("sign-in-closed", guess, who="")


def empty(studio: Studio) -> None:
    """Pages without content."""
    for name, path in (
        ("backups", "/"),
        ("configuration", "/configuration/"),
        ("export", "/export/"),
        ("history", "/history/"),
    ):
        studio.take(f"{name}-empty", page(path))


def neglected(studio: Studio) -> None:
    """Backups of some weeks, the last of them nine days old, and a failed one."""
    for document in OWN:  # imported, as users do
        kind = document["metadata"]["export_type"]
        studio.installation.ok("portable", "import", kind, str(written(studio, "own.json", document)))
    shell(studio, SOME_WEEKS)
    folder = studio.installation.data / "backups"
    with moved_away(folder):
        folder.touch()
        shell(studio, BY_THE_SCHEDULE)
        studio.take("backups-no-folder", page("/"))
    (folder / "holiday.jpg").write_bytes(b"a photo")
    (folder / "tvarr-backup-2020-01-01T00-00-00.db.gz").write_bytes(b"half of one")
    studio.take("backups-warning", page("/"), longest=1000)
    studio.take("backups-filtered", page("/?kind=manual"), looks=("wide",), longest=HEIGHT)
    (folder / "tvarr-backup-2020-01-01T00-00-00.db.gz").unlink()
    (folder / "holiday.jpg").unlink()


def backing_up(studio: Studio) -> None:
    """A backup from start to end."""
    with halfway(studio, "/", "Back up now") as operation:
        studio.take("backups-running", page("/"), longest=HEIGHT)
        studio.take("operation-running", page(operation))
        studio.take("account-while-one-runs", page("/account/"), looks=("wide",))
        studio.take("backups-refused-meanwhile", after(page("/"), press("Back up now")), longest=HEIGHT)
        studio.take("operation-asked-to-end", after(page(operation), press("Cancel")), looks=("wide",))
    studio.take("operation-cancelled", page(newest_operation(studio)), looks=("wide",))
    operation = do(studio, "/", "Back up now", id_note="before the new provider")
    studio.take("operation-backed-up", page(operation))
    studio.take("backups-done", page("/"), longest=HEIGHT)
    press("Dismiss")(studio.person())
    shell(studio, BY_THE_SCHEDULE)
    wait_until(lambda: ask(studio, "SELECT count(*) FROM operations_alert") == (0,), "the alert is over")
    studio.take("backups", page("/"), looks=ALL_LOOKS)
    studio.take("backups-viewer", page("/"), who="viola", looks=("wide",))
    studio.take("backups-more", after(page("/"), lambda person: person.page.locator("summary").first.click()))


def one_backup(studio: Studio) -> None:
    """The page of a backup, and deletion."""
    automatic, manual, *_, oldest = [backup["filename"] for backup in backups(studio)]
    studio.take("backup", page(f"/backups/{manual}/"))
    page(f"/backups/{manual}/")(studio.person())
    after(fill("Note", "before the new provider, and the new roof"), press("Save note"))(studio.person())
    operation = do(studio, f"/backups/{manual}/", "Verify")
    studio.take("operation-verified", page(operation), looks=("wide",))
    dismiss(studio)
    studio.installation.ok("backup", "protect", oldest)
    studio.take("backup-protected", page(f"/backups/{oldest}/"), looks=("wide",))
    studio.take("delete-one", page(f"/backups/delete/?name={automatic}"))

    def choose_two(person: Person) -> None:
        page("/")(person)
        for name in (automatic, manual):
            person.page.check(f"input[value='{name}']")

    studio.take("backups-chosen", choose_two)
    studio.take("delete-several", page(f"/backups/delete/?name={automatic}&name={manual}&name={oldest}"))
    every = "&".join(f"name={backup['filename']}" for backup in backups(studio) if backup["filename"] != oldest)
    studio.installation.ok("backup", "protect", oldest, "--off")
    studio.take("delete-all-that-are-good", page(f"/backups/delete/?{every}&name={oldest}"), looks=("wide",))
    studio.take("delete-nothing", page("/backups/delete/"), looks=("wide",))


def uploading(studio: Studio) -> None:
    """Uploads of a backup and of other files."""
    studio.take("upload", page("/backups/upload/"))
    photo = written(studio, "holiday.png", b"\x89PNG\r\n\x1a\n" + bytes(100_000))
    studio.take("upload-not-a-backup", page(_upload(studio, photo)))
    export = written(studio, "filters.json", FILTERS)
    studio.take("upload-an-export", page(_upload(studio, export)))
    copy = _copy(studio, "attic.db")
    with studio.in_other_windows():
        studio.take("upload-sending", lambda person: _send_slowly(person, copy), settles=False)
    studio.take("upload-done", page(_upload(studio, copy, note="from the attic")))
    studio.take("upload-no-file", _without_a_file, looks=("wide",))


def _copy(studio: Studio, name: str) -> Path:
    """Copy the live database to a plain file."""
    path = studio.installation.data.parent / name
    with closing(sqlite3.connect(studio.installation.data / "tvarr.db", timeout=20)) as connection:
        connection.execute("VACUUM INTO ?", (str(path),))
    return path


def _upload(studio: Studio, file: Path, note: str = "") -> str:
    person = studio.person()
    page("/backups/upload/")(person)
    person.page.set_input_files("#id_file", file)
    person.page.fill("#id_note", note)
    press("Upload")(person)
    return done(studio)


def _send_slowly(person: Person, file: Path) -> None:
    page("/backups/upload/")(person)
    person.page.set_input_files("#id_file", file)
    conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 400_000}
    person.page.context.new_cdp_session(person.page).send("Network.emulateNetworkConditions", conditions)
    press("Upload", waits=False)(person)
    person.page.get_by_text("MB sent").wait_for()
    pause(3000)(person)


def _without_a_file(person: Person) -> None:
    page("/backups/upload/")(person)
    person.page.evaluate("document.getElementById('upload').noValidate = true")
    press("Upload")(person)


def restoring(studio: Studio) -> None:
    """A restore and its undo."""
    newest, *_ = [backup["filename"] for backup in backups(studio) if backup["kind"] == "scheduled"]
    run_sql(studio.installation.data / "tvarr.db", *EDITED_IN_TVARR)
    restore = page(f"/backups/{newest}/restore/")
    studio.take("restore", restore, longest=1400)
    studio.take("restore-opened", after(restore, unfold("main")), looks=ALL_LOOKS, longest=1500)
    with halfway(studio, f"/backups/{newest}/restore/", "Restore backup of") as operation:
        studio.take("operation-restoring", page(operation))
    result = page(newest_operation(studio))
    studio.take("operation-restored", result)
    studio.take("operation-restored-opened", after(result, unfold("#operation")), looks=ALL_LOOKS)
    studio.take("backups-restored", page("/"), longest=HEIGHT)
    (before, *_) = [backup["filename"] for backup in backups(studio) if backup["kind"] == "pre_restore"]
    studio.take("backup-before-restore", page(f"/backups/{before}/"), looks=("wide",))
    studio.take("restore-undo", page(f"/backups/{before}/restore/"), looks=("wide",))
    do(studio, f"/backups/{before}/restore/", "Restore backup of")
    do(studio, f"/backups/{newest}/restore/", "Restore backup of")
    dismiss(studio)


def rehearsing(studio: Studio) -> None:
    """A rehearsal that succeeds, and its place on the status card."""
    newest = backups(studio)[0]["filename"]
    operation = do(studio, f"/backups/{newest}/", "Rehearse restore")
    studio.take("operation-rehearsed", page(operation), looks=ALL_LOOKS)
    studio.take("status-rehearsed", page("/"), longest=HEIGHT, looks=ALL_LOOKS)


def damaged(studio: Studio) -> None:
    """A damaged backup, one of a newer version, and a damaged live database."""
    folder = studio.installation.data / "backups"
    good, rotten = [backup["filename"] for backup in backups(studio) if backup["kind"] == "scheduled"][:2]
    _rot(folder / rotten)
    operation = do(studio, f"/backups/{rotten}/restore/", "Restore backup of")
    studio.take("operation-not-restored", page(operation))
    operation = do(studio, f"/backups/{rotten}/", "Verify")
    studio.take("operation-found-damage", page(operation), looks=("wide",))
    operation = do(studio, f"/backups/{rotten}/", "Rehearse restore")
    studio.take("operation-rehearsal-failed", page(operation))
    studio.take("backup-damaged", page(f"/backups/{rotten}/"))
    studio.take("restore-blocked", page(f"/backups/{rotten}/restore/"))
    dismiss(studio)
    studio.take("backups-damaged", page("/"), longest=HEIGHT)
    newer = _copy(studio, "newer.db")
    run_sql(
        newer,
        "INSERT INTO django_migrations (app, name, applied) VALUES ('tvarr_backup', '9999_to_come', '2030-01-01')",
    )
    studio.take("upload-newer", page(_upload(studio, newer)), looks=("wide",))
    studio.installation.ok("backup", "delete", rotten, "--yes")
    dismiss(studio)
    with moved_away(studio.installation.data / "tvarr.db"):
        studio.take("backups-no-database", page("/"), longest=HEIGHT)
    _rot_live(studio)
    operation = do(studio, "/", "Back up now")
    studio.take("operation-not-backed-up", page(operation), looks=("wide",))
    operation = do(studio, f"/backups/{good}/restore/", "Restore backup of")
    studio.take("operation-restored-with-attention", page(operation))
    dismiss(studio)


def _rot(file: Path) -> None:
    """Overwrite some bytes in the middle of a file."""
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size // 2)
        opened.write(os.urandom(4096))


def _rot_live(studio: Studio) -> None:
    live = studio.installation.data / "tvarr.db"
    run_sql(live, "PRAGMA wal_checkpoint(TRUNCATE)")
    _rot(live)


def exporting(studio: Studio) -> None:
    """Exports."""
    studio.take("export", page("/export/"))

    def single(person: Person) -> None:
        page("/export/")(person)
        filters = person.page.locator("#filters")
        filters.locator("summary").first.click()
        filters.locator(".export-rows input").first.uncheck()
        person.page.locator("#client-detection-rules summary").last.click()
        person.page.get_by_role("button", name="Preview").click()
        person.page.locator("#file-all").wait_for()

    studio.take("export-chosen", single)
    studio.take("export-refused", _nothing_chosen)


def _nothing_chosen(person: Person) -> None:
    page("/export/")(person)
    person.page.evaluate("document.querySelectorAll('input[name=all]').forEach(box => box.remove())")
    person.page.evaluate("document.getElementById('export-form').submit()")
    person.page.get_by_role("alert").wait_for()


def importing(studio: Studio) -> None:
    """An import from the file to its result."""
    studio.take("import", page("/import/"))
    photo = written(studio, "holiday.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(1000))
    studio.take("import-refused", bring(photo))
    studio.take(
        "import-text-refused",
        after(page("/import/"), fill("Or paste its content", '{"items": ['), press("Preview text")),
    )
    mixed = written(studio, "from-the-neighbour.json", OF_THE_NEIGHBOUR)
    studio.take("import-review", bring(mixed), looks=ALL_LOOKS)
    studio.take("import-review-opened", after(bring(mixed), unfold("#preview-items")))

    def open_matches(person: Person) -> None:
        bring(mixed)(person)
        person.page.locator("#matches > summary", has_text="expressions").click()

    studio.take("import-matches", after(open_matches, unfold("#matches")), looks=ALL_LOOKS)

    def renamed(person: Person) -> None:
        bring(mixed)(person)
        choose(person.page, "Radio", "rename")
        person.page.get_by_label("New name for Radio", exact=True).fill("No shopping")
        person.page.get_by_label("New name for Radio", exact=True).press("Tab")
        person.page.get_by_text("is already used").wait_for()

    studio.take("import-name-taken", renamed)
    studio.take(
        "import-filtered",
        after(bring(mixed), lambda person: person.page.get_by_role("button", name="Changed 2").click(), pause(500)),
    )
    clients = written(studio, "clients.json", WITH_REFERENCES)
    studio.take("import-references", bring(clients))
    same = written(studio, "same.json", FILTERS)
    studio.take("import-nothing-to-do", bring(same), looks=("wide",))
    _import_late(studio, mixed)
    _import_bundle(studio)


def bring(file: Path) -> Show:
    """Select the file, which opens its preview."""

    def show(person: Person) -> None:
        page("/import/")(person)
        with person.page.expect_navigation():
            person.page.set_input_files("#id_file", file)

    return show


def choose(shown: Page, name: str, what: str) -> None:
    with shown.expect_response("**/choices/"):
        shown.get_by_label(f"Action for {name}", exact=True).select_option(what)


def _choose_all(mixed: Path, person: Person) -> None:
    """Open the preview of a file, and resolve all conflicts."""
    bring(mixed)(person)
    with person.page.expect_response("**/choices/"):
        person.page.get_by_role("button", name="Skip all invalid").click()
    pause(300)(person)
    choose(person.page, "Radio", "overwrite")
    choose(person.page, "Harbour sports", "rename")


def _import_late(studio: Studio, mixed: Path) -> None:
    """Another user changes a filter during the preview."""

    def stale(person: Person) -> None:
        _choose_all(mixed, person)
        text = person.page.evaluate("innerWidth")
        shell(
            studio,
            f"from tvarr_backup.models import Filter; Filter.objects.filter(name='Radio').update(description='{text}')",
        )
        press("Import 5 items")(person)

    studio.take("import-stale", stale)
    person = studio.person()
    _choose_all(mixed, person)
    press("Import 5 items")(person)
    address = person.page.url.removeprefix(person.address)
    studio.take("import-result", page(address))


def _import_bundle(studio: Studio) -> None:
    """A file with several kinds, which is imported and undone."""
    file = written(studio, "summer-house.json", OF_THE_SUMMER_HOUSE)
    studio.take("import-bundle", bring(file), looks=ALL_LOOKS)
    rules = after(bring(file), follow("Client detection rules 2"), unfold("#preview-items"))
    studio.take("import-bundle-references", rules)
    person = studio.person()
    bring(file)(person)
    with person.page.expect_response("**/choices/"):
        person.page.get_by_role("button", name="Skip all invalid").click()
    pause(300)(person)
    choose(person.page, "HEVC high", "overwrite")
    press("Import 6 items")(person)
    address = person.page.url.removeprefix(person.address)
    studio.take("import-bundle-result", page(address))
    undo = after(page(address), follow("Undo this import"))
    studio.take("import-undo", undo)
    after(undo, press("Undo import"))(person)
    studio.take("import-undone", page(person.page.url.removeprefix(person.address)), looks=("wide",))


def findings(studio: Studio) -> None:
    """An export of items with credentials, and of the invalid expression that `importing` has left."""
    run_sql(studio.installation.data / "tvarr.db", *WITH_CREDENTIALS)

    def without_profiles(person: Person) -> None:
        page("/export/")(person)
        person.page.locator("#all-encoding-profiles").uncheck()
        person.page.get_by_label("Add the encoding profiles").check()
        person.page.get_by_role("button", name="Preview").click()
        person.page.get_by_role("heading", name="Check before you share").wait_for()

    studio.take("export-findings", without_profiles, looks=ALL_LOOKS)


def configuration(studio: Studio) -> None:
    """The history of the configuration, and comparisons."""
    latest = "/configuration/compare/?from=latest&to=now"
    do(studio, "/", "Back up now")
    studio.take("compare-same", page(latest), looks=("wide",))
    _notice_edits(studio)
    studio.take("configuration", page("/configuration/"), looks=ALL_LOOKS)
    studio.take("configuration-viewer", page("/configuration/"), who="viola", looks=("wide",))
    (number,) = ask(studio, "SELECT id FROM operations_historyevent ORDER BY at DESC")
    event = page(f"/configuration/events/{number}/")
    studio.take("configuration-event", event)
    studio.take("configuration-event-opened", after(event, unfold("main")), looks=ALL_LOOKS)
    studio.take("configuration-item", page(_filter_history(studio, "Evening news")), looks=ALL_LOOKS)
    studio.take("configuration-item-deleted", page(_filter_history(studio, "No shopping")), looks=("wide",))
    studio.take("compare", page(latest))
    studio.take("compare-opened", after(page(latest), unfold("main")), looks=ALL_LOOKS)
    studio.take("compare-viewer", page(latest), who="viola", looks=("wide",))
    studio.take("compare-mistake", page("/configuration/compare/?from=last+week&to=now"), looks=("wide",))

    def take_back(person: Person) -> None:
        event(person)
        press("Undo selected changes")(person)

    studio.take("configuration-taken", take_back)
    _test_expressions(studio)
    _read_backup(studio)


def _test_expressions(studio: Studio) -> None:
    """The expression tester: empty, with a mistake, and with an explanation."""

    def tested(domain: str, expression: str, row: str = "") -> Show:
        def show(person: Person) -> None:
            page(f"/expressions/?{urlencode({'domain': domain, 'expression': expression, 'row': row})}")(person)
            person.page.locator("#tested :is(.alert, p)").first.wait_for()

        return show

    with closing(sqlite3.connect(studio.installation.data / "tvarr.db")) as connection:
        (name,) = connection.execute("SELECT channel_name FROM channels ORDER BY id").fetchone()
    either = f'channel_name equals "{name}" AND group_title not equals "x" OR (tvg_id equals "1" AND channel_name contains "a")'
    studio.take("expressions", after(page("/expressions/"), unfold("main")), looks=ALL_LOOKS)
    studio.take("expressions-mistake", tested("stream_filter", 'channel_name equal "News"'), looks=ALL_LOOKS)
    studio.take(
        "expressions-explained", after(tested("stream_filter", either, name), unfold("#tested")), looks=ALL_LOOKS
    )
    rule = 'channel_name matches "(.*)" SET group_title = "Group $1"'
    studio.take("expressions-mapping", after(tested("stream_mapping", rule, name), unfold("#tested")), looks=ALL_LOOKS)


def _notice_edits(studio: Studio) -> None:
    """Edit items in tvarr's database, and wait until the worker has recorded that."""
    run_sql(studio.installation.data / "tvarr.db", *EDITED_IN_TVARR)
    renamed = "SELECT 1 FROM operations_itemversion WHERE name = 'Kitchen radio' AND ended_at IS NULL"
    wait_until(lambda: ask(studio, renamed), "the worker notices it", seconds=60)


def _filter_history(studio: Studio, name: str) -> str:
    """Return the address of the history of a filter."""
    (row_id,) = ask(studio, "SELECT row_id FROM operations_itemversion WHERE name = ? ORDER BY id DESC", name)
    return f"/configuration/items/filters/{row_id}/"


def _read_backup(studio: Studio) -> None:
    """A backup whose metadata file is of an earlier version, without the configuration."""
    oldest = [backup["filename"] for backup in backups(studio) if backup["kind"] == "scheduled"][-1]
    metadata_file = studio.installation.data / "backups" / oldest.replace(".db.gz", ".meta.json")
    members = json.loads(metadata_file.read_text())
    del members["configuration"]
    metadata_file.write_text(json.dumps(members))
    comparison = f"/configuration/compare/?from={oldest}&to=now"
    studio.take("compare-unread", page(comparison), looks=ALL_LOOKS)
    studio.take("restore-unread", page(f"/backups/{oldest}/restore/"), looks=("wide",))
    operation = do(studio, comparison, "Read backup")
    studio.take("operation-read", page(operation))
    studio.take("compare-read", page(comparison), looks=("wide",))
    dismiss(studio)


def settings(studio: Studio) -> None:
    """The schedule."""

    def weekly(person: Person) -> None:
        page("/settings/")(person)
        person.page.get_by_label("Every week", exact=True).check()
        person.page.get_by_label("Time zone").fill("Europe/Berlin")
        person.page.get_by_text("Every Sunday at 02:00 (Europe/Berlin).").wait_for()

    how_many = "Number of automatic backups"
    studio.take("settings", page("/settings/"), looks=ALL_LOOKS)
    studio.take("settings-weekly", weekly, looks=("wide",))
    studio.take("settings-mistake", after(page("/settings/"), fill("Time zone", "Mars/Base"), press("Save")))

    def would_remove(person: Person) -> None:
        page("/settings/")(person)
        person.page.get_by_label(how_many).fill("1")
        press("Save")(person)
        person.page.get_by_role("heading", name="backups?").wait_for()

    studio.take("settings-would-remove", would_remove)
    studio.take("settings-viewer", page("/settings/"), who="viola", looks=("wide",))
    studio.take("settings-saved", after(page("/settings/"), fill("Time", "03:15"), press("Save")), looks=("wide",))


def locations(studio: Studio) -> None:
    """The pages of locations."""
    share = studio.installation.data.parent / "share"
    share.mkdir()
    studio.take("locations-empty", page("/locations/"))
    studio.take("location-kinds", page("/locations/add/"), looks=("wide",))
    studio.take("location-add", page("/locations/add/?kind=sftp"), looks=ALL_LOOKS)

    def mistaken(person: Person) -> None:
        page("/locations/add/?kind=folder")(person)
        person.page.get_by_label("Name").fill("My NAS")
        person.page.get_by_label("Folder").fill("backups")
        press("Add location")(person)

    studio.take("location-mistake", mistaken, looks=("wide",))
    person = studio.person()
    page("/locations/add/?kind=folder")(person)
    person.page.get_by_label("Name").fill("nas")
    person.page.get_by_label("Folder").fill(str(share))
    press("Add location")(person)
    studio.take("location-untested", page("/locations/nas/"), looks=("wide",))
    do(studio, "/locations/nas/", "Test")
    do(studio, "/locations/nas/", "Copy now")
    studio.take("location", page("/locations/nas/"), looks=ALL_LOOKS, longest=HEIGHT)
    studio.take("location-change", page("/locations/nas/change/"), looks=("wide",))
    studio.take("location-remove", page("/locations/nas/remove/"), looks=("wide",))

    def kit(person: Person) -> None:
        page("/locations/nas/key/")(person)
        press("Make a new key")(person)

    shell(studio, "from tvarr_backup.operations.models import Location\nLocation.objects.update(is_enabled=False)")
    studio.take("location-kit", kit)
    studio.take("location-key", page("/locations/nas/key/"), looks=("wide",))
    studio.take("locations", page("/locations/"))


def alerts(studio: Studio) -> None:
    """The pages of receivers of alerts. The test messages are really sent."""
    here = "/settings/receivers/"
    studio.take("alerts-empty", page(here))
    studio.take("receiver-kinds", page(f"{here}add/"), looks=("wide",))
    studio.take("receiver-add", page(f"{here}add/?kind=apprise"))
    studio.take("receiver-add-mail", page(f"{here}add/?kind=mail"), looks=("wide",))

    def mistaken(person: Person) -> None:
        page(f"{here}add/?kind=webhook")(person)
        person.page.get_by_label("Name").fill("My server")
        person.page.get_by_label("Address").fill("hooks.example.com")
        press("Add receiver")(person)

    studio.take("receiver-mistake", mistaken)
    with running_receiver(lambda asked: Reply(500 if "broken" in asked.path else 200, b"Thank you")) as web:
        person = studio.person()
        for name in ("server", "phone"):
            page(f"{here}add/?kind=webhook")(person)
            person.page.get_by_label("Name").fill(name)
            person.page.get_by_label("Address").fill(f"{web.url}/{'broken' if name == 'phone' else 'wharf-lantern'}")
            press("Add receiver")(person)
            if name == "server":
                studio.take("receiver-secret", lambda _person: None, looks=("wide",))
            _test_receiver(person, name)
        studio.take("receiver", page(f"{here}server/"), looks=ALL_LOOKS)
        studio.take("receiver-failing", page(f"{here}phone/"), looks=ALL_LOOKS)
        shell(studio, MESSAGES)
        studio.take("alerts", page(here), looks=ALL_LOOKS)
        studio.take("receiver-messages", page(f"{here}messages/"), looks=ALL_LOOKS, longest=HEIGHT)
        unfolded = after(page(f"{here}messages/"), unfold(".outbox"))
        studio.take("receiver-messages-unfolded", unfolded, looks=("narrow",), longest=HEIGHT)
        studio.take("receiver-change", page(f"{here}server/change/"), looks=("wide",))
        studio.take("receiver-remove", page(f"{here}phone/remove/"), looks=("wide",))
        studio.take("status-alerts", page("/"), looks=ALL_LOOKS, longest=HEIGHT)
    shell(
        studio,
        "from tvarr_backup.operations.alert_models import Alert, Receiver\nReceiver.objects.all().delete()\nAlert.objects.all().delete()",
    )


def _test_receiver(person: Person, name: str) -> None:
    page(f"/settings/receivers/{name}/")(person)
    press("Send a test message")(person)
    person.page.locator("#test.alert-success, #test.alert-danger").wait_for(timeout=60_000)


def history_and_account(studio: Studio) -> None:
    """The History and Account pages."""
    studio.take("history", page("/history/"), longest=HEIGHT)
    studio.take("account", page("/account/"))

    def token(person: Person) -> None:
        page("/account/")(person)
        person.page.get_by_label("Name").fill(f"Harbour script {person.page.evaluate('innerWidth')}")
        press("Create token")(person)

    studio.take("account-token", token)
    studio.take("password", page("/account/password/"))

    def mistyped(person: Person) -> None:
        page("/account/password/")(person)
        for field in ("old_password", "new_password1", "new_password2"):
            person.page.fill(f"#id_{field}", "1234")
        press("Change password")(person)

    studio.take("password-refused", mistyped)


def admin(studio: Studio) -> None:
    """The admin."""
    studio.take("admin", page("/admin/"))
    studio.take("admin-filters", page("/admin/tvarr_backup/filter/"))

    def invalid(person: Person) -> None:
        page("/admin/tvarr_backup/filter/add/")(person)
        person.page.fill("#id_name", "Half a thought")
        person.page.fill("#id_expression", 'group_title == "News" AND (')
        press("Save")(person)

    studio.take("admin-filter-refused", invalid)
    studio.take("admin-backups", page("/admin/operations/backup/"))
    studio.take("admin-operations", page("/admin/operations/operation/"), looks=("wide",))
    studio.take("api", page("/api/v1/docs"), looks=("wide",), longest=HEIGHT)


def many(studio: Studio) -> None:
    """More than a page of backups."""
    shell(studio, MORE_THAN_A_PAGE)
    studio.take("backups-page-2", page("/?kind=scheduled&page=2"), looks=("wide",))


def refusals(studio: Studio) -> None:
    """Error pages."""
    studio.take("refused-403", page("/admin/"), who="viola")
    studio.take("refused-404", page("/nowhere/"))
    studio.take("refused-404-backup", page("/backups/tvarr-backup-2020-01-01T00-00-00.db.gz/"), looks=("wide",))
    studio.take("refused-405", page("/backups/create/"), looks=("wide",))

    def too_old(person: Person) -> None:
        page("/settings/")(person)
        cookies = [each for each in person.page.context.cookies() if CSRF_COOKIE.match(each["name"])]
        person.page.context.clear_cookies(name=CSRF_COOKIE)
        press("Save")(person)
        person.page.context.add_cookies(cookies)  # type: ignore[arg-type]  # unchanged

    studio.take("refused-too-old", too_old, looks=("wide",))
    run_sql(studio.installation.data / "app.db", "ALTER TABLE operations_operation RENAME TO gone")
    studio.take("refused-500", page("/history/"))


SCENES = (
    signing_in,
    empty,
    neglected,
    backing_up,
    one_backup,
    uploading,
    restoring,
    rehearsing,
    damaged,
    exporting,
    importing,
    findings,
    configuration,
    settings,
    locations,
    alerts,
    history_and_account,
    admin,
    many,
    refusals,
)
