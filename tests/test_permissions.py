"""Permissions of files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tvarr_backup.permissions import explain, name_user, why_unwritable

USER = os.geteuid()
needs_modes = pytest.mark.skipif(USER == 0, reason="root may write to everything")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "tvarr.db"
    path.touch()
    return path


def test_a_file_that_can_be_written_needs_no_explanation(database: Path) -> None:
    assert why_unwritable(database) == ""
    assert why_unwritable(database.with_name("missing.db")) == ""


def test_a_file_of_ours_is_explained_with_its_mode_and_chmod(database: Path) -> None:
    database.chmod(0o444)
    assert explain(database) == (
        f"It belongs to {name_user(USER)} with mode 0444, and this program runs as {name_user(USER)}. Run: chmod u+rw {database}"
    )


@pytest.mark.skipif(USER != 0, reason="only root can give files to another user")
def test_a_file_of_another_user_is_explained_with_both_users_and_chown(database: Path) -> None:
    os.chown(database, 65534, 65534)
    assert explain(database).startswith("It belongs to nobody (uid 65534) with mode 0644, and this program runs as ")
    assert explain(database).endswith(f"run as root: chown 0:0 {database}")


def test_the_command_for_a_folder_lets_it_be_entered(tmp_path: Path) -> None:
    assert explain(tmp_path).endswith(f"Run: chmod u+rwx {tmp_path}")


@needs_modes
def test_a_journal_that_cannot_be_written_is_named(database: Path) -> None:
    wal = Path(f"{database}-wal")
    wal.touch(mode=0o400)
    assert why_unwritable(database).startswith(f"{wal} cannot be written.")
