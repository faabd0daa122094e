"""The command `backup`."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import Error
from structlog.contextvars import bound_contextvars

from tvarr_backup import conf, program
from tvarr_backup.backups.catalogue import Backup, Listing, find_backup, read_folder
from tvarr_backup.backups.folder import recover
from tvarr_backup.backups.lookup import find_name, is_number
from tvarr_backup.backups.rehearsal import remove_scratch
from tvarr_backup.backups.restore import finish_restore
from tvarr_backup.backups.restore_journal import find_safety_backup
from tvarr_backup.backups.sidecar import BackupKind, Sidecar
from tvarr_backup.conf import in_a_line
from tvarr_backup.errors import (
    BackupBroken,
    BackupBusy,
    BackupNotFound,
    BackupNumberRefused,
    DatabaseUnusable,
    OperationInterrupted,
)
from tvarr_backup.formatting import format_count, format_duration, format_exact_time, format_size, format_time
from tvarr_backup.management.progress import run_with_progress
from tvarr_backup.management.terminal import TerminalCommand, add_action, complete_files
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import COMMAND_LINE
from tvarr_backup.operations.app_database import require_app_database, waiting_less
from tvarr_backup.operations.cleanup import RETENTION_UNKNOWN, find_deletions, why_retention_is_unknown
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.models import KIND_LABELS, Operation, OperationKind, Origin
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.rehearsals import rehearsal_folder
from tvarr_backup.operations.report import SAME_NUMBER_OF_ROWS, backup_as_data, state_of, unknown_date
from tvarr_backup.operations.restores import damage_of_live, rows_now
from tvarr_backup.operations.sightings import verdict_on
from tvarr_backup.operations.track import stop_on_first_sigint, stop_on_sigterm
from tvarr_backup.portable.tvarr_memory import EVERYTHING, RELOAD_ADVICE, needs_reload
from tvarr_backup.quoting import cut
from tvarr_backup.schema import RequiredSchema

_PATIENCE_SECONDS = 0.5
"""How long each query waits for this program's own database after it was found unusable."""
_MOST_OF_NOTE = 40
_HEADINGS = ("#", "Created", "Kind", "Size", "State", "Note", "Name")
_NAME = "file name, the start of it, latest, latest~1 (the one before), or number in `backup list`"


