"""Verify a backup: the archive is as it was written, and it contains tvarr's database, intact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tvarr_backup.backups.apart import examining_apart, saying_too_costly
from tvarr_backup.backups.archive import Packed
from tvarr_backup.backups.backup_warnings import BackupWarning, BackupWarningCode
from tvarr_backup.backups.catalogue import Backup, find_backup, rewrite_sidecar
from tvarr_backup.backups.durable import open_regular
from tvarr_backup.backups.examine import CheckOutcome, Examined, examining_here, problems_in
from tvarr_backup.backups.folder import explained, work_in
from tvarr_backup.backups.names import ArchiveFormat
from tvarr_backup.backups.progress import Phase, Progress, no_progress
from tvarr_backup.backups.room import require_room
from tvarr_backup.backups.schema_table import some
from tvarr_backup.backups.sidecar import BackupKind, Checked, CheckLevel, Sidecar
from tvarr_backup.backups.stage import stage
from tvarr_backup.errors import ArchiveDamaged, ArchiveTooLarge, BackupFolderReadOnly, NoRoom, SidecarInvalid
from tvarr_backup.schema import RequiredSchema
from tvarr_backup.sentences import Sentence, join

NOT_SAVED = BackupWarning(BackupWarningCode.NOT_SAVED_READ_ONLY)
NOT_SAVED_FULL = BackupWarning(BackupWarningCode.NOT_SAVED_FULL)

_AS_IF_CHECKED = timedelta(days=30)


@dataclass(frozen=True)
class Verification:
    """The result of a full check; `backup` has it in its sidecar, where there is one."""

    backup: Backup
    checks: tuple[CheckOutcome, ...]
    warnings: tuple[BackupWarning, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """The problems that were found."""
        return problems_in(self.checks)


@dataclass(frozen=True)
class Unpacked:
    """A full check and the database that was unpacked for it, or `None` where it could not be unpacked."""

    verification: Verification
    database: Path | None = None
    examined: Examined | None = None


def next_to_verify(backups: Iterable[Backup], now: datetime) -> Backup | None:
    """Return the backup whose full check is longest ago, or `None` where none could keep the result.

    One without a full check counts as checked a month before it was made: so it is next, and old backups are still checked
    every month, however many new ones are made. A check in the future has a wrong date and does not count.
    """

    def checked_at(backup: Backup) -> datetime:
        checked = backup.sidecar.checked
        at = checked.at if checked is not None and checked.level is CheckLevel.FULL else None
        if at is not None and at <= now:
            return at
        return min(backup.sidecar.created_at, now) - _AS_IF_CHECKED

    kept = [backup for backup in backups if backup.name.format is not ArchiveFormat.TAR]
    return min(kept, key=lambda backup: (checked_at(backup), backup.filename), default=None)


def verify_backup(
    folder: Path,
    filename: str,
    required: RequiredSchema,
    *,
    scratch: Path | None = None,
    progress: Progress = no_progress,
) -> Verification:
    """Check everything about a backup, and keep the result in its sidecar; a damaged backup is a result, not an error.

    Where the backup folder is read-only or has no room, the backup is unpacked in `scratch`, which is created where it is
    missing; a result that cannot be saved then has the warning `NOT_SAVED` or `NOT_SAVED_FULL`. Raises `BackupNotFound`,
    `BackupBroken`, `BackupBusy`, `BackupFolderReadOnly` without `scratch`, `NoRoom` with the figures of each disk,
    `ExaminationTooCostly` for a backup from elsewhere, or `BackupFolderUnusable`; the sidecar is then unchanged.
    """
    find_backup(folder, filename)  # also where the folder does not exist yet
    with saying_too_costly(Sentence("{filename} was not verified.", filename=filename)):
        try:
            return _verify_and_record(folder, filename, required, progress)
        except (BackupFolderReadOnly, NoRoom) as problem:
            if scratch is None:
                raise
            found = _verify_elsewhere(folder, filename, required, scratch, progress, no_room=problem)
    try:
        with work_in(folder) as work:
            same = find_backup(folder, filename).sidecar == found.backup.sidecar
            return _recorded(folder, work, found) if same else found
    except (BackupFolderReadOnly, NoRoom) as problem:
        warning = NOT_SAVED if isinstance(problem, BackupFolderReadOnly) else NOT_SAVED_FULL
        return replace(found, warnings=(*found.warnings, warning))


def _verify_elsewhere(
    folder: Path,
    filename: str,
    required: RequiredSchema,
    scratch: Path,
    progress: Progress,
    *,
    no_room: BackupFolderReadOnly | NoRoom,
) -> Verification:
    """Check a backup in a folder on another disk. Where that has no room either, the error names both disks."""
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with work_in(scratch) as work:
            backup = find_backup(folder, filename)
            require_room(scratch, bytes_to_verify(backup), "The check")
            return unpack_and_check(folder, work, backup, required, progress).verification
    except NoRoom as problem:
        if isinstance(no_room, NoRoom):
            raise NoRoom("{here} {there}", here=no_room, there=problem) from problem
        raise


def _verify_and_record(folder: Path, filename: str, required: RequiredSchema, progress: Progress) -> Verification:
    with work_in(folder) as work:
        backup = find_backup(folder, filename)
        require_room(folder, bytes_to_verify(backup), "The check")
        found = unpack_and_check(folder, work, backup, required, progress).verification
        try:
            with explained(folder):
                return _recorded(folder, work, found)
        except NoRoom:
            return replace(found, warnings=(*found.warnings, NOT_SAVED_FULL))


def _recorded(folder: Path, work: Path, found: Verification) -> Verification:
    """Keep the result in the sidecar, if the backup has one of ours."""
    backup = found.backup
    if backup.name.format is ArchiveFormat.TAR:
        return found
    warnings = (*found.warnings, *backup.sidecar.lasting_warnings)
    checked = Checked(CheckLevel.FULL, datetime.now(UTC), found.problems, warnings)
    return replace(found, backup=rewrite_sidecar(folder, work, backup, checked=checked))


def bytes_to_verify(backup: Backup) -> int:
    """Return the bytes that unpacking takes; of tvarr's archives the tar and the database exist at the same time."""
    return backup.sidecar.database_size * (2 if backup.name.format is ArchiveFormat.TAR else 1)


