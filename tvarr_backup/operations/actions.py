"""The actions of users: one function each, which pages, API, admin and commands call.

An action checks the permission and its requirements, and then runs or starts the work. It raises `PermissionDenied`, or
the `TvarrBackupError` that says why it was refused; then nothing has changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import structlog
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from tvarr_backup import conf, program
from tvarr_backup.access.roles import Role, add_user
from tvarr_backup.backups.catalogue import (
    Backup,
    checked_note,
    find_backup,
    protect_backup,
    require_deletable,
    require_files,
)
from tvarr_backup.backups.lookup import choose_name, find_name
from tvarr_backup.backups.names import BackupName, parse_name
from tvarr_backup.backups.sidecar import BackupKind, Sidecar
from tvarr_backup.errors import (
    AcceptCodeDenied,
    BackupNotFound,
    DatabaseUnusable,
    DeletionsUnconfirmed,
    EventNotFound,
    OperationRunning,
    RowNotFound,
    SelectionEmpty,
    TvarrBackupError,
    UnprotectDenied,
)
from tvarr_backup.expressions import Domain
from tvarr_backup.expressions.evaluate import Outcome
from tvarr_backup.locations.addresses import LocationKind
from tvarr_backup.locations.keys import Key
from tvarr_backup.matches.compare import compare_states
from tvarr_backup.matches.count import Count, Explained, count_item, count_matches, explain_row, reads_addresses
from tvarr_backup.matches.items import changes_of_plan
from tvarr_backup.matches.preview import Preview, preview_changes
from tvarr_backup.matches.stored import StoredCount, count_stored, match_headers
from tvarr_backup.models import PortableRow
from tvarr_backup.operations import imports, locations, outbox, receivers, schedule, track
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.alert_models import Alert, AlertSettings, OutboxMessage, Receiver
from tvarr_backup.operations.app_database import require_app_database
from tvarr_backup.operations.cleanup import find_new_deletions
from tvarr_backup.operations.disk import backup_folder, folder_for_new_backup
from tvarr_backup.operations.imports import (
    OpenImport,
    apply_pending,
    choose_overwriting,
    find_applied_import,
    import_file,
    keep_import,
    plan_undo_of,
)
from tvarr_backup.operations.kinds import KINDS
from tvarr_backup.operations.models import (
    BackupSettings,
    HistoryEvent,
    ImportRecord,
    ImportState,
    ItemVersion,
    Location,
    Operation,
    OperationKind,
)
from tvarr_backup.operations.observe import require_tvarrs
from tvarr_backup.operations.receivers import SavedReceiver
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.rehearsals import choose_backup, require_rehearsable
from tvarr_backup.operations.restores import require_restorable
from tvarr_backup.operations.run import run_here, submit
from tvarr_backup.operations.states import NOW, NamedState, find_state
from tvarr_backup.portable.answers import Answers
from tvarr_backup.portable.apply import BundleResult, ImportResult
from tvarr_backup.portable.bundles import BundlePlan
from tvarr_backup.portable.envelope import Bundle, Envelope
from tvarr_backup.portable.export import Export, stream_bundle, stream_export
from tvarr_backup.portable.kinds import Kind, Slug
from tvarr_backup.portable.states import Comparison, State, select_items, with_missing_profiles, write_state
from tvarr_backup.portable.undo import UndoPlan, UndoResult
from tvarr_backup.quoting import quoted

logger = structlog.stdlib.get_logger(__name__)

EXPORT, IMPORT = "access.export_configuration", "access.import_configuration"
DOWNLOAD, PROTECT = "operations.download_backup", "operations.protect_backup"
DELETE, RESTORE = KINDS[OperationKind.DELETE].permission, KINDS[OperationKind.RESTORE].permission
CHANGE_SETTINGS = "operations.change_backupsettings"
MANAGE_LOCATIONS = "operations.manage_locations"
MANAGE_RECEIVERS = "operations.manage_receivers"
ADD_USER = "auth.add_user"

AGREED_TO_ALL = "*"
"""Confirms whatever deletions a change of the settings causes."""


class Start(Protocol):
    """Starts an operation: `submit` queues it for a worker, `run_here` runs it before it returns."""

    def __call__(
        self, kind: OperationKind, *, requested_by: Any, origin: Any, arguments: Mapping[str, Any]
    ) -> Operation: ...


def _start(actor: Actor, kind: OperationKind, start: Start, **arguments: Any) -> Operation:
    return start(kind, requested_by=actor.requested_by, origin=actor.origin, arguments=arguments)


def _parse_backup_name(filename: str) -> BackupName:
    """Return the parts of a backup's name, without touching the disk. Raises `BackupNotFound`."""
    name = parse_name(filename)
    if name is None:
        raise BackupNotFound("There is no backup {filename}.", filename=quoted(filename))
    return name


