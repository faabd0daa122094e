"""Unusual names and files in the backup folder are listed, left alone, and never cause a failure."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.backups.makers import backup, required
from tvarr_backup.backups.catalogue import delete_backup, protect_backup, read_folder
from tvarr_backup.backups.folder import WORK_NAME, recover
from tvarr_backup.backups.retention import Policy, prune
from tvarr_backup.backups.verify import verify_backup

NOT_UTF8 = b"caf\xe9 \xff.db.gz"
ARCHIVE = "tvarr-backup-2020-01-01T00-00-00.db.gz"
SIDECAR = "tvarr-backup-2020-01-01T00-00-00.meta.json"


@pytest.fixture
def odd(folder: Path) -> Path:
    """A folder with all of them."""
    (folder / os.fsdecode(NOT_UTF8)).write_bytes(b"x")
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    (folder / "link").symlink_to("nowhere")
    os.mkfifo(folder / ARCHIVE)
    os.mkfifo(folder / SIDECAR)
    (folder / "tvarr-backup-2021-01-01T00-00-00.db.gz").mkdir()
    (folder / "tvarr-backup-2022-01-01T00-00-00.tar.gz").symlink_to("link")
    return folder


def test_they_are_listed_as_text_and_without_waiting(odd: Path) -> None:
    listing = read_folder(odd)
    assert sorted(listing.foreign) == [
        "caf\N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER}.db.gz",
        "folder",
        "link",
        "pipe",
    ]
    json.dumps(listing.foreign, ensure_ascii=False).encode()
    assert {broken.reason for broken in listing.broken} == {"it is not a regular file"}


def test_every_operation_works_beside_them(odd: Path, live: Path) -> None:
    before = set(os.listdir(os.fsencode(odd)))  # noqa: PTH208  # names as bytes
    made = backup(live, odd).filename
    assert protect_backup(odd, made, protected=False).filename == made
    assert verify_backup(odd, made, required()).problems == ()
    assert prune(odd, Policy(1)) == []
    delete_backup(odd, made)
    assert recover(odd) == []
    assert set(os.listdir(os.fsencode(odd))) == before  # noqa: PTH208  # the same


def test_what_is_left_over_under_such_a_name_is_removed_and_shown_as_text(odd: Path) -> None:
    (odd / WORK_NAME).mkdir(exist_ok=True)
    (odd / WORK_NAME / os.fsdecode(NOT_UTF8)).touch()
    (name,) = recover(odd)
    assert name == f"{WORK_NAME}/caf\N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER}.db.gz"
