"""Copy backups to locations, check the copies, and test locations: the handlers of these operations.

Kind (arguments): result

- copy (`location`; `accept_empty`): `{"copied": [file names], "updated": [file names], "removed": [file names],
  "missing": [copies that somebody else deleted], "copies": number of copies there}`
- check_copy (`location`): `{"checked": [file names]}`
- test_location (`location`): `{"copies": number of copies there}`
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from tvarr_backup.backups.catalogue import Backup, read_folder
from tvarr_backup.backups.progress import Phase
from tvarr_backup.backups.sidecar import decode_sidecar, encode_sidecar, read_sidecar
from tvarr_backup.errors import (
    InternalError,
    LocationError,
    LocationNotFound,
    LocationUntrusted,
    ObjectDamaged,
    ObjectMissing,
    OperationCancelled,
    OperationInterrupted,
    SidecarInvalid,
    TvarrBackupError,
)
from tvarr_backup.locations.addresses import Address, LocationKind, read_address, require_credentials
from tvarr_backup.locations.copies import Copy, CopyFolder, CopyListing, describe, read_record
from tvarr_backup.locations.plan import CopyPlan, KnownCopy, plan_copies
from tvarr_backup.locations.stores import Report, open_store
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.location_secrets import seal_record, unseal_options, unseal_record
from tvarr_backup.operations.models import (
    Installation,
    Location,
    LocationCopy,
    Operation,
    OperationKind,
    OperationState,
    sentence_columns,
)
from tvarr_backup.operations.settings_backup import copy_settings
from tvarr_backup.sentences import Sentence

if TYPE_CHECKING:
    from tvarr_backup.operations.track import Tracker

logger = structlog.stdlib.get_logger(__name__)

FIRST_DELAY = timedelta(minutes=1)
LONGEST_DELAY = timedelta(hours=6)
"""Between attempts, which double from the first delay to this one."""
_FIRST_DELAY_AFTER_DEATH = timedelta(seconds=15)
_DELAY_AFTER_CANCELING = timedelta(hours=1)
_INTERNAL = "The last operation failed because of an error in tvarr-backup. The log has the details."


def open_address(location: Location) -> Address:
    """Return the address with its credentials. Raises `SecretsLost` and `LocationInvalid`."""
    options = location.options | unseal_options(location.sealed_options)
    address = read_address(LocationKind(location.kind), options)
    require_credentials(address)
    return address


def plan_for(location: Location, local: list[Backup], now: datetime) -> CopyPlan:
    """Return what there is to do, as far as it is known here."""
    copies = {copy.filename: _as_known(copy) for copy in location.copies.all()}
    return plan_copies(local, copies, location.policy(), now)


def _as_known(copy: LocationCopy) -> KnownCopy:
    return KnownCopy(decode_sidecar(copy.sidecar.encode()), copy.described)


def names_being_copied() -> set[str]:
    """Return the backups that are being copied or rehearsed now, which cleanup leaves alone."""
    kinds = (OperationKind.COPY, OperationKind.REHEARSE)
    running = Operation.objects.filter(kind__in=kinds, state=OperationState.RUNNING)
    return set(filter(None, running.values_list("arguments__filename", flat=True)))


# --- Handlers --------------------------------------------------------------------------------------------------------


def test_location(operation: Operation, tracker: Tracker) -> None:
    location = _load(operation)
    with _recorded(location), open_store(open_address(location)) as store:
        folder = CopyFolder(store, Installation.load())
        if location.tested_at is None:
            folder.mark()
        folder.require_marker()  # a location that was tested before may have been emptied, or its disk unmounted
        folder.try_out()
        copies = len(folder.read_listing().copies)
    _update(location, tested_at=datetime.now(UTC), offered_host_key="", **_NO_PROBLEM)
    logger.info("location.tested", location=location.name, copies=copies, seconds=tracker.seconds)
    tracker.set_result({"copies": copies})


def copy_backups(operation: Operation, tracker: Tracker) -> None:
    location = _load(operation)
    with _recorded(location), open_store(open_address(location)) as store:
        backups = backup_folder()
        folder = CopyFolder(store, Installation.load())
        if operation.arguments.get("accept_empty"):
            folder.mark()
        folder.require_marker()
        listing = folder.read_listing()
        folder.delete_unfinished(listing)
        local = list(read_folder(backups).backups)
        missing = _compare_with_listing(location, folder, listing, local)
        plan = plan_for(location, local, datetime.now(UTC))
        if plan.to_copy and location.behind_since is None:
            _update(location, behind_since=datetime.now(UTC))
        copied = copy_all(location, folder, backups, plan, tracker)
        updated = [_describe(location, folder, backups, backup) for backup in plan.to_describe]
        removed = _clean_up(location, folder, plan, tracker)
        _copy_settings(location, folder, listing, tracker)
    for filename in missing:
        tracker.add_warning(Sentence("Somebody else deleted the copy {filename}.", filename=filename))
    _update(location, in_sync_at=datetime.now(UTC), behind_since=None, **_NO_PROBLEM)
    tracker.set_result(
        {
            "copied": copied,
            "updated": [name for name in updated if name],
            "removed": removed,
            "missing": missing,
            "copies": location.copies.count(),
        }
    )


def check_oldest(operation: Operation, tracker: Tracker) -> None:
    """Read the copy whose check is oldest, and compare its checksum."""
    location = _load(operation)
    row = next_to_check(location)
    if row is None:
        tracker.set_result({"checked": []})
        return
    tracker.remember(filename=row.filename)
    copy = Copy(row.filename, row.size, row.is_encrypted)
    with _recorded(location), open_store(open_address(location)) as store:
        folder = CopyFolder(store, Installation.load())
        folder.require_marker()
        try:
            folder.check_copy(copy, row.checksum, lambda done: tracker.progress(Phase.COMPARE, done, row.size))
        except (ObjectDamaged, ObjectMissing) as problem:
            _check_again(location, row, problem)
            raise
    _check_again(location, row, None)
    logger.info("copy.checked", location=location.name, filename=row.filename, seconds=tracker.seconds)
    tracker.set_result({"checked": [row.filename]})


def next_to_check(location: Location) -> LocationCopy | None:
    """Return the copy whose check is oldest; copies that were never checked come first, the newest of them first."""
    rows = location.copies.all()
    return rows.filter(checked_at__isnull=True).first() or rows.order_by("checked_at", "-filename").first()


def _check_again(location: Location, row: LocationCopy, problem: TvarrBackupError | None) -> None:
    """Record a check. A damaged copy is not counted any more, so that the next copying replaces it."""
    row.checked_at, row.problem = datetime.now(UTC), str(problem or "")
    row.save(update_fields=["checked_at", "problem"])
    if problem is not None:
        logger.error("copy.damaged", location=location.name, filename=row.filename, reason=str(problem))


# --- Copying ---------------------------------------------------------------------------------------------------------


def _compare_with_listing(
    location: Location, folder: CopyFolder, listing: CopyListing, local: list[Backup]
) -> list[str]:
    """Forget copies that are not there any more, and find those that are not known. Return the names of the former."""
    there = {copy.filename: copy for copy in listing.copies}
    rows = {row.filename: row for row in location.copies.all()}
    here = {backup.filename: backup for backup in local}
    gone = [name for name, row in rows.items() if name not in there or there[name].size != row.size]
    location.copies.filter(filename__in=gone).delete()
    for name in gone:
        logger.warning("copy.missing", location=location.name, filename=name)
    for name, copy in there.items():
        if name not in rows or name in gone:
            _recognize(location, folder, copy, here.get(name))
    for row in rows.values():
        if row.problem and row.filename in here and row.filename not in gone:  # the next step copies it again
            folder.delete_copy(there[row.filename])
            row.delete()
    return [name for name in gone if name not in there]


def _recognize(location: Location, folder: CopyFolder, copy: Copy, backup: Backup | None) -> None:
    """Record a copy of which there is no record. If it is encrypted and neither of a backup here nor made here, it is left alone."""
    try:
        metadata = folder.read_metadata(copy.filename)
        content = unseal_record(metadata.record)
        recorded = read_record(content, metadata) if content else None
    except (ObjectDamaged, ObjectMissing) as problem:
        logger.warning("copy.unreadable", location=location.name, filename=copy.filename, reason=str(problem))
        return
    sidecar = metadata.sidecar
    if sidecar is None and backup is not None and metadata.is_of(backup.sidecar):
        sidecar = backup.sidecar
    sidecar = sidecar or recorded
    if sidecar is not None and metadata.size == copy.size:
        known = Backup(copy.filename, sidecar.with_changes(configuration=""))
        _record(location, known, copy.size, metadata.checksum, is_encrypted=copy.is_encrypted)


def copy_all(location: Location, folder: CopyFolder, backups: Path, plan: CopyPlan, tracker: Tracker) -> list[str]:
    """Copy the backups of a plan, and return their names. Those that were deleted or damaged in the meantime are left out."""
    copied, count = [], len(plan.to_copy)
    recipients = [location.recipient] if location.recipient else []
    for number, backup in enumerate(plan.to_copy, start=1):
        label = Sentence("{filename} ({number} of {count})", filename=backup.filename, number=number, count=count)
        tracker.step(label, number, count)
        tracker.remember(filename=backup.filename)
        try:
            sidecar = read_sidecar(backups / backup.name.sidecar)
            report = _report_to(tracker, Phase.SEND, backup.sidecar.compressed_size)
            metadata = folder.write_copy(backups / backup.filename, sidecar, recipients, report, seal_record)
        except (FileNotFoundError, SidecarInvalid):  # deleted in the meantime
            continue
        except ObjectDamaged as problem:  # the backup here, not the location
            tracker.add_warning(problem.sentence)
            continue
        _record(location, backup, metadata.size, metadata.checksum, is_encrypted=bool(recipients))
        logger.info("copy.created", location=location.name, filename=backup.filename, bytes=metadata.size)
        copied.append(backup.filename)
    tracker.remember(filename="")
    return copied


def _copy_settings(location: Location, folder: CopyFolder, listing: CopyListing, tracker: Tracker) -> None:
    try:
        copy_settings(location, folder, listing)
    except LocationError:
        raise
    except TvarrBackupError as problem:  # such as a full disk here: the backups were copied
        tracker.add_warning(Sentence("The settings were not copied: {problem}", problem=problem))


def _report_to(tracker: Tracker, phase: Phase, total: int) -> Report:
    return lambda done: tracker.progress(phase, done, total)


def _describe(location: Location, folder: CopyFolder, backups: Path, backup: Backup) -> str:
    """Write the metadata of a copy again, after its note or protection has changed here. Return the name, or ""."""
    row = location.copies.get(filename=backup.filename)
    try:
        sidecar = read_sidecar(backups / backup.name.sidecar)
    except TvarrBackupError:  # deleted in the meantime
        return ""
    recipients = [location.recipient] if row.is_encrypted else []
    folder.write_metadata(backup.filename, describe(sidecar, row.size, row.checksum, recipients, seal_record))
    _record(location, backup, row.size, row.checksum, is_encrypted=row.is_encrypted)
    return backup.filename


def _record(location: Location, backup: Backup, size: int, checksum: str, *, is_encrypted: bool) -> None:
    sidecar = backup.sidecar.with_changes(configuration="")
    values = {
        "size": size,
        "checksum": checksum,
        "is_encrypted": is_encrypted,
        "sidecar": encode_sidecar(sidecar).decode(),
        "described": backup.etag,
    }
    location.copies.update_or_create(
        filename=backup.filename, defaults=values, create_defaults=values | {"copied_at": datetime.now(UTC)}
    )


def _clean_up(location: Location, folder: CopyFolder, plan: CopyPlan, tracker: Tracker) -> list[str]:
    """Delete the copies that retention does not keep. Only copies of which there is a record are deleted."""
    rows: Mapping[str, LocationCopy] = {
        row.filename: row for row in location.copies.filter(filename__in=plan.to_delete)
    }
    for number, name in enumerate(plan.to_delete):
        tracker.progress(Phase.PRUNE, number, len(plan.to_delete))
        row = rows[name]
        folder.delete_copy(Copy(name, row.size, row.is_encrypted))
        row.delete()
        logger.info("copy.removed", location=location.name, filename=name, reason="retention")
    return list(plan.to_delete)


# --- The state of a location -----------------------------------------------------------------------------------------

_NO_PROBLEM = {
    "failing_since": None,
    "next_attempt_at": None,
    "failures": 0,
    "error_code": "",
    "error": "",
    "sentences": None,
}


def _load(operation: Operation) -> Location:
    location = Location.objects.filter(pk=operation.location).first()
    if location is None:
        raise LocationNotFound("The location was removed in the meantime.")
    return location


def _update(location: Location, **values: object) -> None:
    """Change columns of a location, which another process may be changing, too."""
    for name, value in values.items():
        setattr(location, name, value)
    Location.objects.filter(pk=location.pk).update(**values)


def delay_after_death(operation: Operation) -> None:
    """Let the next attempt wait after the process of an operation has died, longer each time."""
    location = Location.objects.filter(pk=operation.location).first()
    if location is not None:
        delay = min(_FIRST_DELAY_AFTER_DEATH * 2 ** min(location.failures, 20), LONGEST_DELAY)
        _update(location, failures=location.failures + 1, next_attempt_at=datetime.now(UTC) + delay)


@contextmanager
def _recorded(location: Location) -> Iterator[None]:
    """Record an error as the state of the location, with the time of the next attempt."""
    try:
        yield
    except OperationInterrupted:
        raise
    except OperationCancelled:
        _update(location, next_attempt_at=datetime.now(UTC) + _DELAY_AFTER_CANCELING)
        raise
    except Exception as problem:
        now = datetime.now(UTC)
        delay = min(FIRST_DELAY * 2 ** min(location.failures, 20), LONGEST_DELAY)
        offered = problem.host_key if isinstance(problem, LocationUntrusted) else ""
        explained = problem if isinstance(problem, TvarrBackupError) else InternalError(_INTERNAL)
        _update(
            location,
            failing_since=location.failing_since or now,
            next_attempt_at=now + delay,
            failures=location.failures + 1,
            error_code=explained.code,
            offered_host_key=offered,
            **sentence_columns(error=explained.sentence),
        )
        raise
