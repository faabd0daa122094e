"""The command `user create`."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import CommandError
from structlog.contextvars import bound_contextvars

from tvarr_backup.access.roles import DESCRIPTIONS, Role
from tvarr_backup.management.own_database import own_database
from tvarr_backup.management.terminal import TerminalCommand, add_action, align
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import COMMAND_LINE
from tvarr_backup.operations.models import Origin

_LONGEST_PASSWORD_BYTES = 4096


class Command(TerminalCommand):
    help = "Create a user with a role."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        create = add_action(actions, "create", "Create a user. Asks for the password, or reads it from standard input.")
        create.formatter_class = RawDescriptionHelpFormatter
        create.epilog = "roles:\n" + "\n".join(f"  {line}" for line in align([*DESCRIPTIONS.items()]))
        create.add_argument("name", help="name of the user")
        create.add_argument("--role", required=True, choices=Role.values, help="what the user may do")
        create.add_argument("--json", action="store_true", help="print one JSON value")

    @bound_contextvars(origin=str(Origin.COMMAND))
    def handle(self, *_args: Any, name: str, role: str, **_options: Any) -> None:
        with own_database():
            user = actions.create_user(COMMAND_LINE, name, self._read_password(), Role(role))
        self.print_result({"name": user.get_username(), "role": role}, f"Created the {role} {user.get_username()}")

    def _read_password(self) -> str:
        """Ask for the password twice on a terminal, or read one line from standard input. Raises `CommandError`."""
        if self.can_ask:
            password = self.ask_secret("Password:")
            if password != self.ask_secret("Password (again):"):
                raise CommandError("The passwords are not the same. No user was created.")
            return password
        line = sys.stdin.buffer.readline(_LONGEST_PASSWORD_BYTES)
        try:
            return line.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as problem:
            raise CommandError("Expected a password in UTF-8 on standard input.") from problem