class Command(TerminalCommand):
    help = "Create, list, verify, protect, annotate, add, restore and delete backups of tvarr's database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

        def add(name: str, description: str, run: Callable[[dict[str, Any]], None], *aliases: str) -> ArgumentParser:
            added = add_action(actions, name, description, *aliases)
            added.add_argument("--json", action="store_true", help="print one JSON value")
            added.set_defaults(run=run)
            return added

        def add_flag(to: ArgumentParser, name: str, description: str) -> None:
            to.add_argument(name, action="store_true", help=description)

        create = add("create", "Back up tvarr's database now.", self._create)
        create.add_argument("--note", default="", help="one line of text")
        add_flag(
            create, "--accept-folder", "use the backup folder although the disk of the last backup is not mounted there"
        )
        add("list", "List backups, newest first.", self._list)
        add("show", "Show everything that is known about a backup.", self._show).add_argument("name", help=_NAME)
        verify = add("verify", "Verify one backup, or all.", self._verify)
        selection = verify.add_mutually_exclusive_group(required=True)
        selection.add_argument("name", nargs="?", help=_NAME)
        selection.add_argument("--all", action="store_true", help="verify all backups")
        rehearse = add("rehearse", "Restore a backup into a scratch copy of the database.", self._rehearse)
        rehearse.add_argument("name", nargs="?", help=f"{_NAME}; the newest good backup if left out")
        rehearse.add_argument("--location", metavar="NAME", help="rehearse the copy in this location")
        protect = add("protect", "Protect a backup from deletion, or end the protection.", self._protect)
        protect.add_argument("name", help=_NAME)
        add_flag(protect, "--off", "end the protection")
        protect.add_argument("--note", help="replace the note")
        note = add("note", "Replace the note of a backup.", self._note)
        note.add_argument("name", help=_NAME)
        note.add_argument("text", help='one line of text; "" removes the note')
        delete = add("delete", "Delete backups, all or none of them.", self._delete)
        delete.add_argument("names", nargs="+", metavar="name", help=_NAME)
        add_flag(delete, "--yes", "delete without asking; numbers are not accepted")
        adding = add(
            "add", "Add a backup from elsewhere: ours, tvarr's, or a copy of a database file.", self._add, "adopt"
        )
        complete_files(adding.add_argument("file", help="the archive or database file"))
        adding.add_argument("--note", default="", help="one line of text")
        add_flag(adding, "--accept-broken-references", "accept rows that refer to missing rows")
        add_flag(adding, "--accept-code", "accept views, triggers and virtual tables, if you trust the file")
        prune = add("prune", "Delete the backups that retention no longer keeps.", self._prune)
        add_flag(prune, "--dry-run", "only list them")
        restore = add("restore", "Show what a restore would change, ask, and restore.", self._restore)
        restore.add_argument("name", help=_NAME)
        add_flag(restore, "--accept-newer", "accept a schema that is newer than every known one")
        add_flag(restore, "--accept-code", "accept views, triggers and virtual tables, if you trust the backup")
        undo = add("undo-restore", "Restore the safety backup of the last restore.", self._undo_restore)
        for command in (restore, undo):
            add_flag(command, "--yes", "restore without asking; numbers are not accepted")
            add_flag(
                command,
                "--offline",
                "replace a damaged, empty or missing database file; confirms that tvarr is stopped",
            )
        add("recover", "Clean up after a crash. Every operation does this first.", self._recover)

    @bound_contextvars(origin=str(Origin.COMMAND))
    def handle(self, *_args: Any, run: Callable[[dict[str, Any]], None], **options: Any) -> None:
        stop_on_sigterm()
        stop_on_first_sigint()
        try:
            with _limit_waiting():
                run(options)
        except OperationInterrupted as problem:
            raise CommandError(f"{problem} No partial files are left.", returncode=130) from problem
        except (Error, sqlite3.Error) as problem:
            raise CommandError(f"The database cannot be read: {in_a_line(problem)}.") from problem
        except KeyboardInterrupt:
            raise CommandError(
                "Stopped. The next operation, or `backup recover`, cleans up what was unfinished.", returncode=130
            ) from None

    def _create(self, options: dict[str, Any]) -> None:
        started = datetime.now(UTC)
        note, accept_folder = options["note"], options["accept_folder"]
        result = self._run(
            lambda start: actions.request_backup(COMMAND_LINE, note=note, accept_folder=accept_folder, start=start)
        )
        made = result["backup"]
        seconds = (datetime.now(UTC) - started).total_seconds()
        self.print_result(
            made,
            f"Created {made['filename']}: {format_size(made['database_size'])} compressed to {format_size(made['file_size'])} "
            f"and verified in {seconds:.1f} s",
            *(f"warning: {warning}" for warning in made["checked"]["warnings"]),
            *(f"Deleted {deleted} (retention)" for deleted in result["removed"]),
        )

    def _list(self, _options: dict[str, Any]) -> None:
        folder, required = backup_folder(), conf.required_schema()
        listing = read_folder(folder)
        data = {
            "backups": [backup_as_data(backup, required) for backup in listing.backups],
            "broken": [{"filename": broken.filename, "reason": broken.reason} for broken in listing.broken],
            "foreign": list(listing.foreign),
            "backup_directory": str(folder),
        }
        self.print_result(data, *self._format_listing(listing, required, folder))

    def _format_listing(self, listing: Listing, required: RequiredSchema, folder: Path) -> list[str]:
        backups = listing.backups
        if backups:
            rows = [_format_row(number, backup, required) for number, backup in enumerate(backups, start=1)]
            size = sum(backup.sidecar.compressed_size for backup in backups)
            lines = [*self.table(_HEADINGS, rows), f"{format_count(len(backups), 'backup')}, {format_size(size)}"]
        else:
            lines = [f"There are no backups in {folder} yet."]
        lines += [f"{broken.filename}  BROKEN: {broken.reason}" for broken in listing.broken]
        if listing.foreign:
            lines.append(f"Other files in {folder}: {len(listing.foreign)}")
        return lines

    def _show(self, options: dict[str, Any]) -> None:
        backup = find_backup(backup_folder(), _find_name(options["name"]))
        data = backup_as_data(backup)
        unknown = unknown_date(backup.sidecar)
        self.print_result(data, *([f"{unknown[0].upper()}{unknown[1:]}"] if unknown else []), *_format_members(data))

    def _verify(self, options: dict[str, Any]) -> None:
        everything = options["all"]
        names = None if everything else [_find_name(options["name"])]
        result = self._run(lambda start: actions.request_verification(COMMAND_LINE, names, start=start))
        found, broken = result["verified"], result["broken"]
        lines = []
        for verification in found:
            problems, warnings = verification["problems"], verification["warnings"]
            checks = len(verification["checks"])
            lines.append(
                f"{verification['backup']['filename']}: " + ("DAMAGED" if problems else f"OK ({checks} checks)")
            )
            lines += [f"    {problem}" for problem in problems] + [f"    warning: {warning}" for warning in warnings]
        lines += [f"{broken['filename']}: BROKEN: {broken['reason']}" for broken in broken]
        self.print_result(result if everything else found[0], *lines or ["There are no backups."])
        bad = sum(bool(verification["problems"]) for verification in found) + len(broken)
        if bad:
            raise CommandError(f"{bad} of {len(found) + len(broken)} backups {'has' if bad == 1 else 'have'} problems.")

    def _rehearse(self, options: dict[str, Any]) -> None:
        name, location = options["name"], options["location"]
        if name is not None and location is None:
            name = _find_name(name)
        started = datetime.now(UTC)
        result = self._run(lambda start: actions.request_rehearsal(COMMAND_LINE, name, location=location, start=start))
        seconds = (datetime.now(UTC) - started).total_seconds()
        items = result["items"]
        self.print_result(
            result,
            f"{result['filename']}: OK. It was restored into a scratch copy of the database in {seconds:.1f} s",
            f"{sum(result['rows'].values())} rows in {len(result['rows'])} tables",
            f"{sum(items.values())} items exported, equal to the metadata of the backup"
            if items is not None
            else "The metadata of the backup has no configuration to compare with",
            f"{result['commits']} commits of another program during the restore, none lost",
        )

    def _protect(self, options: dict[str, Any]) -> None:
        name, protected = _find_name(options["name"]), not options["off"]
        backup = actions.change_backup(COMMAND_LINE, name, protected=protected, note=options["note"])
        state = "protected" if backup.sidecar.protected else "not protected"
        self.print_result(backup_as_data(backup), f"{backup.filename} is {state}")

    def _note(self, options: dict[str, Any]) -> None:
        backup = actions.change_backup(COMMAND_LINE, _find_name(options["name"]), note=options["text"])
        done = "Changed" if backup.sidecar.note else "Removed"
        self.print_result(backup_as_data(backup), f"{done} the note of {backup.filename}")

    def _delete(self, options: dict[str, Any]) -> None:
        is_confirmed = options["yes"]
        names = list(dict.fromkeys(_find_name(name, is_confirmed=is_confirmed) for name in options["names"]))
        actions.prepare_deletions(COMMAND_LINE, names)
        if not is_confirmed:
            self._ask_to_delete(names)
        removed: list[str] = []
        try:
            for name in names:
                self._run(lambda start, name=name: actions.delete_backup(COMMAND_LINE, name, start=start))  # type: ignore[misc]
                removed.append(name)
        finally:
            if removed:
                self.print_result({"removed": removed}, *(f"Deleted {name}" for name in removed))

    def _ask_to_delete(self, names: Sequence[str]) -> None:
        """Raise `CommandError` unless a user confirms the deletion."""
        folder = backup_folder()
        for name in names:
            self.message(_describe_deletion(folder, name))
        if not self.confirm(f"Delete {format_count(len(names), 'backup')}?"):
            raise CommandError(f"Nothing was deleted.{'' if self.can_ask else ' Add --yes to delete.'}")

    def _add(self, options: dict[str, Any]) -> None:
        given = {name: options[name] for name in ("note", "accept_broken_references", "accept_code")}
        source = Path(options["file"]).absolute()
        made = self._run(lambda start: actions.add_backup(COMMAND_LINE, source, start=start, **given))["backup"]
        unknown = unknown_date(find_backup(backup_folder(), made["filename"]).sidecar)
        self.print_result(
            made,
            f"Added {options['file']} as {made['filename']}, verified{' and protected' if made['protected'] else ''}",
            *([f"warning: {unknown}"] if unknown else []),
            *(f"warning: {warning}" for warning in made["checked"]["warnings"]),
        )

    def _prune(self, options: dict[str, Any]) -> None:
        unknown = why_retention_is_unknown()
        is_dry_run = options["dry_run"] or bool(unknown)
        if unknown:
            self.message(
                f"Nothing is deleted, and the list uses the retention of the environment, because {RETENTION_UNKNOWN} {unknown}"
            )
        if is_dry_run:
            names = find_deletions(conf.default_policy() if unknown else None)
        else:
            names = self._run(lambda start: actions.request_cleanup(COMMAND_LINE, start=start))["removed"]
        verb = "Would delete" if is_dry_run else "Deleted"
        self.print_result(
            {"removed": names, "dry_run": is_dry_run},
            *[f"{verb} {name}" for name in names] or ["There is nothing to delete."],
        )

    def _restore(self, options: dict[str, Any]) -> None:
        folder, is_confirmed = backup_folder(), options["yes"]
        name = _find_name(options["name"], is_confirmed=is_confirmed)
        if not is_confirmed and not self._is_restore_confirmed(find_backup(folder, name), options):
            return
        with contextlib.suppress(BackupBusy):  # then the new restore is refused, and names the running operation
            finish_restore(folder, conf.required_schema())  # an interrupted restore would block the new one
        given = {name: bool(options.get(name)) for name in ("accept_newer", "accept_code", "offline")}
        result = self._run(lambda start: actions.request_restore(COMMAND_LINE, name, start=start, **given))
        safety = result["pre_restore_backup"]
        self.print_result(
            result,
            f"Restored {name}",
            *_describe_changes(result["before"], result["after"]),
            *([f"The previous data is in {safety['filename']}. `backup undo-restore` restores it."] if safety else []),
            *(f"The old file is kept as {path}" for path in result["set_aside"]),
            *result["facts"],
            *(["You can start tvarr again."] if options["offline"] else []),
            *([RELOAD_ADVICE] if result["restart_required"] else []),
        )

    def _undo_restore(self, options: dict[str, Any]) -> None:
        folder = backup_folder()
        finish_restore(folder, conf.required_schema())  # an interrupted restore may be the one to undo
        self._restore(options | {"name": find_safety_backup(folder).filename})

    def _is_restore_confirmed(self, backup: Backup, options: dict[str, Any]) -> bool:
        """Print what a restore would change, and ask on a terminal. Row counts of both databases are compared."""
        damage, then = damage_of_live(backup.filename), backup.sidecar.table_counts
        now = rows_now()
        restart_required = needs_reload(EVERYTHING)
        described = backup_as_data(backup)
        verdict = verdict_on(backup)
        data = {
            "filename": backup.filename,
            "now": now,
            "after": dict(then),
            "restart_required": restart_required,
            **{name: described[name] for name in ("created_at", "created_at_source", "newest_row_at")},
            "facts": list(verdict.facts),
            "needs_accept_newer": verdict.needs_confirmation,
            "offline_required": bool(damage),
            "damage": damage,
        }
        lines = (
            _preview_offline_restore(backup, damage)
            if damage
            else [
                f"{backup.filename} would replace the data in {conf.live_database()}:",
                *_describe_changes(now, then),
                *verdict.facts,
                _describe_loss(backup.sidecar),
                *([RELOAD_ADVICE] if restart_required else []),
            ]
        )
        missing = [
            *(["--accept-newer"] if verdict.needs_confirmation and not options.get("accept_newer") else []),
            *(["--offline"] if damage and not options["offline"] else []),
        ]
        if self.can_ask and not missing:
            self.print_result(data, *lines)
            if self.confirm("Restore this backup?"):
                return True
            raise CommandError("Nothing was restored.")
        self.print_result(data, *lines, _describe_confirmation(backup, missing, damage))
        return False

    def _recover(self, _options: dict[str, Any]) -> None:
        folder = backup_folder()
        before = {backup.filename for backup in read_folder(folder).backups}
        ended = self._end_lost_operations()
        cleaned = recover(folder) + [f"rehearsals/{name}" for name in remove_scratch(rehearsal_folder())]
        settled = finish_restore(folder, conf.required_schema())
        set_aside = settled.set_aside if settled else ()
        found = [backup for backup in read_folder(folder).backups if backup.filename not in before]
        saved = next((backup.filename for backup in found if backup.sidecar.kind is BackupKind.PRE_RESTORE), None)
        data = {
            "operations": [str(operation.pk) for operation in ended],
            "removed": cleaned,
            "pre_restore_backup": saved,
            "set_aside": list(set_aside),
        }
        lines = [f"Ended: {operation}" for operation in ended] + [f"Removed {name}" for name in cleaned]
        lines += [f"The restore had succeeded. The previous data is in {saved}."] if saved else []
        lines += [f"Finished the offline restore of {settled.filename}"] if settled and not saved else []
        lines += [f"The old file is kept as {path}" for path in set_aside]
        lines += [RELOAD_ADVICE] if saved and needs_reload(EVERYTHING) else []
        self.print_result(data, *lines or ["There was nothing to clean up."])

    def _end_lost_operations(self) -> list[Operation]:
        try:
            require_app_database()
            return reconcile()
        except (DatabaseUnusable, Error) as problem:
            self.message(f"Interrupted operations could not be updated in the history: {in_a_line(problem)}")
            return []

    def _run(self, action: Callable[[actions.Start], Operation]) -> Mapping[str, Any]:
        """Perform an action in this process, and return its result."""
        operation = run_with_progress(action, self.message)
        if operation.message and operation.kind != OperationKind.VERIFY:
            for sentence in operation.message.splitlines():
                self.message(sentence)
        result: Mapping[str, Any] = operation.result or {}
        return result


