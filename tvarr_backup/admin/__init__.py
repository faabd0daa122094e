"""Django's admin for the four kinds, backups, operations, settings and users."""

from django.apps import apps
from django.contrib import admin

from tvarr_backup.admin import access, backups, kinds, operations, users

__all__ = ["access", "backups", "kinds", "operations", "users"]

admin.site.site_header = "tvarr-backup"
admin.site.site_title = "tvarr-backup"
admin.site.index_title = "Administration"

# Operations show more than tasks of the queue, and tasks must not be queued here.
admin.site.unregister(
    [model for model in apps.get_app_config("django_q").get_models() if admin.site.is_registered(model)]
)
