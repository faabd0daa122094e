"""The texts of all messages. `pytest -s -k print` prints them for reading."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.operations.alert_makers import NOON
from tvarr_backup.operations.alert_models import AlertEvent
from tvarr_backup.operations.alert_texts import write_change, write_reminder
from tvarr_backup.operations.alerts import Change, ChangeKind, Held
from tvarr_backup.operations.outbox import Content
from tvarr_backup.sentences import Sentence

BEGAN, WORSE, OVER, HAPPENED = ChangeKind
_NOT_A_CHANGE = {AlertEvent.REMINDER, AlertEvent.TEST, AlertEvent.BACKUP_STARTED, AlertEvent.BACKUP_SUCCEEDED}
_SINGLE = {AlertEvent.RESTORED, AlertEvent.RESTORE_FAILED, AlertEvent.IMPORT_UNDONE}
EVENTS = [event for event in AlertEvent if event not in _NOT_A_CHANGE]


@pytest.fixture(autouse=True)
def _name(settings: Any) -> None:
    settings.NOTIFY_NAME = "attic"


def held(event: str = "worker_stopped", **changes: Any) -> Held:
    values: dict[str, Any] = {"since": NOON, "reminded_at": NOON, "message": Sentence("No worker is running.")}
    return Held("location:nas", event, **values | changes)


def write(kind: ChangeKind, event: str = "worker_stopped", before: Held | None = None, **changes: Any) -> Content:
    later = NOON + timedelta(hours=3)
    values: dict[str, Any] = {"message": Sentence("This is so now."), "at": later, "held": before}
    return write_change(Change(kind, "location:nas", event, **values | changes), later)


def test_a_problem_says_what_it_is() -> None:
    content = write(BEGAN)
    assert (content.subject, content.text) == ("No worker is running (tvarr-backup on attic)", "This is so now.")
    assert not content.is_over


def test_an_end_says_what_it_was_and_how_long_ago_it_was_reported() -> None:
    content = write(OVER, before=held())
    assert content.subject == "A worker is running again (tvarr-backup on attic)"
    assert content.text == ("This is so now.\n\nReported 3 hours earlier, on 2 Nov 2026, 12:00:\nNo worker is running.")
    assert content.is_over


def test_after_the_clock_was_put_back_no_duration_is_given() -> None:
    content = write(OVER, before=held(since=NOON + timedelta(days=9)))
    assert "\n\nReported on 11 Nov 2026, 12:00:\nNo worker" in content.text


def test_what_got_worse_says_since_when() -> None:
    assert write(WORSE, before=held()).text.endswith(
        "The problem was first reported on 2 Nov 2026, 12:00 and is now worse."
    )


def test_a_message_about_a_location_names_it() -> None:
    assert write(BEGAN, "copy_failed").subject.startswith("Copying to nas failed")


def test_a_reminder_lists_all_problems() -> None:
    content = write_reminder([held(), held()], NOON)
    assert content.subject == "Reminder: 2 problems have not ended (tvarr-backup on attic)"
    assert content.text.count("Reported on 2 Nov 2026, 12:00: No worker is running.") == 2


@pytest.mark.parametrize("event", EVENTS)
def test_each_event_has_its_own_titles(event: str) -> None:
    others = [other for other in EVENTS if other != event]
    assert write(BEGAN, event).subject not in [write(BEGAN, other).subject for other in others]
    assert write(OVER, event, held(event)).subject != write(BEGAN, event).subject


def test_an_event_of_a_newer_version_is_named_by_its_code() -> None:
    assert write(OVER, "new_event", held()).subject.startswith("new_event: OK again")
