"""Pages of lists."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request
from rest_framework.views import APIView

from tvarr_backup.quoting import quoted

_MAX_DIGITS = 18


class Pages(PageNumberPagination):
    """50 rows per page, or up to 500 with `?page_size=`. Invalid numbers answer 400, missing pages 404."""

    page_size = 50
    max_page_size = 500
    page_size_query_param = "page_size"
    last_page_strings = ()

    def paginate_queryset(
        self, queryset: QuerySet[Any], request: Request, view: APIView | None = None
    ) -> list[Any] | None:
        _parse_number(request, self.page_query_param, "a whole number from 1")
        try:
            return super().paginate_queryset(queryset, request, view)
        except NotFound as problem:
            raise NotFound("There is no such page.") from problem

    def get_page_size(self, request: Request) -> int:
        expected = f"a whole number from 1 to {self.max_page_size}"
        number = _parse_number(request, self.page_size_query_param, expected, self.max_page_size)
        return self.page_size if number is None else number


def _parse_number(request: Request, name: str, expected: str, most: int | None = None) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS and 0 < int(text) <= (most or int(text))):
        raise ValidationError({name: [f"Expected {expected}, got {quoted(text)}."]})
    return int(text)
