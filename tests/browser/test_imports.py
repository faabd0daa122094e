"""Imports in a real browser: preview, choices, problems, changes by other users, keyboard, and no scripts."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.people import ALL_LOOKS, PASSWORD, SESSION_COOKIE, Look, Person, Site
from tests.portable.files import CLIENTS, FILTERS, client_item, document, filter_item

_HERE = [filter_item(name, description="") for name in ("Same", "Differs", "Differs, too", "Third")]


@pytest.fixture(scope="module")
def rows(site: Site) -> list[tuple[Any, ...]]:
    """The filters that are not built in, as database rows."""
    script = f"from tvarr_backup.models import Filter\nfor item in {_HERE!r}: Filter.objects.create(**item)"
    site.installation.ok("shell", "-c", script)
    with closing(sqlite3.connect(site.installation.data / "tvarr.db")) as connection:
        return connection.execute("SELECT * FROM filters WHERE NOT is_system").fetchall()


@pytest.fixture(autouse=True)
def _as_at_first(site: Site, rows: list[tuple[Any, ...]]) -> None:
    """Only these filters exist besides the built-in ones."""
    with closing(sqlite3.connect(site.installation.data / "tvarr.db", timeout=20)) as connection, connection:
        connection.execute("DELETE FROM filters WHERE NOT is_system")
        connection.execute("DELETE FROM client_detection_rules WHERE NOT is_system")
        connection.executemany(f"INSERT INTO filters VALUES ({', '.join('?' * len(rows[0]))})", rows)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Items of all states: new, unchanged, changed three times, built-in, and invalid."""
    items = [filter_item("New"), _HERE[0]]
    items += [filter_item(name, action="exclude") for name in ("Differs", "Differs, too", "Third", "Sports Only")]
    return written(tmp_path, document(FILTERS, *items, filter_item("Broken", expression=None)))


def written(folder: Path, content: Any) -> Path:
    path = folder / "settings.json"
    path.write_text(json.dumps(content))
    return path


def bring(person: Person, file: Path) -> Page:
    """Select the file, which opens its preview."""
    page = person.open("/import/")
    with page.expect_navigation():
        page.set_input_files("#id_file", file)
    person.look()
    return page


def choose(page: Page, name: str, what: str) -> None:
    page.get_by_label(f"Action for {name}", exact=True).select_option(what)


def totals(page: Page) -> Locator:
    return page.locator("#import-totals")


def change(site: Site, statement: str) -> None:
    """Change a row, as another user would."""
    with closing(sqlite3.connect(site.installation.data / "tvarr.db", timeout=20)) as connection, connection:
        connection.execute(statement)


def change_third(site: Site) -> None:
    change(site, "UPDATE filters SET description = 'x' WHERE name = 'Third'")


def names_here(site: Site) -> list[str]:
    with closing(sqlite3.connect(site.installation.data / "tvarr.db")) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM filters WHERE NOT is_system ORDER BY name")]


@pytest.mark.looks(*ALL_LOOKS)
def test_an_import_with_every_state_from_start_to_end(person: Person, mixed: Path, site: Site) -> None:
    page = bring(person, mixed)
    expect(totals(page)).to_have_text("Will add 1, skip 5. Fix or skip 1 invalid item to continue.")
    choose(page, "Differs", "overwrite")
    expect(totals(page)).to_contain_text("overwrite 1")
    choose(page, "Differs, too", "rename")
    page.get_by_label("New name for Differs, too").fill("By hand")
    page.get_by_label("New name for Differs, too").press("Tab")
    page.get_by_role("button", name="Skip all invalid").click()
    expect(totals(page)).to_have_text("Will add 1, overwrite 1, rename 1, skip 4.")
    person.look()
    person.press("Import 3 items, overwrite 1")
    expect(page.get_by_text("1 added, 1 overwritten, 1 renamed, 3 skipped, 1 unchanged.")).to_be_visible()
    page.reload()
    expect(page.get_by_text("1 added, 1 overwritten")).to_be_visible()
    person.look()
    expect(page.get_by_role("link", name="By hand")).to_have_attribute(
        "href", re.compile("^/admin/tvarr_backup/filter/")
    )
    assert names_here(site) == ["By hand", "Differs", "Differs, too", "New", "Same", "Third"]


