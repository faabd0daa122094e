"""Permissions of the three groups. A migration creates the groups once; administrators may then change them.

A later permission needs a migration that gives it to existing groups, as `0004_locations` does.
"""

from __future__ import annotations

from tvarr_backup.portable.kinds import KINDS

_KINDS = [kind.model._meta.model_name for kind in KINDS.values()]

VIEWER = frozenset(
    {
        *(f"tvarr_backup.view_{model}" for model in _KINDS),
        "access.export_configuration",
        "operations.view_backup",
        "operations.view_operation",
        "operations.view_backupsettings",
    }
)
OPERATOR = VIEWER | {
    *(f"tvarr_backup.{action}_{model}" for action in ("add", "change", "delete") for model in _KINDS),
    "access.import_configuration",
    "operations.create_backup",
    "operations.download_backup",
    "operations.verify_backup",
    "operations.protect_backup",
}
ADMINISTRATOR = OPERATOR | {
    "operations.restore_backup",
    "operations.delete_backup",
    "operations.change_backupsettings",
    "operations.manage_locations",
    "operations.manage_receivers",
}
GROUPS = {"Viewer": VIEWER, "Operator": OPERATOR, "Administrator": ADMINISTRATOR}