def _limit_waiting() -> contextlib.AbstractContextManager[None]:
    """Wait less for this program's own database if it cannot be used. Actions that need it report that."""
    try:
        require_app_database()
    except DatabaseUnusable:
        return waiting_less(_PATIENCE_SECONDS)
    return contextlib.nullcontext()


def _format_row(number: int, backup: Backup, required: RequiredSchema) -> tuple[str, ...]:
    sidecar = backup.sidecar
    end = f" until {format_time(sidecar.protected_until)}" if sidecar.protected_until else ""
    protected = f", protected{end}" if sidecar.is_protected(datetime.now(UTC)) else ""
    return (
        str(number),
        unknown_date(sidecar) or format_exact_time(sidecar.created_at),
        KIND_LABELS[sidecar.kind],
        format_size(sidecar.compressed_size),
        state_of(sidecar, required).label + protected,
        cut(sidecar.note, _MOST_OF_NOTE),
        backup.filename,
    )


def _find_name(name: str, *, is_confirmed: bool = False) -> str:
    """Return the file name of the backup that a user named. With `--yes`, a number is refused."""
    if is_confirmed and is_number(name):
        raise BackupNumberRefused(
            "{number} is a number in the list, and may be another backup by now. With --yes, give the file name, or `latest`.",
            number=name,
        )
    return find_name(backup_folder(), name, accept_numbers=True)


