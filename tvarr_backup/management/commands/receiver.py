"""The command `receiver`."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from structlog.contextvars import bound_contextvars

from tvarr_backup import program
from tvarr_backup.formatting import format_exact_time
from tvarr_backup.locations.variables import FILE_ENDING, read_secret_file, strip_line_break
from tvarr_backup.management.own_database import own_database
from tvarr_backup.management.terminal import TerminalCommand, add_action, complete_files, read_count
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import COMMAND_LINE
from tvarr_backup.operations.alert_models import MessageState, OutboxMessage, Receiver, ReceiverState, label_event
from tvarr_backup.operations.models import Origin
from tvarr_backup.operations.receiver_report import alert_as_data, message_as_data, receiver_as_data
from tvarr_backup.operations.receivers import SavedReceiver, kind_label
from tvarr_backup.quoting import quoted
from tvarr_backup.receivers.addresses import make_signing_secret

URL_VARIABLE = "TVARR_BACKUP_RECEIVER_URL"
SIGNING_SECRET_VARIABLE = "TVARR_BACKUP_RECEIVER_SIGNING_SECRET"  # noqa: S105  # its name
WAIT_SECONDS = 90.0
"""How long `receiver test` waits for an answer. A receiver has 30 s to answer."""
_HEADINGS = ("Name", "Kind", "State", "Last sent", "Address")
_MESSAGE_HEADINGS = ("Created", "Receiver", "State", "Attempts", "Subject")
_STDIN = "-"
_MESSAGES = 20


class Command(TerminalCommand):
    help = "Add, test, change and remove receivers of alerts, and list their messages."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

        def add(name: str, description: str, run: Callable[[dict[str, Any]], None]) -> ArgumentParser:
            added = add_action(commands, name, description)
            added.add_argument("--json", action="store_true", help="print one JSON value")
            added.set_defaults(run=run)
            return added

        def add_named(name: str, description: str, run: Callable[[dict[str, Any]], None]) -> ArgumentParser:
            added = add(name, description, run)
            added.add_argument("name", help="name of the receiver")
            return added

        _add_options(
            add_named("add", "Add a receiver of alerts: mail, a webhook, or any service of apprise.", self._add)
        )
        add("list", "List receivers and their states.", self._list)
        add_named("show", "Show a receiver, without its secrets.", self._show)
        change = add_named("change", "Change a receiver.", self._change)
        _add_options(change)
        change.add_argument("--new-name", metavar="NAME", help="rename the receiver")
        change.add_argument("--new-signing-secret", action="store_true", help="make and print another signing secret")
        pause = change.add_mutually_exclusive_group()
        pause.add_argument("--pause", dest="is_enabled", action="store_false", default=None, help="send nothing")
        pause.add_argument("--resume", dest="is_enabled", action="store_true", help="send alerts again")
        add_named("test", "Send a test message, and show what the receiver answers.", self._test)
        remove = add_named("remove", "Remove a receiver and its messages.", self._remove)
        remove.add_argument("--yes", action="store_true", help="remove without asking")
        listing = add("messages", "List messages to receivers, newest first.", self._list_messages)
        listing.add_argument("name", nargs="?", help="only those to this receiver")
        listing.add_argument("--state", choices=MessageState.values, help="only those in this state")
        listing.add_argument(
            "--limit", metavar="NUMBER", type=read_count, default=_MESSAGES, help=f"default: {_MESSAGES}"
        )
        add("alerts", "List problems that were reported and still hold.", self._list_alerts)

    @bound_contextvars(origin=str(Origin.COMMAND))
    def handle(self, *_args: Any, run: Callable[[dict[str, Any]], None], **options: Any) -> None:
        with own_database():
            run(options)

    # --- Setting up --------------------------------------------------------------------------------------------------

    def _add(self, options: dict[str, Any]) -> None:
        url, signing_secret = self._read_secrets(options)
        url = url or _read_variable(URL_VARIABLE)
        if not url and self.can_ask:
            url = self.ask_secret("Address:")
        if not url:
            raise CommandError(f"Expected --mail, --url-file or {URL_VARIABLE}.", returncode=2)
        saved = actions.add_receiver(
            COMMAND_LINE,
            options["name"],
            url,
            signing_secret=signing_secret or _read_variable(SIGNING_SECRET_VARIABLE),
            **_read_columns(options),
        )
        name = saved.receiver.name
        self._print_saved(
            saved,
            saved.new_signing_secret,
            f"Added receiver {name}. Test it with `{program.NAME} receiver test {name}`.",
        )

    def _change(self, options: dict[str, Any]) -> None:
        url, signing_secret = self._read_secrets(options)
        if options["new_signing_secret"] and signing_secret:
            raise CommandError("Expected only one of --new-signing-secret and --signing-secret-file.", returncode=2)
        made = make_signing_secret() if options["new_signing_secret"] else ""
        columns = _read_columns(options)
        if not (url or signing_secret or made or columns):
            raise CommandError("Expected at least one change. `receiver change --help` lists them.", returncode=2)
        saved = actions.change_receiver(
            COMMAND_LINE, options["name"], url=url, signing_secret=made or signing_secret, **columns
        )
        self._print_saved(saved, made or saved.new_signing_secret, f"Changed receiver {saved.receiver.name}")

    def _remove(self, options: dict[str, Any]) -> None:
        receiver = actions.find_receiver(COMMAND_LINE, options["name"])
        if not options["yes"] and not self.confirm(f"Remove {receiver.name}, and the list of its messages?"):
            raise CommandError(f"Nothing was removed.{'' if self.can_ask else ' Add --yes to remove.'}")
        actions.remove_receiver(COMMAND_LINE, receiver.name)
        self.print_result({"removed": receiver.name}, f"Removed receiver {receiver.name}")

    def _print_saved(self, saved: SavedReceiver, signing_secret: str, line: str) -> None:
        lines = [line, *_format_receiver(saved.receiver)]
        if signing_secret:
            self.message("Copy the signing secret to the program that gets the requests. It will not be shown again.")
            lines.append(f"Signing secret: {signing_secret}")
        self.print_result(_as_json(saved.receiver) | {"new_signing_secret": signing_secret}, *lines)

    # --- Secrets -----------------------------------------------------------------------------------------------------

    def _read_secrets(self, options: Mapping[str, Any]) -> tuple[str, str]:
        """Return the address and the signing secret that options name, each "" if none does."""
        files = [options["url_file"], options["signing_secret_file"]]
        if files.count(_STDIN) > 1:
            raise CommandError("Only one secret can be read from the standard input.")
        url = f"mailto:{options['mail']}" if options["mail"] else ""
        if options["url_file"]:
            url = self._read_secret("--url-file", options["url_file"], "Address:")
        secret_file = options["signing_secret_file"]
        return url, self._read_secret("--signing-secret-file", secret_file, "Signing secret:") if secret_file else ""

    def _read_secret(self, option: str, file: str, question: str) -> str:
        if file != _STDIN:
            return _read_file(option, file)
        if sys.stdin.isatty():
            return self.ask_secret(question)
        try:
            return strip_line_break(sys.stdin.read())
        except UnicodeDecodeError as problem:
            raise CommandError("Expected a text on the standard input.") from problem

    # --- Showing -----------------------------------------------------------------------------------------------------

    def _list(self, _options: dict[str, Any]) -> None:
        receivers = list(actions.find_receivers(COMMAND_LINE))
        rows = [
            (one.name, kind_label(one), _describe_state(one), _format_time(one.sent_at), one.url) for one in receivers
        ]
        lines = self.table(_HEADINGS, rows) if rows else ["There are no receivers."]
        self.print_result([_as_json(one) for one in receivers], *lines)

    def _show(self, options: dict[str, Any]) -> None:
        receiver = actions.find_receiver(COMMAND_LINE, options["name"])
        self.print_result(_as_json(receiver), *_format_receiver(receiver))

    def _list_messages(self, options: dict[str, Any]) -> None:
        found = actions.find_messages(COMMAND_LINE, options["name"])
        if options["state"]:
            found = found.filter(state=options["state"])
        messages = list(found[: options["limit"]])
        lines: list[str] = []
        if messages:
            rows = [
                (
                    _format_time(one.created_at),
                    one.receiver.name,
                    MessageState(one.state).label.lower(),
                    str(one.attempts),
                    one.subject,
                )
                for one in messages
            ]
            lines = self.table(_MESSAGE_HEADINGS, rows)
        self.print_result([_message_as_json(one) for one in messages], *(lines or ["There are no messages."]))

    def _list_alerts(self, _options: dict[str, Any]) -> None:
        found = [alert_as_data(alert) for alert in actions.find_alerts(COMMAND_LINE)]
        data = [one | {"message": str(one["message"])} for one in found]
        lines = [f"{label_event(one['event'])}, since {one['since']}: {one['message']}" for one in data]
        self.print_result(data, *(lines or ["No problem is reported."]))

    # --- The test ----------------------------------------------------------------------------------------------------

    def _test(self, options: dict[str, Any]) -> None:
        message = actions.request_receiver_test(COMMAND_LINE, options["name"])
        self.message("The test message is being sent.")
        message = _wait_for_answer(message, WAIT_SECONDS)
        name = message.receiver.name
        if message.state == MessageState.DROPPED:
            raise CommandError(f"{name}: the test message was not accepted. {message.problem}")
        if message.state == MessageState.WAITING:
            raise CommandError(
                f"The test message has not been sent within {WAIT_SECONDS:g} s. A process that `{program.NAME} up` starts sends "
                f"messages. `{program.NAME} receiver messages {name}` shows its answer later."
            )
        self.print_result(_message_as_json(message), f"{name}: OK. Answer: {message.answer or 'none'}")


def _wait_for_answer(message: OutboxMessage, seconds: float) -> OutboxMessage:
    """Return the message when another process has sent it, or when the time is up."""
    end = time.monotonic() + seconds
    while message.is_waiting and time.monotonic() < end:
        time.sleep(0.2)
        message = actions.find_message(COMMAND_LINE, str(message.pk))
    return message


# --- Options ---------------------------------------------------------------------------------------------------------


def _add_options(parser: ArgumentParser) -> None:
    """Add options for the address and the reminders. No option takes a secret."""
    parser.allow_abbrev = False  # "--url ADDRESS" would be a file
    address = parser.add_mutually_exclusive_group()
    address.add_argument("--mail", metavar="ADDRESS", help="send mail there; the server is that of EMAIL_URL")
    added = address.add_argument(
        "--url-file",
        metavar="FILE",
        help='a file with the address, such as "webhook+https://example.com/path" or "ntfys://ntfy.sh/topic", or - for stdin. '
        f"`add` also reads {URL_VARIABLE} and {URL_VARIABLE}{FILE_ENDING}",
    )
    complete_files(added)
    added = parser.add_argument(
        "--signing-secret-file",
        metavar="FILE",
        help="a file with the signing secret of a webhook, or - for stdin; without it, one is made. "
        f"`add` also reads {SIGNING_SECRET_VARIABLE} and {SIGNING_SECRET_VARIABLE}{FILE_ENDING}",
    )
    complete_files(added)
    parser.add_argument(
        "--daily-reminder",
        dest="reminds_daily",
        action=BooleanOptionalAction,
        help="remind once a day of problems that last",
    )


def _read_columns(options: Mapping[str, Any]) -> dict[str, Any]:
    columns = {name: options[name] for name in ("reminds_daily", "is_enabled") if options.get(name) is not None}
    return columns | ({"name": options["new_name"]} if options.get("new_name") is not None else {})


def _read_variable(name: str) -> str:
    """Return the value of a variable, or of the file that `NAME_FILE` names, or ""."""
    if value := os.environ.get(name, "").strip():
        return value
    file = os.environ.get(f"{name}{FILE_ENDING}", "").strip()
    return _read_file(f"{name}{FILE_ENDING}", file) if file else ""


def _read_file(name: str, file: str) -> str:
    try:
        return read_secret_file(Path(file))
    except OSError as problem:
        raise CommandError(f"{name}: {quoted(file)} cannot be read: {problem.strerror}.") from problem
    except UnicodeDecodeError as problem:
        raise CommandError(f"{name}: expected a text file, got {quoted(file)}.") from problem


# --- Output ----------------------------------------------------------------------------------------------------------


def _as_json(receiver: Receiver) -> dict[str, Any]:
    data = receiver_as_data(receiver)
    return data | {"reason": str(data["reason"])}


def _message_as_json(message: OutboxMessage) -> dict[str, Any]:
    data = message_as_data(message)
    return data | {"reason": str(data["reason"])}


def _format_receiver(receiver: Receiver) -> Iterator[str]:
    facts = {
        "Name": receiver.name,
        "Kind": kind_label(receiver),
        "Address": receiver.url,
        "Set up": "in the environment" if receiver.is_from_environment else "",
        "Reminder": "daily" if receiver.reminds_daily else "",
        "State": _describe_state(receiver),
        "Last sent": _format_time(receiver.sent_at),
        "Answer": receiver.answer,
    }
    for name, value in facts.items():
        yield f"{name:<10} {value or '-'}"
    if receiver.state is ReceiverState.FAILING:
        yield from str(receiver.problem).splitlines()


def _describe_state(receiver: Receiver) -> str:
    """Return the state with its time, such as "failing since 2026-11-02 02:00:00 CET"."""
    state = receiver.state
    since = f" since {_format_time(receiver.failing_since)}" if state is ReceiverState.FAILING else ""
    return f"{state.label.lower()}{since}"


def _format_time(moment: datetime | None) -> str:
    return format_exact_time(moment) if moment else "-"
