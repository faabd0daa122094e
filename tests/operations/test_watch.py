"""Watching: which messages are stored, and that they are stored together with what they report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django_q.models import Schedule

from tests.factories import UserFactory
from tests.operations.alert_makers import NOON, ended, stored, webhook
from tvarr_backup.backups.folder import work_in
from tvarr_backup.operations.alert_models import PING, Alert, AlertEvent, MessageState, OutboxMessage, Receiver
from tvarr_backup.operations.alert_problems import look_at
from tvarr_backup.operations.health import check_health
from tvarr_backup.operations.heartbeat import Heartbeat, SenderHeartbeat
from tvarr_backup.operations.models import (
    ImportRecord,
    ImportState,
    Location,
    Operation,
    OperationKind,
    OperationState,
    Origin,
)
from tvarr_backup.operations.outbox import queue_message
from tvarr_backup.operations.schedule import plan_next_run
from tvarr_backup.operations.track import create_operation
from tvarr_backup.operations.watch import Watcher

pytestmark = pytest.mark.django_db

_QUEUE_MESSAGE = "tvarr_backup.operations.watch.queue_message"

FAILED, INTERRUPTED, SUCCEEDED = OperationState.FAILED, OperationState.INTERRUPTED, OperationState.SUCCEEDED


@pytest.fixture(autouse=True)
def _storage(tmp_path: Path, settings: Any) -> None:
    settings.STORAGE_BASE_DIR = tmp_path
    settings.NOTIFY_NAME = "attic"


def notice(watcher: Watcher | None = None) -> None:
    (watcher or Watcher()).notice_endings(NOON)


# --- What operations leave behind ------------------------------------------------------------------------------------


def test_a_failed_backup_is_reported_once_and_so_is_its_end() -> None:
    webhook("phone")
    ended()
    notice()
    ended()  # the next attempt fails, too
    notice()
    assert stored() == [("phone", "backup_failed", False)]
    ended(state=SUCCEEDED)
    ended(state=SUCCEEDED)
    notice()
    assert stored()[1:] == [("phone", "backup_failed", True)]
    assert not Alert.objects.exists()


def test_everything_that_has_ended_is_noticed_once() -> None:
    for kind in (OperationKind.DELETE, OperationKind.BACKUP, OperationKind.PRUNE):
        ended(kind)
    notice()
    assert not Operation.objects.filter(is_noticed=False).exists()
    assert list(Alert.objects.values_list("event", flat=True)) == ["backup_failed"]


def test_an_open_operation_is_not_noticed() -> None:
    create_operation(OperationKind.BACKUP, origin=Origin.WEB, state=OperationState.RUNNING)
    notice()
    assert not Alert.objects.exists()


@pytest.mark.parametrize("state", [OperationState.CANCELLED, OperationState.ATTENTION])
def test_a_canceled_backup_and_one_with_warnings_are_not_failures(state: OperationState) -> None:
    ended(state=state)
    notice()
    assert not Alert.objects.exists()


def test_each_restore_is_reported_with_its_user() -> None:
    webhook("phone")
    user = UserFactory.create(username="marit")
    result = {"filename": "a.db.gz", "pre_restore_backup": {"filename": "b.db.gz"}}
    for _ in range(2):
        ended(OperationKind.RESTORE, SUCCEEDED, origin=Origin.WEB, requested_by=user, result=result)
    ended(OperationKind.RESTORE, FAILED, origin=Origin.WEB, arguments={"filename": "a.db.gz"})
    notice()
    assert stored() == [("phone", "restored", False)] * 2 + [("phone", "restore_failed", False)]
    text = OutboxMessage.objects.filter(event="restored").latest("pk").text
    assert "a.db.gz was restored" in text
    assert "marit, Web" in text
    assert "b.db.gz" in text


def test_an_undone_import_is_reported() -> None:
    webhook("phone")
    values = {"state": ImportState.APPLIED, "kind": "filters", "origin": Origin.WEB, "created_at": NOON}
    done = ImportRecord.objects.create(file_name="mine.json", **values)
    ImportRecord.objects.create(file_name="mine.json", is_undo=True, undoes=done, is_noticed=False, **values)
    notice()
    notice()
    assert stored() == [("phone", "import_undone", False)]


def test_without_a_receiver_the_problem_is_known_all_the_same() -> None:
    ended()
    notice()
    assert Alert.objects.get().key == "operation_backup"


def test_paused_receivers_get_nothing() -> None:
    webhook("phone", is_enabled=False)
    webhook("tablet")
    ended()
    notice()
    assert stored() == [("tablet", "backup_failed", False)]


def test_a_change_and_its_messages_are_stored_together_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    webhook("phone")
    webhook("tablet")
    ended()
    calls: list[object] = []

    def fail_at_the_second(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) > 1:
            raise OSError
        queue_message(*arguments)

    monkeypatch.setattr(_QUEUE_MESSAGE, fail_at_the_second)
    with pytest.raises(OSError):
        notice()
    assert (stored(), Alert.objects.count()) == ([], 0)
    monkeypatch.setattr(_QUEUE_MESSAGE, queue_message)
    notice()
    assert stored() == [("phone", "backup_failed", False), ("tablet", "backup_failed", False)]


# --- What looks find -------------------------------------------------------------------------------------------------


def judge(watcher: Watcher, times: int = 1) -> None:
    for _ in range(times):
        watcher.judge(check_health())


def test_a_dead_worker_is_reported_after_four_looks_and_its_return_after_two() -> None:
    webhook("phone")
    watcher = Watcher()
    judge(watcher, 3)
    assert stored() == []
    judge(watcher, 3)
    assert stored() == [("phone", "worker_stopped", False)]
    with Heartbeat():
        judge(watcher)
        assert len(stored()) == 1
        judge(watcher, 2)
    assert stored()[1:] == [("phone", "worker_stopped", True)]


def test_a_failing_location_is_reported_by_name() -> None:
    webhook("phone")
    values = {"kind": "folder", "options": {"path": "/mnt/nas"}, "created_at": NOON, "failing_since": NOON}
    Location.objects.create(name="nas", tested_at=NOON, error="It does not answer.", **values)
    Location.objects.create(name="new", error="It does not answer.", **values)
    with Heartbeat():
        judge(Watcher(), 2)
    assert stored() == [("phone", "copy_failed", False)]
    assert OutboxMessage.objects.get().key == "copy_failed:nas"
    assert "It does not answer." in OutboxMessage.objects.get().text


def test_another_damaged_backup_is_reported_and_the_same_one_is_not(folder: Path) -> None:
    webhook("phone")
    watcher = Watcher()
    with work_in(folder):
        pass
    with Heartbeat():
        (folder / "tvarr-backup-2026-11-01T00-00-00.db.gz").write_bytes(b"x")
        judge(watcher, 4)
        (folder / "tvarr-backup-2026-11-02T00-00-00.db.gz").write_bytes(b"x")
        judge(watcher, 2)
    assert stored() == [("phone", "backup_damaged", False)] * 2


def test_an_overdue_backup_is_reported_although_the_worker_is_dead() -> None:
    webhook("phone")
    plan_next_run()
    Schedule.objects.update(next_run=datetime.now(UTC) - timedelta(minutes=6))
    judge(Watcher(), 4)
    assert [event for _name, event, _is_over in stored()] == ["backup_overdue", "no_recent_backup", "worker_stopped"]


def test_a_failed_automatic_backup_is_one_problem_not_two() -> None:
    webhook("phone")
    ended(at=datetime.now(UTC))
    with Heartbeat():
        judge(Watcher(), 3)
    assert [event for _name, event, _is_over in stored() if event != "no_recent_backup"] == ["backup_failed"]


def test_the_queue_is_not_judged_while_the_worker_is_dead() -> None:
    assert "queue" not in look_at(check_health()).judged
    with Heartbeat():
        assert "queue" in look_at(check_health()).judged


def test_a_receiver_that_fails_is_reported_to_the_others() -> None:
    webhook("phone")
    webhook("tablet")
    Receiver.objects.filter(name="phone").update(failing_since=datetime.now(UTC) - timedelta(hours=2), failures=9)
    watcher = Watcher()
    with Heartbeat(), SenderHeartbeat():
        judge(watcher, 2)
    assert stored() == [("tablet", "receiver_failing", False)]


# --- Reminders -------------------------------------------------------------------------------------------------------


def test_a_reminder_goes_to_those_who_want_it() -> None:
    webhook("phone")
    webhook("tablet", reminds_daily=True)
    ended()
    watcher = Watcher()
    notice(watcher)
    watcher.notice_endings(NOON + timedelta(hours=25))
    watcher.notice_endings(NOON + timedelta(hours=26))
    assert stored()[2:] == [("tablet", "reminder", False)]


# --- Pings -----------------------------------------------------------------------------------------------------------


def monitor() -> Receiver:
    return Receiver.objects.create(name="ping", kind=PING, url="https://hc.example", created_at=NOON)


def test_an_automatic_backup_is_announced_when_it_starts_and_when_it_ends() -> None:
    monitor()
    running = create_operation(OperationKind.BACKUP, origin=Origin.SCHEDULE, state=OperationState.RUNNING, due_at=NOON)
    notice()
    notice()
    Operation.objects.filter(pk=running.pk).update(state=SUCCEEDED, is_noticed=False, finished_at=NOON)
    notice()
    assert stored() == [("ping", "backup_started", False), ("ping", "backup_succeeded", False)]


@pytest.mark.parametrize("state", [FAILED, INTERRUPTED, OperationState.CANCELLED])
def test_a_backup_that_was_not_made_is_a_failure_with_its_reason(state: OperationState) -> None:
    monitor()
    ended(state=state, reason="The disk is full.")
    notice()
    ping = OutboxMessage.objects.get()
    assert (ping.event, ping.text) == (AlertEvent.BACKUP_FAILED, "The disk is full.")


def test_a_backup_of_a_user_is_not_announced() -> None:
    monitor()
    ended(origin=Origin.WEB)
    ended(OperationKind.VERIFY)
    notice()
    assert stored() == []


def test_only_the_last_backup_is_news() -> None:
    monitor()
    ended()
    notice()
    ended()
    notice()
    assert list(OutboxMessage.objects.order_by("pk").values_list("state", flat=True)) == [
        MessageState.DROPPED,
        MessageState.WAITING,
    ]
