"""The application that holds tvarr's tables."""

from django.apps import AppConfig


class TvarrBackupConfig(AppConfig):
    """The mirrored tables, in the database `tvarr`."""

    name = "tvarr_backup"
    label = "tvarr_backup"
    verbose_name = "tvarr"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks."""
        from tvarr_backup import checks  # noqa: F401, PLC0415  # registers on import; needs the settings
