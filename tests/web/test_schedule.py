"""The settings page: values, saving, and the confirmation of deletions."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django_q.models import Schedule

from tests.admin.pages import messages_of, text_of
from tests.web.conftest import SignIn
from tvarr_backup import conf
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.retention import Period
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.operations.models import BackupSettings, OperationKind, OperationState, Origin
from tvarr_backup.operations.schedule import change_settings
from tvarr_backup.operations.track import create_operation

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(signed_in: SignIn, folder: Path) -> Client:
    """The administrator's, with a backup folder of the test's own."""
    return signed_in()


@pytest.fixture
def three(folder: Path, attached: Path) -> list[str]:
    """Three automatic backups, oldest first."""
    live, required = conf.live_database(), conf.required_schema()
    return [create_backup(live, folder, required, kind=BackupKind.SCHEDULED).filename for _ in range(3)]


def filled_in(client: Client, **changes: str | None) -> dict[str, str]:
    """What a browser sends after these changes. `None` clears a field."""
    form = client.get("/settings/").context["form"]
    values = {name: form[name].value() for name in form.fields}
    values |= changes
    return {name: str(value) for name, value in values.items() if value is not None and value is not False}


def save(client: Client, **changes: str | None) -> Any:
    return client.post("/settings/", filled_in(client, **changes))


def stored() -> dict[str, Any]:
    row = BackupSettings.load()
    return {name: getattr(row, name) for name in NOTHING}


NOTHING: dict[str, Any] = {
    "enabled": None,
    "cron": "",
    "time_zone": "",
    "keep": None,
    "keep_all": False,
    **dict.fromkeys(Period),
    "max_age": "",
}

# --- Showing ---------------------------------------------------------------------------------------------------------


def test_it_shows_the_sentence_and_the_next_three_times_in_the_zone(client: Client) -> None:
    change_settings({"cron": "30 4 * * *", "time_zone": "Asia/Kathmandu"})
    page = client.get("/settings/")
    assert "Every day at 04:30 (Asia/Kathmandu)." in text_of(page)
    assert text_of(page).count("04:30 +0545") == 3


def test_values_of_the_environment_are_shown_with_their_variable(client: Client, settings: Any) -> None:
    names = [f"TVARR_BACKUP_SCHEDULE{name}" for name in ("_ENABLED", "_CRON", "_RETENTION", "_MAX_AGE")]
    names += [f"TVARR_BACKUP_SCHEDULE_RETENTION_{period.upper()}" for period in Period]
    settings.SET_VARIABLES = frozenset(names)
    text = text_of(client.get("/settings/"))
    for name in names:
        assert f"From the environment: {name}" in text
    change_settings({"cron": "0 3 * * *"})
    assert "TVARR_BACKUP_SCHEDULE_CRON" not in text_of(client.get("/settings/"))
    for value in (str(settings.BACKUP_DIRECTORY), "TVARR_BACKUP_DIRECTORY"):
        assert value in text


def test_variables_that_are_not_set_are_not_shown(client: Client, settings: Any) -> None:
    settings.SET_VARIABLES = frozenset({"TVARR_BACKUP_SCHEDULE_CRON"})
    text = text_of(client.get("/settings/"))
    assert text.count("From the environment:") == 1
    assert "From the environment: TVARR_BACKUP_SCHEDULE_CRON" in text


def test_only_stored_settings_can_be_reset(client: Client) -> None:
    assert "Reset to defaults" not in text_of(client.get("/settings/"))
    change_settings({"keep": 3})
    assert "Reset to defaults" in text_of(client.get("/settings/"))


def test_the_result_of_the_last_automatic_backup_is_shown(client: Client) -> None:
    assert "No automatic backups yet." in text_of(client.get("/settings/"))
    operation = create_operation(OperationKind.BACKUP, origin=Origin.SCHEDULE, state=OperationState.QUEUED)
    operation.state, operation.error = OperationState.FAILED, "The backup folder is full."
    operation.save()
    text = text_of(client.get("/settings/"))
    assert "failed. The backup folder is full." in text


def test_a_viewer_sees_values_and_no_button(signed_in: SignIn, folder: Path) -> None:
    client = signed_in("Viewer")
    page = client.get("/settings/")
    assert "Retention: the newest 7 automatic backups." in text_of(page)
    change_settings({"weekly": 4, "max_age": "90d"})
    text = text_of(client.get("/settings/"))
    assert "Retention: the newest 7 automatic backups, plus 4 weekly, at most 90d old." in text
    assert "<form" not in page.content.decode().partition("<main")[2]


@pytest.mark.parametrize("group", ["", "Viewer", "Operator"])
def test_who_may_not_change_them_is_refused(signed_in: SignIn, folder: Path, group: str) -> None:
    client = signed_in(group)
    assert client.post("/settings/", {"often": "day"}).status_code == 403
    assert client.post("/settings/reset/").status_code == 403
    assert client.get("/settings/preview/").status_code == 403
    assert client.get("/settings/").status_code == (200 if group else 403)
    assert stored() == NOTHING


# --- Saving ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "cron"),
    [
        ({"often": "day", "at": "03:30"}, "30 3 * * *"),
        ({"often": "week", "day": "WED", "at": "23:59"}, "59 23 * * WED"),
        ({"often": "hours", "hours": "6", "at": "01:15"}, "15 1,7,13,19 * * *"),
        ({"often": "cron", "cron": " 0 0 2 1 * * "}, "0 2 1 * *"),
    ],
)
def test_times_are_stored_and_planned(client: Client, changes: dict[str, str], cron: str) -> None:
    answer = save(client, **changes)
    assert answer.url == "/settings/"
    assert stored() == NOTHING | {"cron": cron}
    assert messages_of(answer)[0].startswith("Settings saved. ")
    assert Schedule.objects.get(name="scheduled-backup").next_run > datetime.now(UTC)


def test_what_was_not_changed_goes_on_following_the_environment(client: Client) -> None:
    answer = save(client)
    assert (messages_of(answer), stored()) == (["Nothing was changed."], NOTHING)
    save(client, keep="3")
    assert stored() == NOTHING | {"keep": 3}


@pytest.mark.parametrize("cron", ["0 */6 * * *", "05 4 * * 7", "0 2 1 * *"])
def test_a_time_that_was_not_changed_stays_as_it_was_written(client: Client, cron: str) -> None:
    change_settings({"cron": cron})
    save(client, max_age="30d")
    assert stored() == NOTHING | {"cron": cron, "max_age": "30d"}


def test_off_and_on_again(client: Client) -> None:
    answer = save(client, enabled=None)
    assert messages_of(answer)[0].startswith("Settings saved. ")
    assert (stored()["enabled"], Schedule.objects.exists()) == (False, False)
    save(client, enabled="on")
    assert (stored()["enabled"], Schedule.objects.exists()) == (True, True)


def test_keep_all_is_a_choice_of_its_own_and_the_number_stays(client: Client) -> None:
    save(client, keep="3")
    save(client, keeping="all", keep="")
    assert (stored()["keep_all"], stored()["keep"]) == (True, 3)
    save(client, keeping="newest", keep="3")
    assert (stored()["keep_all"], stored()["keep"]) == (False, 3)


def test_numbers_of_periods_are_stored_and_an_empty_one_is_the_default(client: Client, settings: Any) -> None:
    settings.BACKUP_RETENTION_WEEKLY = 4
    assert [filled_in(client)[period] for period in Period] == ["0", "4", "0", "0"]
    save(client, daily="7", weekly="0")
    assert stored() == NOTHING | {"daily": 7, "weekly": 0}
    save(client, daily="", weekly=None)
    assert stored() == NOTHING


def test_an_age_and_none_again(client: Client, settings: Any) -> None:
    settings.BACKUP_MAX_AGE = timedelta(days=30)
    assert filled_in(client)["max_age"] == "30d"
    save(client, max_age="")
    assert stored()["max_age"] == "none"


def test_of_two_who_change_different_things_both_succeed(client: Client) -> None:
    earlier = filled_in(client, at="03:30")
    save(client, keep="3")
    client.post("/settings/", earlier)
    assert stored() == NOTHING | {"cron": "30 3 * * *", "keep": 3}


@pytest.mark.parametrize("before", ["", "{", "[]", "[" * 5000, json.dumps({"cron": 7, "keep": []})])
def test_a_spoiled_form_stores_all_that_it_says(client: Client, before: str) -> None:
    answer = save(client, before=before, keep="3")
    assert answer.status_code == 302
    assert stored() == {
        "enabled": True,
        "cron": "0 2 * * *",
        "time_zone": "UTC",
        "keep": 3,
        "keep_all": False,
        "max_age": "none",
    } | dict.fromkeys(Period, 0)


def test_back_to_the_environment(client: Client) -> None:
    change_settings(
        {"enabled": False, "cron": "0 3 * * *", "keep_all": True, "max_age": "30d", "time_zone": "Asia/Tokyo"}
        | dict.fromkeys(Period, 3)
    )
    answer: Any = client.post("/settings/reset/")
    assert answer.url == "/settings/"
    assert stored() == NOTHING


# --- Invalid values --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"often": "day", "at": "25:00"}, "at", "Expected a time from 00:00 to 23:59"),
        ({"often": "day", "at": ""}, "at", "Expected a time from 00:00 to 23:59"),
        ({"often": "week", "day": "XYZ"}, "day", "Select a valid choice. XYZ is not one of the available choices."),
        ({"often": "week", "day": ""}, "day", "Select one."),
        ({"often": "hours", "hours": "5"}, "hours", "Select a valid choice. 5 is not one of the available choices."),
        (
            {"often": "cron", "cron": "x y"},
            "cron",
            'Expected five cron fields that match some date, such as "0 2 * * 1,4"',
        ),
        (
            {"often": "cron", "cron": ""},
            "cron",
            'Expected five cron fields that match some date, such as "0 2 * * 1,4"',
        ),
        ({"often": "sometimes"}, "often", "Select a valid choice. sometimes is not one of the available choices."),
        ({"time_zone": "Mars/Base"}, "time_zone", 'Expected a time zone such as "Europe/Berlin", got'),
        ({"time_zone": ""}, "time_zone", "This field is required."),
        ({"keep": "0"}, "keep", "Expected a whole number from 1 to 100000"),
        ({"keep": "2.5"}, "keep", "Expected a whole number from 1 to 100000"),
        ({"keep": "³"}, "keep", "Expected a whole number from 1 to 100000"),
        ({"keep": ""}, "keep", "Expected a whole number from 1 to 100000"),
        ({"daily": "-1"}, "daily", "Expected a whole number from 0 to 100000, got"),
        ({"weekly": "few"}, "weekly", "Expected a whole number from 0 to 100000, got"),
        ({"yearly": "9" * 20}, "yearly", "Expected a whole number from 0 to 100000, got"),
        ({"max_age": "soon"}, "max_age", "Expected a duration from 1h to 9999w such as"),
        ({"max_age": "0h"}, "max_age", "Expected a duration from 1h to 9999w such as"),
    ],
)
def test_an_invalid_value_is_refused_next_to_its_field_and_the_form_is_kept(
    client: Client, changes: dict[str, str], field: str, words: str
) -> None:
    change_settings({"cron": "0 3 * * *"})
    sent = filled_in(client, **({"max_age": "12h"} | changes))
    page = client.post("/settings/", sent)
    assert page.status_code == 200
    form = page.context["form"]
    assert list(form.errors) == [field]
    assert words in text_of(page)
    assert {name: str(form[name].value()) for name in sent} == sent
    assert stored() == NOTHING | {"cron": "0 3 * * *"}


def test_what_was_not_chosen_is_not_judged(client: Client) -> None:
    assert (
        save(client, often="day", cron="x y", day="", hours="", keeping="all", keep="many", daily="many").status_code
        == 302
    )


def test_two_mistakes_are_told_at_once(client: Client) -> None:
    page = save(client, time_zone="Mars/Base", keep="0", at="noon")
    assert sorted(page.context["form"].errors) == ["at", "keep", "time_zone"]


# --- Deletions -------------------------------------------------------------------------------------------------------


def test_settings_that_delete_backups_need_a_confirmation(client: Client, three: list[str]) -> None:
    page = save(client, keep="1")
    text = text_of(page)
    assert page.status_code == 200
    assert "Delete 2 backups?" in text
    assert "Nothing has been saved yet." in text
    assert "the next cleanup deletes these backups permanently" in text
    assert stored() == NOTHING


def test_who_agrees_to_what_was_shown_saves(client: Client, three: list[str]) -> None:
    page = save(client, keep="1")
    agreed = dict(page.context["sent"]) | {"agreed": page.context["outlook"].agreement}
    assert client.post("/settings/", agreed).status_code == 302
    assert stored() == NOTHING | {"keep": 1}


def test_who_agreed_to_less_is_asked_again(client: Client, three: list[str], folder: Path) -> None:
    page = save(client, keep="1")
    agreed = dict(page.context["sent"]) | {"agreed": page.context["outlook"].agreement}
    create_backup(conf.live_database(), folder, conf.required_schema(), kind=BackupKind.SCHEDULED)
    assert "Delete 3 backups?" in text_of(client.post("/settings/", agreed))
    assert stored() == NOTHING


def test_keep_editing_keeps_the_form(client: Client, three: list[str]) -> None:
    page = save(client, keep="1", at="03:30")
    back = client.post("/settings/", dict(page.context["sent"]) | {"agreed": "x", "preview": "yes"})
    assert (back.context["form"]["keep"].value(), back.context["form"]["at"].value()) == ("1", "03:30")
    assert "would delete 2 backups" in text_of(back)
    assert stored() == NOTHING


def test_numbers_of_periods_are_sent_again_with_the_confirmation(client: Client, three: list[str]) -> None:
    page = save(client, keep="1", daily="2")
    assert "Delete 2 backups?" in text_of(page)
    assert page.context["sent"].count(("daily", "2")) == 1


def test_what_goes_anyway_is_not_asked_about(client: Client, three: list[str]) -> None:
    change_settings({"keep": 1})
    assert save(client, at="03:30").status_code == 302


def test_a_reset_that_deletes_backups_needs_a_confirmation(client: Client, three: list[str], settings: Any) -> None:
    settings.BACKUP_RETENTION = 1
    change_settings({"keep_all": True})
    page = client.post("/settings/reset/")
    assert "Delete 2 backups?" in text_of(page)
    assert client.post("/settings/reset/", {"agreed": page.context["outlook"].agreement}).status_code == 302
    assert stored() == NOTHING


def test_a_backup_folder_that_cannot_be_read_is_told_and_the_settings_can_be_saved(
    client: Client, settings: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    settings.BACKUP_DIRECTORY = tmp_path / "file"
    part = client.get("/settings/preview/", filled_in(client, keep="3"))
    assert str(tmp_path / "file") in text_of(part)
    assert save(client, keep="3").status_code == 302


def test_a_look_does_not_read_the_backups(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tvarr_backup.operations.cleanup.read_folder", None)
    assert client.get("/settings/").status_code == 200


# --- Effect ----------------------------------------------------------------------------------------------------------


def test_the_next_times_are_told_before_anything_is_saved(client: Client) -> None:
    part = client.get("/settings/preview/", filled_in(client, often="week", day="MON", at="05:00"))
    assert "Every Monday at 05:00 (UTC)." in text_of(part)
    assert "<html" not in part.content.decode()
    assert stored() == NOTHING


def test_the_effect_includes_deletions(client: Client, three: list[str]) -> None:
    part = client.get("/settings/preview/", filled_in(client, keep="2"))
    assert "The next cleanup would delete 1 backup (" in text_of(part)


def test_the_effect_includes_what_a_period_keeps(client: Client, three: list[str], folder: Path) -> None:
    path = folder / three[0].replace(".db.gz", ".meta.json")
    metadata = json.loads(path.read_text())
    path.write_text(json.dumps(metadata | {"created_at": "2026-01-05T02:00:00Z"}))
    part = client.get("/settings/preview/", filled_in(client, keep="1", monthly="2"))
    assert "The next cleanup would delete 1 backup (" in text_of(part)
    part = client.get("/settings/preview/", filled_in(client, keep="1", monthly="1"))
    assert "The next cleanup would delete 2 backups (" in text_of(part)


def test_the_effect_of_an_invalid_number_of_a_period_stands_beside_it(client: Client) -> None:
    part = client.get("/settings/preview/", filled_in(client, weekly="few"))
    assert "This cannot be saved yet: Weeks: Expected a whole number from 0 to 100000" in text_of(part)
    assert "innerHTML:#deletions" in part.content.decode()


def test_the_effect_of_an_invalid_form_lists_its_errors(client: Client) -> None:
    part = client.get("/settings/preview/", filled_in(client, at="25:00"))
    assert "This cannot be saved yet: Time: Expected a time" in text_of(part)
    assert "innerHTML:#next-runs" in part.content.decode()
    assert "innerHTML:#deletions" not in part.content.decode()  # the last valid effect stays


def test_without_scripts_a_button_shows_the_effect(client: Client) -> None:
    page = client.post("/settings/", filled_in(client, often="week", day="MON", at="05:00") | {"preview": "yes"})
    assert "Every Monday at 05:00 (UTC)." in text_of(page)
    assert page.context["form"]["day"].value() == "MON"
    assert stored() == NOTHING
