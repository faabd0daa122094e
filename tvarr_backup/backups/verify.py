"""Verify a backup: its archive is unchanged, and it contains an intact database of tvarr's."""

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
from tvarr_backup.backups.schema_table import join_some
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
    """The result of verifying a backup, which `backup` has in its metadata file, if any. `configuration` as in `Examined`."""

    backup: Backup
    checks: tuple[CheckOutcome, ...]
    warnings: tuple[BackupWarning, ...] = ()
    configuration: str = ""

    @property
    def problems(self) -> tuple[str, ...]:
        """The problems that were found."""
        return problems_in(self.checks)


@dataclass(frozen=True)
class Unpacked:
    """A verification and the database unpacked for it, or `None` if it could not be unpacked."""

    verification: Verification
    database: Path | None = None
    examined: Examined | None = None


def next_to_verify(backups: Iterable[Backup], now: datetime) -> Backup | None:
    """Return the backup that was verified longest ago, or `None` if none can store the result.

    A backup without a verification counts as verified a month before it was made. So it comes first, but old backups still
    get their turn, however many new ones are made. A verification in the future does not count.
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
    """Check everything about a backup and save the result in its metadata file. Damage is a result, not an error.

    If the backup folder is read-only or full, the backup is unpacked in the folder `scratch`, and a result that cannot be
    saved has the warning `NOT_SAVED` or `NOT_SAVED_FULL`. Raises `BackupNotFound`, `BackupBroken`, `BackupBusy`,
    `BackupFolderReadOnly` without `scratch`, `NoRoom`, `ExaminationTooCostly` or `BackupFolderUnusable`; then the metadata
    file is unchanged.
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
    """Check a backup in a folder on another disk. If neither disk has room, the error names both."""
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with work_in(scratch) as work:
            backup = find_backup(folder, filename)
            require_room(scratch, bytes_to_verify(backup), "Verification")
            return unpack_and_check(folder, work, backup, required, progress).verification
    except NoRoom as problem:
        if isinstance(no_room, NoRoom):
            raise NoRoom("{here} {there}", here=no_room, there=problem) from problem
        raise


def _verify_and_record(folder: Path, filename: str, required: RequiredSchema, progress: Progress) -> Verification:
    with work_in(folder) as work:
        backup = find_backup(folder, filename)
        require_room(folder, bytes_to_verify(backup), "Verification")
        found = unpack_and_check(folder, work, backup, required, progress).verification
        try:
            with explained(folder):
                return _recorded(folder, work, found)
        except NoRoom:
            return replace(found, warnings=(*found.warnings, NOT_SAVED_FULL))


def _recorded(folder: Path, work: Path, found: Verification) -> Verification:
    """Save the result in the metadata file, unless that is part of one of tvarr's archives."""
    backup = found.backup
    if backup.name.format is ArchiveFormat.TAR:
        return found
    warnings = (*found.warnings, *backup.sidecar.lasting_warnings)
    checked = Checked(CheckLevel.FULL, datetime.now(UTC), found.problems, warnings)
    read = {"configuration": found.configuration} if found.configuration else {}
    return replace(found, backup=rewrite_sidecar(folder, work, backup, checked=checked, **read))


def bytes_to_verify(backup: Backup) -> int:
    """Return the bytes that unpacking takes. For tvarr's archives, the tar and the database exist at the same time."""
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
    """Unpack a backup into `work`, under the caller's lock, and check it. `beside` is called meanwhile; it may raise to cancel."""
    recorded = backup.sidecar
    limit = None if recorded.kind is BackupKind.TVARR else recorded.database_size
    try:
        with open_regular(folder / backup.filename) as archive:
            staged = stage(archive, backup.name.format, work, progress, limit_bytes=limit)
    except ArchiveTooLarge:
        return _unreadable(
            backup, Sentence("It unpacks to more than the {size:MB} in its metadata.", size=recorded.database_size)
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
    comparisons = [] if backup.name.format is ArchiveFormat.TAR else _compare_files(recorded, staged.packed)
    all_checks = [CheckOutcome("archive", passed=True), *comparisons, *examined.checks]
    if recorded.is_from_elsewhere:  # otherwise the live database has the same schema table
        all_checks.append(CheckOutcome("schema", passed=not examined.irregular, detail=join_some(examined.irregular)))
    all_checks += _compare_rows(recorded, examined)
    warnings = (*examined.warnings, *examined.facts)
    verification = Verification(backup, tuple(all_checks), warnings, examined.configuration)
    return Unpacked(verification, staged.path, examined)


def _unreadable(backup: Backup, why: str) -> Unpacked:
    return Unpacked(Verification(backup, (CheckOutcome("archive", passed=False, detail=why),)))


def _compare_files(recorded: Sidecar, packed: Packed) -> Iterator[CheckOutcome]:
    """Compare checksums and size with the recorded ones. tvarr records only the checksum of the archive."""
    yield _compare("archive checksum", recorded.checksum, packed.archive_checksum)
    if recorded.kind is not BackupKind.TVARR:
        yield _compare("database checksum", recorded.database_checksum, packed.database_checksum)
        yield _compare("database size", str(recorded.database_size), str(packed.database_size))


def _compare_rows(recorded: Sidecar, examined: Examined) -> Iterator[CheckOutcome]:
    """Compare the row counts with the recorded ones, except tvarr's, which are too high."""
    if recorded.kind is BackupKind.TVARR:
        return
    found = []
    for table, number in recorded.table_counts.items():
        now = examined.table_counts.get(table)
        if now is None:
            found.append(Sentence("there is no table {table}", table=table))
        elif now != number:
            template = "{table} has {now} rows, but its metadata says {number}"
            found.append(Sentence(template, table=table, now=now, number=number))
    detail = Sentence("The row counts do not match the metadata: {found}.", found=join(found, "; ")) if found else ""
    yield CheckOutcome("row counts", passed=not found, detail=detail)


def _compare(name: str, recorded: str, found: str) -> CheckOutcome:
    if recorded == found:
        return CheckOutcome(name, passed=True)
    template = "The {name} is {found}, but the metadata says {recorded}."
    return CheckOutcome(name, passed=False, detail=Sentence(template, name=name, found=found, recorded=recorded))
