"""The command `token`."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from structlog.contextvars import bound_contextvars

from tvarr_backup.access.models import ApiToken
from tvarr_backup.access.scopes import Scope
from tvarr_backup.access.tokens import create_token, list_tokens, revoke_token, token_as_data
from tvarr_backup.formatting import format_exact_time
from tvarr_backup.management.own_database import own_database
from tvarr_backup.management.terminal import TerminalCommand, add_action
from tvarr_backup.operations.models import Origin

_HEADINGS = ("Name", "User", "Scope", "Created", "Expires", "Last used")


class Command(TerminalCommand):
    help = "Create, list and revoke API tokens."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        create = add_action(actions, "create", "Create an API token and print it once.")
        listing = add_action(actions, "list", "List tokens, without their secrets.")
        revoke = add_action(actions, "revoke", "Revoke a token.")
        for action in (create, revoke):
            action.add_argument("name", help="name of the token")
            action.add_argument("--user", required=True, help="the user whose permissions it has")
        create.add_argument(
            "--expires", metavar="DURATION", help="expires after this time, such as 30d; default: never"
        )
        create.add_argument(
            "--scope", choices=Scope.values, default=Scope.ALL, help=f"what it can do; default: {Scope.ALL}"
        )
        listing.add_argument("--user", help="only tokens of this user")
        for action in (create, listing):
            action.add_argument("--json", action="store_true", help="print one JSON value")

    @bound_contextvars(origin=str(Origin.COMMAND))
    def handle(self, *_args: Any, action: str, user: str | None, **options: Any) -> None:
        with own_database():
            if action == "list":
                self._list(list(list_tokens(user)))
            elif action == "create":
                self._create(str(user), options["name"], options["expires"], Scope(options["scope"]))
            else:
                revoke_token(str(user), options["name"])
                self.line(f'Revoked token "{options["name"]}" of {user}')

    def _create(self, user: str, name: str, lifetime: str | None, scope: Scope) -> None:
        made, secret = create_token(user, name, lifetime, scope)
        sentence = f'Token "{name}" of {user}, scope {scope}, expires: {_format_expiry(made)}. Copy it now. You won\'t be able to see it again:'
        self.print_result(token_as_data(made) | {"token": secret}, sentence, secret)

    def _list(self, tokens: Sequence[ApiToken]) -> None:
        rows = [
            (
                token.name,
                token.user.get_username(),
                token.scope,
                format_exact_time(token.created),
                _format_expiry(token),
                format_exact_time(token.last_used) if token.last_used else "never",
            )
            for token in tokens
        ]
        lines = self.table(_HEADINGS, rows) if rows else ["There are no tokens."]
        self.print_result([token_as_data(token) for token in tokens], *lines)


def _format_expiry(token: ApiToken) -> str:
    if token.expiry is None:
        return "never"
    return f"{'expired ' if token.is_expired else ''}{format_exact_time(token.expiry)}"
