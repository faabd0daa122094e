"""API tokens, and the permissions to export and import."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from knox.models import AbstractAuthToken

from tvarr_backup.texts import escape_hidden

LONGEST_NAME = 100


class ApiToken(AbstractAuthToken):  # type: ignore[misc]  # knox has no types
    """A key that lets a script use the API as its user. Only its hash is stored; deleting the row revokes it."""

    name: models.CharField[str, str] = models.CharField(
        max_length=LONGEST_NAME, help_text="What uses it, so that it can be revoked by name."
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


class Configuration(models.Model):  # noqa: DJ008  # there are no rows
    """No table, only the permissions to export and import."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = [
            ("export_configuration", "Can export configuration"),
            ("import_configuration", "Can import configuration"),
        ]
