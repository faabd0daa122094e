"""The Django app of the pages, which has no tables."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "tvarr_backup.web"
    label = "web"
    verbose_name = "pages"
