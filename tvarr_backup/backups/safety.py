"""Make the safety copy of the live database, so that no commit falls between it and the replacement.

It is made while other programs write, and again under the lock if one has committed since. If SQLite cannot copy the
database although disk and locks are fine, it is copied byte for byte. Such a copy becomes a safety backup if it passes its
check, and is kept for salvage otherwise.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path

from tvarr_backup.backups.durable import sync_folder
from tvarr_backup.backups.progress import Phase, Progress
from tvarr_backup.backups.sqlite import copy_database, open_database, remove_database
from tvarr_backup.errors import CopyFailed, NoRoom, RestoreFailed
from tvarr_backup.sqlite_codes import primary_code

# A separate process, because closing the live file drops the locks of every connection in the same process.
_COPY_BYTES = """
import os, shutil, sys
try:
    for source, target in zip(sys.argv[1::2], sys.argv[2::2]):
        with open(source, "rb") as read, open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
            shutil.copyfileobj(read, written, 2**20)
            written.flush()
            os.fsync(written.fileno())
except OSError as problem:
    sys.exit(str(problem.errno))
"""

_NOT_OF_THE_DATABASE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
    }
)
"""Errors that occur with intact databases too. A full disk is `NoRoom`."""


class SafetyCopy:
    """The safety copy at `path`. `monitor` is a connection to `live` that stays open until the replacement."""

    refusal = ""
    """Why SQLite could not copy the live database; empty if it could."""

    def __init__(self, live: Path, path: Path, monitor: sqlite3.Connection, progress: Progress) -> None:
        self.path = path
        self._live, self._monitor = live, monitor
        self._progress = partial(progress, Phase.SAFETY)
        self._seen = -1

    def take(self) -> None:
        """Copy the live database, if anybody has committed since the last copy. Raises `RestoreFailed` or `NoRoom`."""
        version = self._data_version()
        if version == self._seen:
            return
        remove_database(self.path)
        self._seen, self.refusal = -1, ""
        try:
            copy_database(self._live, self.path, self._progress)
        except CopyFailed as problem:
            cause = problem.__cause__
            if not isinstance(cause, sqlite3.Error) or primary_code(cause) in _NOT_OF_THE_DATABASE:
                raise RestoreFailed(
                    "{problem} Nothing was restored. Your data is unchanged.", problem=problem
                ) from problem
            self.refusal = str(cause)
        self._seen = version

    def complete(self) -> None:
        """Complete the copy once no other program can commit. Raises what `take` raises."""
        self.take()
        if self.refusal:
            self._copy_bytes()
        # SQLite does not sync the removal of its journal. If the journal came back, the copy would be undone.
        sync_folder(self.path.parent)

    def _copy_bytes(self) -> None:
        try:
            copy_bytes(self._live, self.path)
        except OSError as problem:
            error = NoRoom if problem.errno == errno.ENOSPC else RestoreFailed
            raise error(
                "SQLite could not copy {live} ({refusal}), and copying it byte for byte failed too ({reason}). Nothing was "
                "restored. Your data is unchanged.",
                live=self._live,
                refusal=self.refusal,
                reason=problem.strerror,
            ) from problem
        with open_database(self.path) as connection:  # merges the copied -wal into the copy
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _data_version(self) -> int:
        try:
            (version,) = self._monitor.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error as problem:
            raise RestoreFailed(
                "{live} cannot be read: {problem}. Nothing was restored. Your data is unchanged.",
                live=self._live,
                problem=problem,
            ) from problem
        return int(version)


def copy_bytes(live: Path, target: Path) -> None:
    """Copy a database with its journals byte for byte, in a separate process, while nobody writes. Raises `OSError`."""
    present = [ending for ending in ("", "-wal", "-journal") if Path(f"{live}{ending}").is_file()]
    paths = [f"{path}{ending}" for ending in present for path in (live, target)]
    command = [sys.executable, "-I", "-S", "-c", _COPY_BYTES, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own program
    if done.returncode:
        last = (done.stderr.split() or [""])[-1]
        code = int(last) if last.isdigit() else errno.EIO
        raise OSError(code, os.strerror(code))


def salvage_safety(live: Path, path: Path) -> bool:
    """Make a consistent copy of a database that SQLite cannot write. Return whether SQLite could read it.

    The files are copied first, because opening the live ones would change them. Nobody may write in the meantime. Raises
    `NoRoom`. After a failure nothing is left of the copy.
    """
    files = path.with_name("files.db")
    try:
        copy_bytes(live, files)
        copy_database(files, path)
        sync_folder(path.parent)
    except (CopyFailed, OSError) as problem:
        if isinstance(problem, OSError) and problem.errno == errno.ENOSPC:
            raise NoRoom(
                "The disk of {folder} became full while {live} was copied. Nothing was restored. Your data is unchanged.",
                folder=path.parent,
                live=live,
            ) from problem
        return False
    finally:
        remove_database(files)
    return True
