"""Operations and backup settings in the admin."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html

from tvarr_backup.admin.look_only import LookOnlyAdmin
from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.kinds import KINDS
from tvarr_backup.operations.models import BackupSettings, ImportRecord, ImportState, Operation, OperationKind, Origin
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.texts import escape_hidden


@admin.register(Operation)
class OperationAdmin(LookOnlyAdmin):
    """What was done and how it went; a page of one that is under way renews itself."""

    list_display = ("kind", "state", "outcome", "created_at", "took", "requested_by", "origin")
    list_filter = ("kind", "state", "origin")
    list_select_related = ("requested_by",)
    date_hierarchy = None
    actions = ("cancel",)
    change_form_template = "admin/operations/operation/change_form.html"
    fieldsets = (
        (None, {"fields": ("kind", "state", "phase", "how_far", "outcome", "backup", "before", "removed")}),
        ("Who and when", {"fields": ("requested_by", "origin", "created_at", "started_at", "finished_at", "took")}),
        ("Details", {"fields": ("arguments", "result", "host", "pid", "heartbeat_at"), "classes": ("collapse",)}),
    )

    @admin.display(description="how far")
    def how_far(self, operation: Operation) -> str:
        return f"{operation.percent} %" if operation.is_open and operation.percent is not None else ""

    @admin.display(description="took")
    def took(self, operation: Operation) -> str:
        if operation.started_at is None:
            return ""
        return f"{((operation.finished_at or datetime.now(UTC)) - operation.started_at).total_seconds():.1f} s"

    @admin.display(description="outcome")
    def outcome(self, operation: Operation) -> str:
        found = operation.error or operation.message or self.how_far(operation)
        if not found and operation.kind == OperationKind.RESTORE and operation.result:
            return f"{operation.result['filename']} is restored."
        return escape_hidden(found, keep="\n")

    @admin.display(description="backup")
    def backup(self, operation: Operation) -> str:
        return _linked((operation.result or {}).get("backup"))

    @admin.display(description="what was there before a restore")
    def before(self, operation: Operation) -> str:
        return _linked((operation.result or {}).get("pre_restore_backup"))

    @admin.display(description="removed")
    def removed(self, operation: Operation) -> str:
        return ", ".join((operation.result or {}).get("removed", ())) or "-"

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
                sentence = f"You are not allowed to cancel this operation: {operation.get_kind_display()}."
                self.message_user(request, sentence, messages.ERROR)
            except TvarrBackupError as problem:
                self.message_user(request, str(problem), messages.ERROR)
            else:
                words = "was asked to end" if asked.is_open else "is cancelled"
                self.message_user(request, f"{operation.get_kind_display()} {words}.")


@admin.register(ImportRecord)
class ImportRecordAdmin(LookOnlyAdmin):
    """What was imported, by whom, and from which file."""

    list_display = ("kind", "file_name", "added", "overwritten", "copied", "skipped", "unchanged", "finished_at", "requested_by", "origin")  # fmt: skip
    list_filter = ("kind", "origin")
    list_select_related = ("requested_by",)
    fields = ("kind", "file_name", "requested_by", "origin", "added", "overwritten", "copied", "skipped", "unchanged", "created_at", "finished_at")  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[ImportRecord]:
        """Pending imports are their users' own affair."""
        return super().get_queryset(request).filter(state=ImportState.APPLIED).defer("result")


def _linked(backup: dict[str, Any] | None) -> str:
    if not backup:
        return "-"
    address = reverse("admin:operations_backup_change", args=[quote(backup["filename"])])
    return format_html('<a href="{}">{}</a>', address, backup["filename"])


@admin.register(BackupSettings)
class BackupSettingsAdmin(LookOnlyAdmin):
    """Leads to the page of the settings."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:  # noqa: ARG002  # Django's signature
        if not self.has_view_permission(request):
            raise PermissionDenied
        return HttpResponseRedirect(reverse("settings"))

    def change_view(self, request: HttpRequest, *_args: Any, **_named: Any) -> HttpResponse:
        return self.changelist_view(request)

    def history_view(self, request: HttpRequest, *_args: Any, **_named: Any) -> HttpResponse:
        return self.changelist_view(request)
