"""Tasks for tests of the worker; each writes down that it was begun, and how it ended, in a folder."""

import os
import signal
import time
from pathlib import Path

from tvarr_backup.operations import track


def nap(folder: str, name: str, seconds: float) -> None:
    """Work for so long, or until told to end."""
    _note(folder, f"{name} begun")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if track.stop_flag.is_set:
            _note(folder, f"{name} told")
            raise RuntimeError("told to end")
        time.sleep(0.05)
    _note(folder, f"{name} done")


def sleep_deafly(folder: str, name: str, seconds: float) -> None:
    """Work for so long whatever is said."""
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    _note(folder, f"{name} begun")
    time.sleep(seconds)
    _note(folder, f"{name} done")


def notes(folder: Path) -> list[str]:
    """What tasks have written down so far, in that order."""
    path = folder / "notes"
    return path.read_text().splitlines() if path.exists() else []


def _note(folder: str, line: str) -> None:
    with (Path(folder) / "notes").open("a") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
