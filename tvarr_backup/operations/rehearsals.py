"""Rehearsals of a restore: which backup, whether it is possible, the handler, and the record of the result.

A rehearsal (`filename`, and `location` for a copy there) has the result `{"filename", "location": name or null, "rows": rows by
table, "items": number of items by kind, or null if the metadata has no configuration, "commits": of the other program}`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from django.db import Error
from django_q.exceptions import TimeoutException

from tvarr_backup import conf
from tvarr_backup.backups.catalogue import Backup, Listing, find_backup, read_folder
from tvarr_backup.backups.durable import write_private
from tvarr_backup.backups.live import inspect_live
from tvarr_backup.backups.names import parse_name
from tvarr_backup.backups.progress import Phase
from tvarr_backup.backups.rehearsal import (
    RehearsalCheck,
    Rehearsed,
    backups_in,
    bring_backup,
    open_scratch,
    rehearse,
    require_room_for_rehearsal,
)
from tvarr_backup.backups.restore import require_room_for_restore
from tvarr_backup.backups.sidecar import MADE_HERE, Sidecar, decode_sidecar, encode_sidecar
from tvarr_backup.errors import (
    BackupNotFound,
    DatabaseIncomplete,
    IdentityRequired,
    InternalError,
    LocationNotFound,
    ObjectDamaged,
    OperationCancelled,
    OperationInterrupted,
    OperationTimedOut,
    RehearsalFailed,
    TvarrBackupError,
)
from tvarr_backup.locations.copies import Copy, CopyFolder
from tvarr_backup.locations.stores import open_store
from tvarr_backup.operations.copying import open_address
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.location_secrets import unseal_options
from tvarr_backup.operations.migrating import connected_to, migrate_copy
from tvarr_backup.operations.models import (
    Installation,
    Location,
    LocationCopy,
    Operation,
    Rehearsal,
    sentence_columns,
)
from tvarr_backup.packed_rows import unpack
from tvarr_backup.portable.envelope import read_bundle
from tvarr_backup.portable.export import stream_bundle
from tvarr_backup.portable.kinds import IN_ORDER_OF_IMPORT, KINDS, Slug
from tvarr_backup.portable.states import State, StateItem, compare_states, state_of_bundle, state_of_tables
from tvarr_backup.quoting import name_some, quoted
from tvarr_backup.sentences import NOTHING

if TYPE_CHECKING:
    from tvarr_backup.operations.track import Tracker

logger = structlog.stdlib.get_logger(__name__)

IDENTITY = "identity"
_MOST_NAMED = 3


@dataclass(frozen=True)
class Chosen:
    """The backup to rehearse. `copy` is its record in a location; without one, it is in the backup folder.

    Only the result of the newest good backup of a place (`is_newest`) is recorded as that of the place.
    """

    filename: str
    sidecar: Sidecar
    is_newest: bool
    copy: LocationCopy | None = None


def rehearsal_folder() -> Path:
    """Return the folder of scratch folders. It exists only during rehearsals, or after one was killed."""
    return conf.storage_folder() / "rehearsals"


# --- Before a rehearsal ----------------------------------------------------------------------------------------------


def find_newest_good(backups: Iterable[Backup]) -> Backup | None:
    """Return the newest good backup of the live database by `seq`, because the clock may have been wrong."""
    good = [
        one for one in backups if one.sidecar.kind in MADE_HERE and not one.sidecar.imported and one.sidecar.is_good
    ]
    return max(good, key=lambda one: (one.sidecar.seq, one.sidecar.created_at, one.filename), default=None)


def choose_backup(location: Location | None, filename: str = "") -> Chosen:
    """Return the backup with this name, or the newest good one, of the backup folder or of a location.

    Raises `BackupNotFound`, and what `find_backup` and `backup_folder` raise.
    """
    if location is None:
        folder = backup_folder()
        newest = find_newest_good(read_folder(folder).backups)
        found = find_backup(folder, filename) if filename else newest
        if found is None:
            raise BackupNotFound("There is no good backup to rehearse.")
        return Chosen(found.filename, found.sidecar, newest is not None and newest.filename == found.filename)
    rows = {row.filename: row for row in location.copies.filter(problem="")}
    known = [Backup(row.filename, decode_sidecar(row.sidecar.encode())) for row in rows.values()]
    newest = find_newest_good(known)
    found = next((one for one in known if one.filename == filename), None) if filename else newest
    if found is None and filename:
        raise BackupNotFound(
            "{location} has no copy of {filename} that can be rehearsed.",
            location=location.name,
            filename=quoted(filename),
        )
    if found is None:
        raise BackupNotFound("{location} has no copy of a good backup to rehearse.", location=location.name)
    is_newest = newest is not None and newest.filename == found.filename
    return Chosen(found.filename, found.sidecar, is_newest, rows[found.filename])


def require_rehearsable(chosen: Chosen, location: Location | None) -> None:
    """Check what a rehearsal and a restore into the live database need, without unpacking anything.

    Raises what `inspect_live` raises, `NoRoom`, `IdentityRequired` and `SecretsLost`.
    """
    if location is not None and chosen.copy is not None and chosen.copy.is_encrypted:
        read_identity(location)
    live, size = conf.live_database(), chosen.sidecar.database_size
    found = inspect_live(live, conf.required_schema(), chosen.filename)
    listing = Listing((), (), ())
    if location is None:
        folder = backup_folder()
        listing = read_folder(folder)
        require_room_for_restore(live, folder, listing, used=found.used, page_size=found.page_size, size=size)
    require_room_for_rehearsal(rehearsal_folder(), chosen.sidecar, found, listing)


def read_identity(location: Location) -> str:
    """Return the identity that is stored for rehearsals. Raises `IdentityRequired`, `SecretsLost` and `LocationUnsupported`."""
    identity = unseal_options(location.sealed_identity).get(IDENTITY, "")
    if not identity:
        raise IdentityRequired(
            "The copies in {location} are encrypted, and their identity is not stored here, so they cannot be rehearsed. Store it "
            "for rehearsals, or rehearse the backup in the backup folder.",
            location=location.name,
        )
    return identity


# --- The handler -----------------------------------------------------------------------------------------------------


def rehearse_backup(operation: Operation, tracker: Tracker) -> None:
    location = _load_location(operation)
    chosen = choose_backup(location, operation.arguments.get("filename", ""))
    tracker.remember(filename=chosen.filename)
    with _recorded(operation, chosen, location, tracker):
        require_rehearsable(chosen, location)
        with open_scratch(rehearsal_folder()) as scratch:
            if location is not None and chosen.copy is not None:
                _fetch(location, chosen.copy, scratch, tracker)
            else:
                bring_backup(backup_folder(), chosen.filename, scratch, tracker.progress)
            done = rehearse(
                conf.live_database(),
                scratch,
                chosen.filename,
                conf.required_schema(),
                migrate=migrate_copy,
                progress=tracker.progress,
            )
            items = None if operation.unrecorded else _compare_configuration(done)
    for sentence in done.attention:
        tracker.add_warning(sentence)
    name = location.name if location else None
    logger.info("rehearsal.done", filename=done.filename, location=name, seconds=tracker.seconds)
    tracker.set_result(
        {
            "filename": done.filename,
            "location": name,
            "rows": dict(done.rows),
            "items": items,
            "commits": done.commits,
        }
    )


def _load_location(operation: Operation) -> Location | None:
    key = operation.arguments.get("location")
    if not key:
        return None
    location = Location.objects.filter(pk=key).first()
    if location is None:
        raise LocationNotFound("The location was removed in the meantime.")
    return location


def _fetch(location: Location, row: LocationCopy, scratch: Path, tracker: Tracker) -> None:
    """Fetch a copy, decrypt it, and compare it with the record of when it was made here."""
    copy = Copy(row.filename, row.size, row.is_encrypted)
    identity = read_identity(location) if row.is_encrypted else ""
    place, name = backups_in(scratch), parse_name(row.filename)
    assert name is not None
    with open_store(open_address(location)) as store:
        folder = CopyFolder(store, Installation.load())
        folder.require_marker()
        _archive, sidecar = folder.fetch_copy(
            copy, place, identity=identity, report=lambda done: tracker.progress(Phase.RECEIVE, done, row.size)
        )
    if sidecar.checksum != decode_sidecar(row.sidecar.encode()).checksum:
        raise ObjectDamaged(
            "The copy {filename} is not the one that was made here: its checksum is another one.", filename=row.filename
        )
    write_private(place / name.sidecar, encode_sidecar(sidecar))


# --- The configuration -----------------------------------------------------------------------------------------------


def _compare_configuration(done: Rehearsed) -> dict[str, int] | None:
    """Export all kinds from the restored database, and compare them with the configuration in the metadata of the backup.

    Return the number of items of each kind; None if the metadata has no configuration. A kind whose columns this database does
    not have is left out. Raises `RehearsalFailed`.
    """
    if not done.configuration:
        return None
    with connected_to(done.database):
        try:
            recorded = state_of_tables(unpack(done.configuration))
        except ValueError as problem:
            raise RehearsalFailed(
                "The configuration in the metadata of {filename} cannot be read.",
                filename=done.filename,
                check=str(RehearsalCheck.CONFIGURATION),
            ) from problem
        exported = _export_all()
    without_table = [slug for slug in recorded.items if KINDS[slug].model._meta.db_table not in done.rows]
    changed = [change.item.key for change in compare_states(recorded, exported)]
    changed += [item.key for slug in without_table for item in recorded.items[slug]]
    if changed:
        raise RehearsalFailed(
            "The restored configuration is not the one that the metadata of {filename} describes: {names} differ.",
            filename=done.filename,
            names=name_some(changed, _MOST_NAMED),
            check=str(RehearsalCheck.CONFIGURATION),
        )
    return {slug: len(items) for slug, items in exported.items.items()}


def _export_all() -> State:
    items: dict[Slug, tuple[StateItem, ...]] = {}
    for slug in IN_ORDER_OF_IMPORT:
        try:
            content = b"".join(stream_bundle({slug: None}, with_profiles=False))
        except DatabaseIncomplete:
            continue
        items |= state_of_bundle(read_bundle(io.BytesIO(content))).items
    return State(items)


# --- The record ------------------------------------------------------------------------------------------------------


@contextmanager
def _recorded(operation: Operation, chosen: Chosen, location: Location | None, tracker: Tracker) -> Iterator[None]:
    """Record the result of the newest good backup of a place. One that was canceled or interrupted has none."""
    try:
        yield
    except (OperationCancelled, OperationInterrupted, KeyboardInterrupt):
        raise
    except BaseException as problem:
        _record(operation, chosen, location, tracker.seconds, _explain(problem))
        raise
    _record(operation, chosen, location, tracker.seconds, None)


def _explain(problem: BaseException) -> TvarrBackupError:
    if isinstance(problem, TvarrBackupError):
        return problem
    if isinstance(problem, TimeoutException):
        return OperationTimedOut("The rehearsal took longer than the worker allows, and was stopped.")
    return InternalError("The rehearsal failed because of an error in tvarr-backup. The log has the details.")


def _record(
    operation: Operation, chosen: Chosen, location: Location | None, seconds: float, problem: TvarrBackupError | None
) -> None:
    if operation.unrecorded or not chosen.is_newest:
        return
    values = {
        "location": location,
        "filename": chosen.filename,
        "ended_at": datetime.now(UTC),
        "seconds": seconds,
        "error_code": problem.code if problem else "",
        "operation": str(operation.pk),
        **sentence_columns(error=problem.sentence if problem else NOTHING),
    }
    place = str(location.pk) if location else Rehearsal.LOCAL
    try:
        Rehearsal.objects.update_or_create(place=place, defaults=values)
    except Error as failure:  # the operation has the result, too
        logger.warning("rehearsal.unrecorded", reason=conf.in_a_line(failure))
