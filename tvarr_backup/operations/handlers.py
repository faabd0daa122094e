"""Handlers of the kinds of operations: each calls `backups` and passes the result to the tracker.

Kind (arguments): result

- backup (`note`, `accept_folder`): `{"backup": metadata, "removed": [file names], "free_bytes": of the disk, or null}`
- verify (`filenames`; `longest_ago` for the backup verified longest ago; neither for all): `{"verified": [checks of
  each], "broken": [file name and reason]}`; damaged and broken backups become warnings
- read (`filename`): `{"filename", "items": number of items by kind}`; the configuration is kept for comparisons
- prune: `{"removed": [file names]}`
- delete (`filename`, `only_if`): `{"removed": [file name]}`
- restore (`filename`, `accept_newer`, `accept_code`, `offline`): `{"outcome": "restored" or "attention", "filename",
  "pre_restore_backup": metadata or null, "before": rows by table, "after": rows by table, "restart_required": whether
  tvarr must be restarted, "event": of the history, or null, "set_aside": paths of the old files of an offline restore, "facts": sentences about a restore
  across versions}`
- adopt (`source`, `filename`, `sidecar`, `note`, `accept_broken_references`, `accept_code`): `{"backup": metadata}`

`accept_code` is true, or a list of identities. A restore or adoption that was refused because of code has
`{"refused_code": [kind, name, SQL and identity]}`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from django.db import connections

from tvarr_backup import conf
from tvarr_backup.backups import retention
from tvarr_backup.backups.adopt import adopt_backup
from tvarr_backup.backups.catalogue import (
    Backup,
    Broken,
    configuration_of,
    delete_backup,
    find_backup,
    read_folder,
)
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.folder import free_bytes
from tvarr_backup.backups.reading import read_configuration_of
from tvarr_backup.backups.restore import restore_backup
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.backups.verify import Verification, next_to_verify, verify_backup
from tvarr_backup.errors import (
    DatabaseMissing,
    DatabaseUnusable,
    OperationCancelled,
    OperationInterrupted,
    StateUnavailable,
    TvarrBackupError,
)
from tvarr_backup.operations import history
from tvarr_backup.operations.cleanup import RETENTION_UNKNOWN, why_retention_is_unknown
from tvarr_backup.operations.copying import names_being_copied
from tvarr_backup.operations.disk import backup_folder, folder_for_new_backup, place_of
from tvarr_backup.operations.migrating import migrate_copy
from tvarr_backup.operations.models import BackupSettings, Operation, Origin
from tvarr_backup.operations.report import accepted_by, backup_as_data, verification_as_data
from tvarr_backup.operations.sightings import record_sighting, verdict_on
from tvarr_backup.operations.states import keep_configuration
from tvarr_backup.packed_rows import MOST_PACKED, unpack
from tvarr_backup.portable.states import state_of_tables
from tvarr_backup.portable.tvarr_memory import EVERYTHING, needs_reload
from tvarr_backup.schema import DatabaseState
from tvarr_backup.sentences import NOTHING, Sentence
from tvarr_backup.way_out import with_way_out

if TYPE_CHECKING:
    from tvarr_backup.operations.track import Tracker

logger = structlog.stdlib.get_logger(__name__)


def back_up(operation: Operation, tracker: Tracker) -> None:
    kind = BackupKind.SCHEDULED if operation.origin == Origin.SCHEDULE else BackupKind.MANUAL
    _require_live_file()
    if not operation.unrecorded:
        record_sighting()
    folder = folder_for_new_backup(accept_folder=operation.arguments.get("accept_folder", False))
    required = conf.required_schema()
    tracker.remember(**place_of(folder))
    backup = create_backup(
        conf.live_database(),
        folder,
        required,
        kind=kind,
        note=operation.arguments.get("note", ""),
        progress=tracker.progress,
    )
    data = {"backup": backup_as_data(backup, required), "removed": []}
    tracker.set_result(data)  # the backup exists even if cleanup fails
    logger.info("backup.created", **_sizes(backup), seconds=tracker.seconds)
    removed = _prune_after_backup(operation, tracker, folder)
    free = None
    with suppress(OSError):  # the backup exists even if its disk has just gone
        free = free_bytes(folder)
    tracker.set_result(data | {"removed": removed, "free_bytes": free})


def _require_live_file() -> None:
    """Raise `DatabaseUnusable` if there is no database of tvarr's to back up."""
    try:
        state = conf.tvarr_state()
        if state in (DatabaseState.MISSING, DatabaseState.EMPTY):
            what = "does not exist" if state is DatabaseState.MISSING else "is empty"
            raise DatabaseMissing("{live} {what}.", live=conf.live_database(), what=what)
    except DatabaseUnusable as problem:
        raise with_way_out(problem) from problem