# --- Backups ---------------------------------------------------------------------------------------------------------


def request_backup(actor: Actor, *, note: str = "", accept_folder: bool = False, start: Start = submit) -> Operation:
    """Back up tvarr's database. Raises `NoteInvalid`, and what `start` raises."""
    actor.require(KINDS[OperationKind.BACKUP].permission)
    return _start(actor, OperationKind.BACKUP, start, note=checked_note(note), accept_folder=accept_folder)


def request_verification(actor: Actor, names: Sequence[str] | None, *, start: Start = submit) -> Operation:
    """Verify these backups, or all with None. Raises what `find_name` and `find_backup` raise, and what `start` raises."""
    actor.require(KINDS[OperationKind.VERIFY].permission)
    if names is None:
        return _start(actor, OperationKind.VERIFY, start, filenames=None)
    folder = backup_folder()
    filenames = [find_backup(folder, find_name(folder, name)).filename for name in names]
    return _start(actor, OperationKind.VERIFY, start, filenames=filenames)


def request_restore(
    actor: Actor,
    name: str,
    *,
    accept_newer: bool = False,
    accept_code: bool | Collection[str] = False,
    offline: bool = False,
    start: Start = submit,
) -> Operation:
    """Restore a backup. Raises what `find_name` and `require_restorable` raise, and what `start` raises."""
    actor.require(RESTORE)
    filename = find_name(backup_folder(), name)
    require_restorable(filename, offline=offline, accept_newer=accept_newer)
    given = {"accept_newer": accept_newer, "accept_code": accept_code, "offline": offline}
    return _start(
        actor,
        OperationKind.RESTORE,
        start,
        filename=filename,
        **{name: value for name, value in given.items() if value},
    )


def request_rehearsal(
    actor: Actor, name: str | None = None, *, location: str | None = None, start: Start = submit
) -> Operation:
    """Rehearse the restore of a backup, or of the newest good one, in the backup folder or in a location.

    A location requires the right to manage locations, too. Raises what `find_name`, `choose_backup` and `require_rehearsable`
    raise, `LocationNotFound`, `LocationNotReady`, and what `start` raises.
    """
    actor.require(KINDS[OperationKind.REHEARSE].permission)
    found = None
    if location is not None:
        actor.require(MANAGE_LOCATIONS)
        found = locations.find_location(location)
        locations.require_ready(found)
    filename = _find_rehearsed(found, name) if name is not None else ""
    chosen = choose_backup(found, filename)
    require_rehearsable(chosen, found)
    return _start(
        actor,
        OperationKind.REHEARSE,
        start,
        location=str(found.pk) if found else "",
        filename=chosen.filename if filename else "",
    )


def _find_rehearsed(location: Location | None, name: str) -> str:
    """Return the file name that a user means. Raises what `find_name` raises."""
    if location is None:
        return find_name(backup_folder(), name)
    return name if parse_name(name) else choose_name(name, list(location.copies.values_list("filename", flat=True)))


def request_cleanup(actor: Actor, *, start: Start = submit) -> Operation:
    """Delete the backups that retention no longer keeps."""
    actor.require(KINDS[OperationKind.PRUNE].permission)
    return _start(actor, OperationKind.PRUNE, start)


def prepare_upload(actor: Actor) -> Path:
    """Return the folder that will receive an upload, before any of it is read. Raises `BackupFolderUnusable`."""
    actor.require(KINDS[OperationKind.ADOPT].permission)
    return folder_for_new_backup(accept_folder=False)


