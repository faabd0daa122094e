"""When rehearsals are due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.operations.elsewhere import queued
from tests.operations.test_run import made
from tvarr_backup.locations.addresses import LocationKind
from tvarr_backup.locations.encryption import new_key
from tvarr_backup.operations import locations
from tvarr_backup.operations.models import (
    BackupSettings,
    Location,
    Operation,
    OperationKind,
    OperationState,
    Origin,
    Rehearsal,
)
from tvarr_backup.operations.rehearsal_schedule import find_due, request_due
from tvarr_backup.operations.run import run_here
from tvarr_backup.operations.track import create_operation

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("attached", "backup")]

FIRST = datetime(2026, 11, 2, 4, 10, tzinfo=UTC)
"""A night after the first operation."""


@pytest.fixture(autouse=True)
def backup(attached: Path, folder: Path) -> str:
    """A backup, made a day before."""
    name = made()
    Operation.objects.update(created_at=FIRST - timedelta(days=1))
    return name


def rehearsed(due_at: datetime, state: OperationState = OperationState.SUCCEEDED, location: str = "") -> None:
    """A rehearsal that has ended."""
    operation = create_operation(
        OperationKind.REHEARSE,
        origin=Origin.SCHEDULE,
        state=OperationState.RUNNING,
        due_at=due_at,
        arguments={"location": location},
    )
    Operation.objects.filter(pk=operation.pk).update(state=state)


def is_due(now: datetime) -> bool:
    return find_due(now) is not None


def test_the_first_one_is_due_in_the_first_night() -> None:
    assert not is_due(FIRST - timedelta(minutes=1))
    assert is_due(FIRST)
    due = find_due(FIRST + timedelta(hours=9))
    assert due is not None
    assert (due.location, due.due_at) == (None, FIRST)


def test_the_next_one_is_due_after_a_week() -> None:
    rehearsed(FIRST)
    assert not is_due(FIRST + timedelta(days=6, hours=23))
    assert is_due(FIRST + timedelta(days=7))


def test_missed_nights_are_made_up_once() -> None:
    rehearsed(FIRST)
    now = FIRST + timedelta(days=30, hours=5)
    due = find_due(now)
    assert due is not None
    assert due.due_at == FIRST + timedelta(days=30)
    rehearsed(due.due_at)
    assert not is_due(now + timedelta(days=6))


def test_a_failed_one_is_repeated_the_next_night(backup: str) -> None:
    rehearsed(FIRST, OperationState.FAILED)
    Rehearsal.objects.create(
        place=Rehearsal.LOCAL, filename=backup, ended_at=FIRST, seconds=1, error_code="no_room", operation="x"
    )
    assert not is_due(FIRST + timedelta(hours=12))
    assert is_due(FIRST + timedelta(days=1))


def test_an_interrupted_one_is_repeated_three_times_at_most() -> None:
    for attempts in range(1, 4):
        rehearsed(FIRST, OperationState.INTERRUPTED)
        assert is_due(FIRST + timedelta(hours=1)) is (attempts < 3)


def test_the_interval_is_a_setting(settings: Any) -> None:
    rehearsed(FIRST)
    settings.BACKUP_REHEARSAL_INTERVAL = timedelta(days=1)
    assert is_due(FIRST + timedelta(days=1))
    BackupSettings.load(rehearsal_interval="30d").save()
    assert not is_due(FIRST + timedelta(days=29))
    assert is_due(FIRST + timedelta(days=30))


@pytest.mark.parametrize("columns", [{"rehearsal_interval": "none"}, {"enabled": False}])
def test_there_is_none_while_it_is_off(columns: dict[str, Any]) -> None:
    BackupSettings.load(**columns).save()
    assert not is_due(FIRST)


@pytest.mark.parametrize("kind", [OperationKind.BACKUP, OperationKind.REHEARSE])
def test_it_waits_for_an_open_operation(kind: OperationKind) -> None:
    queued(kind)
    assert not is_due(FIRST)


def test_without_a_good_backup_there_is_none(folder: Path) -> None:
    for path in folder.glob("tvarr-backup-*"):
        path.unlink()
    assert not is_due(FIRST)


def test_it_is_queued_once() -> None:
    request_due()
    request_due()
    operation = Operation.objects.get(kind=OperationKind.REHEARSE)
    assert (operation.state, operation.origin, operation.arguments) == ("queued", "schedule", {"location": ""})


@pytest.fixture
def nas(tmp_path: Path) -> Location:
    """A location with a copy."""
    path = tmp_path / "nas"
    path.mkdir()
    added = locations.add_location("nas", LocationKind.FOLDER, {"path": str(path)})
    for kind in (OperationKind.TEST_LOCATION, OperationKind.COPY):
        run_here(kind, origin=Origin.COMMAND, arguments={"location": str(added.pk)})
    added.refresh_from_db()
    return added


def test_locations_come_after_the_backup_folder(nas: Location) -> None:
    rehearsed(FIRST)
    due = find_due(FIRST + timedelta(hours=1))
    assert due is not None
    assert due.location == nas
    rehearsed(FIRST, location=str(nas.pk))
    assert not is_due(FIRST + timedelta(hours=1))


@pytest.mark.parametrize("state", ["failing", "paused", "without its identity"])
def test_a_location_that_cannot_be_read_is_left_out(nas: Location, state: str) -> None:
    rehearsed(FIRST)
    changes: dict[str, dict[str, Any]] = {
        "failing": {"failing_since": FIRST},
        "paused": {"is_enabled": False},
        "without its identity": {"recipient": new_key().recipient, "is_key_saved": True},
    }
    Location.objects.update(**changes[state])
    assert not is_due(FIRST + timedelta(hours=1))