def _prune_after_backup(operation: Operation, tracker: Tracker, folder: Path) -> list[str]:
    """Clean up and return the names of deleted backups. A cleanup that fails or is stopped becomes a warning."""
    if operation.unrecorded and why_retention_is_unknown():
        tracker.add_warning(Sentence("The backup is complete. Cleanup was skipped: {reason}", reason=RETENTION_UNKNOWN))
        return []
    try:
        return _prune_now(tracker, folder)
    except TvarrBackupError as problem:
        tracker.add_warning(Sentence("The backup is complete, but cleanup failed: {problem}", problem=problem))
    except Exception:
        logger.exception("pruning.failed")
        tracker.add_warning(Sentence("The backup is complete, but cleanup failed. The log has the reason."))
    return []


def clean_up(_operation: Operation, tracker: Tracker) -> None:
    tracker.set_result({"removed": _prune_now(tracker, backup_folder())})


def _prune_now(tracker: Tracker, folder: Path) -> list[str]:
    removed = retention.prune(
        folder,
        BackupSettings.load().policy(),
        in_use=names_being_copied() if conf.has_our_tables() else (),
        progress=tracker.progress,
        on_removal=lambda backup: logger.info("backup.removed", **_sizes(backup), reason="retention"),
    )
    return [backup.filename for backup in removed]


def delete(operation: Operation, tracker: Tracker) -> None:
    filename = operation.arguments["filename"]
    delete_backup(backup_folder(), filename, only_if=operation.arguments.get("only_if"))
    logger.info("backup.removed", filename=filename, reason="deletion")
    tracker.set_result({"removed": [filename]})


def restore(operation: Operation, tracker: Tracker) -> None:
    if not operation.unrecorded:
        record_sighting()
    required, is_offline = conf.required_schema(), operation.arguments.get("offline", False)
    folder, filename = backup_folder(), operation.arguments["filename"]
    facts = verdict_on(find_backup(folder, filename)).facts
    conf.require_no_transaction()
    if not operation.unrecorded and not is_offline:
        history.record_outside()
    connections[conf.tvarr_alias()].close()  # an offline restore replaces the file
    done = restore_backup(
        conf.live_database(),
        folder,
        filename,
        required,
        offline=is_offline,
        migrate=migrate_copy,
        accept_newer=operation.arguments.get("accept_newer", False),
        accept_code=accepted_by(operation.arguments),
        progress=tracker.progress,
    )
    connections[conf.tvarr_alias()].close()
    event = None
    if not operation.unrecorded:
        event = history.record_restore(done.filename, user=operation.requested_by, origin=operation.origin)
    logger.info(
        "restore.done",
        filename=done.filename,
        pre_restore_backup=done.safety and done.safety.filename,
        set_aside=list(done.set_aside),
        seconds=tracker.seconds,
    )
    for sentence in done.attention:
        tracker.add_warning(sentence)
    tracker.set_result(
        {
            "outcome": "attention" if done.attention else "restored",
            "filename": done.filename,
            "pre_restore_backup": done.safety and backup_as_data(done.safety, required),
            "before": dict(done.before),
            "after": dict(done.after),
            "set_aside": list(done.set_aside),
            "restart_required": not is_offline and needs_reload(EVERYTHING),
            "facts": list(facts),
            "event": event.pk if event else None,
        }
    )