def add_backup(
    actor: Actor,
    source: Path,
    *,
    filename: str = "",
    sidecar: Path | None = None,
    note: str = "",
    accept_broken_references: bool = False,
    accept_code: bool | Collection[str] = False,
    start: Start = run_here,
) -> Operation:
    """Add a backup from elsewhere. `accept_code` accepts all code in it, none, or the code with these identities.

    Accepting code requires the right to restore, because it runs in tvarr's database after a restore. Raises
    `AcceptCodeDenied`, `NoteInvalid`, and what `start` raises.
    """
    actor.require(KINDS[OperationKind.ADOPT].permission)
    if accept_code and not actor.may(RESTORE):
        raise AcceptCodeDenied(
            "The backup was not added. Accepting views, triggers and virtual tables requires the right to restore "
            "backups. Ask an administrator."
        )
    return _start(
        actor,
        OperationKind.ADOPT,
        start,
        source=str(source),
        filename=filename,
        sidecar=str(sidecar) if sidecar else "",
        note=checked_note(note),
        accept_broken_references=accept_broken_references,
        accept_code=accept_code if isinstance(accept_code, bool) else sorted(accept_code),
    )


def find_archive(actor: Actor, name: str) -> Backup:
    """Return a backup to download. Raises what `find_name` and `find_backup` raise."""
    actor.require(DOWNLOAD)
    folder = backup_folder()
    return find_backup(folder, find_name(folder, name))


def prepare_deletions(actor: Actor, filenames: Iterable[str]) -> None:
    """Check that all of these backups can be deleted, before any is. Raises what `require_deletable` raises."""
    actor.require(DELETE)
    folder = backup_folder()
    for filename in filenames:
        require_deletable(folder, filename)


def delete_backup(
    actor: Actor, filename: str, *, only_if: Collection[str] | None = None, start: Start = run_here
) -> Operation:
    """Delete a backup, also a broken one, by its complete name; `only_if` as in `change_backup`.

    Raises `BackupNotFound`, and what `start` raises.
    """
    actor.require(DELETE)
    require_files(backup_folder(), _parse_backup_name(filename))
    etags = None if only_if is None else list(only_if)
    return _start(actor, OperationKind.DELETE, start, filename=filename, only_if=etags)


@dataclass(frozen=True)
class Deletions:
    """The backups that were deleted, and the errors of those that were not."""

    deleted: tuple[str, ...]
    refused: tuple[tuple[str, TvarrBackupError], ...]


def delete_backups(actor: Actor, filenames: Iterable[str]) -> Deletions:
    """Delete backups one after another. One that is refused does not stop the others; a running operation does."""
    actor.require(DELETE)
    deleted: list[str] = []
    refused: list[tuple[str, TvarrBackupError]] = []
    for filename in filenames:
        try:
            delete_backup(actor, filename)
            deleted.append(filename)
        except TvarrBackupError as problem:
            refused.append((filename, problem))
            if isinstance(problem, OperationRunning):
                break
    return Deletions(tuple(deleted), tuple(refused))


def may_unprotect(actor: Actor, sidecar: Sidecar, now: datetime) -> bool:
    """Return whether an actor may unprotect a backup. Cleanup may delete it then, so a safety backup needs `DELETE`."""
    is_safety = sidecar.kind is BackupKind.PRE_RESTORE and sidecar.is_protected(now)
    return actor.may(PROTECT) and (not is_safety or actor.may(DELETE))


def change_backup(
    actor: Actor,
    name: str,
    *,
    protected: bool | None = None,
    note: str | None = None,
    only_if: Collection[str] | None = None,
) -> Backup:
    """Change the protection or the note of a backup. None leaves either unchanged.

    `only_if` are ETags, one of which the backup must have. Raises `UnprotectDenied`, `NoteInvalid`,
    `PreconditionFailed`, and what `find_name`, `find_backup` and `work_in` raise.
    """
    actor.require(PROTECT)
    folder = backup_folder()
    filename = find_name(folder, name)
    if protected is False and not may_unprotect(actor, find_backup(folder, filename).sidecar, datetime.now(UTC)):
        raise UnprotectDenied(
            "{filename} is still protected. Unprotecting a safety backup requires the right to delete backups. Ask an "
            "administrator.",
            filename=filename,
        )
    backup = protect_backup(folder, filename, protected=protected, note=note, only_if=only_if)
    logger.info("backup.changed", filename=filename, protected=backup.sidecar.protected)
    return backup


# --- Operations ------------------------------------------------------------------------------------------------------


def may_cancel(actor: Actor, operation: Operation) -> bool:
    """Return whether an actor may cancel an operation, even if another user started it."""
    return actor.may(KINDS[OperationKind(operation.kind)].permission)


def cancel_operation(actor: Actor, operation_id: str) -> Operation:
    """Cancel an operation, as `track.cancel` does. Raises `OperationNotFound` and `OperationEnded`."""
    operation = track.find_operation(operation_id)
    actor.require(KINDS[OperationKind(operation.kind)].permission)
    reconcile()
    return track.cancel(operation)


