"""Create, list and revoke API tokens. Only the answer of `create_token` has the secret."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from tvarr_backup.access.models import LONGEST_NAME, ApiToken
from tvarr_backup.durations import parse_duration
from tvarr_backup.errors import TokenInvalid, TokenNotFound, UserNotFound
from tvarr_backup.quoting import cut, quoted
from tvarr_backup.texts import find_hidden


def create_token(username: str, name: str, lifetime: str | None) -> tuple[ApiToken, str]:
    """Create a token and return it with its secret. It is valid for a duration such as `30d`, or until it is revoked.

    It outlives a change of the user's password. Raises `UserNotFound` or `TokenInvalid`.
    """
    user = user_named(username)
    if not user.is_active:
        raise UserNotFound(f"{username} is not active, and a token of {username} would not be accepted.")
    if len(name) > LONGEST_NAME:
        raise TokenInvalid(f"The name has {len(name)} characters; {_ALLOWED_NAMES}.")
    if not name.strip():
        raise TokenInvalid(f"The name is {cut(name)!r}; {_ALLOWED_NAMES}.")
    if hidden := find_hidden(name):
        raise TokenInvalid(f"Character {hidden[0].position} of the name is {hidden[0].point}; {_ALLOWED_NAMES}.")
    try:
        expiry = None if lifetime is None else parse_duration(lifetime)
    except ValueError as problem:
        raise TokenInvalid(str(problem)) from problem
    try:
        with transaction.atomic(using=user._state.db):  # noqa: SLF001  # where the user was found
            made: tuple[ApiToken, str] = ApiToken.objects.create(user=user, name=name, expiry=expiry)
    except IntegrityError as problem:
        raise TokenInvalid(
            f"{username} has a token {quoted(name)} already; choose another name, or revoke that one first."
        ) from problem
    return made


_ALLOWED_NAMES = f"allowed is one line of 1 to {LONGEST_NAME} characters that can be seen"


def tokens_of(username: str | None) -> QuerySet[ApiToken]:
    """Return the tokens of a user, or of all users, by user and name. Raises `UserNotFound`."""
    tokens: QuerySet[ApiToken] = ApiToken.objects.select_related("user").order_by("user__username", "name")
    return tokens if username is None else tokens.filter(user=user_named(username))


def revoke_token(username: str, name: str) -> None:
    """End a token: the next request with it is refused. Raises `UserNotFound` or `TokenNotFound`."""
    ended, _ = tokens_of(username).filter(name=name).delete()
    if not ended:
        raise TokenNotFound(f"{username} has no token {quoted(name)}; `token list` shows which there are.")


def user_named(username: str) -> User:
    """Return the user with exactly this name. Raises `UserNotFound`."""
    users: Any = get_user_model()
    try:
        found: User = users.objects.get_by_natural_key(username)
    except users.DoesNotExist as problem:
        raise UserNotFound(f"There is no user {quoted(username)}.") from problem
    return found


def token_as_data(token: ApiToken) -> dict[str, Any]:
    """Return a token as JSON data: times as ISO 8601, `expires` null where it never does."""
    return {
        "name": token.name,
        "user": token.user.get_username(),
        "created": token.created.isoformat(),
        "expires": token.expiry.isoformat() if token.expiry else None,
    }
