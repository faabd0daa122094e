"""Query parameters: filters, search and ordering of lists. Unknown parameters are refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django import forms
from django.db.models import F, ForeignKey, QuerySet
from django.db.models.expressions import Combinable
from django_filters import rest_framework as filters
from django_filters.filterset import filterset_factory
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.filters import BaseFilterBackend, SearchFilter
from rest_framework.request import Request

from tvarr_backup.api.strict import field_error
from tvarr_backup.fields import FlagColumn, TextColumn, ULIDField, parse_ulid
from tvarr_backup.portable.export import Instant
from tvarr_backup.portable.kinds import KINDS, Kind, Slug
from tvarr_backup.quoting import format_choices, quoted

MAX_SEARCH_CHARACTERS = 200
"""SQLite refuses the query of a search with thousands of words (depth 1000)."""

_MAX_NAME_CHARACTERS = 80
PAGE_PARAMETERS = frozenset({"page", "page_size"})
_FLAGS = {"true": True, "false": False}


def require_known_parameters(request: Request, known: Collection[str]) -> None:
    """Raise `ValidationError` for parameters that a call does not have."""
    accepted = ", ".join(sorted(known)) or "no parameters"
    refused = {
        name[:_MAX_NAME_CHARACTERS]: [
            ErrorDetail(f"Unknown parameter {quoted(name)}. This call accepts {accepted}.", "unknown_parameter")
        ]
        for name in request.query_params
        if name not in known
    }
    if refused:
        raise ValidationError(refused)


def flag_parameter(request: Request, name: str) -> bool:
    """Whether a parameter is `true`. The default is `false`."""
    value = request.query_params.get(name, "false")
    if value not in _FLAGS:
        raise field_error(name, f"Expected {format_choices(_FLAGS)}, got {quoted(value)}.", "invalid_choice")
    return _FLAGS[value]


def kinds_parameter(request: Request) -> list[Slug]:
    """Return the kinds that `?kind=` names, which may be repeated, or all kinds."""
    given = request.query_params.getlist("kind")
    for name in given:
        if name not in KINDS:
            raise field_error("kind", f"Expected {format_choices(KINDS)}, got {quoted(name)}.", "invalid_choice")
    return [slug for slug in KINDS if slug in given or not given]


class Filters(filters.DjangoFilterBackend):  # type: ignore[misc]  # django-filter has no types
    """Filters of the view's `filterset_class`. One without a value is refused."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        empty = [name for name in view.filterset_class.base_filters if request.query_params.get(name) == ""]
        if empty:
            raise ValidationError({name: [ErrorDetail("Expected a value.", "blank")] for name in sorted(empty)})
        return super().filter_queryset(request, queryset, view)  # type: ignore[no-any-return]  # no types


class Search(SearchFilter):
    """`?search=`: find rows that contain all words, each in any of the view's `search_fields`."""

    def get_search_terms(self, request: Request) -> Any:
        if (length := len(request.query_params.get(self.search_param, ""))) > MAX_SEARCH_CHARACTERS:
            sentence = f"Expected at most {MAX_SEARCH_CHARACTERS} characters, got {length}."
            raise field_error(self.search_param, sentence, "max_length")
        try:
            return super().get_search_terms(request)
        except ValidationError as problem:
            raise ValidationError({self.search_param: problem.detail}) from problem

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            {
                "name": self.search_param,
                "required": False,
                "in": "query",
                "description": f"Find rows that contain all words, each in any of {', '.join(view.search_fields)}.",
                "schema": {"type": "string", "maxLength": MAX_SEARCH_CHARACTERS},
            }
        ]


_ORDERINGS: Mapping[str, Combinable] = {
    "name": F("name"),
    "priority": F("priority"),
    "created_at": Instant(F("created_at")),  # tvarr stores times as text in several formats
    "updated_at": Instant(F("updated_at")),
}


class Ordering(BaseFilterBackend):
    """`?ordering=`: the view's `ordering_fields`, separated by commas, `-` for descending; then the id."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        given = request.query_params.get("ordering", "").split(",")
        wanted = [name for name in given if name] or list(view.ordering)
        accepted = _with_minus(view.ordering_fields)
        for name in wanted:
            if name not in accepted:
                sentence = f"Expected {format_choices(accepted)}, got {quoted(name)}."
                raise field_error("ordering", sentence, "invalid_choice")
        return queryset.order_by(*map(_build_ordering, dict.fromkeys(wanted)), "id")

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            {
                "name": "ordering",
                "required": False,
                "in": "query",
                "description": f"Fields to sort by. The default is {','.join(view.ordering)}.",
                "schema": {
                    "type": "array",
                    "items": {"type": "string", "enum": ["", *_with_minus(view.ordering_fields)]},  # "" changes nothing
                },
                "style": "form",
                "explode": False,
            }
        ]


def _with_minus(names: Sequence[str]) -> list[str]:
    return [*names, *(f"-{name}" for name in names)]


def _build_ordering(field: str) -> Any:
    expression = _ORDERINGS[field.removeprefix("-")]
    return expression.desc() if field.startswith("-") else expression.asc()  # type: ignore[attr-defined]  # both have them


@extend_schema_field(bool)
class _FlagFilter(filters.TypedChoiceFilter):  # type: ignore[misc]  # django-filter has no types
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=[(flag, flag) for flag in _FLAGS], coerce=_FLAGS.__getitem__, **kwargs)


class _IdField(forms.CharField):
    def clean(self, value: Any) -> Any:
        return parse_ulid(value) if value else None


class _IdFilter(filters.CharFilter):  # type: ignore[misc]  # django-filter has no types
    field_class = _IdField


class KindFilters(filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    """Base of the filters of a kind, which `build_filters` creates."""

    class Meta:
        filter_overrides = {
            TextColumn: {"filter_class": filters.CharFilter},
            FlagColumn: {"filter_class": _FlagFilter},
            ULIDField: {"filter_class": _IdFilter},
            ForeignKey: {"filter_class": _IdFilter},
        }

    @classmethod
    def filter_for_lookup(cls, field: Any, lookup_type: str) -> Any:
        """Return a choice filter for a column with fixed values, although tvarr may have stored others."""
        words = getattr(field, "words", None)
        return (filters.ChoiceFilter, {"choices": words}) if words else super().filter_for_lookup(field, lookup_type)


def build_filters(kind: Kind) -> type[KindFilters]:
    """Return the filters of a kind: the name, and all columns that are flags, ids or have fixed values."""
    names = [
        column.name
        for column in kind.model._meta.concrete_fields
        if isinstance(column, (FlagColumn, ULIDField, ForeignKey)) or getattr(column, "words", None) or column.choices
    ]
    names.remove("id")
    return filterset_factory(kind.model, KindFilters, ["name", *names])  # type: ignore[no-any-return]  # no types
