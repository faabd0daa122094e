"""Admin pages that say which column is missing, instead of failing at it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from tvarr_backup.admin.visible import VisibleTexts
from tvarr_backup.columns import require_columns
from tvarr_backup.errors import DatabaseUnusable


class ColumnsRequired(VisibleTexts):
    """Pages about rows of tvarr's that need the columns of their table."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return self._refusal(request) or super().changelist_view(request, extra_context)

    def changeform_view(self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any) -> Any:
        refusal = self._refusal(request, adds_rows=object_id is None)
        return refusal or super().changeform_view(request, object_id, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self._refusal(request) or super().delete_view(request, *args, **kwargs)

    def history_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._refusal(request) or super().history_view(request, *args, **kwargs)

    def _refusal(self, request: HttpRequest, *, adds_rows: bool = False) -> HttpResponse | None:
        try:
            require_columns(self.model, adds_rows=adds_rows, with_related=True)
        except DatabaseUnusable as problem:
            context = {**self.admin_site.each_context(request), "title": "Not available", "sentence": str(problem)}
            return TemplateResponse(request, "admin/tvarr_backup/refused.html", context, status=HTTPStatus.CONFLICT)
        return None
