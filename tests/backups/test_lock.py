"""The lock of a backup folder."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest

from tests.installation import ROOT
from tvarr_backup.backups.lock import LOCK_NAME, backup_lock, lock_file
from tvarr_backup.errors import BackupBusy

HOLDER = """
import sys, time
from pathlib import Path
from threading import Timer
from tvarr_backup.backups.lock import backup_lock
with backup_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def hold_elsewhere(folder: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_holder_is_refused_at_once_and_let_in_afterwards(tmp_path: Path) -> None:
    with (
        backup_lock(tmp_path),
        pytest.raises(BackupBusy, match=f"is using the backup folder {tmp_path}"),
        backup_lock(tmp_path),
    ):
        pass
    with backup_lock(tmp_path):
        pass


def test_another_process_is_refused_too(tmp_path: Path) -> None:
    process = hold_elsewhere(tmp_path)
    with pytest.raises(BackupBusy), backup_lock(tmp_path):
        pass
    process.kill()
    process.communicate()


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    process = hold_elsewhere(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with backup_lock(tmp_path):
        pass


def test_the_file_stays_and_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with backup_lock(tmp_path):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / LOCK_NAME).stat().st_mode) == 0o600


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"), backup_lock(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_failure_inside_gives_it_back(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), backup_lock(tmp_path):
        raise ZeroDivisionError
    with backup_lock(tmp_path):
        pass


def test_a_lock_that_is_given_back_in_time_is_waited_for(tmp_path: Path) -> None:
    first = lock_file(tmp_path / "file")
    Timer(0.2, os.close, [first]).start()
    os.close(lock_file(tmp_path / "file", patience_seconds=30))
