"""The command `expression`: `check` needs no database, `test` reads tvarr's."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError

from tvarr_backup.expressions import (
    CheckedExpression,
    Domain,
    UnknownDomain,
    check_expression,
    findings_as_json,
    read_domain,
)
from tvarr_backup.expressions.cases import evaluate_case
from tvarr_backup.expressions.problems import is_printable, printable
from tvarr_backup.management.terminal import TerminalCommand, add_action, complete_files, open_input, read_count
from tvarr_backup.matches.report import count_as_data, describe_count, describe_explained, explained_as_data
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import COMMAND_LINE
from tvarr_backup.operations.failures import explain_failure
from tvarr_backup.quoting import format_value

MAX_LINE_BYTES = 1024 * 1024
_CONTEXT_LENGTH = 50
"""Characters shown before and after the column of a finding."""


class Command(TerminalCommand):
    help = "Check expressions of filters and rules, and count what they match."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        check = add_action(commands, "check", "List the problems of an expression, and what tvarr would misunderstand.")
        check.add_argument("text", nargs="?", help="the expression; - reads it from standard input")
        check.add_argument("--domain", help=f"one of {', '.join(Domain)}")
        check.add_argument("--json", action="store_true", help="print one JSON object")
        lines = check.add_argument(
            "--jsonl",
            metavar="FILE",
            help='check each line, an object with "expression" and "domain", and print a line with "valid", "problems" '
            'and "warnings"; - is standard input',
        )
        complete_files(lines)
        test = add_action(commands, "test", "Count what an expression matches, or say why it matches a channel or not.")
        test.add_argument("text", nargs="?", help="the expression; - reads it from standard input")
        test.add_argument("--domain", help=f"one of {', '.join(Domain)}")
        test.add_argument("--limit", metavar="N", type=read_count, default=20, help="rows to list (default: 20)")
        test.add_argument(
            "--priority",
            metavar="N",
            type=int,
            default=0,
            help="of a mapping rule, for its place among the stored ones",
        )
        test.add_argument(
            "--explain",
            metavar="CHANNEL",
            help="say why a channel, programme or player with this id or name matches or not",
        )
        test.add_argument("--json", action="store_true", help="print one JSON object")
        rows = test.add_argument(
            "--jsonl",
            metavar="FILE",
            help='evaluate each line, an object with "expression", "domain" and "row", and print a line with "matches", "after" and '
            '"error"; - is standard input; needs no database',
        )
        complete_files(rows)

    def handle(self, *_args: Any, action: str, **options: Any) -> None:
        text, domain, file = options["text"], options["domain"], options["jsonl"]
        if file is not None and text is None and domain is None:
            self._read_lines(file, _check_line if action == "check" else _test_line)
        elif file is None and text is not None and domain is not None:
            if text == "-":
                text = sys.stdin.buffer.read().decode(errors="surrogateescape").removesuffix("\n")
            if action == "check":
                self._check_text(text, _read_domain_option(domain), as_json=options["json"])
            else:
                self._test_text(text, _read_domain_option(domain), options)
        else:
            raise CommandError("Expected either TEXT and --domain, or only --jsonl FILE.")

    def _check_text(self, text: str, domain: Domain, *, as_json: bool) -> None:
        check = check_expression(text, domain)
        if as_json:
            self.print_json(findings_as_json(check), indent=None)
        else:
            for line in _report(text, check):
                self.line(line)
        if not check.valid:
            raise CommandError("The expression is invalid.")

    def _test_text(self, text: str, domain: Domain, options: dict[str, Any]) -> None:
        check = check_expression(text, domain)
        if not check.valid and text.strip():
            for line in _report(text, check):
                self.message(line)
            raise CommandError("The expression is invalid.")
        priority = options["priority"]
        try:
            if options["explain"] is not None:
                explained = actions.explain_expression(
                    COMMAND_LINE, text, domain, options["explain"], priority=priority
                )
                self.print_result(explained_as_data(explained), *describe_explained(explained))
                return
            count = actions.try_expression(COMMAND_LINE, text, domain, size=options["limit"], priority=priority)
        except DatabaseError as problem:
            raise CommandError(str(explain_failure(problem) or f"The database cannot be read: {problem}.")) from problem
        self.print_result({**findings_as_json(check), **count_as_data(count)}, *describe_count(count))

    def _read_lines(self, name: str, work: Callable[[int, dict[str, Any]], dict[str, Any]]) -> None:
        count = invalid = 0
        with open_input(name, option="--jsonl: ") as file:
            # The limit keeps a file without line breaks from filling the memory.
            for number, line in enumerate(iter(partial(file.readline, MAX_LINE_BYTES + 1), b""), start=1):
                result = work(number, _read_members(number, line))
                self.print_json(result, indent=None)
                self.stdout.flush()
                count, invalid = number, invalid + (not result.get("valid", True))
        if work is _check_line:
            self.message(f"Checked {count:,} expressions; {invalid:,} {'is' if invalid == 1 else 'are'} invalid.")
        else:
            self.message(f"Evaluated {count:,} {'row' if count == 1 else 'rows'}.")


def _read_domain_option(value: str) -> Domain:
    try:
        return read_domain(value)
    except UnknownDomain as error:
        raise CommandError(f"--domain: {error}") from error


def _read_members(number: int, line: bytes) -> dict[str, Any]:
    """Return the members of a line, of which `expression` is a text and `domain` a `Domain`. Raises `CommandError`."""
    if len(line) > MAX_LINE_BYTES:
        raise CommandError(f"Line {number} is too long. Expected at most {MAX_LINE_BYTES:,} bytes.")
    try:
        members = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"Line {number} is not JSON: {printable(line.decode(errors='replace').strip())}") from error
    if not isinstance(members, dict):
        raise CommandError(
            f'Line {number}: expected an object with "expression" and "domain", got {format_value(members)}.'
        )
    text = members.get("expression")
    if not isinstance(text, str):
        found = f"got {format_value(text)}" if "expression" in members else "but it is missing"
        raise CommandError(f'Line {number}, "expression": expected text, {found}.')
    try:
        return members | {"domain": read_domain(members.get("domain"))}
    except UnknownDomain as error:
        missing = "" if "domain" in members else " is missing"
        raise CommandError(f'Line {number}, "domain"{missing}: {error}') from error


def _check_line(_number: int, members: dict[str, Any]) -> dict[str, Any]:
    return findings_as_json(check_expression(members["expression"], members["domain"]))


def _test_line(number: int, members: dict[str, Any]) -> dict[str, Any]:
    """Evaluate an expression for a row. Values in `row_base64` replace those of the same name."""
    row, encoded = members.get("row", {}), members.get("row_base64") or {}
    if not isinstance(row, dict) or not isinstance(encoded, dict):
        raise CommandError(f'Line {number}: expected objects in "row" and "row_base64".')
    try:
        return evaluate_case(members["expression"], members["domain"], row, encoded)
    except ValueError as error:
        raise CommandError(f'Line {number}, "row_base64": expected Base64, got {format_value(str(error))}.') from error


def _report(text: str, check: CheckedExpression) -> Iterator[str]:
    for kind, findings in (("Problem", check.problems), ("Warning", check.warnings)):
        for finding in findings:
            line, caret = _excerpt(text, finding.column)
            yield line
            yield " " * caret + "^"
            yield f"{kind} ({finding.code.value}, column {finding.column}): {finding.message}"
    count = len(check.warnings)
    if check.valid:
        yield "Valid." if not count else f"Valid, {count} warning{'' if count == 1 else 's'}."


def _excerpt(text: str, column: int) -> tuple[str, int]:
    """Return the text around a column, with one printable character for each, and the index of the column in it."""
    place = column - 1
    line_start = text.rfind("\n", 0, place) + 1
    line_end = text.find("\n", place)
    start = max(line_start, place - _CONTEXT_LENGTH)
    end = min(len(text) if line_end < 0 else line_end, place + _CONTEXT_LENGTH)
    excerpt = "".join(
        " " if character.isspace() else character if is_printable(character) else "\ufffd"
        for character in text[start:end]
    )
    return excerpt, place - start
