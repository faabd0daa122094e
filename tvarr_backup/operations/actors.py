"""Who takes an action: a user, or the system's administrator, who runs the commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import PermissionDenied

from tvarr_backup.operations.models import Origin


class SystemAdministrator:
    """A person with access to the files, who may do everything."""

    def has_perm(self, _permission: str) -> bool:
        return True


@dataclass(frozen=True)
class Actor:
    """A user of Django's, nobody in particular, or the system's administrator, and the entrance that is used."""

    user: Any
    origin: Origin

    def may(self, permission: str) -> bool:
        return bool(self.user.has_perm(permission))

    def require(self, permission: str) -> None:
        """Raise `PermissionDenied` without the permission."""
        if not self.may(permission):
            raise PermissionDenied

    @property
    def is_administrator(self) -> bool:
        """Whether the actor may replace all data. Then folders of the machine and other users' imports are shown, too."""
        return self.may("operations.restore_backup")

    @property
    def requested_by(self) -> AbstractBaseUser | None:
        """The user that an operation keeps; None for the system's administrator."""
        return self.user if isinstance(self.user, AbstractBaseUser) else None


COMMAND_LINE = Actor(SystemAdministrator(), Origin.COMMAND)
