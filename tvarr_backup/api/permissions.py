"""Permissions of views that are not about one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.permissions import BasePermission, DjangoModelPermissions
from rest_framework.request import Request


class TablePermissions(DjangoModelPermissions):
    """Django's permissions of the view's model, the one to look included."""

    perms_map = DjangoModelPermissions.perms_map | {  # as in the framework
        "GET": ["%(app_label)s.view_%(model_name)s"],
        "HEAD": ["%(app_label)s.view_%(model_name)s"],
        "OPTIONS": ["%(app_label)s.view_%(model_name)s"],
    }


class NamedPermissions(BasePermission):
    """What the view's `required_permissions` say for its action, or for the method where it has no actions.

    A view that forgets one is closed to all but superusers.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        if not request.user.is_authenticated:
            return False
        required: Mapping[str, str] = view.required_permissions
        name = getattr(view, "action", None) or str(request.method).lower()
        return request.user.is_superuser or (name in required and request.user.has_perm(required[name]))