# --- Configuration ---------------------------------------------------------------------------------------------------


def export_items(actor: Actor, kind: Kind, ids: Collection[str] | None = None, *, skip_missing: bool = False) -> Export:
    """Start an export. Without this program's own database, pending references are left out with a warning."""
    actor.require(EXPORT)
    return stream_export(kind, ids, skip_missing=skip_missing, references_problem=_references_problem())


def export_bundle(
    actor: Actor, selection: Mapping[Kind, Collection[str] | None], *, with_profiles: bool = True
) -> Export:
    """Start an export of several kinds in one file. `selection` is as for `export_selection`."""
    actor.require(EXPORT)
    if not selection:
        raise SelectionEmpty("Select at least one item.")
    chosen = {kind.slug: ids for kind, ids in selection.items()}
    return stream_bundle(chosen, with_profiles=with_profiles, references_problem=_references_problem())


def _references_problem() -> str:
    """Return why references that wait for their target cannot be read, or ""."""
    try:
        require_app_database()
    except DatabaseUnusable as unusable:
        return str(unusable)
    return ""


def export_selection(actor: Actor, selection: Mapping[Kind, Collection[str] | None]) -> list[tuple[Kind, Export]]:
    """Start the exports of a selection, which has ids of each kind, or None for all of its items."""
    actor.require(EXPORT)
    if not selection:
        raise SelectionEmpty("Select at least one item.")
    return [(kind, export_items(actor, kind, ids)) for kind, ids in selection.items()]


def prepare_import(actor: Actor) -> None:
    """Check that the actor may import, before any of a file is read."""
    actor.require(IMPORT)


def import_items(
    actor: Actor, envelope: Envelope, answers: Answers, fingerprint: str | None, *, file_name: str = ""
) -> ImportResult:
    """Import a file, all of it or nothing. Raises what `import_file` raises."""
    actor.require(IMPORT)
    return import_file(
        envelope, answers, fingerprint, requested_by=actor.requested_by, origin=actor.origin, file_name=file_name
    )


def import_bundle(
    actor: Actor,
    bundle: Bundle,
    answers: Mapping[Slug, Answers],
    fingerprint: str | None,
    *,
    file_name: str = "",
) -> BundleResult:
    """Import a file with several kinds, all of it or nothing. Raises what `operations.imports.import_bundle` raises."""
    actor.require(IMPORT)
    return imports.import_bundle(
        bundle, answers, fingerprint, requested_by=actor.requested_by, origin=actor.origin, file_name=file_name
    )


def import_pending(actor: Actor, opened: OpenImport, shown_totals: str) -> BundleResult:
    """Apply a pending import. Raises what `apply_pending` raises."""
    actor.require(IMPORT)
    return apply_pending(opened, shown_totals, user=actor.user)


def find_imports(actor: Actor) -> QuerySet[ImportRecord]:
    """Return the applied imports that the actor may see, newest first."""
    actor.require(EXPORT)
    applied = ImportRecord.objects.filter(state=ImportState.APPLIED)
    return applied if actor.is_administrator else applied.filter(requested_by=actor.user)


def find_import(actor: Actor, key: str) -> ImportRecord:
    """Return an applied import that the actor may see. Raises `ImportNotFound`."""
    actor.require(EXPORT)
    return find_applied_import(key, actor.user)


def find_undoable(actor: Actor, key: str) -> ImportRecord:
    """Return an applied import that the actor may undo. Raises `ImportNotFound`."""
    actor.require(IMPORT)
    return find_applied_import(key, actor.user)


def preview_undo(actor: Actor, record: ImportRecord, include: Collection[str] = ()) -> UndoPlan:
    """Return what undoing an import would do. Raises `UndoRefused`."""
    actor.require(IMPORT)
    return plan_undo_of(record, include)


def undo_import(
    actor: Actor, record: ImportRecord, include: Collection[str] = (), fingerprint: str | None = None
) -> UndoResult:
    """Undo an import. Rows that have changed since are kept unless they are in `include`, by id.

    Raises what `operations.imports.undo_import` raises.
    """
    actor.require(IMPORT)
    return imports.undo_import(record, include, fingerprint, requested_by=actor.requested_by, origin=actor.origin)


# --- States and history ----------------------------------------------------------------------------------------------