@pytest.mark.looks(Look.NARROW_DARK)
def test_five_hundred_rows_stay_usable(person: Person, tmp_path: Path, site: Site) -> None:
    items = [filter_item(f"Harbour {number}") for number in range(496)]
    different = [filter_item(name, action="exclude") for name in ("Same", "Differs", "Differs, too", "Third")]
    page = bring(person, written(tmp_path, document(FILTERS, *items, *different)))
    page.get_by_role("button", name="Overwrite all").click()
    expect(totals(page)).to_have_text("Will add 496, overwrite 4.")
    choose(page, "Harbour 7", "skip")
    expect(totals(page)).to_have_text("Will add 495, overwrite 4, skip 1.")
    page.get_by_role("button", name="Next items").click()
    expect(page.get_by_text(re.compile("Items .* to .* of 500"))).to_be_visible()
    page.get_by_role("button", name="Changed 4").click()
    expect(page.get_by_text(re.compile("Items .* to .* of 500"))).to_have_count(0)
    expect(page.locator(".htmx-added")).to_have_count(0)  # what has just come listens a moment later
    choose(page, "Same", "")
    expect(totals(page)).to_have_text("Will add 495, overwrite 3, skip 2.")
    person.look()
    person.press("Import 498 items, overwrite 3")
    assert len(names_here(site)) == 499


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_a_typed_name_that_is_taken_is_told_beside_it_and_mended(person: Person, mixed: Path) -> None:
    page = bring(person, mixed)
    choose(page, "Differs", "rename")
    field = page.get_by_label("New name for Differs", exact=True)
    field.fill("Same")
    field.press("Tab")
    expect(page.locator("#found-3")).to_contain_text("is already used")
    person.look()
    field.fill("Free")
    field.press("Tab")
    expect(page.locator("#found-3")).to_have_text("")


@pytest.mark.looks(Look.WIDE_LIGHT, Look.NARROW_DARK)
def test_an_invalid_expression_is_corrected_in_place(person: Person, mixed: Path, site: Site) -> None:
    page = bring(person, mixed)
    field = page.get_by_label("Correct the expression")
    field.press_sequentially('channel_name equals "A"')
    expect(page.get_by_text("No problem found.")).to_be_visible()
    person.look()
    page.keyboard.press("Tab")
    expect(totals(page)).to_have_text("Will add 2, skip 5.")
    page.get_by_role("button", name="Expand all").click()
    expect(page.locator("#preview-items details:not([open])")).to_have_count(0)
    person.press("Import 2 items")
    assert "Broken" in names_here(site)


@pytest.mark.looks(Look.WIDE_LIGHT, Look.NARROW_DARK)
def test_the_bulk_bar_the_tiles_and_the_opened_rows(person: Person, mixed: Path) -> None:
    page = bring(person, mixed)
    choose(page, "Third", "rename")
    page.get_by_role("button", name="Overwrite all").click()
    expect(totals(page)).to_contain_text("overwrite 2, rename 1")
    page.get_by_role("button", name="Changed 3").click()
    expect(page.locator(".preview-table > tbody > tr")).to_have_count(3)
    expect(page.get_by_role("button", name="Changed 3")).to_be_focused()
    page.locator("#preview-items summary").first.click()
    expect(page.locator(".preview-table del").first).to_have_text("include")
    expect(page.locator(".preview-table ins").first).to_have_text("exclude")
    person.look()
    page.get_by_label("Include rows I changed").check()
    page.get_by_role("button", name="Skip all", exact=True).click()
    expect(totals(page)).to_contain_text("Will add 1, skip 5.")


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_somebody_elses_change_reopens_just_that_row(person: Person, mixed: Path, site: Site) -> None:
    page = bring(person, mixed)
    page.get_by_role("button", name="Skip all invalid").click()
    page.get_by_role("button", name="Overwrite all").click()
    expect(totals(page)).to_contain_text("overwrite 3")
    change_third(site)
    person.press("Import 4 items, overwrite 3")
    expect(page.get_by_text("Another user changed 1 item after you opened this preview.")).to_be_visible()
    expect(totals(page)).to_have_text("Will add 1, overwrite 2, skip 4.")
    person.press("Import 3 items, overwrite 2")
    expect(page.get_by_text("1 added, 2 overwritten")).to_be_visible()


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_somebody_elses_change_is_told_at_the_next_choice_with_totals_that_are_true(
    person: Person, mixed: Path, site: Site
) -> None:
    page = bring(person, mixed)
    page.get_by_role("button", name="Skip all invalid").click()
    page.get_by_role("button", name="Overwrite all").click()
    expect(totals(page)).to_contain_text("overwrite 3")
    change_third(site)
    choose(page, "Differs", "rename")
    expect(page.get_by_text("Another user changed 1 item after you opened this preview.")).to_be_visible()
    expect(totals(page)).to_have_text("Will add 1, overwrite 1, rename 1, skip 4.")
    person.press("Import 3 items, overwrite 1")
    expect(page.get_by_text("1 added, 1 overwritten, 1 renamed")).to_be_visible()


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_what_is_not_found_here_is_mapped_for_all_its_items(person: Person, tmp_path: Path) -> None:
    items = [client_item(name, encoding_profile_name="HEVC high") for name in ("A", "B")]
    page = bring(person, written(tmp_path, document(CLIENTS, *items)))
    expect(page.locator("#preview-items .found")).to_have_count(2)
    page.get_by_label('Encoding profile "HEVC high" (2 items)').select_option("-")
    expect(totals(page)).to_have_text("Will skip 2. Nothing would change.")
    expect(page.locator(".htmx-added")).to_have_count(0)  # what has just come listens a moment later
    page.get_by_label('Encoding profile "HEVC high" (2 items)').select_option("=H.265 High Quality")
    expect(page.locator("#preview-items .found")).to_have_count(0)
    person.press("Import 2 items")


