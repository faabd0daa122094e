"""`backup`: make, look at, verify, protect, take in and remove backups from the command line."""

from __future__ import annotations

import contextlib
import sqlite3
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import Error
from structlog.contextvars import bound_contextvars

from tvarr_backup import conf, program
from tvarr_backup.backups.catalogue import Backup, Listing, find_backup, read_folder
from tvarr_backup.backups.folder import recover
from tvarr_backup.backups.restore import finish_restore
from tvarr_backup.backups.restore_journal import find_safety_backup
from tvarr_backup.backups.sidecar import BackupKind, Sidecar
from tvarr_backup.conf import in_a_line
from tvarr_backup.errors import BackupBusy, DatabaseUnusable, OperationInterrupted
from tvarr_backup.formatting import format_duration, format_exact_time, format_size
from tvarr_backup.management.progress import ProgressDisplay
from tvarr_backup.management.terminal import TerminalCommand, align
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import COMMAND_LINE
from tvarr_backup.operations.app_database import require_app_database, waiting_less
from tvarr_backup.operations.cleanup import RETENTION_UNKNOWN, find_deletions, why_retention_is_unknown
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.models import Operation, OperationKind, Origin
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.report import SAME_NUMBER_OF_ROWS, backup_as_data, state_of, unknown_date
from tvarr_backup.operations.restores import damage_of_live, rows_now
from tvarr_backup.operations.run import run_here
from tvarr_backup.operations.sightings import verdict_on
from tvarr_backup.operations.track import stop_on_first_sigint, stop_on_sigterm
from tvarr_backup.portable.tvarr_memory import EVERYTHING, RELOAD_ADVICE, needs_reload
from tvarr_backup.schema import RequiredSchema

_PATIENCE_SECONDS = 0.5
"""For so long this program's own database is waited for each time, once it is known that it cannot be used."""


