"""What may follow the `?` of a list: search, filters and order; what is not known is refused and never passed over."""

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

from tvarr_backup.api.strict import refusal
from tvarr_backup.fields import FlagColumn, TextColumn, ULIDField, parse_ulid
from tvarr_backup.portable.export import Instant
from tvarr_backup.portable.kinds import Kind
from tvarr_backup.quoting import quoted

SEARCHED_CHARACTERS = 200
"""A search of thousands of words makes a query that SQLite refuses (depth 1000)."""

_SHOWN_CHARACTERS = 80
PAGE_PARAMETERS = frozenset({"page", "page_size"})
_FLAG_WORDS = {"true": True, "false": False}


def require_known_parameters(request: Request, known: Collection[str]) -> None:
    """Refuse parameters that a call does not have, by name."""
    allowed = ", ".join(sorted(known)) or "none"
    refused = {
        name[:_SHOWN_CHARACTERS]: [
            ErrorDetail(f"{quoted(name)} is no parameter of this call; allowed: {allowed}.", "unknown_parameter")
        ]
        for name in request.query_params
        if name not in known
    }
    if refused:
        raise ValidationError(refused)


def flag_parameter(request: Request, name: str) -> bool:
    """Whether a parameter says `true`; missing is `false`, and another word is refused."""
    word = request.query_params.get(name, "false")
    if word not in _FLAG_WORDS:
        raise refusal(name, "Allowed is true or false.", "invalid_choice")
    return _FLAG_WORDS[word]


class Filters(filters.DjangoFilterBackend):  # type: ignore[misc]  # django-filter has no types
    """The view's `filterset_class`; a filter without a value is refused."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        empty = [name for name in view.filterset_class.base_filters if request.query_params.get(name) == ""]
        if empty:
            raise ValidationError({name: [ErrorDetail("It is empty.", "blank")] for name in sorted(empty)})
        return super().filter_queryset(request, queryset, view)  # type: ignore[no-any-return]  # no types


class Search(SearchFilter):
    """`?search=`: all words have to be found, each in any of the view's `search_fields`."""

    def get_search_terms(self, request: Request) -> Any:
        if len(request.query_params.get(self.search_param, "")) > SEARCHED_CHARACTERS:
            sentence = f"It is longer than {SEARCHED_CHARACTERS} characters, which is the most that is searched for."
            raise refusal(self.search_param, sentence, "max_length")
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
                "description": f"Words that all have to be found, each in any of: {', '.join(view.search_fields)}.",
                "schema": {"type": "string", "maxLength": SEARCHED_CHARACTERS},
            }
        ]


_ORDERS: Mapping[str, Combinable] = {
    "name": F("name"),
    "priority": F("priority"),
    "created_at": Instant(F("created_at")),  # the stored texts do not sort by time
    "updated_at": Instant(F("updated_at")),
}


class Ordering(BaseFilterBackend):
    """`?ordering=`: the view's `ordering_words`, separated by commas, `-` for descending; then the id."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        given = request.query_params.get("ordering", "").split(",")
        wanted = [name for name in given if name] or list(view.ordering)
        allowed = _with_minus(view.ordering_words)
        for name in wanted:
            if name not in allowed:
                sentence = f"{quoted(name)} is no order of this list; allowed: {', '.join(allowed)}."
                raise refusal("ordering", sentence, "invalid_choice")
        return queryset.order_by(*map(_order, dict.fromkeys(wanted)), "id")

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            {
                "name": "ordering",
                "required": False,
                "in": "query",
                "description": f"By what to sort, the first counts most; {','.join(view.ordering)} if it is left out.",
                "schema": {
                    "type": "array",
                    "items": {"type": "string", "enum": ["", *_with_minus(view.ordering_words)]},  # "" changes nothing
                },
                "style": "form",
                "explode": False,
            }
        ]


def _with_minus(names: Sequence[str]) -> list[str]:
    return [*names, *(f"-{name}" for name in names)]


def _order(word: str) -> Any:
    expression = _ORDERS[word.removeprefix("-")]
    return expression.desc() if word.startswith("-") else expression.asc()  # type: ignore[attr-defined]  # both have them


@extend_schema_field(bool)
class _FlagFilter(filters.TypedChoiceFilter):  # type: ignore[misc]  # django-filter has no types
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=[(word, word) for word in _FLAG_WORDS], coerce=_FLAG_WORDS.__getitem__, **kwargs)


class _IdField(forms.CharField):
    def clean(self, value: Any) -> Any:
        return parse_ulid(value) if value else None


class _IdFilter(filters.CharFilter):  # type: ignore[misc]  # django-filter has no types
    field_class = _IdField


class KindFilters(filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    """Filters by columns of a kind; `filters_of` makes the class of one."""

    class Meta:
        filter_overrides = {
            TextColumn: {"filter_class": filters.CharFilter},
            FlagColumn: {"filter_class": _FlagFilter},
            ULIDField: {"filter_class": _IdFilter},
            ForeignKey: {"filter_class": _IdFilter},
        }

    @classmethod
    def filter_for_lookup(cls, field: Any, lookup_type: str) -> Any:
        """Return a choice for a column with fixed words, also where tvarr stores others."""
        words = getattr(field, "words", None)
        return (filters.ChoiceFilter, {"choices": words}) if words else super().filter_for_lookup(field, lookup_type)


def filters_of(kind: Kind) -> type[KindFilters]:
    """Return the filters of a kind: the name, and each column with fixed words, each flag and each id."""
    names = [
        column.name
        for column in kind.model._meta.concrete_fields
        if isinstance(column, (FlagColumn, ULIDField, ForeignKey)) or getattr(column, "words", None) or column.choices
    ]
    names.remove("id")
    return filterset_factory(kind.model, KindFilters, ["name", *names])  # type: ignore[no-any-return]  # no types
