"""Puts the content of a backup into the live database, through SQLite and under its locks, with the way back always open.

The live file is never renamed, copied over or unlinked: whoever has it open sees the new content in the next
transaction, every read is entirely of before or entirely of after, and a kill at any moment leaves one of the two. What
has happened is read from a mark in the live database itself, never from an exception: a full disk may raise although the
new content is there.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NoReturn

from tvarr_backup import schema
from tvarr_backup.backups.catalogue import Backup, find_backup, next_seq, publish_backup, read_folder, taken_names
from tvarr_backup.backups.create import describe, pack_and_examine
from tvarr_backup.backups.durable import sync_folder, write_private
from tvarr_backup.backups.examine import Examined, examine
from tvarr_backup.backups.folder import MARGIN_BYTES, RESTORE_NAME, free_bytes, megabytes, work_in
from tvarr_backup.backups.names import new_name, parse_name
from tvarr_backup.backups.progress import Phase, Progress, no_progress
from tvarr_backup.backups.sidecar import BackupKind, CheckLevel
from tvarr_backup.backups.sqlite import (
    Statements,
    copy_database,
    disk_errors_told,
    measure,
    open_database,
    primary_code,
    remove_database,
)
from tvarr_backup.backups.verify import unpack_and_check
from tvarr_backup.errors import (
    DatabaseBusy,
    DatabaseForeign,
    DatabaseMissing,
    DatabaseNewer,
    DatabaseUnusable,
    NoRoom,
    RestoreFailed,
    RestoreRefused,
    TvarrBackupError,
)
from tvarr_backup.schema import RequiredSchema

LOCK_SECONDS = 30.0
"""For so long the live database's lock is waited for; SQLite's own copying would wait for ever."""

_PAGES_A_STEP = 1000
_CHECKPOINTS = 20
_STATE_NAME = "restore.json"
_SAFETY_NAME = "safety.db"
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
Migrate = Callable[[Path], None]
"""Brings a copy that an older version of this program wrote up to date, in place."""


@dataclass(frozen=True)
class Restored:
    """The backup is in the live database. `attention` is what a person should read; counts are of live rows.

    `safety` holds what was live before; `None` where it could not be packed, and then `attention` says where it lies.
    """

    filename: str
    safety: Backup | None
    attention: tuple[str, ...]
    before: Mapping[str, int]
    after: Mapping[str, int]


@dataclass(frozen=True)
class _Unfinished:
    """What `.work/restore` says of a restore that is under way or broke off."""

    mark: int
    live: str
    backup: str
    safety: str
    """The file name that the copy of before gets as a backup."""
    started_at: str


@dataclass(frozen=True)
class _Live:
    page_size: int
    encoding: str
    used: int
    schema: str


def restore_backup(
    live: Path,
    folder: Path,
    filename: str,
    required: RequiredSchema,
    *,
    migrate: Migrate | None = None,
    progress: Progress = no_progress,
) -> Restored:
    """Replace the content of the live database by that of a backup, while others use it.

    What was live, with every commit that was acknowledged, becomes a protected backup of its own. `progress` may raise
    until the new content is in place; then it is undone like every failure. Raises `RestoreRefused` (with why this
    backup cannot be restored), `DatabaseUnusable`, `DatabaseBusy`, `NoRoom`, `RestoreFailed`, or what `find_backup` and
    `work_in` raise: the live database is then as it was. Must not be called inside a transaction on it.
    """
    finish_restore(folder, required)
    with work_in(folder) as work:
        return _Restore(live, folder, work, required, progress).run(filename, migrate)


def finish_restore(folder: Path, required: RequiredSchema) -> Backup | None:
    """Settle a restore that broke off: publish the copy of before where the new content is in the live database.

    Where it is not, nothing has happened, and what was prepared is removed. Can be cut short and run again. Raises
    `NoRoom` or `BackupFolderUnusable` where the copy cannot be published; then it is kept.
    """
    with work_in(folder) as work:
        unfinished = _remembered(work)
        happened = unfinished is not None and _holds(Path(unfinished.live), unfinished.mark)
        if unfinished is None or happened is False:
            _forget(work)
            return None
        if happened is None:
            raise _unknown(work, unfinished)
        return _publish_safety(folder, work, unfinished, required, no_progress)


class _Restore:
    """One restore, under the lock, from looking to telling."""

    def __init__(self, live: Path, folder: Path, work: Path, required: RequiredSchema, progress: Progress) -> None:
        self._live, self._folder, self._work = live, folder, work
        self._required, self._progress = required, progress

    def run(self, filename: str, migrate: Migrate | None) -> Restored:
        found = _look_at(self._live, self._required)
        backup = find_backup(self._folder, filename)
        _require_room(self._live, self._folder, found, backup.sidecar.database_size)
        try:
            with disk_errors_told():
                staged, examined = self._judged(backup, found)
                staged, after = self._prepared(staged, examined, found, migrate)
                mark = _set_mark(staged, self._live)
        except sqlite3.Error as problem:
            raise RestoreFailed(
                f"The copy of {filename} could not be made ready: {problem}. Nothing was restored, your data is unchanged."
            ) from problem
        now = datetime.now(UTC)
        name = new_name(now, taken_names(self._folder))
        unfinished = _Unfinished(mark, str(self._live), filename, name.filename, now.isoformat())
        safety = _remember(self._work, unfinished) / _SAFETY_NAME
        attention = list(examined.warnings)
        try:
            _replace(staged, self._live, safety, self._progress)
        except BaseException as problem:
            happened = _holds(self._live, mark)
            if happened is None:
                raise _unknown(self._work, unfinished) from problem
            if not happened:
                _forget(self._work)
                if isinstance(problem, sqlite3.Error):
                    raise _not_restored(self._live, problem) from problem
                raise
            attention.append(f"“{problem}” was reported after the new content was in place.")
        return self._finished(unfinished, attention, after)

    def _judged(self, backup: Backup, live: _Live) -> tuple[Path, Examined]:
        """The database of a backup, staged, after everything about it was found right for this live database."""
        unpacked = unpack_and_check(self._folder, self._work, backup, self._required, self._progress)
        staged, examined, problems = unpacked.database, unpacked.examined, unpacked.verification.problems
        if examined is not None and (
            isinstance(examined.unusable, DatabaseNewer) or schema.is_newer(examined.schema, self._required)
        ):
            raise RestoreRefused(
                f"{backup.filename} was made by a newer version ({examined.schema}); update first, then restore it."
            )
        if problems or staged is None or examined is None:
            raise RestoreRefused(f"{backup.filename} cannot be relied on, and was not restored. {' '.join(problems)}")
        with open_database(staged) as connection:
            (encoding,) = connection.execute("PRAGMA encoding").fetchone()
        if encoding != live.encoding:
            raise RestoreRefused(
                f"{backup.filename} holds its texts in {encoding}, the live database in {live.encoding}: programs that have "
                "it open could not go on."
            )
        ours, theirs = examined.schema.startswith("tvarr-backup "), live.schema.startswith("tvarr ")
        if ours and theirs:
            raise RestoreRefused(
                f"{backup.filename} is of a database that tvarr-backup made, and tvarr could not go on with it. Import its "
                "configuration instead."
            )
        known = backup.sidecar.checked.warnings if backup.sidecar.checked else ()
        new = [warning for warning in examined.warnings if warning not in known]
        if new:
            raise RestoreRefused(f"{backup.filename} was not restored. {' '.join(new)}")
        if examined.code and backup.sidecar.kind in (BackupKind.UPLOADED, BackupKind.TVARR):
            raise RestoreRefused(
                f"{backup.filename} has a {examined.code[0]}, which would run by itself; tvarr has none."
            )
        return staged, examined

    def _prepared(
        self, staged: Path, examined: Examined, live: _Live, migrate: Migrate | None
    ) -> tuple[Path, Mapping[str, int]]:
        """The staged database as it will be live: up to date, with live's page size; and its rows."""
        counts = examined.table_counts
        if migrate is not None and schema.is_older(examined.schema, self._required):
            migrate(staged)
            again = examine(staged, self._required, CheckLevel.FULL)
            if again.problems:
                raise RestoreRefused(f"The update of the backup's tables failed its check. {' '.join(again.problems)}")
            counts = again.table_counts
        with open_database(staged) as connection:
            (page_size,) = connection.execute("PRAGMA page_size").fetchone()
            if page_size != live.page_size:
                connection.execute(f"PRAGMA page_size={live.page_size:d}")
                paged = self._work / "paged.db"
                connection.execute("VACUUM INTO ?", (str(paged),))
                staged = paged
        return staged, counts

    def _finished(self, unfinished: _Unfinished, attention: list[str], after: Mapping[str, int]) -> Restored:
        """Nothing from here on undoes the restore but a live database that fails its check."""
        live = self._live
        told = _never_raising(self._progress)
        sentences = [*attention, *_checkpoint(live)]
        problems = _problems_of(live, unfinished.mark, told)
        if problems:
            _put_back(self._work, live, problems, told)
        try:
            safety = _publish_safety(self._folder, self._work, unfinished, self._required, told)
        except (TvarrBackupError, OSError) as problem:
            kept = self._work / RESTORE_NAME / _SAFETY_NAME
            sentences.append(
                f"The copy of before could not be made a backup ({problem}), and is kept as {kept}: make room, then run "
                "`backup recover`."
            )
            return Restored(unfinished.backup, None, tuple(sentences), {}, after)
        return Restored(unfinished.backup, safety, tuple(sentences), safety.sidecar.table_counts, after)


