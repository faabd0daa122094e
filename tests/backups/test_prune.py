"""Cleanup in a real folder deletes exactly the backups that were announced."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.backups.makers import FOREIGN, NOW, backup, filenames, packed, state, tvarrs_new_backup, tvarrs_old_backup
from tvarr_backup.backups.catalogue import Backup, read_folder
from tvarr_backup.backups.lock import backup_lock
from tvarr_backup.backups.progress import Phase
from tvarr_backup.backups.retention import Policy, expired, prune
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.errors import BackupBusy

BAD = {"level": "full", "at": "2026-06-15T12:30:00Z", "problems": ["It is damaged."]}


def scheduled(live: Path, folder: Path, number: int) -> list[str]:
    """So many automatic backups, one a day up to now; the oldest first."""
    return [
        backup(live, folder, kind=BackupKind.SCHEDULED, now=NOW - timedelta(days=number - 1 - each)).filename
        for each in range(number)
    ]


def rewrite(folder: Path, filename: str, **changes: Any) -> None:
    """Change members of a sidecar, as time and other programs do."""
    path = folder / filename.replace(".db.gz", ".meta.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def names(backups: list[Backup]) -> list[str]:
    return [each.filename for each in backups]


@pytest.mark.parametrize(
    ("policy", "gone"),
    [
        (Policy(None), 0),
        (Policy(9), 0),
        (Policy(2), 3),
        (Policy(0), 4),
        (Policy(None, timedelta(days=2, hours=12)), 2),
        (Policy(4, timedelta(days=1, hours=12)), 3),
    ],
)
def test_what_is_announced_is_what_goes(live: Path, folder: Path, policy: Policy, gone: int) -> None:
    made = scheduled(live, folder, 5)
    announced = expired(read_folder(folder).backups, policy, NOW)
    assert names(announced) == made[:gone]
    assert prune(folder, policy, now=NOW) == announced
    assert filenames(folder) == made[gone:][::-1]
    assert len(state(folder)) == 2 + 2 * (5 - gone)
    assert prune(folder, policy, now=NOW) == []


def test_manual_protected_tvarrs_used_and_foreign_ones_stay(live: Path, folder: Path) -> None:
    manual = backup(live, folder, now=NOW - timedelta(days=99)).filename
    made = scheduled(live, folder, 4)
    rewrite(folder, made[0], protected=True)
    theirs = [tvarrs_old_backup(folder, live).name, tvarrs_new_backup(folder, live).name]
    packed(folder / FOREIGN, live)
    assert names(prune(folder, Policy(0, timedelta(0)), in_use={made[1]}, now=NOW)) == [made[2]]
    assert set(filenames(folder)) == {manual, made[0], made[1], made[3], *theirs}
    assert (folder / FOREIGN).exists()


def test_when_all_newer_ones_are_bad_the_last_good_one_stays(live: Path, folder: Path) -> None:
    made = scheduled(live, folder, 4)
    for filename in made[2:]:
        rewrite(folder, filename, checked=BAD)
    assert names(prune(folder, Policy(1, timedelta(0)), now=NOW)) == [made[0], made[2], made[3]]
    assert filenames(folder) == [made[1]]


def test_broken_ones_count_for_nothing_and_stay(live: Path, folder: Path) -> None:
    made = scheduled(live, folder, 5)
    (folder / made[4]).write_bytes(b"other size")
    (folder / made[3].replace(".db.gz", ".meta.json")).write_text("{")
    (folder / made[2]).unlink()
    before = state(folder)
    assert prune(folder, Policy(2), now=NOW) == []
    assert state(folder) == before
    assert names(prune(folder, Policy(1), now=NOW)) == [made[0]]


@pytest.mark.parametrize("days", [-365, 365])
def test_a_clock_that_is_a_year_off_removes_no_newer_one(live: Path, folder: Path, days: int) -> None:
    made = scheduled(live, folder, 3)
    newest = backup(live, folder, kind=BackupKind.SCHEDULED, now=NOW + timedelta(days=days)).filename
    assert names(prune(folder, Policy(2), now=NOW + timedelta(days=days))) == made[:2]
    assert filenames(folder) == [newest, made[2]]


def test_progress_is_told_before_each(live: Path, folder: Path) -> None:
    scheduled(live, folder, 4)
    seen: list[tuple[Phase, int, int]] = []
    prune(folder, Policy(1), now=NOW, progress=lambda *now: seen.append(now))
    assert seen == [(Phase.PRUNE, done, 3) for done in range(3)]


def test_it_is_refused_while_somebody_is_at_work(live: Path, folder: Path) -> None:
    scheduled(live, folder, 3)
    before = state(folder)
    with backup_lock(folder), pytest.raises(BackupBusy):
        prune(folder, Policy(1), now=NOW)
    assert state(folder) == before


def test_a_folder_that_is_missing_has_nothing_to_delete_and_is_not_created(tmp_path: Path) -> None:
    assert prune(tmp_path / "nowhere", Policy(1)) == []
    assert not (tmp_path / "nowhere").exists()


def test_a_deletion_that_broke_off_is_finished_and_does_not_count(live: Path, folder: Path) -> None:
    made = scheduled(live, folder, 3)
    (folder / made[2].replace(".db.gz", ".meta.json")).rename(folder / ".work" / f"{made[2]}.deleted")
    assert prune(folder, Policy(2), now=NOW) == []
    assert filenames(folder) == [made[1], made[0]]
    assert not (folder / made[2]).exists()
