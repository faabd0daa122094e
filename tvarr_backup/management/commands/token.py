"""`token`: keys for programs that use the HTTP API."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError

from tvarr_backup.access.models import ApiToken
from tvarr_backup.access.tokens import create_token, list_tokens, revoke_token, token_as_data
from tvarr_backup.formatting import format_exact_time
from tvarr_backup.management.terminal import TerminalCommand, align
from tvarr_backup.operations.app_database import require_app_database
from tvarr_backup.texts import escape_hidden


class Command(TerminalCommand):
    """Results on stdout, exit 1 with a sentence on failure. A token is printed when it is made, and never again."""

    help = "Make, list and revoke tokens for the HTTP API."

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
                self._list(list(list_tokens(user)))
            elif action == "create":
                self._create(str(user), options["name"], options["expires"])
            else:
                revoke_token(str(user), options["name"])
                self.line(f"Revoked the token “{options['name']}” of {user}")
        except DatabaseError as problem:
            raise CommandError(f"The database cannot be used: {problem}.") from problem

    def _create(self, user: str, name: str, lifetime: str | None) -> None:
        made, secret = create_token(user, name, lifetime)
        sentence = f"Token “{name}” of {user}, {_end(made)}; it is shown this once:"
        self.print_result(token_as_data(made) | {"token": secret}, sentence, secret)

    def _list(self, tokens: Sequence[ApiToken]) -> None:
        rows = [
            (
                escape_hidden(token.name),
                escape_hidden(token.user.get_username()),
                f"created {format_exact_time(token.created)}",
                _end(token),
            )
            for token in tokens
        ]
        self.print_result([token_as_data(token) for token in tokens], *align(rows) or ["There are no tokens."])


def _end(token: ApiToken) -> str:
    if token.expiry is None:
        return "never expires"
    return f"{'expired' if token.is_expired else 'expires'} {format_exact_time(token.expiry)}"
