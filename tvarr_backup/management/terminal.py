"""The one way from a command to a terminal.

Names, notes and sentences may contain what others wrote: escape sequences, line breaks that forge a line, marks that
reverse text. Here they are escaped, and so is what the terminal's encoding lacks. A test makes sure that commands write to
stdout and stderr in no other way, except for files.
"""

from __future__ import annotations

import codecs
import json
import sys
from argparse import Action, ArgumentParser
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper

from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.texts import escape_character, escape_for_json, escape_hidden

_LINES = "\n\t"
_PLAIN = {"“": '"', "”": '"', "‘": "'", "’": "'", "…": "...", "–": "-", "→": "->", "×": "x", "\ufffd": "?"}  # noqa: RUF001  # what is replaced
_REPLACED = "tvarr_backup.replaced"


def _replace(problem: UnicodeError) -> tuple[str, int]:
    assert isinstance(problem, UnicodeEncodeError)
    unknown = problem.object[problem.start : problem.end]
    return "".join(_PLAIN.get(character) or escape_character(character) for character in unknown), problem.end


codecs.register_error(_REPLACED, _replace)


def for_terminal(text: str, encoding: str | None, *, keep: str = "") -> str:
    """Return the text as a terminal of this encoding can show it, in one line unless `keep` has the line break."""
    shown = escape_hidden(text, keep=keep)
    return shown if shown.isascii() else shown.encode(encoding or "utf-8", _REPLACED).decode(encoding or "utf-8")


def open_input(name: str, *, option: str = "") -> AbstractContextManager[BinaryIO]:
    """Open a file that a command reads, or standard input for “-”. Raise `CommandError`."""
    if name == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(name).open("rb")
    except OSError as problem:
        raise CommandError(f"{option}{name} cannot be read: {problem.strerror}.") from problem


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


class Terminal(OutputWrapper):
    """A stream of a command that escapes everything written to it."""

    def write(self, msg: str = "", style_func: Any = None, ending: str | None = None) -> None:  # type: ignore[override]  # as in Django
        """Write lines, as Django does for what commands raise."""
        super().write(for_terminal(msg, self._encoding, keep=_LINES), style_func, ending)

    def write_line(self, text: str) -> None:
        """Write one line, without the color of errors."""
        super().write(for_terminal(text, self._encoding), str)

    def write_json(self, pieces: Iterable[str]) -> None:
        """Write one JSON value in pieces, none of which ends within a text."""
        for piece in pieces:
            super().write(escape_for_json(piece, self._encoding), str, ending="")
        super().write()

    @property
    def _encoding(self) -> str:
        return getattr(self._out, "encoding", None) or "utf-8"


class TerminalCommand(BaseCommand):
    """Base of all commands: results are lines on stdout, messages are lines on stderr.

    A `TvarrBackupError` ends a command with its sentence and exit status 1.
    """

    requires_system_checks = []
    stdout: Terminal
    stderr: Terminal

    def __init__(
        self,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        no_color: bool = False,  # noqa: FBT001, FBT002  # Django's signature
        force_color: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        super().__init__(stdout, stderr, no_color, force_color)
        self.stdout = Terminal(stdout or sys.stdout)
        self.stderr = Terminal(stderr or sys.stderr)
        if not no_color:
            self.stderr.style_func = self.style.ERROR

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command, with the streams of `call_command` too."""
        if stdout := options.pop("stdout", None):
            self.stdout = Terminal(stdout)
        if stderr := options.pop("stderr", None):
            self.stderr = Terminal(stderr)
        self._as_json = bool(options.get("json"))
        try:
            return super().execute(*args, **options)
        except TvarrBackupError as problem:
            raise CommandError(str(problem)) from problem

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Create a parser whose messages, which repeat what was typed, are escaped."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        _show_plainly(parser)
        return parser

    def line(self, text: str = "") -> None:
        """Write one line of the result."""
        self.stdout.write_line(text)

    def message(self, text: str) -> None:
        """Write one line about the result."""
        self.stderr.write_line(text)

    def print_result(self, data: Any, *lines: str) -> None:
        """Write the result: with `--json` the data, otherwise the lines."""
        if self._as_json:
            self.print_json(data)
        else:
            for line in lines:
                self.line(line)

    def print_json_text(self, pieces: Iterable[str]) -> None:
        """Write the result, one JSON value in pieces."""
        self.stdout.write_json(pieces)

    def print_json(self, data: Any, *, indent: int | None = 2) -> None:
        """Write data as one JSON value; on one line without `indent`."""
        self.print_json_text([json.dumps(data, indent=indent, ensure_ascii=False)])


def _show_plainly(parser: ArgumentParser) -> None:
    def write(message: str, file: TextIO | None = None) -> None:
        if message:
            Terminal(file or sys.stderr).write(message, ending="")

    parser._print_message = write  # type: ignore[method-assign, assignment]  # noqa: SLF001  # argparse has no other way
    actions: list[Action] = parser._actions  # noqa: SLF001  # the same
    for action in actions:
        if isinstance(action.choices, dict):
            for one in action.choices.values():
                if isinstance(one, ArgumentParser):
                    _show_plainly(one)
