"""The application of the pages; it has no tables."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    """Templates and tags."""

    name = "tvarr_backup.web"
    label = "web"
    verbose_name = "pages"
