"""The Django app of operations and backup settings, in the database `default`."""

from django.apps import AppConfig


class OperationsConfig(AppConfig):
    """Configuration of the app."""

    name = "tvarr_backup.operations"
    label = "operations"
    verbose_name = "Backups"
    default_auto_field = "django.db.models.BigAutoField"
