"""The app of the admin. It is not in a module `apps`, where Django would find two configurations."""

from django.contrib.admin.apps import AdminConfig


class TvarrBackupAdminConfig(AdminConfig):
    default_site = "tvarr_backup.access.admin_site.Site"  # not in the package that registers with it
