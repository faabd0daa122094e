"""The admin's site, which decides who may open it."""

from __future__ import annotations

from django.contrib.admin import AdminSite
from django.http import HttpRequest

from tvarr_backup.portable.kinds import KINDS


class Site(AdminSite):
    site_header = "tvarr-backup"
    site_title = "tvarr-backup"
    index_title = "Administration"

    def has_permission(self, request: HttpRequest) -> bool:
        """Let staff in, and users who may edit filters or other items, which have no other pages to edit them."""
        edits = (f"tvarr_backup.change_{kind.model._meta.model_name}" for kind in KINDS.values())
        return super().has_permission(request) or any(request.user.has_perm(permission) for permission in edits)
