"""What tvarr collected, to look at: quick with a million rows, and without the passwords of providers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import ShowFacets
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from tvarr_backup.admin.columns import ColumnsRequired
from tvarr_backup.admin.filters import FlagListFilter
from tvarr_backup.admin.kinds import SEARCHED_CHARACTERS
from tvarr_backup.admin.look_only import LookOnlyAdmin
from tvarr_backup.admin.masking import mask_address, mask_urls
from tvarr_backup.models import Channel, EpgProgram, EpgSource, ProxyFilter, StreamProxy, StreamSource
from tvarr_backup.texts import escape_hidden

MOST_LISTED = 10_000
_SECRET_COLUMNS = frozenset({"url", "password", "stream_url", "extra", "last_error", "tvg_logo", "icon"})


class AtLeast(int):
    """A number that is shown as a lower bound."""

    def __str__(self) -> str:
        return f"{int(self):,}+"


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # the stub is generic, the class is not
    """Pages of the first rows only, from one look at the table.

    The keys of up to `MOST_LISTED` rows are read once, and serve both the count and the page: a search with few hits,
    which has to read the whole table, reads it once and not three times.
    """

    @cached_property
    def count(self) -> int:
        return AtLeast(MOST_LISTED) if len(self._keys) > MOST_LISTED else len(self._keys)

    def page(self, number: int | str) -> Page[Any]:
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        keys = self._keys[first : first + self.per_page]
        rows: Any = self.object_list
        return Page(rows.filter(pk__in=keys), number, self)

    @cached_property
    def _keys(self) -> list[str]:
        rows: Any = self.object_list
        return list(rows.prefetch_related(None).values_list("pk", flat=True)[: MOST_LISTED + 1])


class BoundedChangeList(ChangeList):
    """Takes a single page from the paginator as well, where Django would run the whole query again."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.multi_page:
            self.result_list = self.paginator.page(1).object_list


def _masked(column: str, mask: Callable[[str], str]) -> Callable[[Any, Any], str]:
    @admin.display(description=column.replace("_", " ").replace("url", "URL"))
    def show(model_admin: Any, row: Any) -> str:
        return escape_hidden(mask(getattr(row, column))) or str(model_admin.get_empty_value_display())

    return show


class CatalogueAdmin(ColumnsRequired, LookOnlyAdmin):
    """Read-only; a column that may hold a secret is shown by a method named `shown_` and the column."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_select_related = ()  # joining would hide rows whose source is gone
    list_prefetch_related: ClassVar[tuple[str, ...]] = ()
    actions = None

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002  # Django's signature
        return BoundedChangeList

    def get_queryset(self, _request: HttpRequest) -> QuerySet[Any]:
        """Live rows, said the other way round: for `deleted_at IS NULL` SQLite takes that index, and sorts all rows."""
        rows: QuerySet[Any] = self.model.all_rows.exclude(deleted_at__isnull=False)
        return rows.order_by(*self.ordering or ()).prefetch_related(*self.list_prefetch_related)

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> Any:
        return super().get_search_results(request, queryset, search_term[:SEARCHED_CHARACTERS])

    def lookup_allowed(self, lookup: str, value: str, request: Any = None) -> bool:
        """Nobody finds out a password by asking with what letters it begins."""
        return lookup.partition("__")[0] not in _SECRET_COLUMNS and super().lookup_allowed(lookup, value, request)

    def get_fields(self, _request: HttpRequest, _obj: Model | None = None) -> Any:
        names = [field.name for field in self.opts.concrete_fields if field.name != "deleted_at"]
        return [f"shown_{name}" if hasattr(self, f"shown_{name}") else name for name in names]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return self.get_fields(request, obj)

    shown_url = _masked("url", mask_address)
    shown_last_error = _masked("last_error", mask_urls)
    shown_stream_url = _masked("stream_url", mask_address)
    shown_tvg_logo = _masked("tvg_logo", mask_address)
    shown_extra = _masked("extra", mask_urls)
    shown_icon = _masked("icon", mask_address)

    @admin.display(description="password")
    def shown_password(self, row: Any) -> str:
        return "set" if row.password else "not set"


class SourceAdmin(CatalogueAdmin):
    list_display: tuple[str, ...] = (
        "name",
        "type",
        "shown_url",
        "shown_password",
        "enabled",
        "status",
        "last_ingestion_at",
    )
    list_filter = ("type", "status", ("enabled", FlagListFilter))
    search_fields = ("name",)
    ordering = ("name",)


@admin.register(StreamSource)
class StreamSourceAdmin(SourceAdmin):
    list_display = (*SourceAdmin.list_display, "channel_count")


@admin.register(EpgSource)
class EpgSourceAdmin(SourceAdmin):
    list_display = (*SourceAdmin.list_display, "program_count")


@admin.register(Channel)
class ChannelAdmin(CatalogueAdmin):
    list_display = ("channel_name", "channel_number", "group_title", "tvg_id", "source")
    list_filter = ("source",)
    list_prefetch_related = ("source",)
    search_fields = ("channel_name", "group_title", "tvg_id")
    sortable_by = ("group_title", "tvg_id")  # the columns with an index
    ordering = ("id",)


@admin.register(EpgProgram)
class EpgProgramAdmin(CatalogueAdmin):
    list_display = ("title", "channel_id", "start", "stop", "category", "source")
    list_filter = ("source",)
    list_prefetch_related = ("source",)
    search_fields = ("title", "channel_id")
    sortable_by = ("stop", "category")  # the columns with an index of their own
    ordering = ("channel_id", "start", "id")


@admin.register(StreamProxy)
class StreamProxyAdmin(CatalogueAdmin):
    list_display = (
        "name",
        "proxy_mode",
        "is_active",
        "encoding_profile",
        "status",
        "channel_count",
        "last_generated_at",
    )
    list_filter = ("proxy_mode", "status", ("is_active", FlagListFilter))
    list_prefetch_related = ("encoding_profile",)
    search_fields = ("name", "description")
    ordering = ("name",)


@admin.register(ProxyFilter)
class ProxyFilterAdmin(CatalogueAdmin):
    list_display = ("proxy", "filter", "priority", "is_active")
    list_display_links = ("proxy", "filter")
    list_filter = ("proxy", ("is_active", FlagListFilter))
    list_prefetch_related = ("proxy", "filter")
    search_fields = ("proxy__name", "filter__name")
    ordering = ("proxy_id", "priority", "id")