def read_state(actor: Actor, text: str) -> NamedState:
    """Return the state of the configuration that a text names. Raises what `find_state` and `require_tvarrs` raise."""
    actor.require(EXPORT)
    if text == NOW:
        require_tvarrs()  # a missing table would look like a kind without items
    return find_state(text)


def request_reading(actor: Actor, name: str, *, start: Start = submit) -> Operation:
    """Read the configuration of a backup whose metadata file lacks it. Raises what `find_backup` and `start` raise."""
    actor.require(KINDS[OperationKind.READ].permission)
    folder = backup_folder()
    filename = find_backup(folder, find_name(folder, name)).filename
    return _start(actor, OperationKind.READ, start, filename=filename)


def take_items(actor: Actor, state: State, names: Collection[str] = (), kinds: Collection[Slug] = tuple(Slug)) -> bytes:
    """Return a file with items of a state, and the profiles they need, for an import that the actor may apply.

    Names are those of `select_items`; all items without any. Raises `ItemNotFound`, `SelectionEmpty`, and what
    `require_tvarrs` raises.
    """
    actor.require(IMPORT)
    require_tvarrs()
    taken = with_missing_profiles(select_items(state, names, kinds), state)
    if not any(taken):
        raise SelectionEmpty("There is nothing to take. Select at least one item.")
    return write_state(taken)


def preview_taking(actor: Actor, taken: bytes, *, file_name: str) -> ImportRecord:
    """Store a file of `take_items` as a pending import, in which changed items are overwritten by default."""
    actor.require(IMPORT)
    record = keep_import(taken, file_name=file_name, user=actor.user)
    choose_overwriting(record)
    return record


def find_events(actor: Actor, kinds: Collection[Slug] | None = None) -> QuerySet[HistoryEvent]:
    """Return the events of the history, newest first: all, or those that changed items of these kinds."""
    actor.require(EXPORT)
    events = HistoryEvent.objects.select_related("requested_by")
    return events if kinds is None else events.filter(versions__kind__in=kinds).distinct()


def find_event(actor: Actor, key: int) -> HistoryEvent:
    """Return an event of the history. Raises `EventNotFound`."""
    found = find_events(actor).filter(pk=key).first()
    if found is None:
        raise EventNotFound("The history has no event {key}.", key=key)
    return found


def find_versions(actor: Actor, kind: Kind, row_id: str) -> list[ItemVersion]:
    """Return the versions of an item, newest first. Raises `EventNotFound`."""
    actor.require(EXPORT)
    found = [] if "\0" in row_id else _versions_of(kind, [row_id])  # PostgreSQL refuses NUL
    if not found:
        raise EventNotFound("The history has no item {id} of the {kind}.", id=quoted(row_id), kind=kind.label)
    return found


def find_versions_by_name(actor: Actor, kind: Kind, name: str) -> list[ItemVersion]:
    """Return the versions of all items that have, or had, this name or `epg:NAME`, newest first. Raises `EventNotFound`."""
    actor.require(EXPORT)
    source_type, _, rest = name.partition(":")
    has_name = Q(name=name) | Q(source_type=source_type, name=rest)
    rows = ItemVersion.objects.filter(has_name, kind=kind.slug).values_list("row_id", flat=True).distinct()
    found = _versions_of(kind, list(rows))
    if not found:
        raise EventNotFound(
            "The history has no item {name} of the {kind}. See `{program} config history {slug}`.",
            name=quoted(name),
            kind=kind.label,
            program=program.NAME,
            slug=kind.slug.value,
        )
    return found


def _versions_of(kind: Kind, row_ids: Collection[str]) -> list[ItemVersion]:
    versions = ItemVersion.objects.filter(kind=kind.slug, row_id__in=row_ids)
    return list(versions.select_related("event__requested_by", "content").order_by("-event__at"))


# --- Matches ---------------------------------------------------------------------------------------------------------


def may_read_addresses(actor: Actor) -> bool:
    """Return whether an actor may see addresses of streams, which contain credentials. Backups have them, too."""
    return actor.may(DOWNLOAD)


def prepare_expression_test(actor: Actor) -> None:
    """Check that the actor may test expressions."""
    actor.require(EXPORT)


def try_expression(actor: Actor, text: str, domain: Domain, **options: Any) -> Count:
    """Count what an expression matches here. The options are those of `count_matches`, which says what it raises."""
    actor.require(EXPORT)
    require_tvarrs()
    return count_matches(text, domain, may_read_addresses=may_read_addresses(actor), **options)


