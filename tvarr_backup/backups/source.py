"""Copy a file from elsewhere with SQLite's journals next to it, without changing them."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from tvarr_backup.backups.apart import settle_and_date
from tvarr_backup.backups.durable import create_private, open_regular
from tvarr_backup.backups.in_use import RunningProgram, find_locker, find_users
from tvarr_backup.backups.progress import Phase, Progress
from tvarr_backup.errors import ArchiveDamaged, JournalUnusable, SourceChanged, SourceInUse, UploadRefused
from tvarr_backup.file_types import SQLITE

WAL_ENDING = "-wal"
_JOURNAL_ENDING = "-journal"
_ENDINGS = ("", WAL_ENDING, "-shm", _JOURNAL_ENDING)
_SMALLEST = {WAL_ENDING: 33, _JOURNAL_ENDING: 1}
"""Shorter journals are empty: a -wal begins with a header of 32 bytes."""
_HEADER_BYTES = 100
_IN_WAL_MODE = b"\x02\x02"
_WAL_MAGIC = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
_BLOCK_BYTES = 2**20


@dataclass(frozen=True)
class Source:
    """A file that is open for reading, and the non-empty journals next to it, by their endings."""

    path: Path
    name: str
    """The user's name for the file."""
    file: IO[bytes]
    journals: Mapping[str, IO[bytes]]
    start: bytes
    """Its first bytes."""
    fingerprint: tuple[object, ...]

    @property
    def size(self) -> int:
        """Bytes of the file and its journals."""
        return sum(os.fstat(file.fileno()).st_size for file in (self.file, *self.journals.values()))

    @property
    def room(self) -> int:
        """Bytes that a copy needs until SQLite has written the -wal into it."""
        wal = self.journals.get(WAL_ENDING)
        return self.size + (os.fstat(wal.fileno()).st_size if wal else 0)

    @property
    def is_database(self) -> bool:
        """Whether it is an uncompressed database."""
        return self.start.startswith(SQLITE)

    @property
    def has_wal(self) -> bool:
        """Whether there is a -wal next to it. If that is empty, the database has all changes."""
        return os.path.lexists(f"{self.path}{WAL_ENDING}")


@contextlib.contextmanager
def open_source(path: Path, name: str, live: Path | None) -> Iterator[Source]:
    """Open a file and its journals, unless it is the live database or a program uses it.

    A file that this process has open is not opened again, because closing it would drop this process's locks on it. Raises
    `UploadRefused`, `SourceInUse` or `JournalUnusable`.
    """
    with contextlib.ExitStack() as files:
        try:
            if live is not None and live.exists() and path.samefile(live):
                raise UploadRefused(
                    "{path} is the live database. Nothing was saved. To back it up, run `backup create`.", path=path
                )
            fingerprint = _fingerprint(path)
            is_regular = stat.S_ISREG(path.lstat().st_mode)
            user = next(find_users(Path(f"{path}{ending}") for ending in _ENDINGS), None) if is_regular else None
            if user is not None and user.pid == os.getpid():
                raise _in_use(path, user)
            file = files.enter_context(open_regular(path))
            start = file.read(_HEADER_BYTES)
            file.seek(0)
            journals = {
                ending: files.enter_context(open_regular(Path(f"{path}{ending}")))
                for ending, smallest in _SMALLEST.items()
                if _size(Path(f"{path}{ending}")) >= smallest
            }
            user = user or find_locker(file)
        except OSError as problem:
            raise UploadRefused(
                "{path} cannot be read: {reason}. Nothing was saved.",
                path=Path(problem.filename or path),
                reason=problem.strerror,
            ) from problem
        source = Source(path, name, file, journals, start, fingerprint)
        if user is not None and source.is_database:
            raise _in_use(path, user)
        _require_fitting(source)
        yield source


