"""Whether the next automatic backups fit, with the cleanup after each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tvarr_backup.backups.catalogue import Backup, Listing
from tvarr_backup.backups.forecast import count_fitting
from tvarr_backup.backups.retention import Policy
from tvarr_backup.backups.sidecar import BackupKind, Checked, CheckLevel, Sidecar

NOW = datetime(2026, 11, 2, 2, tzinfo=UTC)
TIMES = [NOW + timedelta(days=day) for day in range(1, 8)]
MB = 10**6
USED, ARCHIVE = 100 * MB, 20 * MB
NEEDED = 123 * MB
"""For a copy and its archive, with the margin."""


def listing(count: int) -> Listing:
    backups = []
    for number in range(count):
        made = NOW - timedelta(days=number)
        sidecar = Sidecar(
            created_at=made,
            database_size=USED,
            compressed_size=ARCHIVE,
            checksum="",
            kind=BackupKind.SCHEDULED,
            seq=100 - number,
            checked=Checked(CheckLevel.QUICK, made),
        )
        backups.append(Backup(f"backup {number}", sidecar))
    return Listing(tuple(backups), (), ())


@pytest.mark.parametrize(
    ("free", "kept", "fitting"),
    [
        (NEEDED - 5 * MB, None, 0),
        (NEEDED, None, 1),
        (NEEDED + 21 * MB, None, 2),
        (NEEDED + 130 * MB, None, 7),
        (NEEDED, 3, 7),  # each new backup replaces one
        (NEEDED, 4, 1),  # the first one replaces none
        (NEEDED + ARCHIVE, 4, 7),
        (10**12, None, 7),
    ],
)
def test_the_backups_that_fit(free: int, kept: int | None, fitting: int) -> None:
    assert count_fitting(free, USED, listing(3), Policy(kept), TIMES) == fitting


def test_the_first_backup_is_assumed_to_pack_to_a_quarter() -> None:
    assert count_fitting(120 * MB, USED, listing(0), Policy(7), TIMES) == 0
    assert count_fitting(400 * MB, USED, listing(0), Policy(7), TIMES) == 7
