"""Create, list and revoke API tokens. Only `create_token` returns the secret."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from tvarr_backup.access.models import LONGEST_NAME, ApiToken
from tvarr_backup.access.scopes import Scope
from tvarr_backup.durations import parse_duration
from tvarr_backup.errors import TokenInvalid, TokenNotFound, UserNotFound
from tvarr_backup.quoting import quoted
from tvarr_backup.texts import find_hidden


def create_token(username: str, name: str, lifetime: str | None, scope: Scope = Scope.ALL) -> tuple[ApiToken, str]:
    """Create a token with a lifetime such as `30d`, or without an end. Return it with its secret.

    A new password does not end it. Raises `UserNotFound` or `TokenInvalid`.
    """
    user = find_user(username)
    if not user.is_active:
        raise UserNotFound("{user} is not active and cannot use a token. Activate the user first.", user=username)
    if not name.strip() or len(name) > LONGEST_NAME or find_hidden(name):
        sentence = "Expected a name of 1 to {most} visible characters on one line, got {name}."
        raise TokenInvalid(sentence, most=LONGEST_NAME, name=quoted(name))
    try:
        expiry = None if lifetime is None else parse_duration(lifetime)
    except ValueError as problem:
        raise TokenInvalid(str(problem)) from problem
    try:
        with transaction.atomic(using=user._state.db):  # noqa: SLF001  # where the user was found
            created: tuple[ApiToken, str] = ApiToken.objects.create(user=user, name=name, expiry=expiry, scope=scope)
    except IntegrityError as problem:
        sentence = "{user} already has a token {name}. Choose another name, or revoke that token first."
        raise TokenInvalid(sentence, user=username, name=quoted(name)) from problem
    return created


def list_tokens(username: str | None) -> QuerySet[ApiToken]:
    """Return the tokens of a user, or of all users, by user and name. Raises `UserNotFound`."""
    tokens: QuerySet[ApiToken] = ApiToken.objects.select_related("user").order_by("user__username", "name")
    return tokens if username is None else tokens.filter(user=find_user(username))


def revoke_token(username: str, name: str) -> None:
    """Revoke a token: the next request with it is refused. Raises `UserNotFound` or `TokenNotFound`."""
    deleted, _ = list_tokens(username).filter(name=name).delete()
    if not deleted:
        sentence = "{user} has no token {name}. List the tokens with `token list`."
        raise TokenNotFound(sentence, user=username, name=quoted(name))


def find_user(username: str) -> User:
    """Return the user with exactly this name. Raises `UserNotFound`."""
    users: Any = get_user_model()
    try:
        found: User = users.objects.get_by_natural_key(username)
    except users.DoesNotExist as problem:
        raise UserNotFound("There is no user {user}.", user=quoted(username)) from problem
    return found


def token_as_data(token: ApiToken) -> dict[str, Any]:
    """Return a token as JSON data. Times are ISO 8601; `expires` is None without an end, `last_used` before any use."""
    return {
        "name": token.name,
        "user": token.user.get_username(),
        "scope": token.scope,
        "created": token.created.isoformat(),
        "expires": token.expiry.isoformat() if token.expiry else None,
        "last_used": token.last_used.isoformat() if token.last_used else None,
    }