@pytest.mark.looks(Look.WIDE_LIGHT, Look.NARROW_DARK)
def test_a_photo_a_broken_file_and_one_too_large_are_each_refused_in_words(person: Person, tmp_path: Path) -> None:
    photo = tmp_path / "holiday.jpg"
    photo.write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(1000))
    page = bring(person, photo)
    expect(page.get_by_text('"holiday.jpg" cannot be imported.')).to_be_visible()
    film = tmp_path / "film.mkv"
    with film.open("wb") as file:
        file.truncate(2 * 2**30)
    page.set_input_files("#id_file", film)
    expect(page.get_by_text("The limit is 32 MiB. Nothing was sent.")).to_be_visible()
    person.look()


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_a_dropped_file_is_read_at_once(person: Person, mixed: Path) -> None:
    page = person.open("/import/")
    script = (
        "text => { const data = new DataTransfer(); data.items.add(new File([text], 'dropped.json')); return data; }"
    )
    data = page.evaluate_handle(script, mixed.read_text())
    with page.expect_navigation():
        page.dispatch_event("#import-file", "drop", {"dataTransfer": data})
    expect(page.get_by_text("dropped.json")).to_be_visible()
    person.look()


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_a_double_click_imports_once(person: Person, tmp_path: Path, site: Site) -> None:
    page = bring(person, written(tmp_path, document(FILTERS, filter_item("New"))))
    page.get_by_role("button", name="Import 1 item").dblclick()
    expect(page.get_by_role("heading", name="Imported 1 filter")).to_be_visible()
    person.look()
    assert names_here(site).count("New") == 1


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_going_back_after_an_import_leads_to_its_result(person: Person, tmp_path: Path, site: Site) -> None:
    page = bring(person, written(tmp_path, document(FILTERS, filter_item("New"))))
    person.press("Import 1 item")
    page.go_back()
    expect(page.get_by_role("heading", name="Imported 1 filter")).to_be_visible()
    person.look()
    assert names_here(site).count("New") == 1


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_going_away_and_back_leads_to_the_preview_with_its_choices(person: Person, mixed: Path) -> None:
    page = bring(person, mixed)
    page.get_by_role("button", name="Skip all invalid").click()
    choose(page, "Differs", "overwrite")
    expect(totals(page)).to_have_text("Will add 1, overwrite 1, skip 5.")
    person.follow("History")
    page.go_back()
    expect(totals(page)).to_have_text("Will add 1, overwrite 1, skip 5.")
    expect(page.get_by_label("Action for Differs", exact=True)).to_have_value("overwrite")
    person.look()


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_the_bar_above_may_be_renewed_meanwhile(person: Person, mixed: Path) -> None:
    page = bring(person, mixed)
    before = totals(page).inner_text()
    with page.expect_response("**/operations/bar/"):
        page.evaluate("htmx.ajax('GET', '/operations/bar/', {source: '#operation-bar', target: '#operation-bar'})")
    page.wait_for_timeout(200)
    expect(totals(page)).to_have_text(before)


