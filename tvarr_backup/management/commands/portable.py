"""The command `portable`."""

from __future__ import annotations

import contextlib
import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import CommandError
from django.db import DatabaseError
from structlog.contextvars import bound_contextvars

from tvarr_backup import program
from tvarr_backup.errors import PlanStale
from tvarr_backup.formatting import format_count
from tvarr_backup.management.import_output import ImportCommand, add_answers, read_given_answers
from tvarr_backup.management.terminal import add_action, complete_files, open_input
from tvarr_backup.matches.preview import Preview
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import COMMAND_LINE
from tvarr_backup.operations.app_database import require_app_database
from tvarr_backup.operations.failures import explain_failure
from tvarr_backup.operations.models import Origin
from tvarr_backup.operations.observe import require_tvarrs
from tvarr_backup.portable.answers import Answers
from tvarr_backup.portable.apply import BundleResult
from tvarr_backup.portable.bundles import BundlePlan, plan_bundle, split_answers
from tvarr_backup.portable.envelope import BUNDLE, Bundle, bundle_of, read_bundle, read_envelope
from tvarr_backup.portable.export import TVARR_MAX_BYTES, Export
from tvarr_backup.portable.export_findings import list_warnings
from tvarr_backup.portable.kinds import KINDS, Slug, kind_named
from tvarr_backup.portable.report import (
    undo_as_data,
)
from tvarr_backup.portable.steps import ItemAction, Plan
from tvarr_backup.portable.tvarr_memory import RELOAD_ADVICE
from tvarr_backup.portable.undo import KEPT_BECAUSE, UndoAction

_WOULD_UNDO = {
    UndoAction.REMOVE: "remove",
    UndoAction.PUT_BACK: "put back",
    UndoAction.ADD_BACK: "add back",
    UndoAction.KEEP: "keep",
}
_UNDONE = {
    UndoAction.REMOVE: "removed",
    UndoAction.PUT_BACK: "put back",
    UndoAction.ADD_BACK: "added back",
    UndoAction.KEEP: "kept",
}
_WITH_CHANGES = 3
"""The exit status of `plan --exit-code` if the import would change something."""
_MOST_WARNINGS = 20
"""Findings about items that an export prints."""


