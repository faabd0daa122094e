"""The one way from a command to a terminal.

Names, notes and sentences may hold what others wrote: escape sequences that move the cursor, line breaks that forge a line,
marks that turn text round. Here they become escapes, and so does what the terminal's encoding lacks. Commands have no
other way to stdout and stderr (a test sees to that), except for files that they write there.
"""

from __future__ import annotations

import codecs
import json
import sys
from argparse import Action, ArgumentParser
from collections.abc import Iterable
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandParser, OutputWrapper

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


class Terminal(OutputWrapper):
    """A stream of a command. Everything that is written to it is shown as text, and nothing acts on the terminal."""

    def write(self, msg: str = "", style_func: Any = None, ending: str | None = None) -> None:  # type: ignore[override]  # as in Django
        """Write lines, as Django does for what commands raise."""
        super().write(for_terminal(msg, self._encoding, keep=_LINES), style_func, ending)

    def write_line(self, text: str) -> None:
        """Write one line, whatever is in it."""
        super().write(for_terminal(text, self._encoding))

    def write_json(self, data: Any, *, indent: int | None) -> None:
        """Write data as JSON for people and programs; in one line without `indent`."""
        super().write(escape_for_json(json.dumps(data, indent=indent, ensure_ascii=False), self._encoding))

    def write_json_text(self, pieces: Iterable[str]) -> None:
        """Write a value that is JSON already, piece by piece; each piece holds whole texts."""
        for piece in pieces:
            super().write(escape_for_json(piece, self._encoding), ending="")
        super().write()

    @property
    def _encoding(self) -> str:
        return getattr(self._out, "encoding", None) or "utf-8"


class TerminalCommand(BaseCommand):
    """What all commands have in common: results are lines on stdout, messages are lines on stderr."""

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
        """Take the streams of `call_command`, too."""
        if stdout := options.pop("stdout", None):
            self.stdout = Terminal(stdout)
        if stderr := options.pop("stderr", None):
            self.stderr = Terminal(stderr)
        return super().execute(*args, **options)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Its messages repeat what was typed."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        _show_plainly(parser)
        return parser

    def line(self, text: str = "") -> None:
        """Write one line of the result."""
        self.stdout.write_line(text)

    def message(self, text: str) -> None:
        """Write one line about the result."""
        self.stderr.write_line(text)

    def print_json(self, data: Any, *, indent: int | None = 2) -> None:
        """Write the result as one JSON value."""
        self.stdout.write_json(data, indent=indent)

    def print_json_text(self, pieces: Iterable[str]) -> None:
        """Write the result, which is one JSON value in pieces."""
        self.stdout.write_json_text(pieces)


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