def sign_in(page: Page) -> None:
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    with page.expect_navigation():
        page.get_by_role("button", name="Sign in").click()


def test_whose_session_ends_in_a_preview_signs_in_and_goes_on(person: Person, mixed: Path, site: Site) -> None:
    page = bring(person, mixed)
    choose(page, "Differs", "rename")
    page.get_by_label("New name for Differs", exact=True).fill("By hand")
    page.get_by_role("button", name="Skip all invalid").click()
    expect(totals(page)).to_have_text("Will add 1, rename 1, skip 5.")
    page.context.clear_cookies(name=SESSION_COOKIE)
    with page.expect_navigation():
        choose(page, "Third", "overwrite")
    expect(page.get_by_text("You were signed out, so your last action was not carried out.")).to_be_visible()
    person.look()
    sign_in(page)
    person.look()
    expect(totals(page)).to_have_text("Will add 1, rename 1, skip 5.")
    person.press("Import 2 items")
    expect(page.get_by_text("1 added, 1 renamed")).to_be_visible()
    assert "By hand" in names_here(site)


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_whose_session_ends_before_the_import_signs_in_and_presses_again(person: Person, mixed: Path) -> None:
    page = bring(person, mixed)
    page.get_by_role("button", name="Skip all invalid").click()
    expect(totals(page)).to_have_text("Will add 1, skip 6.")
    page.context.clear_cookies(name=SESSION_COOKIE)
    person.press("Import 1 item")
    sign_in(page)
    person.look()
    person.press("Import 1 item")
    expect(page.get_by_text("1 added")).to_be_visible()


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_after_signing_in_in_another_tab_this_one_goes_on(person: Person, mixed: Path) -> None:
    page = bring(person, mixed)
    page.get_by_role("button", name="Skip all invalid").click()
    expect(totals(page)).to_have_text("Will add 1, skip 6.")
    page.context.clear_cookies(name=SESSION_COOKIE)
    elsewhere = page.context.new_page()
    elsewhere.goto(f"{person.address}/sign-in/")
    sign_in(elsewhere)
    choose(page, "Differs", "overwrite")
    expect(totals(page)).to_have_text("Will add 1, overwrite 1, skip 5.")
    person.press("Import 2 items, overwrite 1")
    expect(page.get_by_text("1 added, 1 overwritten")).to_be_visible()


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_the_same_import_in_two_tabs_keeps_the_choices_of_both(person: Person, mixed: Path, site: Site) -> None:
    page = bring(person, mixed)
    page.get_by_role("button", name="Skip all invalid").click()
    expect(totals(page)).to_have_text("Will add 1, skip 6.")
    other = page.context.new_page()
    other.goto(page.url)
    choose(page, "Differs", "overwrite")
    expect(totals(page)).to_have_text("Will add 1, overwrite 1, skip 5.")
    choose(other, "Third", "rename")
    expect(totals(other)).to_have_text("Will add 1, overwrite 1, rename 1, skip 4.")
    person.press("Import 2 items, overwrite 1")
    expect(page.get_by_text("Nothing was imported because your last choices changed")).to_be_visible()
    expect(totals(page)).to_have_text("Will add 1, overwrite 1, rename 1, skip 4.")
    person.press("Import 3 items, overwrite 1")
    other.get_by_role("button", name="Import 3 items").click()
    expect(other.get_by_text("1 added, 1 overwritten, 1 renamed")).to_be_visible()
    assert names_here(site).count("New") == 1


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_two_imports_in_two_tabs_are_both_done(person: Person, tmp_path: Path, site: Site) -> None:
    page = bring(person, written(tmp_path, document(FILTERS, filter_item("One"))))
    other = page.context.new_page()
    other.goto(f"{person.address}/import/")
    with other.expect_navigation():
        other.set_input_files("#id_file", written(tmp_path, document(FILTERS, filter_item("Two"))))
    person.press("Import 1 item")
    other.get_by_role("button", name="Import 1 item").click()
    expect(other.get_by_text("1 added")).to_be_visible()
    assert {"One", "Two"} <= set(names_here(site))


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_an_import_is_discarded(person: Person, mixed: Path, site: Site) -> None:
    page = bring(person, mixed)
    address = page.url
    person.press("Discard import")
    expect(page.get_by_text("Import discarded. Nothing was imported.")).to_be_visible()
    page.goto(address)
    expect(page.get_by_text("Import discarded. Nothing was imported.")).to_be_visible()
    assert "New" not in names_here(site)


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_a_click_in_five_hundred_items_sends_less_than_two_kilobytes(person: Person, tmp_path: Path) -> None:
    items = [filter_item(f"Harbour {number}", description="d" * 200) for number in range(500)]
    page = bring(person, written(tmp_path, document(FILTERS, *items)))
    sent: list[int] = []
    page.on("request", lambda request: sent.append(len(request.post_data or "")))
    choose(page, "Harbour 7", "skip")
    expect(totals(page)).to_have_text("Will add 499, skip 1.")
    page.get_by_role("button", name="Next items").click()
    expect(page.get_by_text("Items 51 to 100 of 500")).to_be_visible()
    choose(page, "Harbour 70", "skip")
    expect(totals(page)).to_have_text("Will add 498, skip 2.")
    person.press("Import 498 items")
    assert len(sent) >= 4
    assert max(sent) < 500


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_what_the_database_does_not_take_is_told_and_tried_again_with_all_choices(
    person: Person, mixed: Path, site: Site
) -> None:
    page = bring(person, mixed)
    choose(page, "Differs", "rename")
    page.get_by_label("New name for Differs", exact=True).fill("By hand")
    page.get_by_role("button", name="Skip all invalid").click()
    expect(totals(page)).to_have_text("Will add 1, rename 1, skip 5.")
    before = names_here(site)
    change(site, "CREATE TRIGGER closed BEFORE INSERT ON filters BEGIN SELECT RAISE(ABORT, 'it is closed'); END")
    person.press("Import 2 items")
    change(site, "DROP TRIGGER closed")
    expect(page.get_by_role("alert")).to_contain_text("reported an error: it is closed.")
    expect(page.get_by_role("alert")).to_contain_text("Your choices are kept.")
    assert names_here(site) == before
    person.press("Import 2 items")
    assert names_here(site) == sorted([*before, "By hand", "New"])


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_a_preview_that_is_loaded_again_shows_its_choices_and_imports_nothing(
    person: Person, mixed: Path, site: Site
) -> None:
    page = bring(person, mixed)
    before = names_here(site)
    choose(page, "Differs", "rename")
    page.get_by_label("New name for Differs", exact=True).fill("By hand")
    page.get_by_label("New name for Differs", exact=True).press("Tab")
    page.get_by_role("button", name="Changed 3").click()
    expect(page.locator(".preview-table > tbody > tr")).to_have_count(3)
    page.reload()
    expect(page.locator(".preview-table > tbody > tr")).to_have_count(3)
    expect(page.get_by_label("Action for Differs", exact=True)).to_have_value("rename")
    expect(page.get_by_label("New name for Differs", exact=True)).to_have_value("By hand")
    person.look()
    assert names_here(site) == before


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_a_choice_that_does_not_reach_the_server_is_sent_with_the_import(person: Person, mixed: Path) -> None:
    page = bring(person, mixed)
    page.get_by_role("button", name="Skip all invalid").click()
    expect(totals(page)).to_have_text("Will add 1, skip 6.")
    page.context.set_offline(True)
    choose(page, "Differs", "overwrite")
    expect(totals(page)).to_contain_text("The server did not answer. Nothing was imported.")
    page.context.set_offline(False)
    person.forgive_console()
    person.press("Import 1 item")
    expect(totals(page)).to_have_text("Will add 1, overwrite 1, skip 5.")
    person.press("Import 2 items, overwrite 1")
    expect(page.get_by_text("1 added, 1 overwritten")).to_be_visible()


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_an_import_by_keyboard_alone(person: Person, mixed: Path) -> None:
    page = person.open("/import/")
    page.keyboard.press("Tab")
    reach(page, "id_text")
    page.keyboard.insert_text(mixed.read_text())
    page.keyboard.press("Tab")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    person.look()
    reach(page, "bulk-problems")
    page.keyboard.press("Enter")
    expect(totals(page)).to_have_text("Will add 1, skip 6.")
    reach(page, "action-3")
    page.keyboard.press("ArrowDown")
    expect(totals(page)).to_have_text("Will add 1, rename 1, skip 5.")
    page.keyboard.press("Tab")
    page.keyboard.type("typed")
    page.keyboard.press("Tab")
    reach(page, "import-now")
    expect(page.locator("#import-now")).to_have_text("Import 2 items")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    person.look()
    expect(page.get_by_role("rowheader", name="typed")).to_be_visible()


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_a_press_of_the_button_counts_while_the_totals_are_renewed(person: Person, mixed: Path) -> None:
    page = bring(person, mixed)
    page.get_by_role("button", name="Skip all invalid").click()
    expect(totals(page)).to_have_text("Will add 1, skip 6.")
    choose(page, "Differs", "rename")
    expect(totals(page)).to_have_text("Will add 1, rename 1, skip 5.")
    page.get_by_label("New name for Differs", exact=True).fill("typed")

    def later(route: Route) -> None:
        """Answer after the click."""
        time.sleep(1)
        route.continue_()

    page.route("**/choices/", later)
    page.locator("#import-now").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("rowheader", name="typed")).to_be_visible()
    person.look()