# --- Before anything is touched --------------------------------------------------------------------------------------


def _look_at(live: Path, required: RequiredSchema) -> _Live:
    """What a restore needs of the live database, or why there can be none."""
    if not live.exists():
        raise DatabaseMissing(f"There is no database at {live} to restore into; run `manage.py prepare` first.")
    try:
        with open_database(live, timeout_seconds=LOCK_SECONDS) as connection:
            (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
            if journal != "wal":
                raise RestoreRefused(
                    f"{live} has journal mode {journal}, and only in WAL mode can a restore keep every commit that others "
                    "make meanwhile. tvarr sets that mode when it starts; set it with `PRAGMA journal_mode=WAL`."
                )
            (page_size,) = connection.execute("PRAGMA page_size").fetchone()
            (encoding,) = connection.execute("PRAGMA encoding").fetchone()
            _require_writable(connection)
            return _Live(page_size, encoding, measure(connection).used, schema.schema_of(connection, required))
    except sqlite3.Error as problem:
        raise _unusable(live, problem) from problem


def _require_writable(connection: sqlite3.Connection) -> None:
    """Raise where the file may not be written, which SQLite tells at the first change only.

    Nobody is waited for: whoever writes shows that it can be done, and with several that write at full speed SQLite's own
    waiting may take longer than all of the restore.
    """
    connection.execute("PRAGMA busy_timeout=0")
    (mark,) = connection.execute("PRAGMA user_version").fetchone()
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA user_version={mark:d}")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError as problem:
        if primary_code(problem) not in _BUSY:
            raise


def _unusable(live: Path, problem: sqlite3.Error) -> TvarrBackupError:
    code = primary_code(problem)
    if code in _BUSY:
        return DatabaseBusy(f"{live} is locked by another program; nothing was changed. Try again when it is done.")
    if code == sqlite3.SQLITE_NOTADB:
        return DatabaseForeign(f"{live} is not an SQLite database.")
    if code == sqlite3.SQLITE_READONLY:
        return DatabaseUnusable(f"{live} may not be written.")
    return DatabaseUnusable(f"{live} cannot be used: {problem}.")


def _require_room(live: Path, folder: Path, found: _Live, size: int) -> None:
    """Staged copy and safety copy in the backup folder; the journal of the new content, and its growth, beside live."""
    here = size + found.used
    there = size * (found.page_size + 24) // found.page_size + max(0, size - found.used)
    needs = {folder: here, live.parent: there}
    if folder.stat().st_dev == live.parent.stat().st_dev:
        needs = {folder: here + there}
    for place, needed in needs.items():
        free = free_bytes(place)
        if free < needed + MARGIN_BYTES:
            raise NoRoom(
                f"The restore needs about {megabytes(needed + MARGIN_BYTES)} of free space in {place}; there are "
                f"{megabytes(free)}. Nothing was changed."
            )


# --- The mark, and what is remembered of a restore under way ---------------------------------------------------------


def _set_mark(staged: Path, live: Path) -> int:
    """Give the staged database a number of its own, which comes into the live one with its content, or not at all.

    `user_version` serves neither tvarr nor us, and no table is added to a database that is not ours.
    """
    mark = secrets.randbelow(2**31 - 1) + 1
    while mark == _mark_in(live):
        mark = secrets.randbelow(2**31 - 1) + 1
    with open_database(staged) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute(f"PRAGMA user_version={mark:d}")
    return mark


def _mark_in(live: Path) -> int:
    with open_database(live) as connection:
        (mark,) = connection.execute("PRAGMA user_version").fetchone()
        return int(mark)


def _holds(live: Path, mark: int) -> bool | None:
    """Whether the live database has the mark, and with it the new content; `None` where it cannot be read."""
    try:
        return _mark_in(live) == mark
    except sqlite3.Error:
        return None


def _unknown(work: Path, unfinished: _Unfinished) -> RestoreFailed:
    return RestoreFailed(
        f"{unfinished.live} cannot be read, so it is not known whether {unfinished.backup} has been restored into it. What was "
        f"there before is kept as {work / RESTORE_NAME / _SAFETY_NAME}; when the database can be read again, run `backup "
        "recover`."
    )


def _remember(work: Path, unfinished: _Unfinished) -> Path:
    """From here on recovery knows what was begun; on disk before anything is copied."""
    place = work / RESTORE_NAME
    place.mkdir(mode=0o700)
    write_private(place / _STATE_NAME, json.dumps(asdict(unfinished)).encode())
    sync_folder(place)
    sync_folder(work)
    return place


def _remembered(work: Path) -> _Unfinished | None:
    try:
        return _Unfinished(**json.loads((work / RESTORE_NAME / _STATE_NAME).read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):  # cut short before it was synced: then nothing was copied yet
        return None


def _forget(work: Path) -> None:
    """The state goes first: a copy without it is nothing."""
    place = work / RESTORE_NAME
    if place.exists():
        (place / _STATE_NAME).unlink(missing_ok=True)
        sync_folder(place)
        shutil.rmtree(place)


# --- Replacing -------------------------------------------------------------------------------------------------------


def _replace(staged: Path, live: Path, safety: Path, progress: Progress) -> None:
    """Copy what is live aside and put the staged content in its place, with nothing committed in between.

    What it raises does not tell whether that has happened; the mark in the live database does.
    """
    with open_database(live) as monitor:
        seen = _data_version(monitor)
        copy_database(live, safety, partial(progress, Phase.SAFETY))

        def on_lock() -> None:
            if _data_version(monitor) != seen:  # somebody has committed since; nobody can any more
                remove_database(safety)
                copy_database(live, safety, partial(progress, Phase.SAFETY))

        _copy_into(staged, live, on_lock, progress)


def _copy_into(staged: Path, live: Path, on_lock: Callable[[], None], progress: Progress) -> None:
    """SQLite's online backup, from the staged file into the live one; its return means committed and on disk."""
    with open_database(staged) as source, open_database(live, timeout_seconds=0.2) as target:
        target.execute("PRAGMA synchronous=FULL")
        (page_size,) = source.execute("PRAGMA page_size").fetchone()
        (pages,) = source.execute("PRAGMA page_count").fetchone()
        deadline = time.monotonic() + LOCK_SECONDS
        locked = False

        def look(code: int, remaining: int, total: int) -> None:
            nonlocal locked
            if code in _BUSY:
                if time.monotonic() > deadline:
                    raise DatabaseBusy(
                        f"{live} was locked by another program for {LOCK_SECONDS:.0f} s; nothing was restored, your data is "
                        "unchanged."
                    )
            elif code == sqlite3.SQLITE_OK and not locked:
                locked = True
                on_lock()
            elif code != sqlite3.SQLITE_OK:  # done, and committed; or a failure, which SQLite is about to raise
                return
            progress(Phase.REPLACE, (total - remaining) * page_size, total * page_size)

        source.backup(target, pages=max(1, min(_PAGES_A_STEP, pages - 1)), progress=look, sleep=0.02)


def _not_restored(live: Path, problem: sqlite3.Error) -> TvarrBackupError:
    if primary_code(problem) == sqlite3.SQLITE_FULL:
        return NoRoom(f"The disk of {live} became full; nothing was restored, your data is unchanged.")
    return RestoreFailed(f"SQLite could not replace the content of {live}: {problem}. Your data is unchanged.")


def _data_version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return int(version)


def _checkpoint(live: Path) -> list[str]:
    """Write the new content from SQLite's journal into the file: a bounded number of tries, and no harm if none works."""
    sentence = "A reader still uses the old content, so the journal beside the database stays large until it ends."
    try:
        with open_database(live, timeout_seconds=0.1) as connection:
            for _ in range(_CHECKPOINTS):
                (busy, _frames, _done) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if not busy:
                    return []
    except sqlite3.Error as problem:
        return [
            f"The journal beside the database could not be emptied: {problem}. Until there is room, nothing can be written."
        ]
    return [sentence]


# --- After the new content is in place -------------------------------------------------------------------------------


def _problems_of(live: Path, mark: int, progress: Progress) -> list[str]:
    """Look at the live database afresh; others may be writing to it already, so its rows are not counted."""
    try:
        with open_database(live) as connection:
            if connection.execute("PRAGMA user_version").fetchone() != (mark,):
                return ["It does not hold the new content."]
            lines = Statements(connection, lambda: connection.execute("PRAGMA integrity_check(10)").fetchall())
            with lines:
                found = [line for (line,) in lines.result(lambda: progress(Phase.CHECK, 0, 0))]
            return [] if found == ["ok"] else found
    except sqlite3.Error as problem:
        return [f"It cannot be read: {problem}."]


def _put_back(work: Path, live: Path, problems: list[str], progress: Progress) -> NoReturn:
    """The copy of before, live again by the same way; raises in any case."""
    safety = work / RESTORE_NAME / _SAFETY_NAME
    try:
        _copy_into(safety, live, lambda: None, progress)
    except (sqlite3.Error, TvarrBackupError) as problem:
        raise RestoreFailed(
            f"The live database is damaged after the restore ({'; '.join(problems)}), and what was there before could not be "
            f"put back ({problem}). It is kept as {safety}. Stop every program that uses {live}, then run: "
            f"sqlite3 {live} \".restore '{safety}'\""
        ) from problem
    _forget(work)
    raise RestoreFailed(
        f"The live database failed its check after the restore ({'; '.join(problems)}), so what was there before was put "
        "back: nothing was restored, your data is unchanged."
    )


def _publish_safety(
    folder: Path, work: Path, unfinished: _Unfinished, required: RequiredSchema, progress: Progress
) -> Backup:
    """Make the copy of before a protected backup, and forget the restore; done already where a crash came after it."""
    listing = read_folder(folder)
    done = next((backup for backup in listing.backups if backup.filename == unfinished.safety), None)
    if done is None or done.sidecar.kind is not BackupKind.PRE_RESTORE:
        taken, name = taken_names(folder), parse_name(unfinished.safety)
        if name is None or taken & {name.filename, name.sidecar}:
            name = new_name(datetime.now(UTC), taken)
        safety = work / RESTORE_NAME / _SAFETY_NAME
        packed, examined = pack_and_examine(safety, work / name.filename, required, CheckLevel.QUICK, progress)
        sidecar = describe(
            packed,
            examined,
            kind=BackupKind.PRE_RESTORE,
            level=CheckLevel.QUICK,
            created_at=name.moment,
            seq=next_seq(listing),
            note=f"before restoring {unfinished.backup}",
        ).with_changes(protected=True, restored_from=unfinished.backup)
        done = publish_backup(folder, work, name, sidecar)
    _forget(work)
    return done


def _never_raising(progress: Progress) -> Progress:
    """It is too late to cancel."""

    def told(phase: Phase, done: int, total: int) -> None:
        with contextlib.suppress(Exception):
            progress(phase, done, total)

    return told
