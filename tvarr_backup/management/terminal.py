"""Output of commands. All of it is escaped, because names and notes may contain escape sequences and line breaks."""

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

from tvarr_backup import __version__
from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.texts import escape_character, escape_for_json, escape_hidden

_LINES = "\n\t"
_COLOR_OPTIONS = ("--no-color", "--force-color")
_PLAIN = {"“": '"', "”": '"', "‘": "'", "’": "'", "…": "...", "–": "-", "→": "->", "×": "x", "\ufffd": "?"}  # noqa: RUF001  # what is replaced
_REPLACED = "tvarr_backup.replaced"


def _replace(problem: UnicodeError) -> tuple[str, int]:
    assert isinstance(problem, UnicodeEncodeError)
    unknown = problem.object[problem.start : problem.end]
    return "".join(_PLAIN.get(character) or escape_character(character) for character in unknown), problem.end


codecs.register_error(_REPLACED, _replace)


def for_terminal(text: str, encoding: str | None, *, keep: str = "") -> str:
    """Escape hidden characters except those in `keep`, and what the encoding does not have."""
    escaped = escape_hidden(text, keep=keep)
    return escaped if escaped.isascii() else escaped.encode(encoding or "utf-8", _REPLACED).decode(encoding or "utf-8")


def open_input(name: str, *, option: str = "") -> AbstractContextManager[BinaryIO]:
    """Open a file for reading, or standard input for "-". Raise `CommandError`."""
    if name == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(name).open("rb")
    except OSError as problem:
        raise CommandError(f"{option}{name} cannot be read: {problem.strerror}.") from problem


def add_action(actions: Any, name: str, description: str, *aliases: str) -> ArgumentParser:
    parser: ArgumentParser = actions.add_parser(name, aliases=aliases, help=description, description=description)
    return parser


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


class Terminal(OutputWrapper):
    """A stream of a command that escapes everything written to it."""

    def write(self, msg: str = "", style_func: Any = None, ending: str | None = None) -> None:  # type: ignore[override]  # as in Django
        """Write lines. Django writes the errors of commands with this."""
        super().write(for_terminal(msg, self._encoding, keep=_LINES), style_func, ending)

    def write_line(self, text: str) -> None:
        """Write one line, without the color of errors."""
        super().write(for_terminal(text, self._encoding), str)

    def write_json(self, pieces: Iterable[str]) -> None:
        """Write one JSON value in pieces. No piece may end inside a text."""
        for piece in pieces:
            super().write(escape_for_json(piece, self._encoding), str, ending="")
        super().write()

    @property
    def _encoding(self) -> str:
        return getattr(self._out, "encoding", None) or "utf-8"


class TerminalCommand(BaseCommand):
    """Base class of all commands: results go to stdout, messages to stderr, and errors exit with 1."""

    requires_system_checks = []
    suppressed_base_arguments = {
        "--version",
        "--verbosity",
        "--settings",
        "--pythonpath",
        "--traceback",
        *_COLOR_OPTIONS,
    }
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
        """Create a parser that escapes its messages, which quote the arguments."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        _escape_messages(parser)
        return parser

    def get_version(self) -> str:
        return __version__

    def line(self, text: str = "") -> None:
        self.stdout.write_line(text)

    def message(self, text: str) -> None:
        self.stderr.write_line(text)

    def print_result(self, data: Any, *lines: str) -> None:
        """Write the data with `--json`, otherwise the lines."""
        if self._as_json:
            self.print_json(data)
        else:
            for line in lines:
                self.line(line)

    def print_json_text(self, pieces: Iterable[str]) -> None:
        self.stdout.write_json(pieces)

    def print_json(self, data: Any, *, indent: int | None = 2) -> None:
        """Write data as one JSON value. Without `indent`, it is one line."""
        self.print_json_text([json.dumps(data, indent=indent, ensure_ascii=False)])


def _escape_messages(parser: ArgumentParser) -> None:
    def write(message: str, file: TextIO | None = None) -> None:
        if message:
            Terminal(file or sys.stderr).write(message, ending="")

    parser._print_message = write  # type: ignore[method-assign, assignment]  # noqa: SLF001  # argparse has no other way
    actions: list[Action] = parser._actions  # noqa: SLF001  # the same
    for action in actions:
        if isinstance(action.choices, dict):
            for choice in action.choices.values():
                if isinstance(choice, ArgumentParser):
                    _escape_messages(choice)
