"""Many backups of a larger database while two processes write at full speed, with cleanups in between."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.backups.makers import required
from tests.backups.writers import what_is_wrong, writing
from tests.faults.figures import Figures
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.retention import Policy, prune
from tvarr_backup.backups.sidecar import BackupKind

pytestmark = pytest.mark.long

SECONDS = 60


def test_no_acknowledged_commit_is_missing_from_any_backup(tmp_path: Path, figures: Figures) -> None:
    folder = prepare_folder(tmp_path / "backups")
    wrong: list[str] = []
    with writing(tmp_path, mebibytes=64) as writers:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            before = writers.acknowledged()
            made = create_backup(writers.database, folder, required(), kind=BackupKind.SCHEDULED)
            found = what_is_wrong(folder / made.filename, before, writers.begun(), tmp_path / "unpacked.db")
            prune(folder, Policy(3))
            figures.count("two writers at full speed", "64 MiB", backups=1, violations=len(found))
            wrong += found
        commits = sum(writers.acknowledged().values())
        longest, standstill = writers.longest_seconds(), writers.standstill_seconds()
    figures.count(
        "two writers at full speed",
        "64 MiB",
        commits=commits,
        longest_standstill_in_seconds=standstill,
        longest_commit_in_seconds=longest,
    )
    assert not wrong
    assert standstill < 5
