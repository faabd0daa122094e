"""Who may do what: by the table that a view is about, or by what the view says. Nobody without a user may anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rest_framework.permissions import BasePermission, DjangoModelPermissions
from rest_framework.request import Request

BY_THE_ACTION = "asked for by the action"
"""Stands in `required_permissions` for a method that takes an action of `operations.actions`, which asks by itself."""

Required = Mapping[str, str | Sequence[str]]
"""The permissions that a view requires, by method or action."""


class TablePermissions(DjangoModelPermissions):
    """Django's permissions of the view's model, the one to look included."""

    perms_map = DjangoModelPermissions.perms_map | {  # as in the framework
        "GET": ["%(app_label)s.view_%(model_name)s"],
        "HEAD": ["%(app_label)s.view_%(model_name)s"],
        "OPTIONS": ["%(app_label)s.view_%(model_name)s"],
    }

    def has_permission(self, request: Request, view: Any) -> bool:
        return bool(_only_asks_for_methods(request, view) or super().has_permission(request, view))


class NamedPermissions(BasePermission):
    """What the view's `required_permissions` say for its action, or for the method where it has no actions.

    Where it names several, all are needed. A view that forgets one is closed to all but superusers. HEAD needs what GET
    needs.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        if _only_asks_for_methods(request, view):
            return True
        if not request.user.is_authenticated:
            return False
        required: Required = view.required_permissions
        wanted = required.get(action_of(view, request), ())
        if wanted == BY_THE_ACTION:
            return True
        wanted = (wanted,) if isinstance(wanted, str) else wanted
        return request.user.is_superuser or (bool(wanted) and request.user.has_perms(wanted))


def action_of(view: Any, request: Request) -> str:
    """Return the name of a view's action, or the method where it has no actions; HEAD is as GET."""
    return getattr(view, "action", None) or str(request.method).lower().replace("head", "get")


def _only_asks_for_methods(request: Request, view: Any) -> bool:
    """Whether a user will only learn which methods there are: from OPTIONS, or from the refusal of one that is not."""
    method = str(request.method).lower()
    known = method in view.http_method_names and hasattr(view, method)
    return bool(request.user.is_authenticated and (method == "options" or not known))
