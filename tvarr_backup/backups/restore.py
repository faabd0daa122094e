"""Puts the content of a backup into the live database, through SQLite and under its locks, with the way back always open.

The live file is never renamed, copied over or unlinked: whoever has it open sees the new content in the next
transaction, every read is entirely of before or entirely of after, and a kill at any moment leaves one of the two. What
has happened is read from a mark in the live database itself, never from an exception: a full disk may raise although the
new content is there.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from tvarr_backup import schema
from tvarr_backup.backups.catalogue import Backup, find_backup, publish_backup, read_folder, taken_names
from tvarr_backup.backups.examine import Examined, examine
from tvarr_backup.backups.folder import work_in
from tvarr_backup.backups.live import (
    Live,
    checkpoint,
    copy_into,
    holds,
    look_at_live,
    mark_in,
    not_replaced,
    problems_of,
)
from tvarr_backup.backups.names import BackupName, new_name
from tvarr_backup.backups.progress import Phase, Progress, no_progress
from tvarr_backup.backups.room import archive_bytes, require_room
from tvarr_backup.backups.safety import SafetyCopy
from tvarr_backup.backups.sidecar import CheckLevel, Sidecar
from tvarr_backup.backups.sqlite import disk_errors_told, open_database
from tvarr_backup.backups.unfinished import (
    Unfinished,
    forget,
    pack_safety,
    publish_safety,
    remember,
    remember_anew,
    remembered,
    safety_path,
)
from tvarr_backup.backups.verify import unpack_and_check
from tvarr_backup.backups.versions import (
    is_safety_backup,
    judge_versions,
    require_accepted,
    require_accepted_code,
    require_kinship,
)
from tvarr_backup.errors import RestoreFailed, RestoreRefused, RestoreUnsettled, TvarrBackupError
from tvarr_backup.schema import RequiredSchema

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


def restore_backup(
    live: Path,
    folder: Path,
    filename: str,
    required: RequiredSchema,
    *,
    migrate: Migrate | None = None,
    accept_newer: bool = False,
    progress: Progress = no_progress,
) -> Restored:
    """Replace the content of the live database by that of a backup, while others use it.

    A schema newer than every known one needs `accept_newer`, else `ConfirmationRequired` is raised.
    What was live, with every commit that was acknowledged, becomes a protected backup of its own. `progress` may raise
    until the new content is in place; then it is undone like every failure. Raises `RestoreRefused` (with why this
    backup cannot be restored), `DatabaseUnusable`, `DatabaseBusy`, `NoRoom`, `RestoreFailed`, or what `find_backup` and
    `work_in` raise: the live database is then as it was. Must not be called inside a transaction on it.
    """
    finish_restore(folder, required)
    with work_in(folder) as work:
        restore = _Restore(live, folder, work, required, progress, accept_newer=accept_newer)
        return restore.run(filename, migrate)


def look_before_restore(
    live: Path, folder: Path, filename: str, required: RequiredSchema, *, accept_newer: bool = False
) -> Backup:
    """The backup, where nothing stands in the way of its restore as far as that can be told without unpacking it.

    Raises as `restore_backup` would, and `RestoreRefused` where the last check of the backup has found a problem.
    """
    found = look_at_live(live, required)
    backup = find_backup(folder, filename)
    recorded = backup.sidecar
    if recorded.checked is not None and recorded.checked.problems:
        raise RestoreRefused(
            f"{filename} cannot be relied on: its last check found this: {' '.join(recorded.checked.problems)} Verify it again, "
            "or choose another."
        )
    _require_versions(backup, recorded.schema, found.schema, required, accept_newer=accept_newer)
    _require_room(live, folder, found, recorded.database_size)
    return backup


def finish_restore(folder: Path, required: RequiredSchema) -> Backup | None:
    """Settle a restore that broke off: publish the copy of before where the new content is in the live database.

    Where it is not, nothing has happened, and what was prepared is removed. Can be cut short and run again. Raises
    `NoRoom` or `BackupFolderUnusable` where the copy cannot be published; then it is kept.
    """
    if not folder.exists():  # a new installation
        return None
    with work_in(folder) as work:
        unfinished = remembered(work)
        happened = unfinished is not None and (unfinished.is_put_back or holds(Path(unfinished.live), unfinished.mark))
        if unfinished is None or happened is False:
            forget(work)
            return None
        if happened is None:
            raise _unknown(work, unfinished)
        return publish_safety(folder, work, unfinished, required, no_progress)


class _Restore:
    """One restore, under the lock, from looking to telling."""

    def __init__(
        self,
        live: Path,
        folder: Path,
        work: Path,
        required: RequiredSchema,
        progress: Progress,
        *,
        accept_newer: bool = False,
    ) -> None:
        self._live, self._folder, self._work = live, folder, work
        self._required, self._progress, self._accept_newer = required, progress, accept_newer

    def run(self, filename: str, migrate: Migrate | None) -> Restored:
        found = look_at_live(self._live, self._required)
        backup = find_backup(self._folder, filename)
        _require_room(self._live, self._folder, found, backup.sidecar.database_size)
        unfinished = self._begun(filename, found.mark)
        attention: list[str] = []
        begun = False

        def on_lock() -> None:
            nonlocal begun
            begun = True
            safety.complete()

        try:
            with open_database(self._live) as monitor:
                safety = SafetyCopy(self._live, safety_path(self._work), monitor, self._progress)
                staged, after = self._made_ready(backup, found, unfinished.mark, migrate, safety)
                safety.take()  # once more where somebody has committed since: then not while everybody waits
                copy_into(staged, self._live, on_lock, self._progress)
        except BaseException as problem:
            happened = begun and holds(self._live, unfinished.mark)
            if happened is None:
                raise _unknown(self._work, unfinished) from problem
            if not happened:
                forget(self._work)
                if isinstance(problem, sqlite3.Error):
                    raise not_replaced(self._live, problem) from problem
                raise
            attention.append(f"“{problem}” was reported after the new content was in place.")
        if safety.damage:
            attention.append(
                f"What was live before was damaged ({safety.damage}). It was copied as it lay: to look for what is missing "
                "now, but it cannot be restored."
            )
        return self._finished(unfinished, attention, after, whole=not safety.damage)

    def _begun(self, filename: str, old: int) -> Unfinished:
        """Remember what is going to be done, before anything that recovery would have to know of."""
        now, mark = datetime.now(UTC), old
        while mark == old:
            mark = secrets.randbelow(2**31 - 1) + 1
        name = new_name(now, taken_names(self._folder))
        unfinished = Unfinished(mark, str(self._live), filename, name.filename, now.isoformat())
        remember(self._work, unfinished)
        return unfinished

    def _made_ready(
        self, backup: Backup, live: Live, mark: int, migrate: Migrate | None, safety: SafetyCopy
    ) -> tuple[Path, Mapping[str, int]]:
        """The database of a backup as it will be live, and its rows."""
        try:
            with disk_errors_told():
                staged, examined = self._judged(backup, live, safety)
                staged, after = self._prepared(staged, examined, live, migrate)
                _set_mark(staged, mark)
        except sqlite3.Error as problem:
            raise RestoreFailed(
                f"The copy of {backup.filename} could not be made ready: {problem}. Nothing was restored, your data is "
                "unchanged."
            ) from problem
        return staged, after

    def _judged(self, backup: Backup, live: Live, safety: SafetyCopy) -> tuple[Path, Examined]:
        """The database of a backup, staged, after everything about it was found right for this live database.

        What is live is copied aside while it is checked.
        """
        unpacked = unpack_and_check(
            self._folder, self._work, backup, self._required, self._progress, beside=safety.take
        )
        staged, examined, problems = unpacked.database, unpacked.examined, unpacked.verification.problems
        if problems or staged is None or examined is None:
            raise RestoreRefused(f"{backup.filename} cannot be relied on, and was not restored. {' '.join(problems)}")
        with open_database(staged) as connection:
            (encoding,) = connection.execute("PRAGMA encoding").fetchone()
        if encoding != live.encoding:
            raise RestoreRefused(
                f"{backup.filename} holds its texts in {encoding}, the live database in {live.encoding}: programs that have "
                "it open could not go on."
            )
        _require_versions(backup, examined.schema, live.schema, self._required, accept_newer=self._accept_newer)
        known = backup.sidecar.checked.warnings if backup.sidecar.checked else ()
        new = [warning for warning in examined.warnings if warning not in known]
        if new:
            raise RestoreRefused(f"{backup.filename} was not restored. {' '.join(new)}")
        require_accepted_code(backup.filename, backup.sidecar, examined.code)
        return staged, examined

    def _prepared(
        self, staged: Path, examined: Examined, live: Live, migrate: Migrate | None
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

    def _finished(
        self, unfinished: Unfinished, attention: list[str], after: Mapping[str, int], *, whole: bool
    ) -> Restored:
        """Nothing from here on undoes the restore but a live database that fails its check.

        The copy of before is packed while that is checked, and published after it.
        """
        told = _never_raising(self._progress)
        sentences = [*attention, *checkpoint(self._live)]
        packed: tuple[BackupName, Sidecar] | Exception | None = None

        def pack() -> None:
            nonlocal packed
            try:
                packed = pack_safety(self._folder, self._work, unfinished, self._required, told)
            except (TvarrBackupError, OSError, sqlite3.Error) as problem:
                packed = problem

        problems = problems_of(self._live, unfinished.mark, told, beside=pack)
        if problems:
            self._put_back(unfinished, problems, told, whole=whole)
        try:
            if not isinstance(packed, tuple):
                raise packed or RestoreFailed("")
            safety = publish_backup(self._folder, self._work, *packed)
            forget(self._work)
        except (TvarrBackupError, OSError, sqlite3.Error) as problem:
            sentences.append(
                f"The copy of before could not be made a backup ({problem}), and is kept as {safety_path(self._work)}: make "
                "room, then run `backup recover`."
            )
            return Restored(unfinished.backup, None, tuple(sentences), {}, after)
        return Restored(unfinished.backup, safety, tuple(sentences), safety.sidecar.table_counts, after)

    def _put_back(self, unfinished: Unfinished, problems: list[str], progress: Progress, *, whole: bool) -> NoReturn:
        """The copy of before, live again by the same way, and checked like the restore; raises in any case."""
        live, safety = self._live, safety_path(self._work)
        try:
            remember_anew(self._work, replace(unfinished, is_put_back=True))
            copy_into(safety, live, lambda: None, progress)
            still = problems_of(live, mark_in(safety), progress) if whole else []
            reason = " ".join(still)
        except (sqlite3.Error, TvarrBackupError, OSError) as problem:
            reason = str(problem)
        if reason:
            raise RestoreUnsettled(
                f"The live database is damaged after the restore ({'; '.join(problems)}), and what was there before could not "
                f"be put back ({reason}). It is kept as {safety}: once nothing else stands in the way, `backup recover` makes "
                f"it the backup {unfinished.safety}, and `backup restore {unfinished.safety} --yes` puts it back."
            )
        forget(self._work)
        raise RestoreFailed(
            f"The live database failed its check after the restore ({'; '.join(problems)}), so what was there before was put "
            "back: nothing was restored, your data is unchanged."
        )


def _require_room(live: Path, folder: Path, found: Live, size: int) -> None:
    """Staged copy, safety copy and later its archive in the backup folder; before that, beside live, the journal of the new content, and its growth, beside live."""
    here, archive = size + found.used, archive_bytes(found.used, read_folder(folder))
    there = size * (found.page_size + 24) // found.page_size + max(0, size - found.used)
    if folder.stat().st_dev == live.parent.stat().st_dev:
        require_room(folder, here + max(there, archive), "The restore")
    else:
        require_room(folder, here + archive, "The restore")
        require_room(live.parent, there, "The restore")


def _require_versions(backup: Backup, found: str, live: str, required: RequiredSchema, *, accept_newer: bool) -> None:
    """Raise where this schema must not, or not without a confirmation, take the place of the live one."""
    is_safety = is_safety_backup(backup.sidecar)
    require_kinship(backup.filename, found, live, required, is_safety=is_safety)
    verdict = judge_versions(found, live, required, is_safety=is_safety)
    require_accepted(backup.filename, verdict, accept_newer=accept_newer)


def _set_mark(staged: Path, mark: int) -> None:
    """Give the staged database its number, which comes into the live one with its content, or not at all.

    No table is added to a database that is not ours. Nothing of a staged copy has to survive a power cut.
    """
    with open_database(staged) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute(f"PRAGMA user_version={mark:d}")


def _unknown(work: Path, unfinished: Unfinished) -> RestoreUnsettled:
    return RestoreUnsettled(
        f"{unfinished.live} cannot be used just now, so it is not known whether {unfinished.backup} has been restored into it. What was "
        f"there before is kept as {safety_path(work)}; when it can be used again, run `backup recover`."
    )


def _never_raising(progress: Progress) -> Progress:
    """It is too late to cancel."""

    def told(phase: Phase, done: int, total: int) -> None:
        with contextlib.suppress(Exception):
            progress(phase, done, total)

    return told