def explain_expression(actor: Actor, text: str, domain: Domain, name: str, **options: Any) -> Explained:
    """Say why an expression matches a row or not. The options are those of `explain_row`, which says what it raises.

    An expression that reads addresses of streams requires the right to download backups.
    """
    actor.require(EXPORT)
    if reads_addresses(text, domain):
        actor.require(DOWNLOAD)
    require_tvarrs()
    return explain_row(text, domain, name, **options)


def find_item(actor: Actor, kind: Kind, row_id: str) -> PortableRow:
    """Return a stored item, also a built-in one. Raises `RowNotFound`, and what `require_tvarrs` raises."""
    actor.require(EXPORT)
    require_tvarrs()
    found: PortableRow | None = (
        None if "\0" in row_id else kind.model.objects.filter(pk=row_id).first()
    )  # PostgreSQL refuses NUL
    if found is None:
        raise RowNotFound("There is no {kind} {name}.", kind=kind.model._meta.verbose_name, name=quoted(row_id))
    return found


def count_item_matches(actor: Actor, row: PortableRow, **options: Any) -> Preview:
    """Count what a stored filter or rule matches. The options are those of `count_item`, which says what it raises."""
    actor.require(EXPORT)
    require_tvarrs()
    return count_item(row, may_read_addresses=may_read_addresses(actor), **options)


def preview_matches(actor: Actor, plan: BundlePlan, **options: Any) -> Preview:
    """Count what the new and changed expressions of an import match. The options are those of `preview_changes`."""
    actor.require(IMPORT)
    require_tvarrs()
    return preview_changes(changes_of_plan(plan), may_read_addresses=may_read_addresses(actor), **options)


def compare_matches(actor: Actor, comparison: Comparison, **options: Any) -> Preview:
    """Count what the expressions that differ between two states match. The options are those of `compare_states`."""
    actor.require(EXPORT)
    require_tvarrs()
    return compare_states(comparison, may_read_addresses=may_read_addresses(actor), **options)


def count_stored_matches(
    actor: Actor, text: str, domain: Domain, sources: Sequence[str] | None, **options: Any
) -> StoredCount:
    """Count as tvarr's own test of an expression does. The options are those of `count_stored`, which says what it raises.

    Listing channels, or an expression that reads addresses of streams, requires the right to download backups.
    """
    actor.require(EXPORT)
    if options.get("listed") or reads_addresses(text, domain):
        actor.require(DOWNLOAD)
    require_tvarrs()
    return count_stored(text, domain, sources, **options)


def match_request(actor: Actor, text: str, headers: Mapping[str, str]) -> Outcome:
    """Try a client detection rule on these headers, as tvarr's own test does. Raises what `match_headers` raises."""
    actor.require(EXPORT)
    return match_headers(text, headers)


# --- Locations -------------------------------------------------------------------------------------------------------


def find_locations(actor: Actor) -> QuerySet[Location]:
    """Return the locations, by name. Their credentials are never shown."""
    actor.require(MANAGE_LOCATIONS)
    return Location.objects.prefetch_related("copies")


def find_location(actor: Actor, name: str) -> Location:
    """Return a location. Raises `LocationNotFound`."""
    actor.require(MANAGE_LOCATIONS)
    return locations.find_location(name)


def add_location(
    actor: Actor,
    name: str,
    kind: LocationKind,
    options: Mapping[str, str | None],
    *,
    recipient: str = "",
    **columns: Any,
) -> Location:
    """Add a location. Raises what `operations.locations.add_location` raises."""
    actor.require(MANAGE_LOCATIONS)
    return locations.add_location(name, kind, options, recipient=recipient, **columns)


def add_location_with_key(
    actor: Actor, name: str, kind: LocationKind, options: Mapping[str, str | None], **columns: Any
) -> tuple[Location, Key]:
    """Add a location with a new key, whose identity is returned only here. Raises what `add_location` raises."""
    actor.require(MANAGE_LOCATIONS)
    return locations.add_location_with_key(name, kind, options, **columns)


