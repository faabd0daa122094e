"""Restore a backup into the live database, through SQLite and under its locks.

    lock -> journal with a random restore id, durable -> backup unpacked, both checksums, full check; safety copy meanwhile
    -> right for this live database? -> our migrations and the restore id, on the copy
    -> safety copy again, if another program has committed since
    -> SQLite's online backup into the live file; under its lock the safety copy again, if another program has committed since
    -> checkpoint -> full check of the live database, safety copy packed meanwhile -> safety backup published, protected
    -> journal removed

The live file is never renamed, copied over or unlinked. Programs that have it open see the new data in their next
transaction, and after a kill at any moment it has the old data or the new. Only the restore id (`user_version`) in the live
database says whether a restore happened, never an exception: a full disk may raise although the new data is there. Recovery
reads it, and publishes or removes the safety copy. It never puts old data back, because other programs may have gone on
with the new. An offline restore (`offline`) replaces the file instead.
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
from tvarr_backup.backups.verify import Unpacked, unpack_and_check
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
"""Upgrades, in place, a copy of a database that an older version of this program wrote."""


@dataclass(frozen=True)
class Restored:
    """Result of a restore. `attention` is for the user to read; `before` and `after` count live rows.

    `safety` is `None` if the safety copy could not be packed (`attention` says where it is), or if an offline restore could
    not make one. `set_aside` are the paths of the old files after an offline restore.
    """

    filename: str
    safety: Backup | None
    attention: tuple[Sentence, ...]
    before: Mapping[str, int]
    after: Mapping[str, int]
    set_aside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settled:
    """An interrupted restore whose data was live; `safety` and `set_aside` are as in `Restored`."""

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
    """Replace the data of the live database by that of a backup, while other programs use it.

    The old data, with every acknowledged commit, becomes a protected safety backup. `progress` may raise to cancel until the
    new data is in place. Must not be called inside a transaction on the live database. Raises, and leaves the live database
    unchanged: `ConfirmationRequired` (a schema newer than every known one, without `accept_newer`), `CodeNotAccepted` (code
    in a backup from elsewhere, accepted neither when it was added nor by `accept_code`: true, or its identities),
    `ExaminationTooCostly`, `RestoreRefused`, `DatabaseUnusable`, `DatabaseBusy`, `NoRoom`, `RestoreFailed`, what
    `find_backup` and `work_in` raise, or `OfflineRestoreRequired` if SQLite cannot write the live file.

    With `offline`, which confirms that tvarr is stopped, the file is replaced. This process must not have a connection to it.
    Raises also `DatabaseInUse` if another program has it open, and `RestoreRefused` if a normal restore is possible.
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
    """Return a backup if it can be restored, as far as that is known without unpacking it.

    Raises what `restore_backup` would raise, and `RestoreRefused` if the last verification found a problem. For an offline
    restore, it is not checked yet whether another program has the live file open.
    """
    backup = find_backup(folder, filename)
    found = inspect_offline(live, required, filename) if offline else inspect_live(live, required, filename)
    recorded = backup.sidecar
    if recorded.problems:
        raise RestoreRefused(
            "{filename} was not restored, because its last verification found a problem. {problems} Nothing was changed. "
            "Verify it again, or choose another backup.",
            filename=filename,
            problems=join(recorded.problems),
        )
    require_versions(backup, recorded.schema, found.schema, required, accept_newer=accept_newer)
    _require_room(live, folder, found, recorded.database_size)
    return backup


