"""API tokens, and the permissions to export and import."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import DatabaseError, models
from django.utils import timezone
from knox.models import AbstractAuthToken

from tvarr_backup.access.scopes import Scope, allows
from tvarr_backup.texts import escape_hidden

LONGEST_NAME = 100
_USE_IS_STORED_EVERY = timedelta(hours=1)


class ScopedUser(User):  # type: ignore[django-manager-missing]  # knox has no types
    """The user of a token, with only those of their permissions that the token's scope includes."""

    scope: Scope = Scope.READ
    is_outside_scope = False
    """Whether the scope does not include the permission that was asked for last."""

    class Meta:
        proxy = True
        default_permissions = ()

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        self.is_outside_scope = not allows(self.scope, perm)
        return not self.is_outside_scope and super().has_perm(perm, obj)


class ApiToken(AbstractAuthToken):  # type: ignore[misc]  # knox has no types
    """A key that lets a script use the API as its user. Only its hash is stored; deleting the row revokes it."""

    name: models.CharField[str, str] = models.CharField(
        max_length=LONGEST_NAME, help_text="What uses it, so that it can be revoked by name."
    )

    scope: models.CharField[str, str] = models.CharField(max_length=20, choices=Scope.choices, default=Scope.ALL)
    last_used: models.DateTimeField[Any, Any] = models.DateTimeField(
        null=True, editable=False, help_text="Stored at most once an hour."
    )

    class Meta:
        verbose_name = "API token"
        ordering = ["user", "name"]
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="one_token_of_a_name_per_user")]

    def __str__(self) -> str:
        return escape_hidden(f"{self.name} ({self.user})")

    @property
    def is_expired(self) -> bool:
        """Whether it has expired. Expired tokens stay listed until they are revoked."""
        return self.expiry is not None and self.expiry <= timezone.now()

    def find_user(self) -> User:
        """Return the user with the permissions that the token has."""
        if self.scope == Scope.ALL:
            user: User = self.user
            return user
        scoped = ScopedUser.objects.get(pk=self.user_id)
        scoped.scope = Scope(self.scope)
        return scoped

    def store_use(self) -> None:
        """Store that the token is used now, if it was not stored in the last hour or so and the database permits it."""
        now = timezone.now()
        if self.last_used is None or now - self.last_used >= _USE_IS_STORED_EVERY:
            with suppress(DatabaseError):
                ApiToken.objects.filter(pk=self.pk).update(last_used=now)


class Configuration(models.Model):  # noqa: DJ008  # there are no rows
    """No table, only the permissions to export and import."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = [
            ("export_configuration", "Can export configuration"),
            ("import_configuration", "Can import configuration"),
        ]
