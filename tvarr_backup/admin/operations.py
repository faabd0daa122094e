"""Operations and backup settings in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from tvarr_backup.admin.filters import KindListFilter, label_of_kind
from tvarr_backup.admin.visible import ReadOnlyAdmin
from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.formatting import format_elapsed
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.kinds import KINDS, PHASE_LABELS
from tvarr_backup.operations.models import BackupSettings, ImportRecord, ImportState, Operation, OperationKind, Origin
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.texts import escape_hidden


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    """Operations with all details. "View on site" links to the page of the operation."""

    list_display = ("kind", "state", "outcome", "created_at", "took", "requested_by", "origin")
    list_filter = ("kind", "state", "origin")
    list_select_related = ("requested_by",)
    actions = ("cancel",)
    fieldsets = (
        (None, {"fields": ("kind", "state", "step", "percent", "outcome")}),
        ("Origin and times", {"fields": ("requested_by", "origin", "created_at", "started_at", "finished_at", "took")}),
        ("Details", {"fields": ("arguments", "result", "host", "pid", "heartbeat_at"), "classes": ("collapse",)}),
    )

    @admin.display(description="took")
    def took(self, operation: Operation) -> str:
        return format_elapsed(operation.started_at, operation.finished_at)

    @admin.display(description="outcome")
    def outcome(self, operation: Operation) -> str:
        found = operation.outcome.for_page()
        if not found and operation.is_open and operation.percent is not None:
            return f"{operation.percent} %"
        if not found and operation.kind == OperationKind.RESTORE and operation.result:
            return f"{operation.result['filename']} restored."
        return escape_hidden(found, keep="\n")

    @admin.display(description="step")
    def step(self, operation: Operation) -> str:
        return next((label for phase, label in PHASE_LABELS.items() if phase == operation.phase), "")

    def view_on_site(self, operation: Operation) -> str:
        return reverse("operation", args=[operation.pk])

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        actor = Actor(request.user, Origin.WEB)
        return any(actor.may(kind.permission) for kind in KINDS.values())

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        reconcile()
        return super().changelist_view(request, {"title": "Operations"} | (extra_context or {}))

    @admin.action(permissions=["cancel"], description="Cancel selected operations")
    def cancel(self, request: HttpRequest, queryset: QuerySet[Operation]) -> None:
        for operation in queryset:
            try:
                asked = actions.cancel_operation(Actor(request.user, Origin.WEB), operation.pk)
            except PermissionDenied:
                sentence = f"You do not have permission to cancel this operation: {operation.get_kind_display()}."
                self.message_user(request, sentence, messages.ERROR)
            except TvarrBackupError as problem:
                self.message_user(request, str(problem), messages.ERROR)
            else:
                outcome = "is being canceled" if asked.is_open else "canceled"
                self.message_user(request, f"{operation.get_kind_display()} {outcome}.")


@admin.register(ImportRecord)
class ImportRecordAdmin(ReadOnlyAdmin):
    list_display = ("kind_label", "file_name", "added", "overwritten", "renamed", "skipped", "unchanged", "finished_at", "requested_by", "origin")  # fmt: skip
    list_filter = (("kind", KindListFilter), "origin")
    list_select_related = ("requested_by",)
    fields = ("kind_label", "file_name", "requested_by", "origin", "added", "overwritten", "renamed", "skipped", "unchanged", "created_at", "finished_at")  # fmt: skip

    @admin.display(description="kind", ordering="kind")
    def kind_label(self, record: ImportRecord) -> str:
        return label_of_kind(record.kind)

    @admin.display(description="renamed", ordering="copied")
    def renamed(self, record: ImportRecord) -> int:
        return record.copied

    def get_queryset(self, request: HttpRequest) -> QuerySet[ImportRecord]:
        """Leave out pending imports, which only their users see."""
        return super().get_queryset(request).filter(state=ImportState.APPLIED).defer("result")


@admin.register(BackupSettings)
class BackupSettingsAdmin(ReadOnlyAdmin):
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:  # noqa: ARG002  # Django's signature
        return HttpResponseRedirect(reverse("settings"))

    def change_view(self, request: HttpRequest, *_args: Any, **_named: Any) -> HttpResponse:
        return self.changelist_view(request)

    def history_view(self, request: HttpRequest, *_args: Any, **_named: Any) -> HttpResponse:
        return self.changelist_view(request)