def _describe_deletion(folder: Path, name: str) -> str:
    try:
        sidecar = find_backup(folder, name).sidecar
    except (BackupBroken, BackupNotFound):
        return f"{name}  broken"
    made = unknown_date(sidecar) or format_exact_time(sidecar.created_at)
    return f"{name}  {made}, {KIND_LABELS[sidecar.kind].lower()}, {format_size(sidecar.compressed_size)}  {sidecar.note}".rstrip()


def _preview_offline_restore(backup: Backup, damage: str) -> list[str]:
    return [
        f"{conf.live_database()} {damage}, so {backup.filename} can be restored only while tvarr is stopped.",
        f"The backup ({unknown_date(backup.sidecar) or format_exact_time(backup.sidecar.created_at)}) would replace it.",
        "The old files would be kept next to it.",
    ]


def _describe_confirmation(backup: Backup, missing: Sequence[str], damage: str) -> str:
    if not damage:
        return f"Nothing was changed. Add {' '.join(['--yes', *missing])} to restore."
    command = f"`{program.NAME} backup restore {backup.filename} --yes --offline`"
    return f"Nothing was changed. Stop tvarr (it may run in another container), then run {command}."


def _describe_loss(sidecar: Sidecar) -> str:
    """Describe what a restore removes, counted from the latest change that the backup is known to have."""
    known, unknown = sidecar.known_at, unknown_date(sidecar)
    if known is None:
        return f"Everything that is not in the backup ({unknown}) would be lost. The safety backup keeps it."
    age = format_duration(datetime.now(UTC) - known)
    since = f"since {format_exact_time(known)}{'; ' if unknown else ''}{unknown}"
    return f"{age[0].upper()}{age[1:]} of changes ({since}) would be lost. The safety backup keeps them."


def _describe_changes(now: Mapping[str, int], then: Mapping[str, int]) -> list[str]:
    """Return a line for each table whose number of rows differs, and one for all others. An empty mapping is unknown."""
    if not now:
        return ["    the database could not be read, so the difference is unknown"]
    if not then:
        return ["    the backup's metadata has no row counts, so the difference is unknown"]
    tables = [table for table in sorted({*now, *then}) if now.get(table) != then.get(table)]
    lines = [f"    {table}: {now.get(table, 'no')} -> {then.get(table, 'no')} rows" for table in tables]
    others = "every other table" if lines else "every table"
    return [*lines, f"    {others}: {SAME_NUMBER_OF_ROWS}; contents may differ"]


def _format_members(data: Mapping[str, Any], indent: str = "") -> list[str]:
    lines = []
    for name, value in data.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}:", *_format_members(value, indent + "    ")]
        else:
            lines.append(f"{indent}{name}: {_format_member(value)}".rstrip())
    return lines


def _format_member(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(map(_format_member, value))
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    if value is None:
        return "-"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
