"""Sign-in by a trusted proxy: it names the user and the user's roles in headers.

The headers count only if the connection comes from one of `PROXY_ADDRESSES`. A user with a password stays with it: a proxy
can neither sign in as such a user nor change the roles.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, login, logout
from django.contrib.auth.models import User
from django.db import IntegrityError, router, transaction
from django.http import HttpRequest

from tvarr_backup.access.roles import Role, add_user, assign_role
from tvarr_backup.errors import ProxyUserRefused, UserInvalid
from tvarr_backup.quoting import quoted

_BACKEND = "django.contrib.auth.backends.RemoteUserBackend"
_ROLE = "proxy_role"
_PREFIX = "tvarr-backup-"
"""May come before a role, for groups of a directory that other programs use too."""

logger = structlog.stdlib.get_logger(__name__)


def sign_in_by_proxy(request: HttpRequest) -> None:
    """Sign in the user whom the proxy names, with the present role. Sign out a user whom it no longer names.

    A user who signed in with a password stays signed in. Raises `ProxyUserRefused`.
    """
    by_proxy = is_signed_in_by_proxy(request)
    if request.user.is_authenticated and not by_proxy:
        return
    name = find_named_user(request)
    if not name:
        if by_proxy:
            logout(request)
        return
    role = _find_role(request)
    if by_proxy and request.user.get_username() == name and request.session.get(_ROLE) == role:
        return
    try:
        user = _update_user(name, role)
    except ProxyUserRefused:
        logout(request)
        logger.warning("login.refused", user=name, address=request.META["REMOTE_ADDR"])
        raise
    login(request, user, backend=_BACKEND)
    request.session[_ROLE] = role


def is_signed_in_by_proxy(request: HttpRequest) -> bool:
    return bool(request.session.get(BACKEND_SESSION_KEY) == _BACKEND)


def find_named_user(request: HttpRequest) -> str:
    """Return the name in the header of a trusted proxy, or "" if there is none."""
    header = settings.PROXY_USER_HEADER
    return _read(request, header) if header and _comes_from_proxy(request) else ""


def _comes_from_proxy(request: HttpRequest) -> bool:
    """Return whether the connection itself comes from a trusted address. Headers about the client do not count."""
    try:
        address = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:  # a socket file
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in settings.PROXY_ADDRESSES)


def _read(request: HttpRequest, header: str) -> str:
    """Return a header's text, which proxies send as UTF-8 and WSGI as Latin-1. PostgreSQL refuses NUL."""
    raw = request.headers.get(header, "").strip().encode("latin-1", "replace")
    return User.normalize_username(raw.decode(errors="replace").replace("\x00", "\ufffd"))


def _find_role(request: HttpRequest) -> str:
    """Return the highest role in the header, or the default role, or "none"."""
    header = settings.PROXY_ROLES_HEADER
    sent = re.split(r"[,;|]", _read(request, header).lower()) if header else []
    named = {group.strip().removeprefix(_PREFIX) for group in sent}
    return next((role.value for role in Role if role.value in named), settings.PROXY_DEFAULT_ROLE)


def _update_user(name: str, role: str) -> User:
    """Return the user with this role and no other, after adding a new one. Raises `ProxyUserRefused`."""
    if role not in Role:
        raise ProxyUserRefused(
            "The proxy signs in {user} without a role, and there is no default role.", user=quoted(name)
        )
    user = User.objects.filter(username=name).first() or _add(name)
    if user.has_usable_password():
        raise ProxyUserRefused(
            "The user {user} has a password here, so a proxy cannot sign in with this name. Sign in with the password, or "
            "disable it on the user's page in the admin.",
            user=quoted(name),
        )
    if not user.is_active:
        raise ProxyUserRefused("The user {user} is not active.", user=quoted(name))
    is_administrator = role == Role.ADMINISTRATOR
    with transaction.atomic(using=router.db_for_write(User)):
        _assign(user, Role(role))
        user.is_staff = user.is_superuser = is_administrator
        user.save(update_fields=["is_staff", "is_superuser"])
    return user


def _add(name: str) -> User:
    try:
        return add_user(name, None, None)
    except (UserInvalid, IntegrityError) as problem:
        if user := User.objects.filter(username=name).first():  # another request has just added the user
            return user
        raise ProxyUserRefused("Expected one user name from the proxy, got {user}.", user=quoted(name)) from problem


def _assign(user: Any, role: Role) -> None:
    try:
        assign_role(user, role)
    except UserInvalid as problem:
        raise ProxyUserRefused("{problem}", problem=problem) from problem
