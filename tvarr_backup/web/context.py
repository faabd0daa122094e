"""Template context of all pages: navigation, running operation, one-time password."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from tvarr_backup.initial_password import has_one_time_password
from tvarr_backup.operations.models import KINDS_BESIDE, OPEN_STATES, Operation


class Place(NamedTuple):
    label: str
    url: str
    current: str = ""
    """`page` on the page itself, `true` on the pages below it."""


_BELOW = {"home": "backups/", "history": "operations/"}
"""Paths of pages below a place that do not begin with its own path."""
_PLACES = (
    ("Backups", "home", "operations.view_backup"),
    ("Locations", "locations", "operations.manage_locations"),
    ("Export", "export", "access.export_configuration"),
    ("Import", "import", "access.import_configuration"),
    ("Configuration", "configuration", "access.export_configuration"),
    ("History", "history", "operations.view_operation"),
    ("Settings", "settings", "operations.view_backupsettings"),
    ("Alerts", "receivers", "operations.manage_receivers"),
)


def page(request: HttpRequest) -> dict[str, Any]:
    """Return the context. Functions are called only by templates that use them."""
    return {
        "csrf_cookie": settings.CSRF_COOKIE_NAME,
        "navigation": lambda: _navigation(request),
        "running": lambda: _running(request),
        "one_time_password": lambda: has_one_time_password(request.user),
    }


def _running(request: HttpRequest) -> Operation | None:
    if not request.user.has_perm("operations.view_operation"):
        return None
    return (
        Operation.objects.filter(state__in=OPEN_STATES)
        .exclude(kind__in=KINDS_BESIDE)
        .only("kind", "state", "phase", "percent")
        .first()
    )


def _navigation(request: HttpRequest) -> list[Place]:
    here = request.resolver_match.url_name if request.resolver_match else ""
    below = [name for _label, name, _permission in _PLACES if _is_below(request, name)]
    around = max(below, key=lambda name: len(reverse(name)), default="")
    places = [
        Place(label, reverse(name), "page" if here == name else "true" if around == name else "")
        for label, name, permission in _PLACES
        if request.user.has_perm(permission)
    ]
    return [*places, *([Place("Admin", reverse("admin:index"))] if admin.site.has_permission(request) else [])]


def _is_below(request: HttpRequest, name: str) -> bool:
    top = reverse("home")
    return request.path.startswith(top + _BELOW[name] if name in _BELOW else reverse(name))
