"""How a request says whose it is: a token, a name and password, or the browser's session."""

from __future__ import annotations

from typing import Any

from knox.auth import TokenAuthentication
from rest_framework.authentication import BasicAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request


class BearerToken(TokenAuthentication):  # type: ignore[misc]  # knox has no types
    """`Authorization: Bearer TOKEN`."""

    def authenticate_credentials(self, token: bytes) -> Any:
        """Who has this token, and the token; what is no token at all is an invalid one."""
        if not token.isascii():
            raise AuthenticationFailed("Invalid token.")
        return super().authenticate_credentials(token)


class ApiKey(BearerToken):
    """`X-Api-Key: TOKEN`, as programs of this field send it."""

    def authenticate(self, request: Request) -> Any:
        key = request.META.get("HTTP_X_API_KEY", "")
        return self.authenticate_credentials(key.encode("utf-8", "surrogateescape")) if key else None

    def authenticate_header(self, _request: Request) -> str:
        return "X-Api-Key"


class Basic(BasicAuthentication):
    """Name and password, for `curl -u`."""

    www_authenticate_realm = "tvarr-backup"