def inspect_offline(live: Path, required: RequiredSchema, filename: str) -> Live:
    """Return the properties of a live file for an offline restore; `used` are the bytes that a copy needs.

    Raises if an offline restore is not needed or not possible.
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
        "{filename} --yes` without --offline. It saves the current data as a safety backup, and tvarr can keep running.",
        live=live,
        program=program.NAME,
        filename=filename,
    )


def finish_restore(folder: Path, required: RequiredSchema) -> Settled | None:
    """Settle an interrupted restore: publish the safety copy if the new data is live. Safe to interrupt and repeat.

    Otherwise remove what was prepared, and return `None`. An offline restore whose new database was ready is finished. Raises
    `NoRoom` or `BackupFolderUnusable` if the safety copy cannot be published (it is kept), or `RestoreUnsettled`.
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
    """Publish the safety copy, if there is one, and remove the journal."""
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
    """One restore, under the folder's lock."""

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
                safety.take()  # now rather than under the lock, for which other programs would wait
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
                Sentence('An error was reported after the new data was in place: "{problem}"', problem=problem)
            )
        return self._finish(unfinished, after, safety.refusal)

    def run_offline(self, filename: str, migrate: Migrate | None) -> Restored:
        """Replace the live file, which SQLite cannot write, and set the old files aside."""
        found = inspect_offline(self.live, self.required, filename)
        owner = require_replaceable(self.live)
        backup = find_backup(self.folder, filename)
        _require_room(self.live, self.folder, found, backup.sidecar.database_size)
        planned = plan_replacement(self.live, datetime.now(UTC))
        unfinished = self._begin(filename, 0, planned)
        try:
            with locked_out(self.live, STOP_IT):  # fails now, not after minutes of work
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
                    "{live} is in rollback-journal mode, because its file system has no shared memory. Stop tvarr for every "
                    "later restore too.",
                    live=self.live,
                )
            )
        problems = problems_of(self.live, unfinished.restore_id, _never_raising(self.progress))
        if problems:
            with contextlib.suppress(OSError):
                remove_journal(self.work)
            raise RestoreUnsettled(
                "The restored database is damaged ({problems}). The old files are kept as {set_aside}. Check the disk, then "
                "restore again.",
                problems=join(problems, "; "),
                set_aside=Path(planned.set_aside),
            )
        return self._finish_offline(ready, after)

    def _replace_file(self, unfinished: Unfinished, planned: Replacement, *, is_readable: bool) -> Unfinished:
        """Give the new database the live name while other programs are locked out. From `is_ready` on, recovery finishes it."""
        with locked_out(self.live, STOP_IT) as old:
            has_safety = is_readable and salvage_safety(self.live, safety_path(self.work))
            ready = replace(planned, old=old, is_ready=True, has_safety=has_safety)
            self.ready = replace(unfinished, offline=ready)
            rewrite_journal(self.work, self.ready)
            put_in_place(self.live, ready)
        return self.ready

    def _give_up(self, problem: BaseException) -> None:
        """Undo a failed offline restore, or raise `RestoreUnsettled` if its new database was ready."""
        try:
            unfinished = read_journal(self.work)
        except OSError:
            unfinished = self.ready  # the journal may or may not say so already
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
                "The restore is complete, but that could not be recorded ({problem}). Run {advice}.",
                problem=problem,
                advice=Advice.RECOVER,
            )
            self.attention.append(_not_packed(self.work, problem) if has_safety else incomplete)
            set_aside = files_set_aside(unfinished.offline) if unfinished.offline else ()
            return Restored(unfinished.backup, None, tuple(self.attention), {}, after, set_aside)
        before = settled.safety.sidecar.table_counts if settled.safety else {}
        return Restored(unfinished.backup, settled.safety, tuple(self.attention), before, after, settled.set_aside)

    def _begin(self, filename: str, old: int, offline: Replacement | None = None) -> Unfinished:
        """Write the journal before anything that recovery would have to know about."""
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
        """Return the database of a backup, ready to become live, and its row counts."""
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
                "{filename} could not be prepared: {problem}. Nothing was restored. Your data is unchanged.",
                filename=backup.filename,
                problem=problem,
            ) from problem
        return staged, after

    def _unpack(self, backup: Backup, live: Live, beside: Callable[[], None] | None) -> tuple[Path, Examined]:
        """Unpack a backup and check that it fits this live database. `beside` is called during the check."""
        unpacked = unpack_and_check(self.folder, self.work, backup, self.required, self.progress, beside=beside)
        return require_restorable(
            backup,
            unpacked,
            live,
            self.required,
            accept_newer=self.accept_newer,
            accept_code=self.accept_code,
        )

    def _upgrade(self, staged: Path, examined: Examined, migrate: Migrate | None) -> Mapping[str, int]:
        """Migrate the staged database if an older version of this program wrote it. Return its row counts."""
        if migrate is None or not schema.is_older(examined.schema, self.required):
            return examined.table_counts
        migrate(staged)
        again = examine(staged, self.required, CheckLevel.FULL)
        if again.problems:
            raise RestoreRefused(
                "Nothing was restored: after its tables were upgraded, the backup failed verification. {problems} Your data is "
                "unchanged.",
                problems=join(again.problems),
            )
        return again.table_counts

    def _prove_copyable(self, staged: Path, backup: Backup, page_size: int) -> Path:
        """Return the staged database in the page size of the live one (0: its own), once SQLite has copied it.

        A database that SQLite cannot copy could not be backed up once it is live. Safety backups are exempt, because their
        data was live here.
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
                        "{sentence}, so it could not be backed up again. Nothing was restored. Your data is unchanged. Choose "
                        "another backup.",
                        sentence=sentence,
                    ) from problem
                self.attention.append(
                    Sentence("{sentence}. This was so before, and no backup can be made of it.", sentence=sentence)
                )
        if page_size not in (0, own):
            return copied
        remove_database(copied)
        return staged

    def _finish(self, unfinished: Unfinished, after: Mapping[str, int], refusal: str) -> Restored:
        """Check the live database while the safety copy is packed, and publish that. Only a failed check undoes the restore."""
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
        """Copy the safety copy into the live database, check it, and always raise."""
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
                "The live database is damaged after the restore ({problems}), and the previous data could not be put back "
                "({reason}). It is kept as {safety}. Remove the cause, then run `backup recover` to make it the backup "
                "{filename}, and `backup restore {filename} --yes` to put it back.",
                problems=join(problems, "; "),
                reason=reason,
                safety=safety,
                filename=unfinished.safety,
            )
        remove_journal(self.work)
        raise RestoreFailed(
            "The live database failed verification after the restore ({problems}), so the previous data was put back. Nothing "
            "was restored. Your data is unchanged.",
            problems=join(problems, "; "),
        )


def require_restorable(
    backup: Backup,
    unpacked: Unpacked,
    live: Live,
    required: RequiredSchema,
    *,
    accept_newer: bool,
    accept_code: bool | Collection[str],
) -> tuple[Path, Examined]:
    """Return the unpacked database, which may replace this live one, and what its check found.

    Raises `RestoreRefused`, `ConfirmationRequired` or `CodeNotAccepted`.
    """
    staged, examined, problems = unpacked.database, unpacked.examined, unpacked.verification.problems
    if problems or staged is None or examined is None:
        raise RestoreRefused(
            "{filename} was not restored, because verification found a problem. {problems} Your data is unchanged. Choose "
            "another backup.",
            filename=backup.filename,
            problems=join(problems),
        )
    with open_database(staged) as connection:
        (encoding,) = connection.execute("PRAGMA encoding").fetchone()
    if live.encoding and encoding != live.encoding:
        raise RestoreRefused(
            "{filename} was not restored. Its text encoding is {encoding}, but the live database uses {live_encoding}, and "
            "programs that have it open would fail. Your data is unchanged.",
            filename=backup.filename,
            encoding=encoding,
            live_encoding=live.encoding,
        )
    require_versions(backup, examined.schema, live.schema, required, accept_newer=accept_newer)
    known = backup.sidecar.checked.warnings if backup.sidecar.checked else ()
    new = [warning for warning in examined.warnings if warning not in known]
    if new:
        raise RestoreRefused(
            "{filename} was not restored. {new} Your data is unchanged.",
            filename=backup.filename,
            new=sentences_of(new),
        )
    require_accepted_code(backup.filename, backup.sidecar, examined.code, accepted=accept_code)
    return staged, examined


def _require_room(live: Path, folder: Path, found: Live, size: int) -> None:
    require_room_for_restore(live, folder, read_folder(folder), used=found.used, page_size=found.page_size, size=size)


def require_room_for_restore(
    live: Path, folder: Path, listing: Listing, *, used: int, page_size: int, size: int
) -> None:
    """Raise `NoRoom` if a restore of a database of `size` bytes is unlikely to fit; `page_size` is 0 offline."""
    needed = bytes_for_restore(listing, used=used, page_size=page_size, size=size)
    if folder.stat().st_dev == live.parent.stat().st_dev:
        require_room(folder, needed.on_one_disk, "The restore")
    else:
        require_room(folder, needed.in_folder, "The restore")
        require_room(live.parent, needed.beside_live, "The restore")


@dataclass(frozen=True)
class RestoreBytes:
    """The bytes that a restore needs: in the backup folder, in the folder of the live database, or if they share a disk."""

    in_folder: int
    beside_live: int
    on_one_disk: int


def bytes_for_restore(listing: Listing, *, used: int, page_size: int, size: int) -> RestoreBytes:
    """Estimate what a restore of a database of `size` bytes needs; `page_size` is 0 offline.

    The backup folder needs room for the staged copy, the safety copy, and another staged copy or an archive. The folder of the
    live database needs room for the journal and growth, or in an offline restore for the new file.
    """
    here, archive, there = size + used, archive_bytes(used, listing), size
    if page_size:
        there = size * (page_size + 24) // page_size + max(0, size - used)
    return RestoreBytes(here + max(size, archive), there, here + max(there, archive))


def _copied_bytes(refusal: str, *, is_intact: bool) -> Sentence:
    if is_intact:
        return Sentence(
            "SQLite could not copy the previous data ({refusal}), so the safety backup is a byte-for-byte copy. Verification "
            "found no problem, and it can be restored.",
            refusal=refusal,
        )
    return Sentence(
        "The previous data was damaged ({refusal}). The safety backup is a byte-for-byte copy for salvage and cannot be "
        "restored.",
        refusal=refusal,
    )


def _not_packed(work: Path, problem: Exception) -> Sentence:
    return Sentence(
        "The safety copy could not be saved as a backup ({problem}). It is kept as {safety}. Free some space, then run `backup "
        "recover`.",
        problem=problem,
        safety=safety_path(work),
    )


def _set_restore_id(staged: Path, restore_id: int) -> None:
    """Set the `user_version` of the staged database, which need not be synced. A table would change tvarr's schema."""
    with open_database(staged) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute(f"PRAGMA user_version={restore_id:d}")


def _unknown(work: Path, unfinished: Unfinished) -> RestoreUnsettled:
    return RestoreUnsettled(
        "{live} cannot be used now, so it is unknown whether {backup} was restored. The previous data is kept as {safety}. When "
        "the database can be used again, run `backup recover`.",
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
