"""Operations and backup settings in the admin."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join

from tvarr_backup import conf
from tvarr_backup.admin.look_only import LookOnlyAdmin
from tvarr_backup.errors import BackupUnsupported, TvarrBackupError
from tvarr_backup.operations import schedule
from tvarr_backup.operations.cancelling import PERMISSION_OF_KIND, cancel_operation
from tvarr_backup.operations.models import BackupSettings, ImportRecord, ImportState, Operation, OperationKind
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.run import next_to_go
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
        return any(request.user.has_perm(permission) for permission in PERMISSION_OF_KIND.values())

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        reconcile()
        return super().changelist_view(request, {"title": "Operations"} | (extra_context or {}))

    @admin.action(permissions=["cancel"], description="Cancel selected operations")
    def cancel(self, request: HttpRequest, queryset: QuerySet[Operation]) -> None:
        for operation in queryset:
            try:
                asked = cancel_operation(operation.pk, user=request.user)
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


def _told(operation: Operation | None) -> str:
    """When something scheduled was asked for and how it went, with the way to it."""
    if operation is None:
        return "none yet"
    address = reverse("admin:operations_operation_change", args=[operation.pk])
    outcome = operation.error or operation.message
    words = f"{_day_and_time(operation.created_at)}: {operation.get_state_display()}. {escape_hidden(outcome)}"
    return format_html('<a href="{}">{}</a>', address, words)


def _day_and_time(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%A, %d %B %Y, %H:%M %Z}"


@admin.register(BackupSettings)
class BackupSettingsAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # the stub is generic, the class is not
    """One row, made when it is first stored; what follows from what is stored is said beside it."""

    fieldsets = (
        (
            "When",
            {
                "fields": (
                    "enabled",
                    "cron",
                    "time_zone",
                    "description",
                    "next_runs",
                    "last_run",
                    "last_check",
                    "attention",
                )
            },
        ),
        ("What is kept", {"fields": ("keep", "keep_all", "max_age", "next_clean_up")}),
        (None, {"fields": ("from_environment",)}),
    )
    readonly_fields = (
        "description",
        "next_runs",
        "last_run",
        "last_check",
        "attention",
        "next_clean_up",
        "from_environment",
    )

    @admin.display(description="in words")
    def description(self, _settings: BackupSettings) -> str:
        return schedule.describe(BackupSettings.load())

    @admin.display(description="next times")
    def next_runs(self, _settings: BackupSettings) -> str:
        times = schedule.next_runs(BackupSettings.load(), datetime.now(UTC))
        return format_html_join("", "{}<br>", ((f"{time:%A, %d %B %Y, %H:%M %Z}",) for time in times)) or "none"

    @admin.display(description="last backup")
    def last_run(self, _settings: BackupSettings) -> str:
        return _told(schedule.last_run(OperationKind.BACKUP, datetime.now(UTC)))

    @admin.display(description="last check of a backup")
    def last_check(self, _settings: BackupSettings) -> str:
        return _told(schedule.last_run(OperationKind.VERIFY, datetime.now(UTC)))

    @admin.display(description="attention")
    def attention(self, _settings: BackupSettings) -> str:
        stored = BackupSettings.load()
        sentences = [f"Counts as not set: {problem}" for problem in stored.problems()]
        if overdue := schedule.overdue_since(stored, datetime.now(UTC)):
            sentences.append(f"The backup of {_day_and_time(overdue)} is overdue: is the worker running?")
        return format_html_join("", "{}<br>", ((sentence,) for sentence in sentences)) or "none needed"

    @admin.display(description="the environment's defaults")
    def from_environment(self, _settings: BackupSettings) -> str:
        default = conf.default_policy()
        age = f"those older than {default.max_age} go too" if default.max_age else "no limit of age"
        return f"{schedule.describe(BackupSettings())}; {default.keep} automatic backups are kept, {age}"

    @admin.display(description="the next clean-up removes")
    def next_clean_up(self, _settings: BackupSettings) -> str:
        try:
            return ", ".join(next_to_go()) or "nothing"
        except TvarrBackupError as problem:
            return str(problem)

    def save_model(self, request: HttpRequest, obj: BackupSettings, form: Any, change: bool) -> None:  # noqa: FBT001  # Django's signature
        """The schedule follows what is stored."""
        super().save_model(request, obj, form, change)
        schedule.arm()
        schedule.tell_change(obj)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Where nothing is backed up, the page says why, and nothing is stored."""
        try:
            conf.live_database()
        except BackupUnsupported as problem:
            self.message_user(request, str(problem), messages.ERROR)
            if request.method == "POST":
                return HttpResponseRedirect(request.path)
        return super().changeform_view(request, *args, **kwargs)

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Model | None = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:  # noqa: ARG002  # Django's signature
        """There is one row only: show it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return HttpResponseRedirect(reverse("admin:operations_backupsettings_change", args=[1]))

    def get_object(
        self, _request: HttpRequest, object_id: str, _from_field: str | None = None
    ) -> BackupSettings | None:
        return BackupSettings.load() if object_id == "1" else None
