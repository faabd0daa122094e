"""Restore a backup into the live database, through SQLite and under its locks.

The live file is never renamed, copied over or unlinked: programs that have it open see the new content in their next
transaction, and a kill at any moment leaves the old content or the new. Whether a restore has happened is read from the
restore id in the live database, never from an exception: a full disk may raise although the new content is there.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from tvarr_backup import program, schema
from tvarr_backup.backups.apart import saying_too_costly
from tvarr_backup.backups.backup_warnings import sentences_of
from tvarr_backup.backups.catalogue import Backup, Listing, find_backup, publish_backup, read_folder, taken_names
from tvarr_backup.backups.examine import Examined, examine
from tvarr_backup.backups.folder import work_in
from tvarr_backup.backups.in_use import locked_out
from tvarr_backup.backups.live import (
    Live,
    checkpoint,
    copy_into,
    holds,
    inspect_live,
    not_replaced,
    problems_of,
    read_restore_id,
    switch_to_wal,
)
from tvarr_backup.backups.names import BackupName, new_name
from tvarr_backup.backups.offline import (
    STOP_IT,
    complete_incoming,
    discard_incoming,
    files_set_aside,
    finish_replacement,
    plan_replacement,
    put_in_place,
    require_replaceable,
    unsettled,
)
from tvarr_backup.backups.progress import Phase, Progress, no_progress
from tvarr_backup.backups.restore_journal import (
    Replacement,
    Unfinished,
    pack_safety,
    publish_safety,
    read_journal,
    record_restore_with_safety,
    record_restore_without_safety,
    remove_journal,
    rewrite_journal,
    safety_path,
    sync_journal,
    write_journal,
)
from tvarr_backup.backups.room import archive_bytes, require_room
from tvarr_backup.backups.safety import SafetyCopy, salvage_safety
from tvarr_backup.backups.sidecar import CheckLevel, Sidecar
from tvarr_backup.backups.sqlite import Statements, is_of_the_disk, open_database, raising_disk_errors, remove_database
from tvarr_backup.backups.verify import unpack_and_check
from tvarr_backup.backups.versions import (
    is_safety_backup,
    require_accepted_code,
    require_versions,
)
from tvarr_backup.errors import (
    OfflineRestoreRequired,
    RestoreFailed,
    RestoreRefused,
    RestoreUnsettled,
    TvarrBackupError,
)
from tvarr_backup.schema import RequiredSchema
from tvarr_backup.sentences import Advice, Sentence, join

Migrate = Callable[[Path], None]
"""Upgrades a copy of a database that an older version of this program wrote, in place."""


@dataclass(frozen=True)
class Restored:
    """A restore that is done. `attention` is what the user should read; `before` and `after` count live rows.

    `safety` is `None` where it could not be packed (then `attention` says where the copy is), or where an offline restore
    could not make one. `set_aside` are the paths of the old files after an offline restore.
    """

    filename: str
    safety: Backup | None
    attention: tuple[Sentence, ...]
    before: Mapping[str, int]
    after: Mapping[str, int]
    set_aside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settled:
    """A restore that was cut off after its content was live; `safety` and `set_aside` as in `Restored`."""

    filename: str
    safety: Backup | None
    set_aside: tuple[str, ...] = ()


def restore_backup(
    live: Path,
    folder: Path,
    filename: str,
    required: RequiredSchema,
    *,
    offline: bool = False,
    migrate: Migrate | None = None,
    accept_newer: bool = False,
    accept_code: bool | Collection[str] = False,
    progress: Progress = no_progress,
) -> Restored:
    """Replace the content of the live database by that of a backup, while others use it.

    The old content, with every acknowledged commit, becomes a protected backup. `progress` may raise until the new content
    is in place, which undoes it. When this raises, the live database is as it was: `ConfirmationRequired` (a schema newer
    than every known one, without `accept_newer`), `CodeNotAccepted` (code in a backup from elsewhere that was accepted
    neither when it was added nor by `accept_code`: true, or the identities), `ExaminationTooCostly`, `RestoreRefused`,
    `DatabaseUnusable`, `DatabaseBusy`, `NoRoom`, `RestoreFailed`, or what `find_backup` and `work_in` raise. Must not be
    called inside a transaction on the live database.

    Where SQLite cannot write the live file, `OfflineRestoreRequired` is raised. With `offline`, which confirms that tvarr is
    stopped, the file is replaced, and this process must not have a connection to it. Raises `DatabaseInUse` where
    another program has it open, and `RestoreRefused` where a restore without `offline` is possible.
    """
    finish_restore(folder, required)
    with work_in(folder) as work:
        restore = _Restore(live, folder, work, required, progress, accept_newer, accept_code)
        return restore.run_offline(filename, migrate) if offline else restore.run(filename, migrate)


def find_restorable(
    live: Path,
    folder: Path,
    filename: str,
    required: RequiredSchema,
    *,
    offline: bool = False,
    accept_newer: bool = False,
) -> Backup:
    """Return a backup that can be restored, as far as that is known without unpacking it.

    Raises as `restore_backup` would, and `RestoreRefused` where the last check of the backup has found a problem. Whether
    another program has the live file open is asked for an offline restore only when it is done.
    """
    backup = find_backup(folder, filename)
    found = inspect_offline(live, required, filename) if offline else inspect_live(live, required, filename)
    recorded = backup.sidecar
    if recorded.problems:
        raise RestoreRefused(
            "{filename} cannot be relied on: its last check found this: {problems} Verify it again, or choose another.",
            filename=filename,
            problems=join(recorded.problems),
        )
    require_versions(backup, recorded.schema, found.schema, required, accept_newer=accept_newer)
    _require_room(live, folder, found, recorded.database_size)
    return backup


def inspect_offline(live: Path, required: RequiredSchema, filename: str) -> Live:
    """Return what is known of a live file that must be replaced; its `used` bytes are those that a copy needs.

    Raises where it need not be replaced, or cannot be.
    """
    try:
        found = inspect_live(live, required, filename)
        if not found.is_wal:
            switch_to_wal(live, filename)
    except OfflineRestoreRequired as damage:
        require_replaceable(live)
        files = [file for file in (live, Path(f"{live}-wal")) if file.exists()] if damage.is_readable else []
        return Live(0, 0, "", 2 * sum(file.stat().st_size for file in files), "")
    raise RestoreRefused(
        "{live} can be written, so an offline restore is not needed. Nothing was changed. Run `{program} backup restore "
        "{filename} --yes` without --offline: it keeps the current data as a safety backup, and tvarr may go on running.",
        live=live,
        program=program.NAME,
        filename=filename,
    )


def finish_restore(folder: Path, required: RequiredSchema) -> Settled | None:
    """Settle a restore that was cut off: publish the safety copy where the new content is in the live database.

    Where it is not, what was prepared is removed, and `None` is returned. An offline restore goes forward once its new
    database was ready. Can be cut off and run again. Raises `NoRoom` or `BackupFolderUnusable` where the safety copy cannot
    be published, which is kept then, and `RestoreUnsettled`.
    """
    if not folder.exists():  # a new installation
        return None
    with work_in(folder) as work:
        unfinished = read_journal(work)
        if unfinished is None:
            remove_journal(work)
            return None
        sync_journal(work)
        happened: bool | None
        if unfinished.offline is not None:
            happened = finish_replacement(unfinished, unfinished.offline)
        else:
            happened = unfinished.is_put_back or holds(Path(unfinished.live), unfinished.restore_id)
        if happened is False:
            remove_journal(work)
            return None
        if happened is None:
            raise _unknown(work, unfinished)
        return _settle(folder, work, unfinished, required)


def _settle(folder: Path, work: Path, unfinished: Unfinished, required: RequiredSchema) -> Settled:
    """Publish the safety copy, where there is one, and remove the journal."""
    offline = unfinished.offline
    set_aside = files_set_aside(offline) if offline else ()
    if offline is not None and not offline.has_safety:
        record_restore_without_safety(folder, unfinished.backup, set_aside)
        remove_journal(work)
        return Settled(unfinished.backup, None, set_aside)
    safety = publish_safety(folder, work, unfinished, required, no_progress)
    return Settled(unfinished.backup, safety, set_aside)


@dataclass
class _Restore:
    """One restore, under the lock of the folder."""

    live: Path
    folder: Path
    work: Path
    required: RequiredSchema
    progress: Progress
    accept_newer: bool
    accept_code: bool | Collection[str]
    attention: list[Sentence] = field(default_factory=list)
    ready: Unfinished | None = None

    def run(self, filename: str, migrate: Migrate | None) -> Restored:
        found = inspect_live(self.live, self.required, filename)
        backup = find_backup(self.folder, filename)
        _require_room(self.live, self.folder, found, backup.sidecar.database_size)
        unfinished = self._begin(filename, found.restore_id)
        begun = False

        def on_lock() -> None:
            nonlocal begun
            begun = True
            safety.complete()

        try:
            if not found.is_wal:
                switch_to_wal(self.live, filename)
            with open_database(self.live) as monitor:
                safety = SafetyCopy(self.live, safety_path(self.work), monitor, self.progress)
                staged, after = self._make_ready(backup, found, unfinished.restore_id, migrate, safety.take)
                safety.take()  # what was committed since is copied now, and not while others wait for the lock
                copy_into(staged, self.live, on_lock, self.progress)
        except BaseException as problem:
            happened = begun and holds(self.live, unfinished.restore_id)
            if happened is None:
                raise _unknown(self.work, unfinished) from problem
            if not happened:
                remove_journal(self.work)
                if isinstance(problem, sqlite3.Error):
                    raise not_replaced(self.live, problem) from problem
                raise
            self.attention.append(
                Sentence("“{problem}” was reported after the new content was in place.", problem=problem)
            )
        return self._finish(unfinished, after, safety.refusal)

    def run_offline(self, filename: str, migrate: Migrate | None) -> Restored:
        """Replace the live file, which SQLite cannot write; the old files are set aside."""
        found = inspect_offline(self.live, self.required, filename)
        owner = require_replaceable(self.live)
        backup = find_backup(self.folder, filename)
        _require_room(self.live, self.folder, found, backup.sidecar.database_size)
        planned = plan_replacement(self.live, datetime.now(UTC))
        unfinished = self._begin(filename, 0, planned)
        try:
            with locked_out(self.live, STOP_IT):  # before minutes are spent in vain
                pass
            staged, after = self._make_ready(backup, found, unfinished.restore_id, migrate, None)
            is_wal = complete_incoming(staged, planned, unfinished.restore_id, owner, self.progress)
            ready = self._replace_file(unfinished, planned, is_readable=bool(found.used))
        except BaseException as problem:
            self._give_up(problem)
            raise
        if not is_wal:
            self.attention.append(
                Sentence(
                    "{live} is in rollback-journal mode, because its file system has no shared memory. Stop tvarr for "
                    "every later restore as well.",
                    live=self.live,
                )
            )
        problems = problems_of(self.live, unfinished.restore_id, _never_raising(self.progress))
        if problems:
            with contextlib.suppress(OSError):
                remove_journal(self.work)
            raise RestoreUnsettled(
                "The new database is damaged after the restore ({problems}). The old files are kept as "
                "{set_aside}. Check the disk, then restore again.",
                problems=join(problems, "; "),
                set_aside=Path(planned.set_aside),
            )
        return self._finish_offline(ready, after)

    def _replace_file(self, unfinished: Unfinished, planned: Replacement, *, is_readable: bool) -> Unfinished:
        """Give the new database the live name while other programs are kept out. From `is_ready` on, recovery goes forward."""
        with locked_out(self.live, STOP_IT) as old:
            has_safety = is_readable and salvage_safety(self.live, safety_path(self.work))
            ready = replace(planned, old=old, is_ready=True, has_safety=has_safety)
            self.ready = replace(unfinished, offline=ready)
            rewrite_journal(self.work, self.ready)
            put_in_place(self.live, ready)
        return self.ready

    def _give_up(self, problem: BaseException) -> None:
        """Undo an offline restore that failed, or raise `RestoreUnsettled` where its new database was ready."""
        try:
            unfinished = read_journal(self.work)
        except OSError:
            unfinished = self.ready  # the journal may say so by now, or not
        if unfinished is None or unfinished.offline is None:
            return
        if unfinished.offline.is_ready:
            raise unsettled(unfinished, unfinished.offline, Sentence("{problem:clause}.", problem=problem)) from problem
        discard_incoming(unfinished.offline)
        remove_journal(self.work)

    def _finish_offline(self, unfinished: Unfinished, after: Mapping[str, int]) -> Restored:
        try:
            settled = _settle(self.folder, self.work, unfinished, self.required)
        except (TvarrBackupError, OSError, sqlite3.Error) as problem:
            has_safety = unfinished.offline is not None and unfinished.offline.has_safety
            incomplete = Sentence(
                "The restore is complete, but its end could not be recorded ({problem}). Run {advice}.",
                problem=problem,
                advice=Advice.RECOVER,
            )
            self.attention.append(_not_packed(self.work, problem) if has_safety else incomplete)
            set_aside = files_set_aside(unfinished.offline) if unfinished.offline else ()
            return Restored(unfinished.backup, None, tuple(self.attention), {}, after, set_aside)
        before = settled.safety.sidecar.table_counts if settled.safety else {}
        return Restored(unfinished.backup, settled.safety, tuple(self.attention), before, after, settled.set_aside)

    def _begin(self, filename: str, old: int, offline: Replacement | None = None) -> Unfinished:
        """Write the journal, before anything that recovery would have to know of."""
        now, restore_id = datetime.now(UTC), old
        while restore_id == old:
            restore_id = secrets.randbelow(2**31 - 1) + 1
        name = new_name(now, taken_names(self.folder))
        unfinished = Unfinished(restore_id, str(self.live), filename, name.filename, now.isoformat(), offline=offline)
        write_journal(self.work, unfinished)
        return unfinished

    def _make_ready(
        self, backup: Backup, live: Live, restore_id: int, migrate: Migrate | None, beside: Callable[[], None] | None
    ) -> tuple[Path, Mapping[str, int]]:
        """Return the database of a backup as it will be live, and its rows."""
        try:
            with (
                raising_disk_errors(),
                saying_too_costly(
                    Sentence("{filename} was not restored. Your data is unchanged.", filename=backup.filename)
                ),
            ):
                staged, examined = self._unpack(backup, live, beside)
                after = self._upgrade(staged, examined, migrate)
                staged = self._prove_copyable(staged, backup, live.page_size)
                _set_restore_id(staged, restore_id)
        except sqlite3.Error as problem:
            raise RestoreFailed(
                "The copy of {filename} could not be made ready: {problem}. Nothing was restored, your data is "
                "unchanged.",
                filename=backup.filename,
                problem=problem,
            ) from problem
        return staged, after

    def _unpack(self, backup: Backup, live: Live, beside: Callable[[], None] | None) -> tuple[Path, Examined]:
        """Return the database of a backup, unpacked, once it is known to fit this live database; call `beside` meanwhile."""
        unpacked = unpack_and_check(self.folder, self.work, backup, self.required, self.progress, beside=beside)
        staged, examined, problems = unpacked.database, unpacked.examined, unpacked.verification.problems
        if problems or staged is None or examined is None:
            raise RestoreRefused(
                "{filename} cannot be relied on, and was not restored. {problems}",
                filename=backup.filename,
                problems=join(problems),
            )
        with open_database(staged) as connection:
            (encoding,) = connection.execute("PRAGMA encoding").fetchone()
        if live.encoding and encoding != live.encoding:
            raise RestoreRefused(
                "{filename} holds its texts in {encoding}, the live database in {live_encoding}: programs that have "
                "it open could not go on.",
                filename=backup.filename,
                encoding=encoding,
                live_encoding=live.encoding,
            )
        require_versions(backup, examined.schema, live.schema, self.required, accept_newer=self.accept_newer)
        known = backup.sidecar.checked.warnings if backup.sidecar.checked else ()
        new = [warning for warning in examined.warnings if warning not in known]
        if new:
            raise RestoreRefused("{filename} was not restored. {new}", filename=backup.filename, new=sentences_of(new))
        require_accepted_code(backup.filename, backup.sidecar, examined.code, accepted=self.accept_code)
        return staged, examined

    def _upgrade(self, staged: Path, examined: Examined, migrate: Migrate | None) -> Mapping[str, int]:
        """Migrate the staged database where it is one of ours and older; return its rows."""
        if migrate is None or not schema.is_older(examined.schema, self.required):
            return examined.table_counts
        migrate(staged)
        again = examine(staged, self.required, CheckLevel.FULL)
        if again.problems:
            raise RestoreRefused(
                "The update of the backup's tables failed its check. {problems}", problems=join(again.problems)
            )
        return again.table_counts

    def _prove_copyable(self, staged: Path, backup: Backup, page_size: int) -> Path:
        """Return the staged database in the page size of the live one (0: its own), after SQLite has copied it.

        A database that cannot be copied could not be backed up once it is live. A safety backup was live here, and is
        restored all the same.
        """
        copied, size = self.work / "copied.db", staged.stat().st_size
        with open_database(staged) as connection:
            (own,) = connection.execute("PRAGMA page_size").fetchone()
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute(f"PRAGMA page_size={page_size or own:d}")
            copy = Statements(connection, lambda: connection.execute("VACUUM INTO ?", (str(copied),)))
            try:
                with copy:
                    copy.result(lambda: self.progress(Phase.CHECK, 0, size))
            except sqlite3.Error as problem:
                if is_of_the_disk(problem):
                    raise
                sentence = Sentence(
                    "SQLite cannot copy the database in {filename} ({problem})",
                    filename=backup.filename,
                    problem=problem,
                )
                if page_size not in (0, own) or not is_safety_backup(backup.sidecar):
                    raise RestoreRefused(
                        "{sentence}, so it could not be backed up again. Nothing was restored, your data is unchanged. "
                        "Choose another backup.",
                        sentence=sentence,
                    ) from problem
                self.attention.append(
                    Sentence("{sentence}, as before, so no backup of it can be made.", sentence=sentence)
                )
        if page_size not in (0, own):
            return copied
        remove_database(copied)
        return staged

    def _finish(self, unfinished: Unfinished, after: Mapping[str, int], refusal: str) -> Restored:
        """Check the live database, pack the safety copy meanwhile, and publish it. Only a failed check undoes the restore.

        `refusal` says why SQLite could not make the safety copy, which was copied byte for byte then.
        """
        progress = _never_raising(self.progress)
        sentences = [*self.attention, *checkpoint(self.live)]
        packed: tuple[BackupName, Sidecar] | Exception | None = None

        def pack() -> None:
            nonlocal packed
            try:
                packed = pack_safety(self.folder, self.work, unfinished, self.required, progress)
            except (TvarrBackupError, OSError, sqlite3.Error) as problem:
                packed = problem

        problems = problems_of(self.live, unfinished.restore_id, progress, beside=pack)
        is_intact = not refusal or (isinstance(packed, tuple) and not packed[1].problems)
        if problems:
            self._put_back(unfinished, problems, progress, whole=is_intact)
        if refusal:
            sentences.insert(0, _copied_bytes(refusal, is_intact=is_intact))
        try:
            if not isinstance(packed, tuple):
                raise packed or RestoreFailed("")
            safety = publish_backup(self.folder, self.work, *packed)
            record_restore_with_safety(self.folder)
            remove_journal(self.work)
        except (TvarrBackupError, OSError, sqlite3.Error) as problem:
            sentences.append(_not_packed(self.work, problem))
            return Restored(unfinished.backup, None, tuple(sentences), {}, after)
        return Restored(unfinished.backup, safety, tuple(sentences), safety.sidecar.table_counts, after)

    def _put_back(self, unfinished: Unfinished, problems: list[str], progress: Progress, *, whole: bool) -> NoReturn:
        """Copy the safety copy into the live database, check it, and raise in any case."""
        live, safety = self.live, safety_path(self.work)
        try:
            rewrite_journal(self.work, replace(unfinished, is_put_back=True))
            copy_into(safety, live, lambda: None, progress)
            still = problems_of(live, read_restore_id(safety), progress) if whole else []
            reason = join(still)
        except (sqlite3.Error, TvarrBackupError, OSError) as problem:
            reason = Sentence("{problem}", problem=problem)
        if reason:
            raise RestoreUnsettled(
                "The live database is damaged after the restore ({problems}), and what was there before could not "
                "be put back ({reason}). It is kept as {safety}: once nothing else stands in the way, `backup recover` makes "
                "it the backup {filename}, and `backup restore {filename} --yes` puts it back.",
                problems=join(problems, "; "),
                reason=reason,
                safety=safety,
                filename=unfinished.safety,
            )
        remove_journal(self.work)
        raise RestoreFailed(
            "The live database failed its check after the restore ({problems}), so what was there before was put "
            "back: nothing was restored, your data is unchanged.",
            problems=join(problems, "; "),
        )


def _require_room(live: Path, folder: Path, found: Live, size: int) -> None:
    require_room_for_restore(live, folder, read_folder(folder), used=found.used, page_size=found.page_size, size=size)


def require_room_for_restore(
    live: Path, folder: Path, listing: Listing, *, used: int, page_size: int, size: int
) -> None:
    """Raise `NoRoom` where a restore of a database of `size` bytes is unlikely to fit; `page_size` is 0 offline.

    The backup folder needs the staged copy, the safety copy, and another copy of the staged one or an archive. The folder of
    the live database needs the journal of the new content and its growth, or in an offline restore the file.
    """
    here, archive, there = size + used, archive_bytes(used, listing), size
    if page_size:
        there = size * (page_size + 24) // page_size + max(0, size - used)
    if folder.stat().st_dev == live.parent.stat().st_dev:
        require_room(folder, here + max(there, archive), "The restore")
    else:
        require_room(folder, here + max(size, archive), "The restore")
        require_room(live.parent, there, "The restore")


def _copied_bytes(refusal: str, *, is_intact: bool) -> Sentence:
    if is_intact:
        return Sentence(
            "SQLite could not copy what was live before ({refusal}), so the safety backup is a byte-for-byte copy. It passed "
            "its check and can be restored.",
            refusal=refusal,
        )
    return Sentence(
        "What was live before was damaged ({refusal}). It was copied byte for byte and is kept for salvage, but it cannot "
        "be restored.",
        refusal=refusal,
    )


def _not_packed(work: Path, problem: Exception) -> Sentence:
    return Sentence(
        "The copy of before could not be made a backup ({problem}), and is kept as {safety}: make room, then run "
        "`backup recover`.",
        problem=problem,
        safety=safety_path(work),
    )


def _set_restore_id(staged: Path, restore_id: int) -> None:
    """Set the `user_version` of the staged database, which gets into the live one with its content, or not at all.

    A table would be a change to a database that is not ours. The staged copy need not survive a power cut.
    """
    with open_database(staged) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute(f"PRAGMA user_version={restore_id:d}")


def _unknown(work: Path, unfinished: Unfinished) -> RestoreUnsettled:
    return RestoreUnsettled(
        "{live} cannot be used just now, so it is not known whether {backup} has been restored into it. What was "
        "there before is kept as {safety}; when it can be used again, run `backup recover`.",
        live=Path(unfinished.live),
        backup=unfinished.backup,
        safety=safety_path(work),
    )


def _never_raising(progress: Progress) -> Progress:
    """The data has been replaced, so a cancel request is ignored from here on."""

    def report(phase: Phase, done: int, total: int) -> None:
        with contextlib.suppress(Exception):
            progress(phase, done, total)

    return report
