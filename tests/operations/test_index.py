"""The admin's index says what the folder says."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tvarr_backup import conf
from tvarr_backup.backups.catalogue import delete_backup, protect_backup, read_folder
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.names import new_name
from tvarr_backup.backups.sidecar import BackupKind, Checked, CheckLevel, encode_sidecar
from tvarr_backup.errors import BackupFolderUnusable
from tvarr_backup.operations.index import refresh_index
from tvarr_backup.operations.models import Backup

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("attached")]


@pytest.fixture
def first(folder: Path) -> str:
    """The file name of one real backup."""
    live, required = conf.live_database(), conf.required_schema()
    return create_backup(live, folder, required, kind=BackupKind.MANUAL, note="Hafen ⚓").filename


def another(folder: Path, number: int, **changes: Any) -> str:
    """One more backup: the first one's archive under another name, with its own sidecar."""
    model = read_folder(folder).backups[-1]
    created_at = model.sidecar.created_at + timedelta(days=number)
    name = new_name(created_at, ())
    os.link(folder / model.filename, folder / name.filename)
    changed = model.sidecar.with_changes(**({"created_at": created_at, "seq": 1 + number} | changes))
    (folder / name.sidecar).write_bytes(encode_sidecar(changed))
    return name.filename


def shown() -> list[tuple[str, str]]:
    return [(row.filename, row.state) for row in Backup.objects.all()]


def queries_of_a_refresh() -> int:
    with CaptureQueriesContext(connection) as queries:
        refresh_index()
    return len(queries)


def test_an_empty_folder_is_an_empty_index() -> None:
    refresh_index()
    assert shown() == []


def test_a_row_says_what_the_sidecar_says(folder: Path, first: str) -> None:
    refresh_index()
    (row,) = Backup.objects.all()
    (backup,) = read_folder(folder).backups
    sidecar = backup.sidecar
    assert sidecar.checked is not None
    assert (row.filename, row.kind, row.note, row.seq, row.created_at) == (
        first,
        "manual",
        "Hafen ⚓",
        1,
        sidecar.created_at,
    )
    assert (row.database_size, row.compressed_size) == (sidecar.database_size, sidecar.compressed_size)
    assert (row.protected, row.imported, row.state, row.problem) == (False, False, "checked", "")
    assert row.checked_at == sidecar.checked.at


def test_it_follows_every_change_of_the_folder(folder: Path, first: str) -> None:
    refresh_index()
    second = another(folder, 1)
    refresh_index()
    assert [name for name, _state in shown()] == [second, first]
    protect_backup(folder, second, protected=True, note="for good")
    refresh_index()
    assert (Backup.objects.get(pk=second).protected, Backup.objects.get(pk=second).note) == (True, "for good")
    delete_backup(folder, first)
    refresh_index()
    assert [name for name, _state in shown()] == [second]


def test_a_protection_with_an_end_is_shown_until_then(folder: Path, first: str) -> None:
    now = datetime.now(UTC)
    over = another(folder, 1, protected=True, protected_until=now - timedelta(hours=1))
    holds = another(folder, 2, protected=True, protected_until=now + timedelta(hours=1))
    refresh_index()
    rows = {row.filename: (row.protected, row.protected_until) for row in Backup.objects.all()}
    assert rows == {first: (False, None), over: (False, None), holds: (True, now + timedelta(hours=1))}


def test_each_state_is_shown(folder: Path, first: str) -> None:
    sidecar = read_folder(folder).backups[0].sidecar
    damaged = Checked(CheckLevel.FULL, sidecar.created_at, ("It is cut off.", "It is odd."))
    names = [
        another(folder, 1, checked=None),
        another(folder, 2, checked=damaged),
        another(folder, 3, schema="tvarr 999"),
        another(folder, 4, schema="tvarr 999", checked=damaged),
    ]
    (folder / "tvarr-backup-2026-03-01T10-30-00.db.gz").write_bytes(b"no sidecar")
    (folder / "holiday.jpg").write_bytes(b"foreign")
    refresh_index()
    states = dict(shown())
    assert [states[name] for name in [first, *names]] == ["checked", "not_checked", "damaged", "newer", "damaged"]
    assert Backup.objects.get(pk=names[1]).problem == "It is cut off.\nIt is odd."
    broken = Backup.objects.get(pk="tvarr-backup-2026-03-01T10-30-00.db.gz")
    assert (broken.state, broken.created_at, broken.database_size) == ("broken", None, None)
    assert "is missing" in broken.problem
    assert len(states) == 6


def test_the_order_is_that_of_the_catalogue(folder: Path, first: str) -> None:
    for number, seq in [(1, 5), (2, 0), (3, 0), (4, 3)]:
        another(folder, number, seq=seq)
    (folder / "tvarr-backup-2026-03-01T10-30-00.db.gz").write_bytes(b"no sidecar")
    refresh_index()
    catalogue = [backup.filename for backup in read_folder(folder).backups]
    assert [name for name, _state in shown()] == [*catalogue, "tvarr-backup-2026-03-01T10-30-00.db.gz"]


def test_where_nothing_has_changed_it_asks_only_for_the_index_the_known_schemas_and_the_disk(
    folder: Path, first: str
) -> None:
    another(folder, 1)
    refresh_index()
    assert queries_of_a_refresh() == 3


def test_three_hundred_backups_take_few_queries(folder: Path, first: str) -> None:
    for number in range(1, 300):
        another(folder, number)
    assert queries_of_a_refresh() < 10
    assert Backup.objects.count() == 300
    protect_backup(folder, first, protected=True)
    assert queries_of_a_refresh() <= 6
    for path in list(folder.glob("*.db.gz"))[:200]:
        path.unlink()
        path.with_name(path.name.replace(".db.gz", ".meta.json")).unlink()
    assert queries_of_a_refresh() <= 6
    assert Backup.objects.count() == 100


def test_a_folder_that_cannot_be_read_leaves_the_index_as_it_was(folder: Path, first: str, settings: Any) -> None:
    refresh_index()
    settings.BACKUP_DIRECTORY = folder / "missing" / "backups"
    with pytest.raises(BackupFolderUnusable):
        refresh_index()
    assert shown() == [(first, "checked")]
