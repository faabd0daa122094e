"""Actors: the users who take actions, and the system administrator who runs commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import PermissionDenied

from tvarr_backup.operations.models import Origin


class SystemAdministrator:
    """The user who runs commands and has access to the files. May do everything."""

    def has_perm(self, _permission: str) -> bool:
        return True


@dataclass(frozen=True)
class Actor:
    """A user (of Django, anonymous, or the system administrator) and the entrance they use."""

    user: Any
    origin: Origin

    def may(self, permission: str) -> bool:
        return bool(self.user.has_perm(permission))

    def require(self, permission: str) -> None:
        """Raise `PermissionDenied` if the actor lacks the permission."""
        if not self.may(permission):
            raise PermissionDenied

    @property
    def is_administrator(self) -> bool:
        """Whether the actor may restore backups. Only administrators see folder names and other users' imports."""
        return self.may("operations.restore_backup")

    @property
    def requested_by(self) -> AbstractBaseUser | None:
        """The user to record with an operation; None for commands."""
        return self.user if isinstance(self.user, AbstractBaseUser) else None


COMMAND_LINE = Actor(SystemAdministrator(), Origin.COMMAND)
