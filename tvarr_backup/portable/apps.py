"""The Django app of imports. Its table in the database `default` has the references that wait for their target."""

from django.apps import AppConfig


class PortableConfig(AppConfig):
    name = "tvarr_backup.portable"
    verbose_name = "Import and export"
