"""The stock admin under our name: the four kinds to edit, the catalogue to look at."""

from django.contrib import admin

from tvarr_backup.admin import catalogue, kinds

__all__ = ["catalogue", "kinds"]

admin.site.site_header = "tvarr-backup"
admin.site.site_title = "tvarr-backup"
admin.site.index_title = "Administration"
admin.site.site_url = None  # there is nothing but the admin yet to go to
