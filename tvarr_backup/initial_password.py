"""The file with the one-time password of the first administrator."""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


def has_one_time_password(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Return whether a user must still replace the one-time password."""
    return user.get_username() == settings.ADMIN_USERNAME and settings.INITIAL_PASSWORD_PATH.exists()


class InitialPasswordFile:
    """Deletes the file when the password changes. It is a validator, because Django notifies validators of changes."""

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """Accept every password."""

    def get_help_text(self) -> str:
        return "The file with the one-time password is deleted when you save a new password."

    def password_changed(self, password: str, user: Any = None) -> None:
        """Delete the file unless it contains the new password."""
        path = settings.INITIAL_PASSWORD_PATH
        try:
            saved = path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return
        if saved != password and user is not None and user.get_username() == settings.ADMIN_USERNAME:
            path.unlink(missing_ok=True)