def copy_aside(source: Source, target: Path, progress: Progress) -> None:
    """Copy a file and its journals to new files of mode 0600. Raises `SourceChanged` if one changed in the meantime."""
    total, done = source.size, 0
    for ending, file in {"": source.file, **source.journals}.items():
        with os.fdopen(create_private(Path(f"{target}{ending}")), "wb") as copy:
            while block := file.read(_BLOCK_BYTES):
                copy.write(block)
                done += len(block)
                progress(Phase.RECEIVE, done, total)
    if _fingerprint(source.path) != source.fingerprint:
        raise SourceChanged(
            "{path} changed while it was being copied, so a program is using it. Nothing was saved. {stop_or_copy}",
            path=source.path,
            stop_or_copy=_STOP_OR_COPY,
        )


def settle(database: Path, source: Source, progress: Progress) -> tuple[bool, datetime | None]:
    """Apply the journals to a copy and switch it to rollback-journal mode, so that it is a single file.

    Return whether it was in WAL mode, and the time of its newest row, if any. Raises `JournalUnusable`, `ExaminationTooCostly`,
    or `ArchiveDamaged` if another database follows. Damage of a database without journals is not reported here.
    """
    newest = None
    with database.open("rb") as file:
        in_wal_mode = file.read(_HEADER_BYTES)[18:20] == _IN_WAL_MODE
    try:
        with settle_and_date(database, database.stat().st_size + source.size, datetime.now(UTC)) as settling:
            size, newest = settling.result(lambda: progress(Phase.CHECK, 0, 0))
    except sqlite3.Error as problem:
        if source.journals:
            raise JournalUnusable(
                "{name} was not added: SQLite cannot apply {journals} to it ({problem}). Nothing was saved. Add the database "
                "without that file if you do not need the newest changes.",
                name=source.name,
                journals=_name_journals(source),
                problem=problem,
            ) from problem
    else:
        _truncate(database, size)
    return in_wal_mode, newest


def _truncate(database: Path, size: int) -> None:
    """Remove data after the end of the database. Raises `ArchiveDamaged` if it is another database."""
    with database.open("r+b") as file:
        file.seek(size)
        rest = file.read(len(SQLITE))
        if rest == SQLITE:
            raise ArchiveDamaged("It contains two databases in a row. Unpack it, and add the one you want.")
        if rest and size:
            file.truncate(size)


_STOP_OR_COPY = "Stop that program, or copy the database with SQLite's `VACUUM INTO`, which is safe while it is used, and add the copy."


def _in_use(path: Path, program: RunningProgram) -> SourceInUse:
    return SourceInUse(
        "{path} is open in {program}, so it may change at any moment. Nothing was saved. {stop_or_copy}",
        path=path,
        program=program,
        stop_or_copy=_STOP_OR_COPY,
    )


def _require_fitting(source: Source) -> None:
    """Raise `JournalUnusable` for journals of another file, which SQLite would silently ignore."""
    if source.journals and not source.is_database:
        raise JournalUnusable(
            "{name} was not added: {journals} came with it, but only a plain copy of a database has a journal. Nothing was "
            "saved. Add the file alone.",
            name=source.name,
            journals=_name_journals(source),
        )
    wal = source.journals.get(WAL_ENDING)
    if wal is None:
        return
    header = wal.read(12)
    wal.seek(0)
    size = int.from_bytes(source.start[16:18])
    if not header.startswith(_WAL_MAGIC) or int.from_bytes(header[8:12]) != (65536 if size == 1 else size):
        raise JournalUnusable(
            "{name} was not added: {name}{wal_ending} is not the write-ahead log of this database. Nothing was saved. Add the "
            "-wal file that was next to the database, or the database without it.",
            name=source.name,
            wal_ending=WAL_ENDING,
        )


def _name_journals(source: Source) -> str:
    return " and ".join(f"{source.name}{ending}" for ending in source.journals)


def _fingerprint(path: Path) -> tuple[object, ...]:
    """Return a value that changes when the file or a journal next to it changes."""
    statuses = (_status(Path(f"{path}{ending}")) for ending in ("", WAL_ENDING, _JOURNAL_ENDING))
    return tuple(status and (status.st_ino, status.st_size, status.st_mtime_ns) for status in statuses)


def _size(path: Path) -> int:
    status = _status(path)
    return status.st_size if status else 0


def _status(path: Path) -> os.stat_result | None:
    with contextlib.suppress(FileNotFoundError):
        return path.lstat()
    return None
