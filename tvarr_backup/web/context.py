"""What every page shows: where one can go, and what is under way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from tvarr_backup.operations.models import Operation


@dataclass(frozen=True)
class Entry:
    """A place to go to."""

    label: str
    url: str
    is_here: bool


_PLACES = (
    ("Backups", "home", "operations.view_backup"),
    ("Export", "export", "access.export_configuration"),
    ("Import", "import", "access.import_configuration"),
    ("History", "history", "operations.view_operation"),
    ("Settings", "settings", "operations.view_backupsettings"),
)


def page(request: HttpRequest) -> dict[str, Any]:
    """For the templates; costs a query only where the running operation is shown."""
    return {
        "navigation": lambda: _navigation(request),
        "running": cache(lambda: _running(request)),
    }


def _running(request: HttpRequest) -> Operation | None:
    is_shown = request.user.has_perm("operations.view_operation")
    return next(iter(Operation.open_ones()), None) if is_shown else None


def _navigation(request: HttpRequest) -> list[Entry]:
    here = request.resolver_match.url_name if request.resolver_match else ""
    entries = [
        Entry(label, reverse(name), is_here=here == name)
        for label, name, permission in _PLACES
        if request.user.has_perm(permission)
    ]
    if request.user.is_staff:
        entries.append(Entry("Admin", reverse("admin:index"), is_here=False))
    return entries
