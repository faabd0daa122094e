"""The command `operation`."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from structlog.contextvars import bound_contextvars

from tvarr_backup.formatting import format_exact_time
from tvarr_backup.management.own_database import own_database
from tvarr_backup.management.terminal import TerminalCommand, add_action, read_count
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import COMMAND_LINE
from tvarr_backup.operations.models import Operation, Origin
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.report import operation_as_data
from tvarr_backup.operations.track import find_operation

_HEADINGS = ("Created", "Kind", "State", "Started by", "Id")
_MOST_LISTED = 20


class Command(TerminalCommand):
    help = "List, show and cancel operations."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        listing = add_action(actions, "list", "List operations, newest first.")
        listing.add_argument(
            "--limit",
            metavar="NUMBER",
            type=read_count,
            default=_MOST_LISTED,
            help=f"list at most this many; default: {_MOST_LISTED}",
        )
        show = add_action(actions, "show", "Show the state of an operation; with --json also its result.")
        cancel = add_action(actions, "cancel", "Cancel an operation that is queued or running.")
        for action in (show, cancel):
            action.add_argument("id", help="id of the operation")
        for action in (listing, show, cancel):
            action.add_argument("--json", action="store_true", help="print one JSON value")

    @bound_contextvars(origin=str(Origin.COMMAND))
    def handle(self, *_args: Any, action: str, **options: Any) -> None:
        with own_database():
            if action == "cancel":
                self._cancel(options["id"])
                return
            reconcile()
            if action == "list":
                self._list(options["limit"])
            else:
                operation = find_operation(options["id"])
                self.print_result(operation_as_data(operation), *_format_operation(operation))

    def _list(self, limit: int) -> None:
        operations = list(Operation.objects.select_related("requested_by")[:limit])
        rows = [
            (
                format_exact_time(operation.created_at),
                operation.get_kind_display(),
                operation.get_state_display(),
                _describe_user(operation),
                str(operation.pk),
            )
            for operation in operations
        ]
        lines = self.table(_HEADINGS, rows) if rows else ["There are no operations."]
        self.print_result([operation_as_data(operation) for operation in operations], *lines)

    def _cancel(self, operation_id: str) -> None:
        operation = actions.cancel_operation(COMMAND_LINE, operation_id)
        sentence = "The operation is being canceled." if operation.is_open else "Operation canceled."
        self.print_result(operation_as_data(operation), sentence)


def _format_operation(operation: Operation) -> Iterator[str]:
    yield f"{operation.get_kind_display()}: {operation.get_state_display().lower()}"
    facts = {
        "Id": str(operation.pk),
        "Started by": _describe_user(operation),
        "Created": format_exact_time(operation.created_at),
        "Started": operation.started_at and format_exact_time(operation.started_at),
        "Finished": operation.finished_at and format_exact_time(operation.finished_at),
        "Progress": None if operation.percent is None else f"{operation.percent} %",
    }
    for name, value in facts.items():
        yield f"{name:<11} {value or '-'}"
    yield from operation.outcome.splitlines()


def _describe_user(operation: Operation) -> str:
    origin = operation.get_origin_display()
    return f"{operation.requested_by}, {origin}" if operation.requested_by else origin
