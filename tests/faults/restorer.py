"""A process that restores the backups named on its standard input and measures itself. Uses neither Django nor pytest.

    restorer.py LIVE FOLDER

Each line of its standard input is the file name of a backup, each line of its standard output the measures in JSON.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from pathlib import Path

from tvarr_backup.backups.restore import restore_backup
from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.schema import RequiredSchema

REQUIRED = RequiredSchema({}, "tvarr_backup", frozenset())


@dataclasses.dataclass(frozen=True)
class Measured:
    """A restore, and what it has left in this process and in the files; sizes in bytes."""

    problem: str
    """Why it failed; empty where it did not."""
    safety: str
    attention: list[str]
    seconds: float
    descriptors: int
    resident: int
    journal: int
    left: list[str]
    """The names in `.work`."""


def restore(live: Path, folder: Path, filename: str) -> Measured:
    """Restore, and measure without opening any file of the database."""
    problem, safety, attention = "", "", []
    started = time.monotonic()
    try:
        done = restore_backup(live, folder, filename, REQUIRED)
        safety, attention = done.safety.filename if done.safety else "", [str(sentence) for sentence in done.attention]
    except TvarrBackupError as raised:
        problem = f"{type(raised).__name__}: {raised}"
    seconds = time.monotonic() - started
    return Measured(
        problem=problem,
        safety=safety,
        attention=attention,
        seconds=seconds,
        descriptors=len(os.listdir("/proc/self/fd")),  # noqa: PTH208  # no generator that is closed later
        resident=int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
        journal=journal_size(live),
        left=sorted(path.name for path in (folder / ".work").iterdir()),
    )


def journal_size(live: Path) -> int:
    """Bytes of the file beside a database in WAL mode; 0 where there is none."""
    try:
        return live.with_name(live.name + "-wal").stat().st_size
    except FileNotFoundError:
        return 0


def main() -> None:
    """Restore until standard input ends."""
    live, folder = map(Path, sys.argv[1:])
    for line in sys.stdin:
        sys.stdout.write(json.dumps(dataclasses.asdict(restore(live, folder, line.strip()))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