def unpack_and_check(
    folder: Path,
    work: Path,
    backup: Backup,
    required: RequiredSchema,
    progress: Progress,
    *,
    beside: Callable[[], None] | None = None,
) -> Unpacked:
    """Unpack a backup into `work`, under the caller's lock, and check everything about it.

    `beside` is called while the check runs; what it raises ends the check.
    """
    recorded = backup.sidecar
    limit = None if recorded.kind is BackupKind.TVARR else recorded.database_size
    try:
        with open_regular(folder / backup.filename) as archive:
            staged = stage(archive, backup.name.format, work, progress, limit_bytes=limit)
    except ArchiveTooLarge:
        size_recorded = recorded.database_size
        return _unreadable(
            backup, Sentence("It unpacks to more than its description says, {size:MB}.", size=size_recorded)
        )
    except (ArchiveDamaged, SidecarInvalid) as problem:
        return _unreadable(backup, problem.sentence)
    size = staged.path.stat().st_size
    progress(Phase.CHECK, 0, size)
    examine = examining_apart if recorded.is_from_elsewhere else examining_here
    with examine(staged.path, required, CheckLevel.FULL) as examination:
        if beside is not None:
            beside()
        examined = examination.result(lambda: progress(Phase.CHECK, 0, size))
    as_recorded = [] if backup.name.format is ArchiveFormat.TAR else _compared(recorded, staged.packed)
    all_checks = [CheckOutcome("archive", passed=True), *as_recorded, *examined.checks]
    if recorded.is_from_elsewhere:  # of a backup made here, the live database was so
        all_checks.append(CheckOutcome("schema", passed=not examined.irregular, detail=some(examined.irregular)))
    all_checks += _counted(recorded, examined)
    verification = Verification(backup, tuple(all_checks), (*examined.warnings, *examined.facts))
    return Unpacked(verification, staged.path, examined)


def _unreadable(backup: Backup, why: str) -> Unpacked:
    return Unpacked(Verification(backup, (CheckOutcome("archive", passed=False, detail=why),)))


def _compared(recorded: Sidecar, packed: Packed) -> Iterator[CheckOutcome]:
    """Compare checksums and size; tvarr's sidecars have only the first."""
    yield _same("archive checksum", recorded.checksum, packed.archive_checksum)
    if recorded.kind is not BackupKind.TVARR:
        yield _same("database checksum", recorded.database_checksum, packed.database_checksum)
        yield _same("database size", str(recorded.database_size), str(packed.database_size))


def _counted(recorded: Sidecar, examined: Examined) -> Iterator[CheckOutcome]:
    """Compare the rows with those recorded, except by tvarr, which counts too many in the live database."""
    if recorded.kind is BackupKind.TVARR:
        return
    found = []
    for table, number in recorded.table_counts.items():
        now = examined.table_counts.get(table)
        if now is None:
            found.append(Sentence("there is no table {table}", table=table))
        elif now != number:
            found.append(Sentence("{table} has {now} rows, recorded are {number}", table=table, now=now, number=number))
    detail = Sentence("The rows are not those recorded: {found}.", found=join(found, "; ")) if found else ""
    yield CheckOutcome("row counts", passed=not found, detail=detail)


def _same(name: str, recorded: str, found: str) -> CheckOutcome:
    if recorded == found:
        return CheckOutcome(name, passed=True)
    template = "The {name} is {found}, but {recorded} is recorded."
    return CheckOutcome(name, passed=False, detail=Sentence(template, name=name, found=found, recorded=recorded))
