"""Backups while two processes write at full speed."""

from __future__ import annotations

import time
from pathlib import Path

from tests.backups.makers import required
from tests.backups.writers import what_is_wrong, writing
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.sidecar import BackupKind


def test_a_backup_holds_every_commit_from_before_it_and_no_half_of_one(folder: Path, tmp_path: Path) -> None:
    wrong: list[str] = []
    backups = 0
    with writing(tmp_path, mebibytes=4) as writers:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            before = writers.acknowledged()
            made = create_backup(writers.database, folder, required(), kind=BackupKind.MANUAL)
            wrong += what_is_wrong(folder / made.filename, before, writers.begun(), tmp_path / "unpacked.db")
            backups += 1
        standstill = writers.standstill_seconds()
    assert not wrong
    assert backups > 2
    assert standstill < 2