_WHERE = """() => {
    const active = document.activeElement, box = active.getBoundingClientRect();
    const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    return [active.id || active.textContent, active === top || active.contains(top)];
}"""


def reach(page: Page, wanted: str) -> None:
    """Press Tab until the element with this id or text has the focus, and is not covered."""
    for _ in range(120):
        name, is_seen = page.evaluate(_WHERE)
        if name == wanted:
            assert is_seen, f"{wanted} is covered"
            return
        page.keyboard.press("Tab")
    pytest.fail(f"Tab does not lead to {wanted}")


def test_without_scripts_from_start_to_end(plain_person: Person, mixed: Path) -> None:
    page = plain_person.open("/import/")
    page.set_input_files("#id_file", mixed)
    plain_person.press("Preview files")
    choose(page, "Differs", "rename")
    page.get_by_label("New name for Differs", exact=True).fill("By hand")
    choose(page, "Broken", "skip")
    plain_person.press("Update totals")
    expect(totals(page)).to_have_text("Will add 1, rename 1, skip 5.")
    plain_person.press("Overwrite all")
    expect(totals(page)).to_have_text("Will add 1, overwrite 2, rename 1, skip 3.")
    choose(page, "Third", "")
    plain_person.press("Import 4 items, overwrite 2")
    expect(page.get_by_text("Nothing was imported because your last choices changed")).to_be_visible()
    plain_person.press("Import 3 items, overwrite 1")
    expect(page.get_by_text("1 added, 1 overwritten, 1 renamed")).to_be_visible()


