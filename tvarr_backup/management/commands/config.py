"""The command `config`."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Collection
from io import BytesIO
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError
from structlog.contextvars import bound_contextvars

from tvarr_backup.errors import PlanStale, StateUnread
from tvarr_backup.formatting import format_count, format_exact_time
from tvarr_backup.management.import_output import ImportCommand, abbreviate, add_answers, read_given_answers
from tvarr_backup.management.progress import run_with_progress
from tvarr_backup.management.terminal import add_action, complete_files, open_input, read_count
from tvarr_backup.matches.report import describe_effect, preview_as_data
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import COMMAND_LINE
from tvarr_backup.operations.app_database import require_app_database
from tvarr_backup.operations.failures import explain_failure
from tvarr_backup.operations.history import changes_of
from tvarr_backup.operations.history_report import changes_to_list, describe_event, event_as_data
from tvarr_backup.operations.models import HistoryEvent, HistoryEventKind, Origin
from tvarr_backup.operations.track import stop_on_first_sigint, stop_on_sigterm
from tvarr_backup.portable.bundles import BundlePlan, plan_bundle, split_answers
from tvarr_backup.portable.comparison_report import comparison_as_data
from tvarr_backup.portable.envelope import read_bundle
from tvarr_backup.portable.kinds import KINDS, Kind, Slug, kind_named
from tvarr_backup.portable.states import ChangeType, ItemChange, State, compare_states, state_of_bundle
from tvarr_backup.portable.steps import ItemAction

_WITH_DIFFERENCES = 3
"""The exit status of `diff --exit-code` if there are differences."""
_MOST_EVENTS = 20
_STATE = (
    "now, a backup (its name, the start of it, or latest), a time such as 2026-11-24 or 2026-11-24T18:00, import:ID (right "
    "after that import), or an export: a path with / or .json, or - for stdin"
)


class Command(ImportCommand):
    help = "Show the history of the configuration, compare two states of it, and take items back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        kinds = f"one of {', '.join(KINDS)}"

        history = add_action(commands, "history", "Show what changed, when, and who did it, newest first.")
        history.add_argument("kind", nargs="?", help=f"only this kind: {kinds}")
        history.add_argument("name", nargs="?", help="only this item, with its values")
        history.add_argument(
            "--limit", type=read_count, metavar="NUMBER", default=_MOST_EVENTS, help=f"events (default: {_MOST_EVENTS})"
        )
        history.add_argument("--json", action="store_true", help="print one JSON value")
        history.set_defaults(run=self._history)

        diff = add_action(commands, "diff", "Compare two states of the configuration.")
        complete_files(diff.add_argument("from", metavar="FROM", help=f"the earlier state: {_STATE}"))
        complete_files(
            diff.add_argument("to", metavar="TO", nargs="?", default="now", help="the later state (default: now)")
        )
        diff.add_argument("--kind", action="append", metavar="KIND", help=f"{kinds}; may be repeated")
        diff.add_argument(
            "--matches", action="store_true", help="also count what the expressions match here, before and after"
        )
        diff.add_argument("--json", action="store_true", help="print one JSON object")
        diff.add_argument(
            "--exit-code",
            action="store_true",
            help=f"exit with {_WITH_DIFFERENCES} if there are differences, and with 0 if not",
        )
        diff.set_defaults(run=self._diff)

        take = add_action(commands, "take", "Import items of a state; changed items are overwritten.")
        complete_files(take.add_argument("from", metavar="FROM", help=f"the state: {_STATE}"))
        take.add_argument("--kind", action="append", metavar="KIND", help=f"{kinds}; may be repeated")
        take.add_argument(
            "--item",
            action="append",
            default=[],
            metavar="NAME",
            help="only this item: NAME, epg:NAME, or KIND/NAME; may be repeated (default: all)",
        )
        take.add_argument("--dry-run", action="store_true", help="only show what would be imported")
        add_answers(take)
        take.set_defaults(run=self._take)

    @bound_contextvars(origin=str(Origin.COMMAND))
    def handle(self, *_args: Any, run: Callable[[dict[str, Any]], None], **options: Any) -> None:
        stop_on_sigterm()
        stop_on_first_sigint()
        try:
            require_app_database()
            run(options)
        except DatabaseError as problem:
            raise CommandError(str(explain_failure(problem) or f"The database cannot be read: {problem}.")) from problem

    # --- States ------------------------------------------------------------------------------------------------------

    def _read_state(self, text: str) -> State:
        """Return the state that the user names. A backup without a stored configuration is unpacked first."""
        if text == "-" or "/" in text or text.endswith(".json"):
            with open_input(text) as file:
                return state_of_bundle(read_bundle(file))
        try:
            return actions.read_state(COMMAND_LINE, text).state
        except StateUnread as unread:
            filename = unread.filename
        run_with_progress(lambda start: actions.request_reading(COMMAND_LINE, filename, start=start), self.message)
        return actions.read_state(COMMAND_LINE, filename).state

    def _read_warning(self, state: State) -> State:
        for warning in state.warnings:
            self.message(f"warning: {warning}")
        return state

    # --- Actions -----------------------------------------------------------------------------------------------------

    def _diff(self, options: dict[str, Any]) -> None:
        if options["from"] == options["to"] == "-":
            raise CommandError("Only one of the states can be read from stdin.")
        kinds = _read_kinds(options["kind"])
        before, after = (self._read_warning(self._read_state(options[name])).only(kinds) for name in ("from", "to"))
        found = compare_states(before, after)
        matches = actions.compare_matches(COMMAND_LINE, found) if options["matches"] else None
        if options["json"]:
            counted = {} if matches is None else {"matches": preview_as_data(matches)}
            self.print_json(comparison_as_data(found) | counted)
        else:
            for slug in found.changes:
                if found.changes[slug]:
                    self.line(f"{KINDS[slug].label}:")
                for change in found.changes[slug]:
                    self._show_change(change, with_values=change.type is ChangeType.CHANGED)
                    effect = matches.effect(change.item.key) if matches else None
                    for line in describe_effect(effect) if effect else ():
                        self.line(line)
            counts = ", ".join(f"{sum(change.type is each for change in found)} {each}" for each in ChangeType)
            self.line(f"{format_count(len(list(found)), 'difference')}: {counts}" if found else "No differences.")
        if options["exit_code"] and found:
            self.stdout.flush()
            raise SystemExit(_WITH_DIFFERENCES)

    def _take(self, options: dict[str, Any]) -> None:
        state, kinds = self._read_warning(self._read_state(options["from"])), _read_kinds(options["kind"])
        bundle = read_bundle(BytesIO(actions.take_items(COMMAND_LINE, state, options["item"], kinds)))
        answers = split_answers(bundle, read_given_answers(options, bulk="overwrite"))
        if options["dry_run"]:
            plan = plan_bundle(bundle, answers)
            self.show_plan(plan, options, is_bundle=True)
            if blocked := plan.count(ItemAction.BLOCKED):
                raise CommandError(
                    f"{format_count(blocked, 'item')} cannot be imported. Skip them with `--resolve NAME=skip`."
                )
            return
        try:
            done = actions.import_bundle(COMMAND_LINE, bundle, answers, None, file_name=_name_of(options["from"]))
        except PlanStale as stale:
            if isinstance(stale.plan, BundlePlan):
                self.show_plan(stale.plan, options, is_bundle=True)
            raise
        self.show_result(done, options, is_bundle=True)

    def _history(self, options: dict[str, Any]) -> None:
        if options["name"] is not None:
            self._show_item(kind_named(options["kind"]), options["name"], options)
            return
        kinds = _read_kinds([options["kind"]]) if options["kind"] else None
        listed = list(actions.find_events(COMMAND_LINE, kinds)[: options["limit"]])
        changes = changes_to_list(listed, KINDS if kinds is None else kinds)
        if options["json"]:
            self.print_json([event_as_data(event, changes.get(event.pk, [])) for event in listed])
            return
        for event in listed:
            self._show_event(event)
            for change in changes.get(event.pk, []):
                self.line(f"    {change.type}: {change.item.name} ({change.item.kind.model._meta.verbose_name})")
        if not listed:
            self.line("The history is empty. A running worker records changes.")

    def _show_item(self, kind: Kind, name: str, options: dict[str, Any]) -> None:
        versions = actions.find_versions_by_name(COMMAND_LINE, kind, name)[: options["limit"]]
        changes = changes_of([version.event for version in versions])
        rows = {(version.event_id, version.row_id): version for version in versions}
        found = [
            (rows[event, change.item.row_id].event, change)
            for event, all_changes in changes.items()
            for change in all_changes
            if (event, change.item.row_id) in rows and change.item.kind is kind
        ]
        if options["json"]:
            self.print_json([event_as_data(event, [change]) for event, change in found])
            return
        for event, change in found:
            self._show_event(event)
            self._show_change(change, with_values=True)

    def _show_event(self, event: HistoryEvent) -> None:
        subject = f": {event.subject}" if event.subject and event.kind != HistoryEventKind.BASELINE else ""
        self.line(f"{format_exact_time(event.at)}  {describe_event(event)}{subject}")

    def _show_change(self, change: ItemChange, *, with_values: bool) -> None:
        self.line(f"  {change.type}: {change.item.name}")
        for field in change.fields if with_values else ():
            if change.type is ChangeType.CHANGED:
                self.line(f"    {field.field}: {abbreviate(field.before)} -> {abbreviate(field.after)}")
            elif field.after if change.type is ChangeType.ADDED else field.before:
                self.line(f"    {field.field}: {abbreviate(field.after or field.before)}")


def _name_of(text: str) -> str:
    """Return what the history calls a state: the name of a file without its folder, or "" for stdin."""
    return "" if text == "-" else Path(text).name


def _read_kinds(names: Collection[str] | None) -> list[Slug]:
    return [kind_named(name).slug for name in names] if names else list(KINDS)
