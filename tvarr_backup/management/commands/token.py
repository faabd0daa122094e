"""`token`: keys for programs that use the HTTP API."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError
from django.utils import timezone

from tvarr_backup.access.models import ApiToken
from tvarr_backup.access.tokens import create_token, revoke_token, token_as_data, tokens_of
from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.management.terminal import TerminalCommand
from tvarr_backup.operations.app_database import require_app_database
from tvarr_backup.texts import escape_hidden


class Command(TerminalCommand):
    """Results on stdout, exit 1 with a sentence on failure. A token is printed when it is made, and never again."""

    help = "Make, list and revoke tokens for the HTTP API."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="make a token and print it, this once")
        revoke = actions.add_parser("revoke", help="end a token")
        for action in (create, revoke):
            action.add_argument("name", help="what uses it")
            action.add_argument("--user", required=True, help="whose rights it has")
        create.add_argument("--expires", metavar="DURATION", help="after how long, such as 30d; by default never")
        listing = actions.add_parser("list", help="list the tokens, without their secrets")
        listing.add_argument("--user", help="only this user's")
        for action in (create, listing):
            action.add_argument("--json", action="store_true", help="print one JSON value")

    def handle(self, *_args: Any, action: str, user: str | None, **options: Any) -> None:
        try:
            require_app_database()
            if action == "list":
                self._list(list(tokens_of(user)), as_json=options["json"])
            elif action == "create":
                self._create(str(user), options["name"], options["expires"], as_json=options["json"])
            else:
                revoke_token(str(user), options["name"])
                self.line(f"Revoked the token “{options['name']}” of {user}")
        except TvarrBackupError as problem:
            raise CommandError(str(problem)) from problem
        except DatabaseError as problem:
            raise CommandError(f"The database cannot be used: {problem}.") from problem

    def _create(self, user: str, name: str, lifetime: str | None, *, as_json: bool) -> None:
        made, secret = create_token(user, name, lifetime)
        if as_json:
            self.print_json(token_as_data(made) | {"token": secret})
            return
        self.line(f"Token “{name}” of {user}, {_end(made)}; it is shown this once:")
        self.line(secret)

    def _list(self, tokens: Sequence[ApiToken], *, as_json: bool) -> None:
        if as_json:
            self.print_json([token_as_data(token) for token in tokens])
            return
        rows = [
            (escape_hidden(token.name), escape_hidden(token.user.get_username()), f"created {_time(token.created)}")
            for token in tokens
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else []
        for row, token in zip(rows, tokens, strict=True):
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            self.line("  ".join([*cells, _end(token)]))
        if not rows:
            self.line("There are no tokens.")


def _end(token: ApiToken) -> str:
    if token.expiry is None:
        return "never expires"
    return f"{'expired' if token.is_expired else 'expires'} {_time(token.expiry)}"


def _time(moment: Any) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}"
