"""The copy of what is live before a restore: nothing is committed between it and the replacement.

It is taken while others still write, and again under the lock where somebody has committed since. A database that is
too damaged for SQLite to copy is copied as it lies, byte by byte: then it is no way back, but all that there is.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path

from tvarr_backup.backups.durable import sync_folder
from tvarr_backup.backups.progress import Phase, Progress
from tvarr_backup.backups.sqlite import copy_database, open_database, primary_code, remove_database
from tvarr_backup.errors import CopyFailed, NoRoom, RestoreFailed

# In a process of its own: closing the live file in one that has a connection to it would drop that one's locks.
_AS_IT_LIES = """
import os, shutil, sys
for source, target in zip(sys.argv[1::2], sys.argv[2::2]):
    with open(source, "rb") as read, open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
        shutil.copyfileobj(read, written, 2**20)
        written.flush()
        os.fsync(written.fileno())
"""


class SafetyCopy:
    """The copy at `path`; `monitor` is a connection to `live` that stays open until the replacement."""

    damage = ""
    """Why SQLite could not copy the live database, where it could not."""

    def __init__(self, live: Path, path: Path, monitor: sqlite3.Connection, progress: Progress) -> None:
        self.path = path
        self._live, self._monitor = live, monitor
        self._progress = partial(progress, Phase.SAFETY)
        self._seen = -1

    def take(self) -> None:
        """Copy what is live now, unless that has been done already and nobody has committed since.

        Raises `RestoreFailed` or `NoRoom`, or what progress raises.
        """
        version = self._data_version()
        if version == self._seen:
            return
        remove_database(self.path)
        self._seen, self.damage = -1, ""
        try:
            copy_database(self._live, self.path, self._progress)
        except CopyFailed as problem:
            cause = problem.__cause__
            if not isinstance(cause, sqlite3.Error) or primary_code(cause) != sqlite3.SQLITE_CORRUPT:
                raise RestoreFailed(f"{problem} Nothing was restored, your data is unchanged.") from problem
            self.damage = str(cause)
        self._seen = version

    def complete(self) -> None:
        """Called when nobody can commit any more: whatever was committed until now is in the copy afterwards.

        Raises as `take` does.
        """
        self.take()
        if self.damage:
            self._copy_as_it_lies()
        # SQLite does not wait until the name of its journal is gone: came it back, it would take all out of the copy.
        sync_folder(self.path.parent)

    def _copy_as_it_lies(self) -> None:
        pairs = [(f"{self._live}{ending}", f"{self.path}{ending}") for ending in ("", "-wal")]
        command = [sys.executable, "-I", "-S", "-c", _AS_IT_LIES, *(path for pair in pairs for path in pair)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own program
        if done.returncode:
            reason = (done.stderr.splitlines() or ["no reason was given"])[-1]
            error = NoRoom if "No space left" in reason else RestoreFailed
            raise error(
                f"{self._live} is damaged ({self.damage}), and it could not be copied as it lies ({reason}). Nothing was "
                "restored, your data is unchanged."
            )
        with open_database(self.path) as connection:  # of a copy: one file of the two
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _data_version(self) -> int:
        try:
            (version,) = self._monitor.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error as problem:
            raise RestoreFailed(
                f"{self._live} cannot be read: {problem}. Nothing was restored, your data is unchanged."
            ) from problem
        return int(version)
