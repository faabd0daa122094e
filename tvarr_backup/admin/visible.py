"""Base classes of the admin: texts with hidden characters escaped, and read-only rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from functools import cache
from typing import Any, cast

from django.contrib import admin
from django.db.models import CharField, Field, JSONField, Model, TextField
from django.http import HttpRequest
from django.utils.html import format_html

from tvarr_backup.texts import escape_for_json, escape_hidden

Column = Any
"""A column in Django's options: its name, or a function of a row."""


class EscapedTextAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # the stub is generic, the class is not
    """Escapes hidden characters of all text columns, in lists and in read-only fields."""

    def get_list_display(self, request: HttpRequest) -> list[Column]:
        return [self._escaped(name, in_list=True) for name in super().get_list_display(request)]

    def get_sortable_by(self, request: HttpRequest) -> list[Column]:
        return [self._escaped(name, in_list=True) for name in super().get_sortable_by(request)]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return [self._escaped(name, in_list=False) for name in super().get_readonly_fields(request, obj)]

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Escape the fields of the fieldsets, too, which Django shows if nothing can be edited."""
        fieldsets = super().get_fieldsets(request, obj)
        is_read = obj is not None and not self.has_change_permission(request, obj)
        readonly = set(self.get_readonly_fields(request, obj))
        return [
            (title, {**options, "fields": [self._field(name, readonly, is_read=is_read) for name in options["fields"]]})
            for title, options in fieldsets
        ]

    def _escaped(self, name: Column, *, in_list: bool) -> Column:
        return _escape_column(cast("Hashable", self.model), name, in_list)

    def _field(self, name: Column, readonly: set[Column], *, is_read: bool) -> Column:
        column = self._escaped(name, in_list=False)
        return column if is_read or column in readonly else name


class ReadOnlyAdmin(EscapedTextAdmin):
    """Rows that cannot be added, changed or deleted in the admin."""

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Model | None = None) -> bool:
        return False


@cache
def _escape_column(model: Hashable, name: Column, in_list: bool) -> Column:  # noqa: FBT001  # positional, for the cache
    """Return a function that escapes a text column, or the name of any other column."""
    assert isinstance(model, type)
    assert issubclass(model, Model)
    fields = {field.name: field for field in model._meta.concrete_fields}
    field = fields.get(name) if isinstance(name, str) else None
    is_text = isinstance(field, (CharField, TextField, JSONField)) and not field.choices and not field.primary_key
    return _column(field, in_list=in_list) if field is not None and is_text else name


def _column(field: Field[Any, Any], *, in_list: bool) -> Callable[[Model], str]:
    def escape(row: Model) -> str:
        value = getattr(row, field.attname)
        if value is None or value in ("", [], {}):
            return "-"
        if isinstance(field, JSONField):
            return escape_for_json(json.dumps(value, ensure_ascii=False))
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        return format_html("<bdi>{}</bdi>", escape_hidden(text)) if in_list else escape_hidden(text, keep="\n\t")

    escape.__name__ = field.name
    return admin.display(escape, description=field.verbose_name, ordering=field.name if in_list else None)
