"""Rows in the admin that are looked at, and written by nobody's hand."""

from django.db.models import Model
from django.http import HttpRequest

from tvarr_backup.admin.visible import VisibleTexts


class LookOnlyAdmin(VisibleTexts):
    """Rows that nobody writes by hand."""

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Model | None = None) -> bool:
        return False