class Command(TerminalCommand):
    """Results on stdout, progress on stderr, exit 1 with a sentence on failure or damage."""

    help = "Make, list, verify, protect, take in and remove backups of tvarr's database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)

        def action(name: str, words: str, run: Callable[[dict[str, Any]], None]) -> ArgumentParser:
            added = actions.add_parser(name, help=words, description=words)
            added.add_argument("--json", action="store_true", help="print one JSON value")
            added.set_defaults(run=run)
            return added

        def add_flag(to: ArgumentParser, name: str, words: str) -> None:
            to.add_argument(name, action="store_true", help=words)

        create = action("create", "make a backup now", self._create)
        create.add_argument("--note", default="", help="a line of your own")
        add_flag(
            create,
            "--accept-folder",
            "use the backup folder as it is, although the disk of the last backup is not mounted there",
        )
        action("list", "list the backups, the newest first", self._list)
        action("show", "show all that is known of a backup", self._show).add_argument("name")
        verify = action("verify", "check everything about a backup", self._verify)
        which = verify.add_mutually_exclusive_group(required=True)
        which.add_argument("name", nargs="?")
        which.add_argument("--all", action="store_true", help="one after another")
        protect = action("protect", "keep a backup from clean-ups and from deletion", self._protect)
        protect.add_argument("name")
        add_flag(protect, "--off", "lift the protection")
        protect.add_argument("--note", help="change the note as well")
        action("delete", "delete a backup for good", self._delete).add_argument("name")
        adopt = action(
            "adopt", "take in a backup from elsewhere: ours, tvarr's, or a plain copy of a database", self._adopt
        )
        adopt.add_argument("file")
        adopt.add_argument("--note", default="", help="a line of your own")
        add_flag(adopt, "--accept-broken-references", "also with rows that refer to rows not there")
        add_flag(adopt, "--accept-code", "also with views, triggers and virtual tables; trust the file first")
        prune = action("prune", "remove what the retention settings let go", self._prune)
        add_flag(prune, "--dry-run", "only say what would go")
        restore = action("restore", "put the content of a backup into the live database", self._restore)
        restore.add_argument("name")
        add_flag(restore, "--accept-newer", "also with a schema that is newer than every known one")
        add_flag(
            restore,
            "--accept-code",
            "also with views, triggers and virtual tables from elsewhere; trust the file first",
        )
        undo = action("undo-restore", "go back to before the last restore", self._undo_restore)
        for command in (restore, undo):
            add_flag(command, "--yes", "do it; without this it is only told what would happen")
            add_flag(
                command,
                "--offline",
                "replace a damaged, empty or missing database file; confirms that tvarr is stopped",
            )
        action("recover", "clean up what a crash left behind; done by itself before every operation", self._recover)

    @bound_contextvars(origin=str(Origin.COMMAND))
    def handle(self, *_args: Any, run: Callable[[dict[str, Any]], None], **options: Any) -> None:
        stop_on_sigterm()
        stop_on_first_sigint()
        try:
            with _patience():
                run(options)
        except OperationInterrupted as problem:
            raise CommandError(f"{problem} Nothing half-made is left.", returncode=130) from problem
        except (Error, sqlite3.Error) as problem:
            raise CommandError(f"The database cannot be read: {in_a_line(problem)}.") from problem
        except KeyboardInterrupt:
            raise CommandError(
                "Stopped at once. `backup recover`, or whatever is done next, settles what was unfinished.",
                returncode=130,
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
            f"Created {made['filename']}: {format_size(made['database_size'])} packed into {format_size(made['file_size'])}, "
            f"checked, in {seconds:.1f} s",
            *(f"warning: {warning}" for warning in made["checked"]["warnings"]),
            *(f"Removed {removed} (retention)" for removed in result["removed"]),
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
        self.print_result(data, *_lines(listing, required, folder))

    def _show(self, options: dict[str, Any]) -> None:
        backup = find_backup(backup_folder(), options["name"])
        data = backup_as_data(backup)
        unknown = unknown_date(backup.sidecar)
        self.print_result(data, *([f"{unknown[0].upper()}{unknown[1:]}"] if unknown else []), *_members(data))

    def _verify(self, options: dict[str, Any]) -> None:
        everything = options["all"]
        names = None if everything else [options["name"]]
        result = self._run(lambda start: actions.request_verification(COMMAND_LINE, names, start=start))
        found, broken = result["verified"], result["broken"]
        lines = []
        for verification in found:
            problems, warnings = verification["problems"], verification["warnings"]
            checks = len(verification["checks"])
            lines.append(
                f"{verification['backup']['filename']}: " + ("DAMAGED" if problems else f"good ({checks} checks)")
            )
            lines += [f"    {problem}" for problem in problems] + [f"    warning: {warning}" for warning in warnings]
        lines += [f"{broken['filename']}: BROKEN: {broken['reason']}" for broken in broken]
        self.print_result(result if everything else found[0], *lines or ["There are no backups."])
        bad = sum(bool(verification["problems"]) for verification in found) + len(broken)
        if bad:
            raise CommandError(f"{bad} of {len(found) + len(broken)} cannot be relied on.")

    def _protect(self, options: dict[str, Any]) -> None:
        name = options["name"]
        backup = actions.change_backup(COMMAND_LINE, name, protected=not options["off"], note=options["note"])
        self.print_result(
            backup_as_data(backup), f"{name} is {'protected' if backup.sidecar.protected else 'not protected'}"
        )

    def _delete(self, options: dict[str, Any]) -> None:
        name = options["name"]
        result = self._run(lambda start: actions.delete_backup(COMMAND_LINE, name, start=start))
        self.print_result(result, f"Deleted {name}")

    def _adopt(self, options: dict[str, Any]) -> None:
        given = {name: options[name] for name in ("note", "accept_broken_references", "accept_code")}
        source = Path(options["file"]).absolute()
        made = self._run(lambda start: actions.add_backup(COMMAND_LINE, source, start=start, **given))["backup"]
        unknown = unknown_date(find_backup(backup_folder(), made["filename"]).sidecar)
        self.print_result(
            made,
            f"Took in {options['file']} as {made['filename']}, checked and protected",
            *([f"warning: {unknown}"] if unknown else []),
            *(f"warning: {warning}" for warning in made["checked"]["warnings"]),
        )

    def _prune(self, options: dict[str, Any]) -> None:
        unknown = why_retention_is_unknown()
        only_shows = options["dry_run"] or bool(unknown)
        if unknown:
            self.message(
                f"Nothing is removed, and the list goes by the retention of the environment, because {RETENTION_UNKNOWN} {unknown}"
            )
        if only_shows:
            names = find_deletions(conf.default_policy() if unknown else None)
        else:
            names = self._run(lambda start: actions.request_cleanup(COMMAND_LINE, start=start))["removed"]
        word = "Would remove" if only_shows else "Removed"
        self.print_result(
            {"removed": names, "dry_run": only_shows},
            *[f"{word} {name}" for name in names] or ["There is nothing to remove."],
        )

    def _restore(self, options: dict[str, Any]) -> None:
        folder, name = backup_folder(), options["name"]
        if not options["yes"]:
            self._show_restore(find_backup(folder, name))
            return
        with contextlib.suppress(BackupBusy):  # the refusal will name what runs
            finish_restore(folder, conf.required_schema())  # one that broke off may stand in the way
        given = {word: bool(options.get(word)) for word in ("accept_newer", "accept_code", "offline")}
        result = self._run(lambda start: actions.request_restore(COMMAND_LINE, name, start=start, **given))
        safety = result["pre_restore_backup"]
        self.print_result(
            result,
            f"Restored {name}",
            *_changes(result["before"], result["after"]),
            *(
                [f"What was there before is {safety['filename']}; `backup undo-restore` goes back to it"]
                if safety
                else []
            ),
            *(f"The old file is kept as {path}" for path in result["set_aside"]),
            *result["facts"],
            *(["You can start tvarr again"] if options["offline"] else []),
            *([RELOAD_ADVICE] if result["restart_required"] else []),
        )

    def _undo_restore(self, options: dict[str, Any]) -> None:
        folder = backup_folder()
        finish_restore(folder, conf.required_schema())  # one that broke off may be the one to undo
        self._restore(options | {"name": find_safety_backup(folder).filename})

    def _show_restore(self, backup: Backup) -> None:
        """What would happen, by the counts of the live database and of the backup; nothing is changed."""
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
        if damage:
            self.print_result(data, *self._offline_lines(backup, damage))
            return
        self.print_result(
            data,
            f"{backup.filename} would replace all that is in {conf.live_database()}:",
            *_changes(now, then),
            *verdict.facts,
            f"{_lost(backup.sidecar)} would be lost, but is kept in a copy that is made first.",
            *([RELOAD_ADVICE] if restart_required else []),
            f"Nothing was changed. Add --yes{' --accept-newer' if verdict.needs_confirmation else ''} to do it.",
        )

    def _offline_lines(self, backup: Backup, damage: str) -> list[str]:
        live = conf.live_database()
        command = f"`{program.NAME} backup restore {backup.filename} --yes --offline`"
        return [
            f"{live} {damage}, so {backup.filename} can be restored only while tvarr is stopped.",
            f"The backup ({unknown_date(backup.sidecar) or format_exact_time(backup.sidecar.created_at)}) would replace it.",
            "The old files are set aside next to it and kept.",
            f"Nothing was changed. Stop tvarr (it may run in another container), then run {command}.",
        ]

    def _recover(self, _options: dict[str, Any]) -> None:
        folder = backup_folder()
        before = {backup.filename for backup in read_folder(folder).backups}
        ended = self._end_lost_operations()
        cleaned = recover(folder)
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
        lines += [f"The restore had happened; what was there before is {saved}"] if saved else []
        lines += [f"The offline restore of {settled.filename} is finished"] if settled and not saved else []
        lines += [f"The old file is kept as {path}" for path in set_aside]
        lines += [RELOAD_ADVICE] if saved and needs_reload(EVERYTHING) else []
        self.print_result(data, *lines or ["There was nothing to clean up."])

    def _end_lost_operations(self) -> list[Operation]:
        try:
            require_app_database()
            return reconcile()
        except (DatabaseUnusable, Error) as problem:
            self.message(f"Operations that were cut off could not be ended in the history: {in_a_line(problem)}")
            return []

    def _run(self, action: Callable[[actions.Start], Operation]) -> Mapping[str, Any]:
        """Take an action here and now, with a record of it where that can be kept; its result."""
        begun: list[Operation] = []
        try:
            with ProgressDisplay() as display:
                operation = action(partial(run_here, watch=display, on_begin=begun.append))
        finally:
            for unrecorded in filter(None, (one.unrecorded for one in begun)):
                self.message(f"This run could not be written to the history: {unrecorded}")
        if operation.message and operation.kind != OperationKind.VERIFY:
            for sentence in operation.message.splitlines():
                self.message(sentence)
        result: Mapping[str, Any] = operation.result or {}
        return result


def _patience() -> contextlib.AbstractContextManager[None]:
    """Wait less for this program's own database once it is known that it cannot be used; what needs it says so."""
    try:
        require_app_database()
    except DatabaseUnusable:
        return waiting_less(_PATIENCE_SECONDS)
    return contextlib.nullcontext()


def _lines(listing: Listing, required: RequiredSchema, folder: Path) -> list[str]:
    lines = align([_row(backup, required) for backup in listing.backups])
    lines = lines or [f"There are no backups in {folder} yet."]
    lines += [f"{broken.filename}  BROKEN: {broken.reason}" for broken in listing.broken]
    if listing.foreign:
        lines.append(f"{len(listing.foreign)} other files in {folder} are not backups and are left alone.")
    return lines


def _row(backup: Backup, required: RequiredSchema) -> tuple[str, ...]:
    sidecar = backup.sidecar
    end = f" until {format_exact_time(sidecar.protected_until)}" if sidecar.protected_until else ""
    protected = f"protected{end}" if sidecar.is_protected(datetime.now(UTC)) else ""
    state = state_of(sidecar, required).label
    note = sidecar.note
    return (
        backup.filename,
        unknown_date(sidecar) or format_exact_time(sidecar.created_at),
        sidecar.kind.value,
        format_size(sidecar.compressed_size),
        state,
        protected + ("  " if protected and note else "") + note,
    )


def _lost(sidecar: Sidecar) -> str:
    """What a restore removes, counted from the latest change that the backup is known to have."""
    known, unknown = sidecar.known_at, unknown_date(sidecar)
    if known is None:
        return f"Everything that is not in the backup ({unknown})"
    age = format_duration(datetime.now(UTC) - known)
    return f"Everything changed since {format_exact_time(known)} ({age}{'; ' if unknown else ''}{unknown})"


def _changes(now: Mapping[str, int], then: Mapping[str, int]) -> list[str]:
    """Return a line for each table whose number of rows differs, and one for all others; an empty side is unknown."""
    if not now:
        return ["    the database could not be read, so the difference is unknown"]
    if not then:
        return ["    the backup's metadata do not say how many rows it has, so the difference is unknown"]
    tables = [table for table in sorted({*now, *then}) if now.get(table) != then.get(table)]
    lines = [f"    {table}: {now.get(table, 'no')} -> {then.get(table, 'no')} rows" for table in tables]
    others = "every other table" if lines else "every table"
    return [*lines, f"    {others}: {SAME_NUMBER_OF_ROWS}; contents may differ"]


def _members(data: Mapping[str, Any], indent: str = "") -> list[str]:
    lines = []
    for name, value in data.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}:", *_members(value, indent + "    ")]
        else:
            lines.append(f"{indent}{name}: {'; '.join(value) if isinstance(value, list) else value}")
    return lines