def change_location(
    actor: Actor, name: str, options: Mapping[str, str | None], /, *, agreed: str = "", **columns: Any
) -> Location:
    """Change options and columns of a location, which may be its name.

    If cleanup there would delete copies with the new retention that it keeps now, `agreed` must confirm this as for
    `change_settings`. Raises `DeletionsUnconfirmed`, and what `operations.locations.change_location` raises.
    """
    actor.require(MANAGE_LOCATIONS)
    location = locations.find_location(name)
    retention = {column: value for column, value in columns.items() if column in locations.RETENTION}
    if retention and agreed != AGREED_TO_ALL:
        deletions = locations.find_new_deletions(location, retention)
        if deletions and agreed != fingerprint_of_deletions(deletions):
            raise DeletionsUnconfirmed.of(
                "With this retention the next cleanup in {name} would delete {count} more copies. Nothing was saved. Confirm "
                "that they will be deleted.",
                deletions,
                name=name,
            )
    return locations.change_location(location, options, **columns)


def remove_location(actor: Actor, name: str) -> None:
    """Forget a location; its copies stay. Raises `LocationNotFound` and `LocationBusy`."""
    actor.require(MANAGE_LOCATIONS)
    locations.remove_location(locations.find_location(name))


def request_location_test(actor: Actor, name: str, *, start: Start = submit) -> Operation:
    """Test a location. Raises `LocationNotFound`, `LocationBusy`, and what `start` raises."""
    actor.require(MANAGE_LOCATIONS)
    location = locations.find_location(name)
    return _start(actor, OperationKind.TEST_LOCATION, start, location=str(location.pk))


def request_copies(actor: Actor, name: str, *, accept_empty: bool = False, start: Start = submit) -> Operation:
    """Copy what is missing in a location. `accept_empty` starts again in one that was emptied.

    Raises `LocationNotFound`, `LocationNotReady`, `LocationBusy`, and what `start` raises.
    """
    actor.require(MANAGE_LOCATIONS)
    location = locations.find_location(name)
    locations.require_ready(location)
    return _start(actor, OperationKind.COPY, start, location=str(location.pk), accept_empty=accept_empty)


def request_copy_check(actor: Actor, name: str, *, start: Start = submit) -> Operation:
    """Read the copy whose check is oldest, and compare it. Raises what `request_copies` raises."""
    actor.require(MANAGE_LOCATIONS)
    location = locations.find_location(name)
    locations.require_ready(location)
    return _start(actor, OperationKind.CHECK_COPY, start, location=str(location.pk))


def confirm_host_key(actor: Actor, name: str, host_key: str) -> Location:
    """Accept the host key that a server offered. Raises `LocationInvalid` if it is not the one that was offered last."""
    actor.require(MANAGE_LOCATIONS)
    return locations.confirm_host_key(locations.find_location(name), host_key)


def new_location_key(actor: Actor, name: str) -> Key:
    """Make a key for a location, and store its recipient. The identity is returned only here, and is not stored.

    Raises `LocationNotFound`, `LocationInvalid` if there are encrypted copies already, and `LocationUnsupported`.
    """
    actor.require(MANAGE_LOCATIONS)
    return locations.new_key_for(locations.find_location(name))


def confirm_location_key(actor: Actor, name: str, identity: str | None) -> Location:
    """Record that the user has saved the recovery key, which `identity` proves; without one, the user says so.

    Raises `LocationNotFound`, `LocationInvalid` if the location is not encrypted, `IdentityInvalid` and `IdentityWrong`.
    """
    actor.require(MANAGE_LOCATIONS)
    return locations.confirm_key(locations.find_location(name), identity)


def store_rehearsal_identity(actor: Actor, name: str, identity: str) -> Location:
    """Store the identity of a location, encrypted, so that its copies can be rehearsed. It is never shown again.

    Raises `LocationNotFound`, `LocationInvalid` if the location is not encrypted, `IdentityInvalid`, `IdentityWrong`, and
    `LocationUnsupported`.
    """
    actor.require(MANAGE_LOCATIONS)
    return locations.store_identity(locations.find_location(name), identity)


def forget_rehearsal_identity(actor: Actor, name: str) -> Location:
    """Delete the stored identity of a location. Raises `LocationNotFound`."""
    actor.require(MANAGE_LOCATIONS)
    return locations.forget_identity(locations.find_location(name))


# --- Receivers of alerts ---------------------------------------------------------------------------------------------


def find_receivers(actor: Actor) -> QuerySet[Receiver]:
    """Return the receivers, also those of the environment, by name. Their secrets are never shown."""
    actor.require(MANAGE_RECEIVERS)
    return Receiver.objects.all()