def verify(operation: Operation, tracker: Tracker) -> None:
    folder, required = backup_folder(), conf.required_schema()
    listing = read_folder(folder)
    if operation.arguments.get("longest_ago"):
        oldest = next_to_verify(listing.backups, datetime.now(UTC))
        tracker.remember(filenames=[oldest.filename] if oldest else [])
    filenames = operation.arguments.get("filenames")
    broken = listing.broken if filenames is None else ()
    if filenames is None:
        filenames = [backup.filename for backup in listing.backups]
    for one in broken:
        tracker.add_warning(Sentence("{filename}: {reason}.", filename=one.filename, reason=one.reason))
        tracker.log(logging.ERROR, "backup.broken", filename=one.filename, reason=one.reason)
    verified: list[dict[str, Any]] = []
    count = len(filenames)
    for number, filename in enumerate(filenames, start=1):
        label = Sentence("{filename} ({number} of {count})", filename=filename, number=number, count=count)
        tracker.step(label if count > 1 else NOTHING, number, count)
        before = tracker.seconds
        try:
            verification = verify_backup(
                folder, filename, required, scratch=conf.scratch_folder(folder), progress=tracker.progress
            )
        except (OperationCancelled, OperationInterrupted):
            raise
        except TvarrBackupError as problem:
            if count == 1:
                raise
            unverified = Sentence("{filename} could not be verified: {problem}", filename=filename, problem=problem)
            tracker.add_warning(unverified)
            continue
        _log_damage(verification, tracker, seconds=round(tracker.seconds - before, 3))
        verified.append(verification_as_data(verification, required))
        tracker.set_result(_verified(verified, broken))
    tracker.set_result(_verified(verified, broken))


def _verified(verified: list[dict[str, Any]], broken: Iterable[Broken]) -> dict[str, Any]:
    return {
        "verified": verified,
        "broken": [{"filename": one.filename, "reason": one.reason} for one in broken],
    }


def _log_damage(verification: Verification, tracker: Tracker, *, seconds: float) -> None:
    sizes = _sizes(verification.backup)
    if not verification.problems:
        logger.info("backup.verified", **sizes, seconds=seconds)
        return
    tracker.log(logging.ERROR, "backup.damaged", **sizes, problems=list(verification.problems), seconds=seconds)
    for problem in verification.problems:
        tracker.add_warning(Sentence("{filename}: {problem}", filename=verification.backup.filename, problem=problem))


def read(operation: Operation, tracker: Tracker) -> None:
    folder, filename = backup_folder(), operation.arguments["filename"]
    packed = read_configuration_of(
        folder, filename, conf.required_schema(), scratch=conf.scratch_folder(folder), progress=tracker.progress
    )
    if not packed:
        raise StateUnavailable(
            "The configuration of {filename} cannot be kept: it is missing, damaged, or larger than {limit} kB when packed. "
            "The backup itself can be restored.",
            filename=filename,
            limit=MOST_PACKED // 1000,
        )
    if configuration_of(folder, filename) != packed:
        keep_configuration(find_backup(folder, filename), packed)
    items = state_of_tables(unpack(packed)).items
    counts = {slug: len(found) for slug, found in items.items()}
    logger.info("backup.read", filename=filename, items=sum(counts.values()), seconds=tracker.seconds)
    tracker.set_result({"filename": filename, "items": counts})


def adopt(operation: Operation, tracker: Tracker) -> None:
    folder = folder_for_new_backup(accept_folder=False)
    required, arguments = conf.required_schema(), operation.arguments
    tracker.remember(**place_of(folder))
    backup = adopt_backup(
        Path(arguments["source"]),
        folder,
        required,
        filename=arguments.get("filename", ""),
        sidecar=Path(arguments["sidecar"]) if arguments.get("sidecar") else None,
        note=arguments.get("note", ""),
        live=conf.live_database() if conf.is_file(conf.tvarr_alias()) else None,
        accept_broken_references=arguments.get("accept_broken_references", False),
        accept_code=accepted_by(arguments),
        progress=tracker.progress,
    )
    logger.info("backup.adopted", **_sizes(backup), seconds=tracker.seconds)
    for warning in backup.sidecar.lasting_warnings:
        tracker.add_warning(warning.sentence)
    tracker.set_result({"backup": backup_as_data(backup, required)})


def _sizes(backup: Backup) -> dict[str, Any]:
    sidecar = backup.sidecar
    return {
        "filename": backup.filename,
        "database_bytes": sidecar.database_size,
        "archive_bytes": sidecar.compressed_size,
    }