class Command(ImportCommand):
    help = "Export and import filters, rules and profiles as JSON, and undo imports."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        kinds = f"one of {', '.join(KINDS)}"
        export = add_action(actions, "export", "Write items as JSON.")
        export.add_argument("kind", nargs="?", help=f"{kinds}; not with --bundle")
        selection = export.add_mutually_exclusive_group(required=True)
        selection.add_argument("--all", action="store_true", help="all items except built-in ones")
        selection.add_argument("--bundle", action="store_true", help="all items of all kinds in one file")
        selection.add_argument("--ids", metavar="A,B", help="the items with these ids")
        output = export.add_argument(
            "-o", "--output", metavar="FILE", default="-", help="the file to write; - is stdout"
        )
        complete_files(output)
        for name, text in (("plan", "Show what an import would do."), ("import", "Import everything or nothing.")):
            command = add_action(actions, name, text)
            command.add_argument("kind", help=f"{kinds}, or {BUNDLE} for a file with several kinds")
            complete_files(command.add_argument("file", help="the file to import; - is stdin"))
            add_answers(command)
            if name == "plan":
                command.add_argument(
                    "--matches", action="store_true", help="also count what new and changed expressions match here"
                )
                command.add_argument(
                    "--exit-code",
                    action="store_true",
                    help=f"exit with {_WITH_CHANGES} if the import would change something, and with 0 if not",
                )
            if name == "import":
                command.add_argument(
                    "--fingerprint", help="refuse if anything has changed since the plan with this value"
                )

        undo = add_action(actions, "undo", "Undo an import: items get back what they had before.")
        undo.add_argument("id", help="the id that the import printed")
        undo.add_argument(
            "--include-changed", action="store_true", help="also undo items that have been changed since the import"
        )
        undo.add_argument("--dry-run", action="store_true", help="only show what would be undone")
        undo.add_argument("--json", action="store_true", help="print one JSON object")

    @bound_contextvars(origin=str(Origin.COMMAND))
    def handle(self, *_args: Any, action: str, **options: Any) -> None:
        try:
            if action != "export":
                require_app_database()  # it stores references to items that do not exist yet
            require_tvarrs()
            if action == "export":
                self._export(options)
            elif action == "plan":
                self._plan(options)
            elif action == "undo":
                self._undo(options)
            else:
                self._import(options)
        except DatabaseError as problem:
            raise CommandError(str(explain_failure(problem) or f"The database cannot be read: {problem}.")) from problem

    def _export(self, options: dict[str, Any]) -> None:
        output = options["output"]
        with contextlib.closing(_start_export(options)) as blocks, _output(output) as file:
            for warning in (*blocks.warnings, *list_warnings(blocks.check_rows(), _MOST_WARNINGS)):
                self.message(f"warning: {warning}")
            size_bytes = 0
            for block in blocks:
                file.write(block)
                size_bytes += len(block)
        if output != "-":
            self.message(f"Wrote {output}")
        if size_bytes > TVARR_MAX_BYTES and not options["bundle"]:
            self.message(
                "warning: The file is larger than 1 MiB, so tvarr refuses it. Export fewer items with --ids, or let the Export page "
                "split the file."
            )

    def _plan(self, options: dict[str, Any]) -> None:
        plan = plan_bundle(*_read(options))
        self.show_plan(plan, options, is_bundle=options["kind"] == BUNDLE, matches=self._count_matches(plan, options))
        if blocked := plan.count(ItemAction.BLOCKED):
            raise CommandError(
                f"{format_count(blocked, 'item')} cannot be imported. Fix the file, or skip them with `--resolve NAME=skip`. "
                "Until then, nothing is imported."
            )
        if options["exit_code"] and plan.writes:
            self.stdout.flush()
            sys.exit(_WITH_CHANGES)

    def _count_matches(self, plan: BundlePlan, options: dict[str, Any]) -> Preview | None:
        return actions.preview_matches(COMMAND_LINE, plan) if options["matches"] else None

    def _import(self, options: dict[str, Any]) -> None:
        name = "" if options["file"] == "-" else Path(options["file"]).name
        bundle, answers = _read(options)
        try:
            if options["kind"] == BUNDLE:
                done = actions.import_bundle(COMMAND_LINE, bundle, answers, options["fingerprint"], file_name=name)
            else:
                done = self._import_items(bundle, answers, options["fingerprint"], name)
        except PlanStale as stale:
            if isinstance(stale.plan, Plan):
                self.show_plan(BundlePlan((stale.plan,)), options, is_bundle=False)
            elif isinstance(stale.plan, BundlePlan):
                self.show_plan(stale.plan, options, is_bundle=True)
            raise
        self.show_result(done, options, is_bundle=options["kind"] == BUNDLE)

    def _import_items(
        self, bundle: Bundle, answers: Mapping[Slug, Answers], fingerprint: str | None, name: str
    ) -> BundleResult:
        (part,) = bundle.parts
        envelope = replace(part, warnings=bundle.warnings)
        only = actions.import_items(COMMAND_LINE, envelope, answers[part.kind.slug], fingerprint, file_name=name)
        return BundleResult((only,), only.notes, only.restart_required, only.log, only.record_id)

    def _undo(self, options: dict[str, Any]) -> None:
        record, made = actions.find_undoable(COMMAND_LINE, options["id"]), ""
        plan = actions.preview_undo(COMMAND_LINE, record)
        include = [step.change.row_id for step in plan.steps if step.may_be_included and options["include_changed"]]
        needs_restart = False
        if options["dry_run"]:
            plan = actions.preview_undo(COMMAND_LINE, record, include)
        else:
            done = actions.undo_import(COMMAND_LINE, record, include, plan.fingerprint)
            plan, made, needs_restart = done.plan, done.record_id, done.restart_required
        if options["json"]:
            data = {"import_id": made or None, "undoes": record.pk, "restart_required": needs_restart}
            self.print_json(data | undo_as_data(plan))
            return
        if needs_restart:
            self.message(str(RELOAD_ADVICE))
        words = _WOULD_UNDO if options["dry_run"] else _UNDONE
        for step in plan.steps:
            reason = f" ({KEPT_BECAUSE[step.reason]})" if step.reason else ""
            self.line(f"{words[step.action]}: {step.change.name}{reason}")
        counts = ", ".join(f"{plan.count(action)} {words[action]}" for action in UndoAction if plan.count(action))
        self.line(f"{format_count(len(plan.steps), 'item')}: {counts}")
        if made:
            self.message(f"To undo this undo: `{program.NAME} portable undo {made}`")


def _start_export(options: dict[str, Any]) -> Export:
    if options["bundle"]:
        if options["kind"]:
            raise CommandError("A bundle has all kinds. Leave out the kind, or use --all.")
        return actions.export_bundle(COMMAND_LINE, dict.fromkeys(KINDS.values()))
    if not options["kind"]:
        raise CommandError(f"Expected a kind ({', '.join(KINDS)}), or --bundle.")
    kind = kind_named(options["kind"])
    ids = None if options["all"] else [part.strip() for part in options["ids"].split(",") if part.strip()]
    return actions.export_items(COMMAND_LINE, kind, ids)


def _read(options: dict[str, Any]) -> tuple[Bundle, dict[Slug, Answers]]:
    """Return the file, and the answers to each kind. Those that name a kind (`filters/NAME`) are only for that kind."""
    kind = None if options["kind"] == BUNDLE else kind_named(options["kind"])
    answers = read_given_answers(options)
    with open_input(options["file"]) as file:
        bundle = read_bundle(file) if kind is None else bundle_of(read_envelope(file, kind))
    if kind is not None:
        return bundle, {kind.slug: answers}
    return bundle, split_answers(bundle, answers)


@contextlib.contextmanager
def _output(name: str) -> Iterator[BinaryIO]:
    """Open the destination of an export. A file appears complete or not at all. Pipes and devices are written directly."""
    if name == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(os.path.realpath(name))
    is_device = target.exists() and not target.is_file() and not target.is_dir()
    temporary = target.parent / f".{target.name}.{os.getpid()}"
    try:
        if is_device:
            with target.open("wb") as device:
                yield device
            return
        with temporary.open("xb") as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as problem:
        raise CommandError(f"{name} cannot be written: {problem.strerror}.") from problem
