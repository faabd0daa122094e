"""Output of commands. All of it is escaped, because names and notes may contain escape sequences and line breaks."""

from __future__ import annotations

import codecs
import json
import os
import signal
import sys
import unicodedata
from argparse import Action, ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from getpass import getpass
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper, SystemCheckError

from tvarr_backup import __version__
from tvarr_backup.errors import MemberInvalid, TvarrBackupError
from tvarr_backup.quoting import quoted
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


def read_count(text: str) -> int:
    """Return the number that an option gives, for argparse."""
    if text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text):
        return int(text)
    raise ArgumentTypeError(f"expected a whole number from 1, got {quoted(text)}")


def complete_files(argument: Action) -> None:
    """Let shells complete the names of files."""
    argument.complete = "file"  # type: ignore[attr-defined]  # for shtab


def add_action(actions: Any, name: str, description: str, *aliases: str) -> ArgumentParser:
    parser: ArgumentParser = actions.add_parser(name, aliases=aliases, help=description, description=description)
    return parser


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines with aligned columns."""
    widths = [max(map(_count_columns, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(_pad, row, widths)).rstrip() for row in rows]


def _pad(cell: str, width: int) -> str:
    return cell + " " * (width - _count_columns(cell))


def _count_columns(text: str) -> int:
    """Return the columns that a text takes on a terminal: Chinese, Japanese and Korean characters take two."""
    if text.isascii():
        return len(text)
    marks = sum(unicodedata.category(character) in {"Mn", "Me", "Cf"} for character in text)
    return len(text) - marks + sum(unicodedata.east_asian_width(character) in "WF" for character in text)


@contextmanager
def _stopping_at_once() -> Iterator[None]:
    """Let signals end the process while it waits for an answer, whatever they do to an operation."""
    usual: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    try:
        yield
    except KeyboardInterrupt:
        Terminal(sys.stderr).write_line("")
        raise CommandError("Canceled. Nothing was changed.", returncode=130) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Terminal(OutputWrapper):
    """A stream of a command that escapes everything written to it."""

    def write(self, msg: str = "", style_func: Any = None, ending: str | None = None) -> None:  # type: ignore[override]  # as in Django
        """Write lines. Django writes the errors of commands with this."""
        super().write(for_terminal(msg, self._encoding, keep=_LINES), style_func, ending)

    def write_line(self, text: str, style: Callable[[str], str] = str) -> None:
        """Write one line, by default without a color."""
        super().write(self.escape(text), style)

    def write_question(self, text: str) -> None:
        super().write(self.escape(text), str, ending=" ")
        self.flush()

    def escape(self, text: str) -> str:
        """Return a text as `write_line` writes it."""
        return for_terminal(text, self._encoding)

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
        no_color = no_color or bool(os.environ.get("NO_COLOR"))
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
            return self._execute(*args, **options)
        except CommandError as problem:
            is_typed = getattr(self, "_called_from_command_line", False)
            if not is_typed or isinstance(problem, SystemCheckError) or options.get("traceback"):
                raise
            self.stderr.write(f"error: {problem}")  # Django would begin with the name of the class
            sys.exit(problem.returncode)

    def _execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except MemberInvalid as problem:
            raise CommandError("\n".join(problem.describe())) from problem
        except TvarrBackupError as problem:
            raise CommandError(str(problem)) from problem

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Create a parser that escapes its messages, which quote the arguments."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        _escape_messages(parser)
        return parser

    def get_version(self) -> str:
        return __version__

    def line(self, text: str = "", style: Callable[[str], str] = str) -> None:
        self.stdout.write_line(text, style)

    def message(self, text: str) -> None:
        self.stderr.write_line(text)

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
        """Return a table as lines. Cells are escaped before they are measured."""
        return align([headings, *([self.stdout.escape(cell) for cell in row] for row in rows)])

    @property
    def can_ask(self) -> bool:
        """Whether a user can answer a question."""
        return not self._as_json and sys.stdin is not None and sys.stdin.isatty()

    def confirm(self, question: str) -> bool:
        """Ask on a terminal, and return whether the answer is yes. Elsewhere, return False."""
        if not self.can_ask:
            return False
        self.stdout.flush()
        self.stderr.write_question(f"{question} [y/N]")
        with _stopping_at_once():
            answer = sys.stdin.buffer.readline()
        return answer.strip().lower() in {b"y", b"yes"}

    def ask_secret(self, question: str) -> str:
        """Ask on the terminal for a text that is not shown."""
        with _stopping_at_once():
            return getpass(f"{question} ", stream=sys.stderr)

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
