"""The command `completion`."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import shtab
from django.core.management import get_commands, load_command_class
from django.core.management.base import CommandParser

from tvarr_backup.management.command_line import GROUPS
from tvarr_backup.management.terminal import TerminalCommand

_PROGRAM = "tvarr-backup"
_SHELLS = ("bash", "zsh", "fish")


class Command(TerminalCommand):
    help = "Print a script that completes commands and options in a shell."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("shell", choices=_SHELLS, help="the shell")

    def handle(self, *_args: Any, shell: str, **_options: Any) -> None:
        for line in shtab.complete(build_parser(), shell).splitlines():
            self.line(line.expandtabs())


def build_parser() -> ArgumentParser:
    """Return one parser of all commands that `help` lists."""
    parser = CommandParser(prog=_PROGRAM, description="Reliable backups and portable configuration for tvarr.")
    parser.add_argument("--version", action="store_true", help="print the version")
    actions = parser.add_subparsers(metavar="COMMAND")
    apps = get_commands()
    for name, text in (row for group in GROUPS.values() for row in group.items()):
        command = load_command_class(apps[name], name)
        command.add_arguments(actions.add_parser(name, help=text or command.help))
    return parser
