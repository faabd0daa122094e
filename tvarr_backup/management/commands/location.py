"""The command `location`."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from structlog.contextvars import bound_contextvars

from tvarr_backup import program
from tvarr_backup.backups.retention import Period
from tvarr_backup.errors import DeletionsUnconfirmed, LocationUntrusted, OperationInterrupted
from tvarr_backup.formatting import format_exact_time, format_size
from tvarr_backup.locations.addresses import OPTIONS, LocationKind, Option, parse_url
from tvarr_backup.locations.variables import ALL, FILE_ENDING, PREFIX, read_secret_file, strip_line_break
from tvarr_backup.management.own_database import own_database
from tvarr_backup.management.progress import run_with_progress
from tvarr_backup.management.terminal import TerminalCommand, add_action, complete_files
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import COMMAND_LINE
from tvarr_backup.operations.location_report import location_as_data, state_since
from tvarr_backup.operations.locations import new_key
from tvarr_backup.operations.models import MOST_KEPT, NO_AGE_LIMIT, Location, LocationState, Operation, Origin
from tvarr_backup.operations.track import stop_on_first_sigint, stop_on_sigterm
from tvarr_backup.quoting import quoted

_HEADINGS = ("Name", "Kind", "State", "Copies", "Size", "Address")
_NOUNS = {Period.DAILY: "days", Period.WEEKLY: "weeks", Period.MONTHLY: "months", Period.YEARLY: "years"}
_ASKED = {LocationKind.S3: "secret_key", LocationKind.SFTP: "password", LocationKind.WEBDAV: "password"}
"""The secret that is asked for on a terminal if it was not given in another way."""
_URL = "url"
_STDIN = "-"


class Command(TerminalCommand):
    help = "Add, test, change and remove locations, and copy backups to them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

        def add(to: Any, name: str, description: str, run: Callable[[dict[str, Any]], None]) -> ArgumentParser:
            added = add_action(to, name, description)
            added.add_argument("--json", action="store_true", help="print one JSON value")
            added.set_defaults(run=run)
            return added

        def add_named(to: Any, name: str, description: str, run: Callable[[dict[str, Any]], None]) -> ArgumentParser:
            added = add(to, name, description, run)
            added.add_argument("name", help="name of the location")
            return added

        adding = add_named(commands, "add", "Add a location, which must be tested before copies are made.", self._add)
        adding.add_argument(
            "--kind", choices=[str(kind) for kind in LocationKind], help="kind; not needed with an address"
        )
        _add_options(adding)
        add(commands, "list", "List locations and their states.", self._list)
        add_named(commands, "show", "Show a location, without its credentials.", self._show)
        change = add_named(commands, "change", "Change a location.", self._change)
        _add_options(change)
        pause = change.add_mutually_exclusive_group()
        pause.add_argument("--pause", dest="is_enabled", action="store_false", default=None, help="make no copies")
        pause.add_argument("--resume", dest="is_enabled", action="store_true", help="make copies again")
        change.add_argument(
            "--remove-secret",
            metavar="NAME",
            action="append",
            default=[],
            choices=list(_secrets()),
            help=f"remove a stored secret: {', '.join(_secrets())}",
        )
        change.add_argument(
            "--yes", action="store_true", help="do not ask, even if the next cleanup there would delete more copies"
        )
        test = add_named(commands, "test", "Test a location: sign in, write, read and delete a file.", self._test)
        test.add_argument("--accept-host-key", metavar="KEY", help="confirm the host key that the server should have")
        sync = add_named(commands, "sync", "Copy what is missing, and clean up there.", self._sync)
        sync.add_argument("--accept-empty", action="store_true", help="start again in a location that was emptied")
        add_named(commands, "check", "Read the copy whose check is oldest, and compare it.", self._check)
        remove = add_named(commands, "remove", "Remove a location. Its copies stay there.", self._remove)
        remove.add_argument("--yes", action="store_true", help="remove without asking")

        key = add_action(commands, "key", "Make a recovery key, confirm that it is saved, or store it for rehearsals.")
        of_keys = key.add_subparsers(dest="key_action", required=True, metavar="ACTION")
        new = add(of_keys, "new", "Print a new key. The identity is shown only once.", self._new_key)
        new.add_argument("name", nargs="?", help="a location that will encrypt its copies with the key")
        add_named(
            of_keys, "store", "Store the identity on this machine, so that copies are rehearsed.", self._store_key
        )
        add_named(of_keys, "forget", "Delete the identity that is stored for rehearsals.", self._forget_key)
        add_named(of_keys, "confirm", "Read the identity and confirm that it is saved.", self._confirm_key)

    @bound_contextvars(origin=str(Origin.COMMAND))
    def handle(self, *_args: Any, run: Callable[[dict[str, Any]], None], **options: Any) -> None:
        with own_database():
            run(options)

    # --- Setting up --------------------------------------------------------------------------------------------------

    def _add(self, options: dict[str, Any]) -> None:
        kind, given = _read_address(options)
        given |= self._read_secrets(options)
        if kind is None:
            raise CommandError("Expected --kind, or an address with --url.", returncode=2)
        given |= _read_secrets_of_environment(kind, given)
        given |= self._ask_for_secret(kind, given)
        location = actions.add_location(
            COMMAND_LINE,
            options["name"],
            kind,
            given,
            recipient=options["recipient"] or "",
            **_read_columns(options),
        )
        self._print_location(location, f"Added location {location.name}")

    def _change(self, options: dict[str, Any]) -> None:
        kind, given = _read_address(options)
        given |= self._read_secrets(options)
        removed: dict[str, str | None] = dict.fromkeys(options["remove_secret"])
        changed = removed | given
        columns = _read_columns(options)
        columns |= {name: options[name] for name in ("recipient", "is_enabled") if options[name] is not None}
        if not changed and not columns:
            raise CommandError("Expected at least one change. `location change --help` lists them.", returncode=2)
        location = actions.find_location(COMMAND_LINE, options["name"])
        if kind is not None and kind != location.kind:
            raise CommandError(
                f"{location.name} is of the kind {location.kind}, which cannot be changed. Add another location."
            )
        agreed = actions.AGREED_TO_ALL if options["yes"] else ""
        try:
            location = actions.change_location(COMMAND_LINE, location.name, changed, agreed=agreed, **columns)
        except DeletionsUnconfirmed as problem:
            agreed = self._ask_to_delete(location, problem)
            location = actions.change_location(COMMAND_LINE, location.name, changed, agreed=agreed, **columns)
        self._print_location(location, f"Changed location {location.name}")

    def _ask_to_delete(self, location: Location, problem: DeletionsUnconfirmed) -> str:
        """Return the code that confirms the deletions. Raise `CommandError` unless a user confirms them."""
        for filename in problem.filenames:
            self.message(filename)
        count = _count_copies(len(problem.filenames))
        if not self.confirm(f"The next cleanup in {location.name} would delete {count}. Save?"):
            advice = f" The next cleanup in {location.name} would delete {count}. Add --yes to save."
            raise CommandError(f"Nothing was saved.{'' if self.can_ask else advice}")
        return actions.fingerprint_of_deletions(problem.filenames)

    def _remove(self, options: dict[str, Any]) -> None:
        location = actions.find_location(COMMAND_LINE, options["name"])
        count = _count_copies(location.copies.count())
        if not options["yes"] and not self.confirm(f"Remove {location.name}? {count} will stay there."):
            raise CommandError(f"Nothing was removed.{'' if self.can_ask else ' Add --yes to remove.'}")
        actions.remove_location(COMMAND_LINE, location.name)
        self.print_result({"removed": location.name}, f"Removed location {location.name}. Its copies stay there.")

    def _print_location(self, location: Location, *lines: str) -> None:
        self.print_result(_as_json(location), *lines, *_format_location(location))

    # --- Secrets -----------------------------------------------------------------------------------------------------

    def _read_secrets(self, options: Mapping[str, Any]) -> dict[str, str]:
        """Return the secrets in the files that the options name."""
        files = {name: options[_file_of(name)] for name in _secrets() if options[_file_of(name)] is not None}
        if list(files.values()).count(_STDIN) > 1:
            raise CommandError("Only one secret can be read from the standard input.")
        return {name: self._read_secret_file(name, file) for name, file in files.items()}

    def _read_secret_file(self, name: str, file: str) -> str:
        if file == _STDIN:
            return self._read_stdin(f"{_secrets()[name].label}:")
        return _read_file(_flag(_file_of(name)), file)

    def _read_stdin(self, question: str) -> str:
        """Read a secret: from a terminal without showing it, elsewhere to the end."""
        if sys.stdin.isatty():
            return self.ask_secret(question)
        try:
            return strip_line_break(sys.stdin.read())
        except UnicodeDecodeError as problem:
            raise CommandError("Expected a text on the standard input.") from problem

    def _ask_for_secret(self, kind: LocationKind, given: Mapping[str, str]) -> dict[str, str]:
        name = _ASKED.get(kind)
        is_needed = not given.get("private_key") and (kind is not LocationKind.WEBDAV or bool(given.get("user")))
        if name is None or given.get(name) or not is_needed or not self.can_ask:
            return {}
        return {name: self.ask_secret(f"{_secrets()[name].label}:")}

    # --- Showing -----------------------------------------------------------------------------------------------------

    def _list(self, _options: dict[str, Any]) -> None:
        locations = list(actions.find_locations(COMMAND_LINE))
        found = [_as_json(location) for location in locations]
        rows = [
            (
                data["name"],
                LocationKind(data["kind"]).label,
                _describe_state(location),
                str(data["copies"]),
                format_size(data["bytes"]),
                data["url"],
            )
            for location, data in zip(locations, found, strict=True)
        ]
        self.print_result(found, *(self.table(_HEADINGS, rows) if rows else ["There are no locations."]))

    def _show(self, options: dict[str, Any]) -> None:
        self._print_location(actions.find_location(COMMAND_LINE, options["name"]))

    # --- Operations --------------------------------------------------------------------------------------------------

    def _test(self, options: dict[str, Any]) -> None:
        name = options["name"]

        def request(start: actions.Start) -> Operation:
            return actions.request_location_test(COMMAND_LINE, name, start=start)

        try:
            result = self._run(request)
        except LocationUntrusted as problem:
            self._confirm_host_key(name, problem, options["accept_host_key"])
            result = self._run(request)
        location = actions.find_location(COMMAND_LINE, name)
        there = _count_copies(result["copies"])
        self.print_result(
            result, f"{name}: OK. A file was written, read and deleted. {there} found.", *_next_steps(location)
        )

    def _confirm_host_key(self, name: str, problem: LocationUntrusted, accepted: str | None) -> None:
        """Store the host key that the server offered, if the user accepts it. Raise `problem` otherwise."""
        if not problem.host_key:
            raise problem
        if accepted is None:
            self.message(str(problem))
            self.message(f"Fingerprint: {_fingerprint(problem.host_key)}")
            if not self.confirm("Is this the host key of the server?"):
                raise CommandError(
                    f'The host key was not confirmed. Add --accept-host-key "{problem.host_key}" if it is the right one.'
                )
        elif accepted.split()[:2] != problem.host_key.split():
            raise CommandError(f"{problem} It is not the host key that --accept-host-key names.")
        actions.confirm_host_key(COMMAND_LINE, name, problem.host_key)

    def _sync(self, options: dict[str, Any]) -> None:
        name, accept_empty = options["name"], options["accept_empty"]
        result = self._run(
            lambda start: actions.request_copies(COMMAND_LINE, name, accept_empty=accept_empty, start=start)
        )
        verbs = {"copied": "Copied", "updated": "Updated the metadata of", "removed": "Deleted"}
        lines = [f"{verb} {filename}" for member, verb in verbs.items() for filename in result[member]]
        self.print_result(result, *lines, f"{name} is in sync, with {_count_copies(result['copies'])}.")

    def _check(self, options: dict[str, Any]) -> None:
        name = options["name"]
        result = self._run(lambda start: actions.request_copy_check(COMMAND_LINE, name, start=start))
        self.print_result(
            result, *[f"{filename}: OK" for filename in result["checked"]] or ["There are no copies to check."]
        )

    def _run(self, action: Callable[[actions.Start], Operation]) -> Mapping[str, Any]:
        """Perform an action in this process, and return its result."""
        stop_on_sigterm()
        stop_on_first_sigint()
        try:
            operation = run_with_progress(action, self.message)
        except OperationInterrupted as problem:
            raise CommandError(f"{problem} No partial copies are listed.", returncode=130) from problem
        for sentence in operation.message.splitlines():
            self.message(f"warning: {sentence}")
        result: Mapping[str, Any] = operation.result or {}
        return result

    # --- Keys --------------------------------------------------------------------------------------------------------

    def _new_key(self, options: dict[str, Any]) -> None:
        name = options["name"]
        key = actions.new_location_key(COMMAND_LINE, name) if name else new_key()
        command = f"`{program.NAME} location key confirm {name or 'NAME'}`"
        self.message(
            f"Save the identity outside this machine. It will not be shown again. Then confirm it with {command}."
        )
        self.print_result(
            {"identity": key.identity, "recipient": key.recipient},
            f"Identity:  {key.identity}",
            f"Recipient: {key.recipient}",
        )

    def _store_key(self, options: dict[str, Any]) -> None:
        location = actions.find_location(COMMAND_LINE, options["name"])
        self.message(
            "Once the identity is stored, anyone who can read this machine's files, or a settings archive in the backup folder, "
            f"can decrypt the copies in {location.name}."
        )
        location = actions.store_rehearsal_identity(COMMAND_LINE, location.name, self._read_stdin("Identity:"))
        self._print_location(location, f"The identity of {location.name} is stored, encrypted. It will not be shown.")

    def _forget_key(self, options: dict[str, Any]) -> None:
        location = actions.forget_rehearsal_identity(COMMAND_LINE, options["name"])
        self._print_location(location, f"No identity of {location.name} is stored. Its copies are not rehearsed.")

    def _confirm_key(self, options: dict[str, Any]) -> None:
        location = actions.find_location(COMMAND_LINE, options["name"])
        location = actions.confirm_location_key(COMMAND_LINE, location.name, self._read_stdin("Identity:"))
        self._print_location(location, f"The recovery key of {location.name} is confirmed")


# --- Options ---------------------------------------------------------------------------------------------------------


def _secrets() -> dict[str, Option]:
    return {option.name: option for options in OPTIONS.values() for option in options if option.is_secret}


def _kinds_with(name: str) -> str:
    return ", ".join(str(kind) for kind, options in OPTIONS.items() if any(option.name == name for option in options))


def _file_of(name: str) -> str:
    return f"{name}{FILE_ENDING.lower()}"


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _add_options(parser: ArgumentParser) -> None:
    """Add options for all options of addresses, the key and the retention. Secrets have only options that name a file."""
    parser.allow_abbrev = False  # "--password SECRET" would be a file
    address = parser.add_argument_group("address")
    address.add_argument(
        "--url", metavar="URL", help="the whole address, or that of a WebDAV folder; without a password"
    )
    public = {option.name: option for options in OPTIONS.values() for option in options if not option.is_secret}
    for name, option in public.items():
        if name != _URL:
            added = address.add_argument(
                _flag(name), metavar="PATH" if name in {"path", "ca_file"} else "TEXT", help=_describe_option(option)
            )
            if name in {"path", "ca_file"}:
                complete_files(added)
    for name, option in _secrets().items():
        variable = f"{PREFIX}{name.upper()}"
        added = address.add_argument(
            _flag(_file_of(name)),
            metavar="FILE",
            help=f"{_kinds_with(name)}: a file with the {option.label.lower()}, or - for stdin. "
            f"`add` also reads {variable} and {variable}{FILE_ENDING}",
        )
        complete_files(added)
    key = parser.add_argument_group("encryption")
    key.add_argument(
        "--recipient", metavar="AGE", help='encrypt copies to a recipient of age or a public key of SSH; "" for none'
    )
    key.add_argument(
        "--key-saved", dest="is_key_saved", action="store_true", default=None, help="the recovery key is already saved"
    )
    retention = parser.add_argument_group("retention")
    retention.add_argument("--keep", metavar="NUMBER", type=_read_keep, help=f"how many copies to keep, or {ALL}")
    for period, noun in _NOUNS.items():
        retention.add_argument(
            _flag(period), metavar="NUMBER", type=_read_number, help=f"also keep one for each of this many {noun}"
        )
    retention.add_argument("--max-age", metavar="DURATION", help=f"delete older copies, such as 90d, or {NO_AGE_LIMIT}")


def _describe_option(option: Option) -> str:
    text = ". ".join([option.label.lower(), *([option.help] if option.help else [])])
    return f"{_kinds_with(option.name)}: {text}"


def _read_keep(text: str) -> int | str:
    if text.lower() == ALL:
        return ALL
    if re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) and 0 < int(text) <= MOST_KEPT:
        return int(text)
    raise ArgumentTypeError(f'expected a whole number from 1 to {MOST_KEPT}, or "{ALL}", got {quoted(text)}')


def _read_number(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) and int(text) <= MOST_KEPT:
        return int(text)
    raise ArgumentTypeError(f"expected a whole number from 0 to {MOST_KEPT}, got {quoted(text)}")


def _read_columns(options: Mapping[str, Any]) -> dict[str, Any]:
    names = ("is_key_saved", *map(str, Period), "max_age")
    columns = {name: options[name] for name in names if options[name] is not None}
    if options["keep"] is not None:
        columns["keep"] = None if options["keep"] == ALL else options["keep"]
    return columns


def _read_address(options: Mapping[str, Any]) -> tuple[LocationKind | None, dict[str, str]]:
    """Return the kind, if it is known, and the options that are given and not secret. Raises `LocationInvalid`."""
    names = {option.name for of_kind in OPTIONS.values() for option in of_kind if not option.is_secret}
    given = {name: options[name] for name in names - {_URL} if options[name] is not None}
    kind = LocationKind(options["kind"]) if options.get("kind") else None
    url = options[_URL]
    if url is None:
        return kind, given
    if re.match(r"https?:", url, re.IGNORECASE) and kind in {None, LocationKind.WEBDAV}:
        return LocationKind.WEBDAV, given | {_URL: url}
    address = parse_url(url)
    if kind not in {None, address.kind}:
        raise CommandError(f"--url: expected an address of the kind {kind}, got {address.kind}.")
    return address.kind, address.replacements | given


def _read_secrets_of_environment(kind: LocationKind, given: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets of a kind that are not given and that the environment has, or names a file with."""
    found: dict[str, str] = {}
    for option in OPTIONS[kind]:
        variable = f"{PREFIX}{option.name.upper()}"
        if not option.is_secret or given.get(option.name):
            continue
        if text := os.environ.get(variable, "").strip():
            found[option.name] = text
        elif file := os.environ.get(f"{variable}{FILE_ENDING}", "").strip():
            found[option.name] = _read_file(f"{variable}{FILE_ENDING}", file)
    return found


