"""Scopes of tokens: how much of its user's permissions a token has."""

from __future__ import annotations

from django.db.models import TextChoices

from tvarr_backup.access.groups import ADMINISTRATOR, VIEWER


class Scope(TextChoices):
    BADGE = "badge", "Status badge"
    READ = "read", "Read only"
    BACKUPS = "backups", "Backups"
    CONFIGURATION = "configuration", "Configuration"
    ALL = "all", "All permissions"


DESCRIPTIONS = {
    Scope.BADGE: "Shows the status badge and nothing else, so it can be part of an address.",
    Scope.READ: "Reads what you can see, and downloads backups and exports. Changes nothing.",
    Scope.BACKUPS: "Makes, uploads, restores and deletes backups, and changes the settings, as far as you can.",
    Scope.CONFIGURATION: "Edits, exports and imports filters and other items, as far as you can.",
    Scope.ALL: "Does everything you can do.",
}

_PERMISSIONS: dict[Scope, frozenset[str]] = {
    Scope.BADGE: frozenset(),  # the badge itself checks the permissions of the token's user
    Scope.READ: VIEWER | {"operations.download_backup"},
    Scope.BACKUPS: frozenset(name for name in ADMINISTRATOR if name.startswith("operations.")),
    Scope.CONFIGURATION: frozenset(name for name in ADMINISTRATOR if not name.startswith("operations.")),
}


def allows(scope: str, permission: str) -> bool:
    """Return whether a scope includes a permission, which the user must have, too."""
    return scope == Scope.ALL or permission in _PERMISSIONS[Scope(scope)]
