"""The command `schedule`."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.forms.models import model_to_dict
from structlog.contextvars import bound_contextvars

from tvarr_backup import conf
from tvarr_backup.backups.retention import Period
from tvarr_backup.errors import DeletionsUnconfirmed
from tvarr_backup.formatting import format_count, format_exact_time
from tvarr_backup.management.own_database import own_database
from tvarr_backup.management.terminal import TerminalCommand, add_action
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import COMMAND_LINE
from tvarr_backup.operations.cleanup import find_new_deletions
from tvarr_backup.operations.models import NO_AGE_LIMIT, NO_REHEARSALS, BackupSettings, OperationState, Origin
from tvarr_backup.operations.schedule import describe_retention, schedule_as_data
from tvarr_backup.quoting import quoted

_ALL = "all"
_NOUNS = {Period.DAILY: "days", Period.WEEKLY: "weeks", Period.MONTHLY: "months", Period.YEARLY: "years"}


class Command(TerminalCommand):
    help = "Show and change the schedule of automatic backups, and the retention."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        show = add_action(actions, "show", "Show the schedule, the retention and the last runs.")
        change = add_action(actions, "set", "Change the schedule or the retention.")
        switch = change.add_mutually_exclusive_group()
        switch.add_argument("--on", dest="enabled", action="store_true", default=None, help="make automatic backups")
        switch.add_argument("--off", dest="enabled", action="store_false", help="make no automatic backups")
        change.add_argument("--cron", help='five fields, such as "0 2 * * *" for every day at 02:00')
        change.add_argument("--time-zone", metavar="ZONE", help="the time zone of the cron, such as Europe/Berlin")
        change.add_argument("--keep", metavar="NUMBER", help=f"how many automatic backups to keep, or {_ALL}")
        for period, noun in _NOUNS.items():
            change.add_argument(
                f"--{period}", metavar="NUMBER", help=f"also keep one backup for each of this many {noun}"
            )
        change.add_argument(
            "--max-age", metavar="DURATION", help=f"delete older automatic backups, such as 30d, or {NO_AGE_LIMIT}"
        )
        change.add_argument(
            "--rehearsal-interval",
            metavar="DURATION",
            help=f"rehearse a restore so often, such as 1w, or {NO_REHEARSALS}",
        )
        change.add_argument("--defaults", action="store_true", help="reset everything else to the environment's values")
        change.add_argument(
            "--yes", action="store_true", help="do not ask, even if the next cleanup would delete more backups"
        )
        for action in (show, change):
            action.add_argument("--json", action="store_true", help="print one JSON value")

    @bound_contextvars(origin=str(Origin.COMMAND))
    def handle(self, *_args: Any, action: str, **options: Any) -> None:
        with own_database():
            conf.live_database()  # without an SQLite file there is nothing to schedule
            if action == "set":
                self._change(_read_changes(options), is_confirmed=options["yes"])
            data, retention = schedule_as_data(), describe_retention(BackupSettings.load())
            self.print_result(data, *_format_schedule(data, retention))

    def _change(self, changes: Mapping[str, Any], *, is_confirmed: bool) -> None:
        try:
            try:
                agreed = actions.AGREED_TO_ALL if is_confirmed else ""
                actions.change_settings(COMMAND_LINE, changes, agreed=agreed)
            except DeletionsUnconfirmed:
                actions.change_settings(COMMAND_LINE, changes, agreed=self._ask_to_delete(changes))
        except ValidationError as problem:
            found = [f"{_option(name)}: {text}" for name, texts in problem.message_dict.items() for text in texts]
            raise CommandError("\n".join(found)) from problem

    def _ask_to_delete(self, changes: Mapping[str, Any]) -> str:
        """Return the code that confirms the deletions. Raise `CommandError` unless a user confirms them."""
        deletions = find_new_deletions(BackupSettings.load(**changes))
        for backup in deletions:
            self.message(f"{backup.filename}  {format_exact_time(backup.sidecar.created_at)}")
        count = format_count(len(deletions), "backup")
        if not self.confirm(f"The next cleanup would delete {count}. Save?"):
            advice = "" if self.can_ask else f" The next cleanup would delete {count}. Add --yes to save."
            raise CommandError(f"Nothing was saved.{advice}")
        return actions.fingerprint_of_deletions(backup.filename for backup in deletions)


def _read_changes(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns to change."""
    changes: dict[str, Any] = model_to_dict(BackupSettings()) if options["defaults"] else {}
    names = ("enabled", "cron", "time_zone", "max_age", "rehearsal_interval")
    changes |= {name: options[name] for name in names if options[name] is not None}
    if keep := options["keep"]:
        number = None if keep == _ALL else _read_number("keep", keep, f'a whole number or "{_ALL}"')
        changes |= {"keep": number, "keep_all": keep == _ALL}
    numbers = {str(period): options[period] for period in Period if options[period] is not None}
    changes |= {name: _read_number(name, text, "a whole number") for name, text in numbers.items()}
    if not changes:
        raise CommandError("Expected at least one change. `schedule set --help` lists them.", returncode=2)
    return changes


def _read_number(column: str, text: str, expected: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise CommandError(f"{_option(column)}: expected {expected}, got {quoted(text)}.")
    return int(text)


def _option(column: str) -> str:
    return f"--{column.replace('_', '-')}"


def _format_schedule(data: Mapping[str, Any], retention: str) -> Iterator[str]:
    yield data["description"]
    yield _fact("Next runs", ", ".join(map(_format_time, data["next_runs"])) or "-")
    yield _fact("Retention", retention)
    yield _fact("Rehearsals", _describe_rehearsals(data["rehearsal_interval"]))
    yield _fact("Last run", _describe_run(data["last_run"]))
    yield _fact("Last verification", _describe_run(data["last_check"]))
    if data["overdue_since"]:
        yield f"warning: A backup has been due since {_format_time(data['overdue_since'])}."
    for problem in data["problems"]:
        yield f"warning: {problem}"


def _describe_rehearsals(interval: str) -> str:
    return "off" if interval == NO_REHEARSALS else f"every {interval}"


def _fact(name: str, value: str) -> str:
    return f"{name:<17} {value}"


def _format_time(text: str) -> str:
    return format_exact_time(datetime.fromisoformat(text))


def _describe_run(run: Mapping[str, Any] | None) -> str:
    if run is None:
        return "-"
    at = run["started_at"] or run["due_at"]
    parts = [_format_time(at)] if at else []
    parts += [OperationState(run["state"]).label.lower(), *filter(None, [run["filename"], run["message"]])]
    return ", ".join(parts)
