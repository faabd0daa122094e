"""Admin pages that say which column is missing, and which rows cannot be read, instead of failing at them."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from tvarr_backup.admin.visible import VisibleTexts
from tvarr_backup.columns import require_columns
from tvarr_backup.errors import DatabaseUnusable
from tvarr_backup.models import TvarrRow
from tvarr_backup.quoting import quoted

_NAMED_ROWS = 5


class ColumnsRequired(VisibleTexts):
    """Pages about rows of tvarr's that need the columns of their table."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        page = self._refusal(request) or super().changelist_view(request, extra_context)
        changes = (getattr(page, "context_data", None) or {}).get("cl")
        if isinstance(changes, ChangeList):
            self._name_unreadable(request, changes.result_list)
        return page

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        if context.get("original") is not None:
            self._name_unreadable(request, [context["original"]])
        return super().render_change_form(request, context, *args, **kwargs)

    def changeform_view(self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any) -> Any:
        refusal = self._refusal(request, adds_rows=object_id is None)
        return refusal or super().changeform_view(request, object_id, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self._refusal(request) or super().delete_view(request, *args, **kwargs)

    def history_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._refusal(request) or super().history_view(request, *args, **kwargs)

    def _name_unreadable(self, request: HttpRequest, rows: Iterable[TvarrRow]) -> None:
        """Name the rows with values that are not of their columns' types; the page shows others in their place."""
        unreadable = [row for row in rows if row.unreadable]
        for row in unreadable[:_NAMED_ROWS]:
            sentences = " ".join(row.unreadable_sentences.values())
            self.message_user(request, f"{quoted(str(row))} ({row.pk}): {sentences}", messages.WARNING)
        if len(unreadable) > _NAMED_ROWS:
            self.message_user(request, f"{len(unreadable) - _NAMED_ROWS} more rows cannot be read.", messages.WARNING)

    def _refusal(self, request: HttpRequest, *, adds_rows: bool = False) -> HttpResponse | None:
        try:
            require_columns(self.model, adds_rows=adds_rows, with_related=True)
        except DatabaseUnusable as problem:
            context = {**self.admin_site.each_context(request), "title": "Not available", "sentence": str(problem)}
            return TemplateResponse(request, "admin/tvarr_backup/refused.html", context, status=HTTPStatus.CONFLICT)
        return None
