"""The Django app of the pages, which has no tables."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    """Pages, with their template tags."""

    name = "tvarr_backup.web"
    label = "web"
    verbose_name = "pages"
