"""Addresses below `/api/v1`. A slash at the end is optional everywhere (`middleware.Entrance`)."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("tvarr_backup.api.docs")),
    path("", include("tvarr_backup.api.schedule")),  # before the backups: its address looks like one of theirs
    path("", include("tvarr_backup.api.backups")),
    path("", include("tvarr_backup.api.operations")),
    path("", include("tvarr_backup.api.portable")),  # before the kinds: `export` and `import` look like ids
    path("", include("tvarr_backup.api.kinds")),
    path("", include("tvarr_backup.api.expressions")),
]
