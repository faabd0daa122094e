"""The app of tvarr's tables."""

from django.apps import AppConfig


class TvarrBackupConfig(AppConfig):
    """tvarr's tables, in the database `tvarr`."""

    name = "tvarr_backup"
    verbose_name = "Filters, rules and profiles"

    def ready(self) -> None:
        """Register system checks, apply the settings for file sharing, and prepare each connection to tvarr's database."""
        from django.db.backends.signals import connection_created  # noqa: PLC0415  # needs the settings

        from tvarr_backup import conf  # noqa: PLC0415  # the same
        from tvarr_backup.backups.sharing import set_sharing  # noqa: PLC0415  # the same

        set_sharing(conf.sharing())

        from tvarr_backup import checks, tvarr_database  # noqa: F401, PLC0415  # registers on import; the same

        connection_created.connect(tvarr_database.make_readable, dispatch_uid="tvarr_database.make_readable")
