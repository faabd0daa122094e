"""Authentication by token, by name and password, or by the browser's session."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import copy
from typing import Any, NoReturn

from django.contrib.auth import authenticate
from django.http import HttpRequest, QueryDict
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.crypto import hash_token
from rest_framework.authentication import (
    BaseAuthentication,
    BasicAuthentication,
    CSRFCheck,
    SessionAuthentication,
    get_authorization_header,
)
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied, Throttled
from rest_framework.request import Request

from tvarr_backup.access import lockout
from tvarr_backup.access.models import ApiToken
from tvarr_backup.access.origins import explain_origin
from tvarr_backup.access.scopes import Scope
from tvarr_backup.errors import ScopeTooWide

_REALM = "tvarr-backup"
_TOKEN = re.compile(r"[0-9a-f]{64}", re.ASCII)
_WRONG_LOGIN = "The name or password is wrong."


class LockedOut(Throttled):
    """Too many wrong passwords for a name from an address."""

    default_code = "locked_out"

    def __init__(self, seconds: int) -> None:
        super().__init__(detail=lockout.describe_lockout(seconds))
        self.wait = seconds


class CsrfFailed(PermissionDenied):
    """A write with a browser session and without a CSRF token."""

    default_code = "csrf_failed"
    default_detail = "Writes with a browser session need the header X-CSRFToken."


class WrongOrigin(PermissionDenied):
    """A write with a browser session from another address."""

    default_code = "wrong_origin"


class BearerToken(BaseAuthentication):
    """`Authorization: Bearer TOKEN`."""

    def authenticate(self, request: Request) -> Any:
        """Return the token's user and the token, or None for another scheme."""
        scheme, *secret = get_authorization_header(request).split(None, 1) or [b""]
        return _authenticate_token(b"".join(secret).decode("latin-1")) if scheme.lower() == b"bearer" else None

    def authenticate_header(self, _request: Request) -> str:
        return f'Bearer realm="{_REALM}"'


class ApiKey(BearerToken):
    """`X-Api-Key: TOKEN`."""

    def authenticate(self, request: Request) -> Any:
        key = request.META.get("HTTP_X_API_KEY")
        return None if key is None else _authenticate_token(key)


class TokenInAddress(BearerToken):
    """`?token=TOKEN`, for images. Only a token that can do nothing but show the status badge is accepted.

    Browsers, proxies and the pages with the image store addresses. Raises `ScopeTooWide`.
    """

    def authenticate(self, request: Request) -> Any:
        secret = request.query_params.get("token")
        if secret is None:
            return None
        user, token = _authenticate_token(secret)
        if token.scope != Scope.BADGE:
            raise ScopeTooWide(
                'An address may only contain a token with the scope "{badge}", because others may store addresses. This one has '
                'the scope "{scope}". Create a new token, and revoke this one if others may have seen the address.',
                badge=Scope.BADGE.label,
                scope=Scope(token.scope).label,
            )
        return user, token


def _authenticate_token(secret: str) -> tuple[Any, ApiToken]:
    """Return a token's user and the token. The lookup is by hash, so secrets are never compared."""
    if not _TOKEN.fullmatch(secret):
        raise AuthenticationFailed("Expected a token of 64 hexadecimal digits.")
    token = ApiToken.objects.select_related("user").filter(digest=hash_token(secret)).first()
    if token is None:
        raise AuthenticationFailed("This token does not exist. It may be mistyped or revoked.")
    if token.is_expired:
        raise AuthenticationFailed("This token has expired.")
    if not token.user.is_active:
        raise AuthenticationFailed("The user of this token is not active.")
    token.store_use()
    return token.find_user(), token


class Basic(BasicAuthentication):
    """Name and password. Wrong ones are counted together with those of the sign-in page."""

    www_authenticate_realm = _REALM

    def authenticate_credentials(self, userid: str, password: str, request: Any = None) -> Any:
        """Pass a request without a body on, because django-axes reads forms and would read a whole upload."""
        if "\0" in userid + password:  # PostgreSQL raises an error for NUL
            raise AuthenticationFailed(_WRONG_LOGIN)
        without_body = HttpRequest()
        without_body.path = without_body.path_info = request.path_info.replace("\0", "")  # django-axes stores it
        without_body.META = request.META | {"PATH_INFO": without_body.path_info}
        user = authenticate(without_body, username=userid, password=password)
        address = request.META.get("REMOTE_ADDR", "")
        if getattr(without_body, "axes_locked_out", False):
            raise LockedOut(lockout.remaining_seconds(userid, address))
        if user is None:
            raise AuthenticationFailed(_WRONG_LOGIN)
        lockout.reset_failures(userid, address)
        return user, None


class Session(SessionAuthentication):
    """The browser's session. A write needs the CSRF token in a header."""

    def enforce_csrf(self, request: Request) -> None:
        """Check only the header. Django also looks for the token in the form, and would read a whole upload."""
        without_body: Any = copy(request._request)  # noqa: SLF001  # the framework has no other way to it
        without_body.POST = QueryDict()
        check = CSRFCheck(_unused)
        check.process_request(without_body)
        if check.process_view(without_body, None, (), {}):  # type: ignore[arg-type]  # as the framework calls it
            if sentence := explain_origin(without_body):
                raise WrongOrigin(sentence)
            raise CsrfFailed


def _unused(_request: HttpRequest) -> NoReturn:
    raise AssertionError


def _describe(authentication: type[BaseAuthentication], name: str, definition: Mapping[str, str]) -> None:
    """Describe a class in the OpenAPI document: drf-spectacular registers each subclass of its extension."""
    members = {"target_class": authentication, "name": name, "get_security_definition": lambda *_: definition}
    type(f"{authentication.__name__}Scheme", (OpenApiAuthenticationExtension,), members)


_describe(BearerToken, "bearer", {"type": "http", "scheme": "bearer"})
_describe(ApiKey, "apiKey", {"type": "apiKey", "in": "header", "name": "X-Api-Key"})
_describe(Basic, "basic", {"type": "http", "scheme": "basic"})
_COOKIE = "Its name ends with an underscore and eight digits that depend on the installation."
_describe(
    Session, "session", {"type": "apiKey", "in": "cookie", "name": "tvarr_backup_session", "description": _COOKIE}
)
