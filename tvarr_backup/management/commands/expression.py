"""The command `expression check`."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from functools import partial
from typing import Any

from django.core.management.base import CommandError

from tvarr_backup.expressions import (
    CheckedExpression,
    Domain,
    UnknownDomain,
    check_expression,
    findings_as_json,
    read_domain,
)
from tvarr_backup.expressions.problems import is_printable, printable
from tvarr_backup.management.terminal import TerminalCommand, add_action, complete_files, open_input
from tvarr_backup.quoting import format_value

MAX_LINE_BYTES = 1024 * 1024
_CONTEXT_LENGTH = 50
"""Characters shown before and after the column of a finding."""


class Command(TerminalCommand):
    """Needs no database."""

    help = "Check expressions of filters, data mapping rules and client detection rules."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        check = add_action(actions, "check", "List the problems of an expression, and what tvarr would misunderstand.")
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

    def handle(self, *_args: Any, **options: Any) -> None:
        text, domain, file = options["text"], options["domain"], options["jsonl"]
        if file is not None and text is None and domain is None:
            self._check_lines(file)
        elif file is None and text is not None and domain is not None:
            self._check_text(text, domain, as_json=options["json"])
        else:
            raise CommandError("Expected either TEXT and --domain, or only --jsonl FILE.")

    def _check_text(self, text: str, domain: str, *, as_json: bool) -> None:
        try:
            known = read_domain(domain)
        except UnknownDomain as error:
            raise CommandError(f"--domain: {error}") from error
        if text == "-":
            text = sys.stdin.buffer.read().decode(errors="surrogateescape").removesuffix("\n")
        check = check_expression(text, known)
        if as_json:
            self.print_json(findings_as_json(check), indent=None)
        else:
            for line in _report(text, check):
                self.line(line)
        if not check.valid:
            raise CommandError("The expression is invalid.")

    def _check_lines(self, name: str) -> None:
        count = invalid = 0
        with open_input(name, option="--jsonl: ") as file:
            # The limit keeps a file without line breaks from filling the memory.
            for number, line in enumerate(iter(partial(file.readline, MAX_LINE_BYTES + 1), b""), start=1):
                check = _check_line(number, line)
                self.print_json(findings_as_json(check), indent=None)
                self.stdout.flush()
                count, invalid = number, invalid + (not check.valid)
        self.message(f"Checked {count:,} expressions; {invalid:,} {'is' if invalid == 1 else 'are'} invalid.")


def _check_line(number: int, line: bytes) -> CheckedExpression:
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
        return check_expression(text, read_domain(members.get("domain")))
    except UnknownDomain as error:
        missing = "" if "domain" in members else " is missing"
        raise CommandError(f'Line {number}, "domain"{missing}: {error}') from error


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
