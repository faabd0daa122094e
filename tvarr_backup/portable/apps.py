"""The application that keeps what imports must remember, in the database `default`."""

from django.apps import AppConfig


class PortableConfig(AppConfig):
    """References that wait for what they name."""

    name = "tvarr_backup.portable"
    verbose_name = "Import and export"