def find_receiver(actor: Actor, name: str) -> Receiver:
    """Return a receiver. Raises `ReceiverNotFound`."""
    actor.require(MANAGE_RECEIVERS)
    return receivers.find_receiver(name)


def add_receiver(actor: Actor, name: str, url: str, *, signing_secret: str = "", **columns: Any) -> SavedReceiver:
    """Add a receiver. Raises what `operations.receivers.add_receiver` raises."""
    actor.require(MANAGE_RECEIVERS)
    return receivers.add_receiver(name, url, signing_secret=signing_secret, **columns)


def change_receiver(
    actor: Actor, name: str, /, *, url: str = "", signing_secret: str = "", **columns: Any
) -> SavedReceiver:
    """Change a receiver, also its name in `columns`. Raises what `operations.receivers.change_receiver` raises."""
    actor.require(MANAGE_RECEIVERS)
    receiver = receivers.find_receiver(name)
    return receivers.change_receiver(receiver, url=url, signing_secret=signing_secret, **columns)


def remove_receiver(actor: Actor, name: str) -> None:
    """Remove a receiver and its messages. Raises `ReceiverNotFound` and `ReceiverReadOnly`."""
    actor.require(MANAGE_RECEIVERS)
    receivers.remove_receiver(receivers.find_receiver(name))


def request_receiver_test(actor: Actor, name: str) -> OutboxMessage:
    """Queue a test message for the sending process. `find_message` has its answer later. Raises `ReceiverNotFound`."""
    actor.require(MANAGE_RECEIVERS)
    return outbox.queue_test(receivers.find_receiver(name))


def find_messages(actor: Actor, name: str | None = None) -> QuerySet[OutboxMessage]:
    """Return the messages to all receivers or to one, newest first, with their receivers. Raises `ReceiverNotFound`."""
    actor.require(MANAGE_RECEIVERS)
    messages = OutboxMessage.objects.select_related("receiver")
    return messages if name is None else messages.filter(receiver=receivers.find_receiver(name))


def find_message(actor: Actor, key: str) -> OutboxMessage:
    """Return a message with its receiver. Raises `MessageNotFound`."""
    actor.require(MANAGE_RECEIVERS)
    return outbox.find_message(key)


def find_alerts(actor: Actor) -> QuerySet[Alert]:
    """Return the problems that were reported and still hold, the oldest first."""
    actor.require(MANAGE_RECEIVERS)
    return Alert.objects.all()


def dismiss_receiver_advice(actor: Actor) -> None:
    """Do not advise to add a receiver any more."""
    actor.require(MANAGE_RECEIVERS)
    AlertSettings.objects.update_or_create(pk=1, defaults={"is_advice_dismissed": True})


# --- Settings --------------------------------------------------------------------------------------------------------


def fingerprint_of_deletions(filenames: Iterable[str]) -> str:
    """Return a fingerprint of these backups, which a user sends back to confirm that just these are deleted."""
    return hashlib.sha256("\n".join(filenames).encode()).hexdigest()


def change_settings(actor: Actor, changes: Mapping[str, Any], *, agreed: str) -> None:
    """Change some columns of the settings.

    If the new retention lets cleanup delete backups that the stored one keeps, `agreed` must be their
    `fingerprint_of_deletions`, or `AGREED_TO_ALL`. Raises `DeletionsUnconfirmed`, `ValidationError`, and
    `BackupUnsupported`.
    """
    actor.require(CHANGE_SETTINGS)
    conf.live_database()  # without an SQLite file there is no schedule
    if agreed != AGREED_TO_ALL:
        deletions: list[str] = []
        with suppress(TvarrBackupError):  # cleanup deletes nothing from a folder that cannot be read
            changed = BackupSettings.load(**changes)
            changed.clean_fields()
            deletions = [backup.filename for backup in find_new_deletions(changed)]
        if deletions and agreed != fingerprint_of_deletions(deletions):
            raise DeletionsUnconfirmed.of(
                "With these settings the next cleanup would delete {count} more backups. Nothing was saved. Confirm that "
                "they will be deleted.",
                deletions,
            )
    schedule.change_settings(changes)


# --- Users -----------------------------------------------------------------------------------------------------------


def create_user(actor: Actor, name: str, password: str | None, role: Role | None) -> User:
    """Create a user, without a password or role if it is None. Raises `UserInvalid`."""
    actor.require(ADD_USER)
    return add_user(name, password, role)
