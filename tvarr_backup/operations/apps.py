"""The application that keeps operations and backup settings, in the database `default`."""

from django.apps import AppConfig


class OperationsConfig(AppConfig):
    """Operations, their settings, and the admin's index of backups."""

    name = "tvarr_backup.operations"
    label = "operations"
    verbose_name = "Backups"
    default_auto_field = "django.db.models.BigAutoField"