def test_without_scripts_a_session_that_ends_costs_no_choice_that_was_sent(plain_person: Person, mixed: Path) -> None:
    page = plain_person.open("/import/")
    page.set_input_files("#id_file", mixed)
    plain_person.press("Preview files")
    choose(page, "Differs", "overwrite")
    choose(page, "Broken", "skip")
    plain_person.press("Update totals")
    page.context.clear_cookies(name=SESSION_COOKIE)
    plain_person.press("Import 2 items, overwrite 1")
    sign_in(page)
    plain_person.look()
    plain_person.press("Import 2 items, overwrite 1")
    expect(page.get_by_text("1 added, 1 overwritten")).to_be_visible()


def test_without_scripts_tiles_and_pages_keep_what_was_chosen(plain_person: Person, tmp_path: Path) -> None:
    page = plain_person.open("/import/")
    items = [filter_item(f"Harbour {number}") for number in range(60)]
    page.set_input_files("#id_file", written(tmp_path, document(FILTERS, *items)))
    plain_person.press("Preview files")
    choose(page, "Harbour 7", "skip")
    plain_person.press("Next items")
    expect(page.get_by_text("Items 51 to 60 of 60")).to_be_visible()
    choose(page, "Harbour 55", "skip")
    plain_person.press("New 60")
    expect(page.get_by_text("Items 1 to 50 of 60")).to_be_visible()
    expect(page.get_by_label("Action for Harbour 7", exact=True)).to_have_value("skip")
    expect(totals(page)).to_have_text("Will add 58, skip 2.")


def test_without_scripts_a_file_that_is_too_large_is_refused_in_words(plain_person: Person, tmp_path: Path) -> None:
    film = tmp_path / "film.mkv"
    with film.open("wb") as file:
        file.truncate(100 * 2**20)
    page = plain_person.open("/import/")
    page.set_input_files("#id_file", film)
    plain_person.press("Preview files")
    expect(page.get_by_text("The file is too large. The limit is 32 MiB.")).to_be_visible()
