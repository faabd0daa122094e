"""The Django app of tokens and groups, whose tables are in `default`."""

from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "tvarr_backup.access"
    label = "access"
    verbose_name = "API tokens"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the audit log to its signals."""
        from tvarr_backup.access import audit_log  # noqa: F401, PLC0415  # connects on import, and needs the models
