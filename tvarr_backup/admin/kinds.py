"""The four kinds in the admin: validated by the models, deleted as in tvarr, and exported with an action."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected
from django.contrib.admin.utils import flatten_fieldsets, quote
from django.contrib.admin.views.main import ChangeList
from django.db import router, transaction
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import Truncator, capfirst

from tvarr_backup.admin.filters import FlagListFilter, OriginListFilter, ValuesListFilter
from tvarr_backup.admin.forms import ClientDetectionRuleForm, ItemForm
from tvarr_backup.admin.visible import Column, EscapedTextAdmin
from tvarr_backup.columns import require_columns
from tvarr_backup.errors import DatabaseUnusable, TvarrBackupError
from tvarr_backup.fields import FlagColumn, IntegerColumn
from tvarr_backup.matches.items import WITH_EXPRESSIONS
from tvarr_backup.models import ClientDetectionRule, DataMappingRule, EncodingProfile, Filter, PortableRow, TvarrRow
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.history import record_edit
from tvarr_backup.operations.models import Origin
from tvarr_backup.portable.export_findings import list_warnings
from tvarr_backup.portable.kinds import kind_of_model
from tvarr_backup.portable.tvarr_memory import RELOAD_ADVICE, needs_reload
from tvarr_backup.quoting import name_some, quoted
from tvarr_backup.texts import escape_hidden
from tvarr_backup.transfer.exports import export_response
from tvarr_backup.tvarr_database import write_transaction

SEARCHED_CHARACTERS = 200
"""SQLite refuses the query of a search for thousands of words (depth 1000)."""

_NAMED_ROWS = 5
_MOST_DELETED = 900
_RECORD = ("Record", {"fields": ("is_system", "created_at", "updated_at"), "classes": ("collapse",)})


class ItemAdmin(EscapedTextAdmin):
    """Base of the four kinds. Subclasses say what their pages show, and where.

    If a column is missing or a row cannot be read, the page says so instead of failing.
    """

    form = ItemForm
    list_display: Any = ()
    readonly_fields = ("is_system", "created_at", "updated_at")
    search_fields: ClassVar[tuple[str, ...]] = ("name", "description", "expression")
    ordering: ClassVar[tuple[str, ...]] = ("name",)
    actions = ("export_selected", "delete_selected")
    change_list_template = "admin/tvarr_backup/kind_change_list.html"
    change_form_template = "admin/tvarr_backup/kind_change_form.html"

    @admin.display(description="expression", ordering="expression")
    def short_expression(self, row: Any) -> str:
        return escape_hidden(Truncator(row.expression).chars(80))

    @admin.display(description="origin", ordering="is_system")
    def origin(self, row: PortableRow) -> str:
        return "built-in" if row.is_system else ""

    def get_list_filter(self, _request: HttpRequest) -> list[Any]:
        """Return `list_filter`, or else each column with choices and each flag; then the origin."""
        columns = [column for column in self.opts.concrete_fields if column.editable]
        flags = [(column.name, FlagListFilter) for column in columns if isinstance(column, FlagColumn)]
        derived = [*(column.name for column in columns if column.choices), *flags]
        return [*(self.list_filter or derived), ("is_system", OriginListFilter)]

    def get_list_display(self, _request: HttpRequest) -> list[Column]:
        """Return `list_display`, or else the name and each number, flag and column with choices, all escaped."""
        columns = [column for column in self.opts.concrete_fields if column.editable]
        names = [each.name for each in columns if each.choices or isinstance(each, (FlagColumn, IntegerColumn))]
        listed = self.list_display or ("name", *names, "origin", "short_expression")
        return [self._escaped(column, in_list=True) for column in listed]

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Return `fieldsets`, with all other columns added to the last one."""
        *others, (title, last) = super().get_fieldsets(request, obj)
        named = {getattr(column, "__name__", column) for column in flatten_fieldsets([*others, (title, last)])}
        names = [each.name for each in self.opts.concrete_fields if each.editable and each.name not in named]
        is_read = obj is not None and not self.has_change_permission(request, obj)
        rest = [self._escaped(name, in_list=False) for name in names] if is_read else names
        return [*others, (title, {**last, "fields": (*last["fields"], *rest)}), *([_RECORD] if obj else [])]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        anchor = {"export_anchor": kind_of_model(self.model).url_slug}
        page = self._refusal(request) or super().changelist_view(request, anchor | (extra_context or {}))
        changes = (getattr(page, "context_data", None) or {}).get("cl")
        if isinstance(changes, ChangeList):
            self._warn_of_unreadable(request, changes.result_list)
        return page

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        kind = kind_of_model(self.model)
        context |= {"kind": kind, "has_matches": kind.slug in WITH_EXPRESSIONS}
        if context.get("original") is not None:
            self._warn_of_unreadable(request, [context["original"]])
        return super().render_change_form(request, context, *args, **kwargs)

    def changeform_view(self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any) -> Any:
        refusal = self._refusal(request, adds_rows=object_id is None)
        return refusal or super().changeform_view(request, object_id, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self._refusal(request) or super().delete_view(request, *args, **kwargs)

    def history_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._refusal(request) or super().history_view(request, *args, **kwargs)

    def _warn_of_unreadable(self, request: HttpRequest, rows: Iterable[TvarrRow]) -> None:
        """Warn about rows with values of a wrong type, for which the page shows defaults."""
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
            context = {
                **self.admin_site.each_context(request),
                "title": "Temporarily unavailable",
                "sentence": str(problem),
            }
            return TemplateResponse(request, "admin/tvarr_backup/refused.html", context, status=HTTPStatus.CONFLICT)
        return None

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> Any:
        return super().get_search_results(request, queryset, search_term[:SEARCHED_CHARACTERS])

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not (obj and obj.is_system) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not (obj and obj.is_system) and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:  # noqa: FBT001  # Django's signature
        """Write only changed columns, because a running tvarr may write other columns of the row at the same time."""
        before = type(obj).all_rows.filter(pk=obj.pk).first()
        if not change:
            obj.save()
        elif form.changed_data:
            obj.save(update_fields=[*form.changed_data, "updated_at"])
        if not change or form.changed_data:
            self._record_edit(request, [obj])
            self._advise_reload(request, [before, obj])
        for warning in obj.expression_warnings():
            self.message_user(request, f"Expression, column {warning.column}: {warning.message}", messages.WARNING)

    def get_deleted_objects(self, objs: Any, _request: HttpRequest) -> Any:
        """Return the rows and the items that use them. As in tvarr, nothing else is deleted with a row."""
        rows = list(objs)
        users = [user for row in rows for queryset in row.users() for user in queryset]
        count = {capfirst(self.opts.verbose_name_plural): len(rows)}
        return [_linked(row) for row in rows], count, set(), [_linked(user) for user in users]

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.delete_queryset(request, [obj])

    def delete_queryset(self, request: HttpRequest, queryset: Iterable[Any]) -> None:
        before = []
        for row in queryset:
            before.append(copy(row))
            row.delete()
        self._record_edit(request, before)
        self._advise_reload(request, before)

    def _record_edit(self, request: HttpRequest, rows: Iterable[Any]) -> None:
        actor, ids = Actor(request.user, Origin.WEB), [row.pk for row in rows]
        edited = {kind_of_model(self.model).slug: ids}
        transaction.on_commit(partial(record_edit, actor, edited), using=router.db_for_write(self.model))

    def _advise_reload(self, request: HttpRequest, changed: Iterable[PortableRow | None]) -> None:
        if needs_reload(changed):
            self.message_user(request, RELOAD_ADVICE, messages.WARNING)

    @admin.action(permissions=["delete"], description="Delete selected %(verbose_name_plural)s")
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase | None:
        """Run Django's action in one transaction, so that no row comes into use before it is deleted."""
        with write_transaction():
            if self._refuse_system_rows(request, queryset, "cannot be deleted"):
                return None
            if (number := queryset.count()) > _MOST_DELETED:
                refusal = f"Select at most {_MOST_DELETED} {self.opts.verbose_name_plural} to delete, not {number}. Nothing was deleted."
                self.message_user(request, refusal, messages.ERROR)
                return None
            return delete_selected(self, request, queryset)

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(actions.EXPORT)

    @admin.action(permissions=["export"], description="Export selected %(verbose_name_plural)s")
    def export_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase | None:
        if self._refuse_system_rows(request, queryset, "are not exported"):
            return None
        kind = kind_of_model(self.model)
        try:
            export = actions.export_items(
                Actor(request.user, Origin.WEB), kind, list(queryset.values_list("pk", flat=True))
            )
        except TvarrBackupError as problem:
            self.message_user(request, str(problem), messages.ERROR)
            return None
        for warning in (*export.warnings, *list_warnings(export.check_rows(), _NAMED_ROWS)):
            self.message_user(request, warning, messages.WARNING)
        return export_response(kind, export)

    def _refuse_system_rows(self, request: HttpRequest, queryset: QuerySet[Any], refusal: str) -> bool:
        names = [quoted(row.name) for row in queryset.filter(is_system=True)]
        if not names:
            return False
        named = name_some(names, _NAMED_ROWS)
        sentence = f"Built-in {self.opts.verbose_name_plural} {refusal}. Deselect {named}."
        self.message_user(request, sentence, messages.ERROR)
        return True


@admin.register(Filter)
class FilterAdmin(ItemAdmin):
    fieldsets = ((None, {"fields": ("name", "description")}),)


@admin.register(DataMappingRule)
class DataMappingRuleAdmin(ItemAdmin):
    ordering = ("priority", "name")
    fieldsets = (
        (None, {"fields": ("name", "description", "source_type", "expression")}),
        ("Execution", {"fields": ("is_enabled", "priority")}),
    )


@admin.register(ClientDetectionRule)
class ClientDetectionRuleAdmin(ItemAdmin):
    form = ClientDetectionRuleForm
    list_display = ("name", "priority", "is_enabled", "encoding_profile", "origin", "short_expression")
    list_select_related = ("encoding_profile",)
    ordering = ("priority", "name")
    fieldsets = (
        (None, {"fields": ("name", "description", "expression", "is_enabled", "priority")}),
        ("Accepted by the player", {"fields": ("accepted_video_codecs", "accepted_audio_codecs")}),
        (
            "Output",
            {
                "fields": (
                    "preferred_video_codec",
                    "preferred_audio_codec",
                    "supports_fmp4",
                    "supports_mpegts",
                    "preferred_format",
                    "encoding_profile",
                )
            },
        ),
    )


@admin.register(EncodingProfile)
class EncodingProfileAdmin(ItemAdmin):
    list_display = (
        "name",
        "target_video_codec",
        "target_audio_codec",
        "quality_preset",
        "hw_accel",
        "enabled",
        "is_default",
        "origin",
    )
    list_filter = (("target_video_codec", ValuesListFilter), ("enabled", FlagListFilter))
    search_fields = ("name", "description")
    fieldsets = (
        (None, {"fields": ("name", "description", "enabled")}),
        ("Encoding", {"fields": ("target_video_codec", "target_audio_codec", "quality_preset", "hw_accel")}),
        (
            "Custom ffmpeg flags",
            {
                "fields": ("global_flags", "input_flags", "output_flags"),
                "description": "Custom output flags replace codecs and preset. Custom input flags replace hardware "
                "acceleration.",
            },
        ),
    )


def _linked(row: Model) -> str:
    """Return the row's name, with a link if the admin has a page for it."""
    opts = row._meta
    if not admin.site.is_registered(type(row)):
        return format_html("{}: {}", capfirst(opts.verbose_name), row)
    address = reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=(quote(row.pk),))
    return format_html('{}: <a href="{}">{}</a>', capfirst(opts.verbose_name), address, row)
