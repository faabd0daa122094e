"""What the three groups may do. They are made once, by a migration; afterwards they belong to the administrator."""

from __future__ import annotations

_KINDS = ("filter", "datamappingrule", "clientdetectionrule", "encodingprofile")

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
    *(f"tvarr_backup.{what}_{model}" for what in ("add", "change", "delete") for model in _KINDS),
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
}
GROUPS = {"Viewer": VIEWER, "Operator": OPERATOR, "Administrator": ADMINISTRATOR}
