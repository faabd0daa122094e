"""Permissions of views: those of a table, or those that the view names. All require a user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rest_framework.permissions import BasePermission, DjangoModelPermissions
from rest_framework.request import Request

CHECKED_BY_ACTION = "checked by the action"
"""In `required_permissions`: the function of `operations.actions` that the method calls checks the permission."""

_FOR_SUPERUSERS = "for.superusers"
"""A permission that only superusers have, because nobody can give it."""

Required = Mapping[str, str | Sequence[str]]
"""The permissions that a view requires, by method or action."""


class TablePermissions(DjangoModelPermissions):
    """Django's permissions of the view's model, including the one to view it."""

    perms_map = DjangoModelPermissions.perms_map | {
        "GET": ["%(app_label)s.view_%(model_name)s"],
        "HEAD": ["%(app_label)s.view_%(model_name)s"],
        "OPTIONS": ["%(app_label)s.view_%(model_name)s"],
    }

    def has_permission(self, request: Request, view: Any) -> bool:
        return bool(_asks_for_methods(request, view) or super().has_permission(request, view))


class NamedPermissions(BasePermission):
    """The `required_permissions` of the view's action, or of the method if the view has no actions.

    All that are named are required. If none is named, only superusers have access. HEAD requires the same as GET.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        if _asks_for_methods(request, view):
            return True
        if not request.user.is_authenticated:
            return False
        required: Required = view.required_permissions
        wanted = required.get(action_of(view, request), ())
        if wanted == CHECKED_BY_ACTION:
            return True
        wanted = (wanted,) if isinstance(wanted, str) else wanted
        return bool(request.user.has_perms(wanted or (_FOR_SUPERUSERS,)))


def action_of(view: Any, request: Request) -> str:
    """Return the name of a view's action, or the method if the view has no actions. HEAD counts as GET."""
    return getattr(view, "action", None) or str(request.method).lower().replace("head", "get")


def _asks_for_methods(request: Request, view: Any) -> bool:
    """Whether a user will only learn the methods: by OPTIONS, or because this method does not exist."""
    method = str(request.method).lower()
    known = method in view.http_method_names and hasattr(view, method)
    return bool(request.user.is_authenticated and (method == "options" or not known))
