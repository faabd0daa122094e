"""Rows in the admin that are looked at, and written by nobody's hand."""

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest


class LookOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # the stub is generic, the class is not
    """Rows that nobody writes by hand."""

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Model | None = None) -> bool:
        return False