def _read_file(name: str, file: str) -> str:
    try:
        return read_secret_file(Path(file))
    except OSError as problem:
        raise CommandError(f"{name}: {quoted(file)} cannot be read: {problem.strerror}.") from problem
    except UnicodeDecodeError as problem:
        raise CommandError(f"{name}: expected a text file, got {quoted(file)}.") from problem


# --- Output ----------------------------------------------------------------------------------------------------------


def _as_json(location: Location) -> dict[str, Any]:
    data = location_as_data(location)
    return data | {"reason": str(data["reason"])}


def _format_location(location: Location) -> Iterator[str]:
    data = location_as_data(location)
    facts = {
        "Name": data["name"],
        "Kind": LocationKind(data["kind"]).label,
        "Address": data["url"],
        "Secrets": ", ".join(data["has_secrets"]) and f"{', '.join(data['has_secrets'])} (not shown)",
        "Encrypted": data["recipient"] and f"to {data['recipient']}",
        "Identity": "stored for rehearsals (not shown)" if data["identity_stored"] else "",
        "Retention": _describe_retention(location),
        "Copies": f"{data['copies']}, {format_size(data['bytes'])}",
        "Last copy": data["last_copy"],
        "State": _describe_state(location),
    }
    for name, value in facts.items():
        yield f"{name:<10} {value or '-'}"
    if location.failing_since is not None:
        yield from str(location.problem).splitlines()
    if location.offered_host_key:
        yield f"Host key offered: {location.offered_host_key} ({_fingerprint(location.offered_host_key)})"
    yield from _next_steps(location)


