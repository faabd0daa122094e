"""Each step of a restore is on disk before the next one relies on it, whatever SQLite's defaults are."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.backups.makers import ours
from tvarr_backup.backups import live as live_database
from tvarr_backup.backups.live import copy_into, holds
from tvarr_backup.backups.progress import no_progress
from tvarr_backup.backups.restore_journal import Unfinished, rewrite_journal, write_journal
from tvarr_backup.backups.sqlite import open_database

_OFF, _FULL = 0, 2


@pytest.fixture
def synchronous(monkeypatch: pytest.MonkeyPatch) -> dict[Path, int]:
    """How the last connection to each database wrote in the end; each begins without syncing anything."""
    found: dict[Path, int] = {}

    @contextmanager
    def opened(path: Path, **options: Any) -> Iterator[sqlite3.Connection]:
        with open_database(path, **options) as connection:
            connection.execute(f"PRAGMA synchronous={_OFF}")
            yield connection
            (found[path],) = connection.execute("PRAGMA synchronous").fetchone()

    monkeypatch.setattr(live_database, "open_database", opened)
    return found


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files and folders that were synced, in their order."""
    found: list[Path] = []
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        found.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return found


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return ours(tmp_path / "live.db")


def test_the_commit_of_a_restore_is_synced(live: Path, tmp_path: Path, synchronous: dict[Path, int]) -> None:
    copy_into(ours(tmp_path / "staged.db"), live, lambda: None, no_progress)
    assert synchronous[live] == _FULL


def test_the_commit_that_settles_a_restore_is_synced(live: Path, synchronous: dict[Path, int]) -> None:
    assert holds(live, 1) is False
    assert synchronous[live] == _FULL


def test_whether_a_restore_happened_is_settled_by_a_commit(live: Path) -> None:
    with closing(sqlite3.connect(live)) as other:
        before = other.execute("PRAGMA data_version").fetchone()
        holds(live, 1)
        assert other.execute("PRAGMA data_version").fetchone() != before


def test_what_recovery_must_know_is_on_disk_with_its_name(tmp_path: Path, synced: list[Path]) -> None:
    write_journal(tmp_path, _unfinished())
    (state,) = (tmp_path / "restore").iterdir()
    assert synced == [state, state.parent, tmp_path]


def test_so_is_what_it_must_know_anew(tmp_path: Path, synced: list[Path]) -> None:
    write_journal(tmp_path, _unfinished())
    synced.clear()
    rewrite_journal(tmp_path, _unfinished())
    (state,) = (tmp_path / "restore").iterdir()
    assert synced == [state.with_name(f".{state.name}.new"), state.parent]


def _unfinished() -> Unfinished:
    return Unfinished(1, "live.db", "a backup", "a safety backup", "2026-03-01T18:00:00+00:00")
