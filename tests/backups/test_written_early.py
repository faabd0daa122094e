"""Files that are synced while they are written."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from tvarr_backup.backups.durable import create_private, written_early


def test_what_the_disk_refuses_meanwhile_is_raised() -> None:
    reading, writing = os.pipe()  # a pipe cannot be synced
    try:
        with pytest.raises(OSError, match="Invalid argument"), written_early(writing):
            time.sleep(0.3)
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("seconds", [0, 0.3])
def test_a_failure_of_the_filling_goes_on_and_no_thread_is_left(tmp_path: Path, seconds: float) -> None:
    before = set(threading.enumerate())
    descriptor = create_private(tmp_path / "file")

    def fill() -> None:
        with written_early(descriptor):
            os.write(descriptor, b"something")
            time.sleep(seconds)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill()
    assert set(threading.enumerate()) <= before
    os.close(descriptor)