def _count_copies(number: int) -> str:
    return "1 copy" if number == 1 else f"{number} copies"


def _describe_retention(location: Location) -> str:
    parts = ["all copies" if location.keep is None else f"the newest {location.keep} copies"]
    numbers = {period: getattr(location, period) for period in Period}
    parts += [f"{number} {period}" for period, number in numbers.items() if number]
    limit = location.max_age if location.max_age not in {"", NO_AGE_LIMIT} else ""
    return ", ".join(parts) + (f", at most {limit} old" if limit else "")


def _describe_state(location: Location) -> str:
    """Return the state with its time, such as "behind since 2026-11-02 02:00:00 CET"."""
    state, moment = location.state, state_since(location)
    if state is LocationState.IN_SYNC:
        return f"in sync, last compared {_format_time(moment)}"
    if state is LocationState.UNTESTED:
        return "not tested yet"
    if state is LocationState.KEY_UNSAVED:
        return "waits for the recovery key"
    return f"{state.label.lower()} since {_format_time(moment)}" if moment else state.label.lower()


def _format_time(moment: datetime | None) -> str:
    return format_exact_time(moment) if moment else "-"


def _next_steps(location: Location) -> Iterator[str]:
    """Yield a sentence for each requirement of copies that is not met."""
    command = f"{program.NAME} location"
    if location.tested_at is None:
        yield f"No copies are made before a test has succeeded. Test the location with `{command} test {location.name}`."
    if location.recipient and not location.is_key_saved:
        yield (
            "No copies are made before you confirm that the recovery key is saved. Without it, nobody can read the copies. "
            f"Confirm it with `{command} key confirm {location.name}`."
        )


def _fingerprint(host_key: str) -> str:
    """Return the fingerprint of a public key, as ssh-keygen shows it."""
    try:
        digest = hashlib.sha256(base64.b64decode(host_key.split()[1])).digest()
    except (IndexError, binascii.Error):
        return "unknown"
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"
