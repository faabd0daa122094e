"""The settings page in a real browser: schedule, effect, and confirmation of deletions."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.people import Look, People, Person
from tests.installation import Installation

_MAKE = """
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup import conf
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.sidecar import BackupKind
for _ in range(3):
    create_backup(conf.live_database(), prepare_folder(conf.backup_path()), conf.required_schema(), kind=BackupKind.SCHEDULED)
"""


@pytest.fixture(scope="module")
def installed(installed: Installation) -> Installation:
    """With three automatic backups."""
    installed.environment["TVARR_BACKUP_SCHEDULE_ENABLED"] = "true"
    installed.ok("shell", "-c", _MAKE)
    return installed


def test_the_next_times_follow_what_is_chosen_and_are_there_after_saving(person: Person) -> None:
    page = person.open("/settings/")
    outlook = page.locator("#next-runs")
    page.get_by_label("Every week", exact=True).check()
    page.get_by_label("Day of the week").select_option("Monday")
    page.get_by_label("Time", exact=True).fill("05:30")
    page.get_by_label("Time zone").fill("Asia/Kathmandu")
    expect(outlook).to_contain_text("Every Monday at 05:30 (Asia/Kathmandu).")
    expect(outlook.get_by_text("05:30 +0545")).to_have_count(3)
    person.look()
    person.press("Save")
    expect(page.get_by_role("status").filter(has_text="Settings saved.")).to_be_visible()
    expect(outlook).to_contain_text("Every Monday at 05:30 (Asia/Kathmandu).")
    person.press("Reset to defaults")
    expect(outlook).to_contain_text("Every day at 02:00 (UTC).")


def test_the_effect_stands_beside_the_fields_or_under_them(person: Person) -> None:
    page = person.open("/settings/")
    parts = (page.get_by_label("Time zone"), page.locator("#next-runs"), page.get_by_role("heading", name="Retention"))
    field, effect, heading = (part.evaluate("part => part.getBoundingClientRect()") for part in parts)
    if page.evaluate("innerWidth") >= 1280:
        assert effect["x"] > field["x"] + field["width"]
    else:
        assert field["y"] < effect["y"] < heading["y"]


def test_only_variables_that_are_set_are_named(person: Person) -> None:
    named = person.open("/settings/").get_by_text("From the environment:")
    expect(named).to_have_text(["From the environment: TVARR_BACKUP_SCHEDULE_ENABLED"])


def test_a_mistake_is_told_at_once_and_beside_its_field_after_saving(person: Person) -> None:
    page = person.open("/settings/")
    page.get_by_label("Custom (cron)").check()
    page.get_by_label("Cron", exact=True).fill("every night")
    expect(page.locator("#next-runs")).to_contain_text("This cannot be saved yet")
    person.press("Save")
    expect(page.get_by_label("Cron", exact=True)).to_have_value("every night")
    expect(page.locator("#id_cron_error")).to_contain_text("Expected five cron fields")


def test_saving_that_would_remove_backups_asks_first(person: Person) -> None:
    page = person.open("/settings/")
    page.get_by_label("Number of automatic backups").fill("1")
    expect(page.locator("#deletions")).to_contain_text("would delete 2 backups")
    person.press("Save")
    expect(page.get_by_role("heading", level=1)).to_have_text("Delete 2 backups?")
    page.reload()
    expect(page.get_by_text("Nothing has been saved yet.")).to_be_visible()
    person.press("Keep editing")
    expect(page.get_by_label("Number of automatic backups")).to_have_value("1")
    person.press("Save")
    person.press("Save and delete 2 backups")
    expect(page.get_by_label("Number of automatic backups")).to_have_value("1")
    person.press("Reset to defaults")


def test_what_periods_keep_follows_their_numbers(person: Person) -> None:
    page = person.open("/settings/")
    page.get_by_label("Number of automatic backups").fill("1")
    periods = page.get_by_role("group", name="Also keep one for each of the last")
    for label, number in (("days", "7"), ("weeks", "4"), ("months", "12"), ("years", "2")):
        periods.get_by_label(label, exact=True).fill(number)
    expect(page.locator("#deletions")).to_contain_text("would delete 2 backups")
    person.look()
    page.get_by_label("Number of automatic backups").fill("7")
    expect(page.locator("#deletions")).to_contain_text("No additional backups would be deleted.")
    person.press("Save")
    expect(periods.get_by_label("months", exact=True)).to_have_value("12")
    person.press("Reset to defaults")
    expect(periods.get_by_label("months", exact=True)).to_have_value("0")


def test_without_scripts_a_button_tells_what_it_means(plain_person: Person) -> None:
    page = plain_person.open("/settings/")
    page.get_by_label("Every few hours").check()
    plain_person.press("Show effect")
    expect(page.locator("#next-runs")).to_contain_text("Every day at 02:00, 08:00, 14:00 and 20:00 (UTC).")
    page.get_by_label("Every day", exact=True).check()
    plain_person.press("Save")
    expect(page.get_by_text("Nothing was changed.")).to_be_visible()


@pytest.mark.looks(Look.WIDE_LIGHT)
def test_the_browser_asks_for_nothing_while_nothing_runs(person: Person) -> None:
    page = person.open("/settings/")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2500)
    assert asked == []


def test_two_windows_that_change_different_things_both_succeed(people: People) -> None:
    first, second = people.come(), people.come()
    first.open("/settings/")
    second.open("/settings/")
    first.page.get_by_label("Time", exact=True).fill("04:45")
    expect(first.page.locator("#next-runs")).to_contain_text("Every day at 04:45")
    first.press("Save")
    with second.page.expect_response("**/settings/preview/**"):
        second.page.get_by_label("Keep all").check()
    second.press("Save")
    expect(second.page.get_by_label("Time", exact=True)).to_have_value("04:45")
    expect(second.page.get_by_label("Keep all")).to_be_checked()
    second.press("Reset to defaults")
