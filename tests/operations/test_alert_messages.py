"""What users read: each kind of problem, made for real, with its message. `pytest -s` prints all of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django_q.models import Schedule

from tests.factories import UserFactory
from tests.operations.alert_makers import ended, webhook
from tvarr_backup import conf
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.room import estimate
from tvarr_backup.backups.sidecar import BackupKind, Checked, CheckLevel, encode_sidecar
from tvarr_backup.operations.alert_models import OutboxMessage, Receiver
from tvarr_backup.operations.health import check_health
from tvarr_backup.operations.heartbeat import Heartbeat, SenderHeartbeat
from tvarr_backup.operations.models import (
    ImportRecord,
    ImportState,
    Location,
    LocationCopy,
    OperationKind,
    OperationState,
    Origin,
)
from tvarr_backup.operations.outbox import queue_test
from tvarr_backup.operations.schedule import plan_next_run
from tvarr_backup.operations.watch import Watcher

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def phone(tmp_path: Path, settings: Any) -> Receiver:
    settings.STORAGE_BASE_DIR = tmp_path
    settings.NOTIFY_NAME = "attic"
    return webhook("phone", reminds_daily=True)


@pytest.fixture
def _worker() -> Iterator[None]:
    with Heartbeat():
        yield


def read() -> list[str]:
    """Print the messages, and return their subjects and texts."""
    found = []
    for message in OutboxMessage.objects.order_by("pk"):
        text = f"{message.subject}\n\n{message.text}"
        print(f"\n--- {message.event} {'(over) ' if message.is_over else ''}---\n{text}")  # noqa: T201  # for reading
        found.append(text)
    return found


def judge(watcher: Watcher, times: int = 2) -> None:
    with SenderHeartbeat():
        for _ in range(times):
            watcher.judge(check_health())


def make_backup(folder: Path, ago: timedelta = timedelta()) -> Any:
    now = datetime.now(UTC) - ago
    return create_backup(conf.live_database(), folder, conf.required_schema(), kind=BackupKind.SCHEDULED, now=now)


@pytest.mark.usefixtures("_worker")
def test_operations() -> None:
    user, now = UserFactory.create(username="marit"), datetime.now(UTC)
    watcher = Watcher()
    for kind in (OperationKind.BACKUP, OperationKind.VERIFY):
        ended(kind, reason="The disk is full. Unfinished files were removed.", at=now)
        ended(kind, OperationState.SUCCEEDED, at=now + timedelta(hours=5))
    ended(
        state=OperationState.INTERRUPTED,
        reason="The process ended during the phase.",
        origin=Origin.WEB,
        requested_by=user,
        at=now + timedelta(hours=10),
    )
    restored = {"filename": "tvarr-backup-2026-11-01T02-00-00.db.gz"}
    result = restored | {"pre_restore_backup": {"filename": "tvarr-backup-2026-11-02T10-00-00.db.gz"}}
    ended(OperationKind.RESTORE, OperationState.SUCCEEDED, origin=Origin.WEB, requested_by=user, result=result)
    ended(OperationKind.RESTORE, reason="The backup is damaged.", origin=Origin.COMMAND, arguments=restored)
    values: dict[str, Any] = {"state": ImportState.APPLIED, "kind": "filters", "origin": Origin.WEB, "created_at": now}
    done = ImportRecord.objects.create(file_name="mine.json", **values)
    ImportRecord.objects.create(
        is_undo=True, undoes=done, is_noticed=False, file_name="mine.json", requested_by=user, **values
    )
    watcher.notice_endings()
    watcher.notice_endings(datetime.now(UTC) + timedelta(hours=40))
    texts = read()
    assert len(texts) == 9
    assert any(text.startswith("Backup failed (tvarr-backup on attic)\n\nThe automatic backup of ") for text in texts)


def test_the_machine_was_off_for_three_days(folder: Path) -> None:
    make_backup(folder, timedelta(days=3))
    plan_next_run()
    Schedule.objects.update(next_run=datetime.now(UTC) - timedelta(days=2, hours=23))
    watcher = Watcher()
    with Heartbeat():
        judge(watcher)
        make_backup(folder)
        Schedule.objects.update(next_run=datetime.now(UTC) + timedelta(hours=23))
        judge(watcher)
    texts = read()
    assert len(texts) == 4
    assert "No recent backup" in texts[1]


def test_the_worker_is_dead_for_an_hour(folder: Path) -> None:
    make_backup(folder, timedelta(hours=23))
    plan_next_run()
    Schedule.objects.update(next_run=datetime.now(UTC) - timedelta(minutes=55))
    watcher = Watcher()
    judge(watcher, 5)
    with Heartbeat():
        Schedule.objects.update(next_run=datetime.now(UTC) + timedelta(hours=23))
        judge(watcher)
    texts = read()
    assert len(texts) == 4
    assert any(text.startswith("No worker is running") for text in texts)


@pytest.mark.usefixtures("_worker")
def test_the_disk_fills_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size, live = make_backup(folder).sidecar.compressed_size, check_health().observation.live
    assert live is not None
    assert live.used is not None
    watcher, needed = Watcher(), estimate(live.used + size)
    for free in (needed + 4 * size, needed // 2, 10**12):
        monkeypatch.setattr("tvarr_backup.operations.observe.free_bytes", lambda *_, free=free: free)
        monkeypatch.setattr("tvarr_backup.backups.room.free_bytes", lambda *_, free=free: free)
        judge(watcher)
    texts = read()
    assert texts[0].startswith("Disk will soon be full")
    subjects = {text.partition(" (")[0] for text in texts}
    assert subjects >= {"Problem with the backup folder", "Disk has enough room again", "Backup folder OK again"}


@pytest.mark.usefixtures("_worker")
def test_locations_and_damage(folder: Path) -> None:
    now, watcher = datetime.now(UTC), Watcher()
    values = {"kind": "folder", "options": {"path": "/mnt/nas"}, "created_at": now, "tested_at": now}
    nas = Location.objects.create(name="nas", failing_since=now, error="The server did not answer in time.", **values)
    Location.objects.create(name="attic", behind_since=now - timedelta(days=2), **values)
    LocationCopy.objects.create(
        location=nas, filename="tvarr-backup-2026-11-01T02-00-00.db.gz", size=1, checksum="", is_encrypted=False,
        sidecar="", described="", copied_at=now, problem="The checksum is wrong.",
    )  # fmt: skip
    backup = make_backup(folder)
    damaged = backup.sidecar.with_changes(checked=Checked(CheckLevel.FULL, now, ("Row 4 is gone.",), ()))
    (folder / backup.name.sidecar).write_bytes(encode_sidecar(damaged))
    judge(watcher)
    Location.objects.update(failing_since=None, behind_since=None, in_sync_at=now)
    LocationCopy.objects.all().delete()
    judge(watcher)
    texts = read()
    assert {text.partition(" (")[0] for text in texts} >= {
        "Copying to nas failed",
        "Copying to nas works again",
        "Location attic is behind",
        "Copy in nas damaged",
        "Backup damaged",
    }


def test_a_test_message(phone: Receiver) -> None:
    queue_test(phone)
    assert read() == [
        "Test message (tvarr-backup on attic)\n\nThis is a test message. Alerts about backups will be sent here."
    ]
