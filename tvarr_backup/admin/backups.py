"""Backups in the admin: the folder as it is now, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.views.decorators.http import require_POST

from tvarr_backup import conf
from tvarr_backup.admin.look_only import LookOnlyAdmin
from tvarr_backup.backups.catalogue import find_backup
from tvarr_backup.backups.folder import megabytes
from tvarr_backup.backups.names import parse_name
from tvarr_backup.errors import BackupBroken, BackupNotFound, TvarrBackupError
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.cleanup import next_to_go
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.heartbeat import worker_seems_alive
from tvarr_backup.operations.index import refresh_index
from tvarr_backup.operations.kinds import KINDS
from tvarr_backup.operations.models import Backup, Operation, OperationKind, Origin
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.report import backup_as_data, unknown_date
from tvarr_backup.sentences import Advice, Sentence
from tvarr_backup.texts import escape_hidden

_WAITING = Sentence("No worker seems to run, so this waits. {advice}", advice=Advice.START_WORKER)


def _actor(request: HttpRequest) -> Actor:
    return Actor(request.user, Origin.WEB)


@admin.register(Backup)
class BackupAdmin(LookOnlyAdmin):
    """The index is made equal to the folder before each look; what is done, is done to the files."""

    list_display = ("created", "kind", "note", "size", "state", "shown_protected")
    list_filter = ("kind", "state", "protected")
    search_fields = ("filename", "note")
    list_per_page = 50
    actions = ("verify", "restore", "protect", "unprotect", "download", "delete_selected")
    change_list_template = "admin/operations/backup/change_list.html"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "filename",
                    "created",
                    "kind",
                    "note",
                    "state",
                    "shown_problem",
                    "shown_protected",
                    "next_clean_up",
                )
            },
        ),
        ("Contents", {"fields": ("rows", "database_checksum", "schema", "made_by")}),
        ("Archive", {"fields": ("size", "database_bytes", "checksum", "checks")}),
    )

    @admin.display(description="created", ordering="seq")
    def created(self, backup: Backup) -> datetime | str | None:
        return backup.created_at or _unknown_date(backup)

    @admin.display(description="size", ordering="compressed_size")
    def size(self, backup: Backup) -> str:
        return megabytes(backup.compressed_size) if backup.compressed_size is not None else "-"

    @admin.display(description="size of the database", empty_value="-")
    def database_bytes(self, backup: Backup) -> str:
        return megabytes(backup.database_size) if backup.database_size is not None else "-"

    @admin.display(description="protected", ordering="protected")
    def shown_protected(self, backup: Backup) -> str:
        return _protection(backup)

    @admin.display(description="problems")
    def shown_problem(self, backup: Backup) -> str:
        return escape_hidden(backup.problem, keep="\n") or "none known"

    @admin.display(description="next clean-up")
    def next_clean_up(self, backup: Backup) -> str:
        return "Will be removed" if backup.filename in next_to_go() else "Stays"

    @admin.display(description="rows")
    def rows(self, backup: Backup) -> str:
        counts = _data(backup).get("table_counts", {})
        return (
            format_html_join("", "{}: {}<br>", ((table, number) for table, number in counts.items() if number)) or "-"
        )

    @admin.display(description="made by")
    def made_by(self, backup: Backup) -> str:
        return escape_hidden(str(_data(backup).get("tvarr_version") or "-"))

    @admin.display(description="schema")
    def schema(self, backup: Backup) -> str:
        return escape_hidden(str(_data(backup).get("schema") or "-"))

    @admin.display(description="checksum of the archive")
    def checksum(self, backup: Backup) -> str:
        return str(_data(backup).get("checksum") or "-")

    @admin.display(description="checksum of the database")
    def database_checksum(self, backup: Backup) -> str:
        return str(_data(backup).get("database_checksum") or "-")

    @admin.display(description="last check")
    def checks(self, backup: Backup) -> str:
        checked = _data(backup).get("checked")
        if not checked:
            return "never"
        found = [f"{checked['level']}, {checked['at'] or 'time unknown'}", *checked["problems"], *checked["warnings"]]
        return escape_hidden("; ".join(found))

    # --- What may be done ---------------------------------------------------------------------------------------------

    def has_delete_permission(self, request: HttpRequest, _obj: Model | None = None) -> bool:
        return _actor(request).may(KINDS[OperationKind.DELETE].permission)

    def has_verify_permission(self, request: HttpRequest) -> bool:
        return _actor(request).may(KINDS[OperationKind.VERIFY].permission)

    def has_protect_permission(self, request: HttpRequest) -> bool:
        return _actor(request).may(actions.PROTECT)

    def has_restore_permission(self, request: HttpRequest) -> bool:
        return _actor(request).may(KINDS[OperationKind.RESTORE].permission)

    def has_download_permission(self, request: HttpRequest) -> bool:
        return _actor(request).may("operations.download_backup")

    # --- Looking ------------------------------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {
            "title": "Backups",
            "may_create": _actor(request).may(KINDS[OperationKind.BACKUP].permission),
        } | self._look(request)
        if request.method == "POST" and not conf.is_file(
            conf.tvarr_alias()
        ):  # an action; the page has just said why not
            return HttpResponseRedirect(_list_url(Backup))
        return super().changelist_view(request, context | (extra_context or {}))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        self._look(request)
        context = {}
        name = parse_name(unquote(object_id or ""))
        if name and self.has_download_permission(request):
            context["download_url"] = reverse("download-backup", args=[name.filename])
        if name and self.has_restore_permission(request):
            context["restore_url"] = reverse("restore", args=[name.filename])
        return super().changeform_view(request, object_id, form_url, context | (extra_context or {}))

    def delete_view(self, request: HttpRequest, object_id: str, _extra_context: dict[str, Any] | None = None) -> Any:
        """Lead to the page that asks first."""
        if not self.has_delete_permission(request):
            raise PermissionDenied
        return _page_to_delete([unquote(object_id)])

    def _look(self, request: HttpRequest) -> dict[str, Any]:
        """Bring the index up to date, and say what the list cannot show."""
        try:
            reconcile()
            foreign = len(refresh_index().foreign)
            return {
                "backup_folder": backup_folder(),
                "foreign": foreign,
                "running": next(iter(Operation.open_ones()), None),
            }
        except TvarrBackupError as problem:
            self.message_user(request, str(problem), messages.ERROR)
            return {}

    # --- Doing --------------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        create = self.admin_site.admin_view(require_POST(self.create_view))
        return [path("create/", create, name="operations_backup_create"), *super().get_urls()]

    def create_view(self, request: HttpRequest) -> HttpResponse:
        """Ask the worker for a backup, and show how it goes."""
        note = request.POST.get("note", "")
        return self._lead_to(request, lambda: actions.request_backup(_actor(request), note=note))

    @admin.action(permissions=["restore"], description="Restore the selected backup")
    def restore(self, request: HttpRequest, queryset: QuerySet[Backup]) -> HttpResponse | None:
        chosen = self._only_one(request, queryset, "restored")
        return HttpResponseRedirect(reverse("restore", args=[chosen])) if chosen else None

    @admin.action(permissions=["verify"], description="Verify selected backups")
    def verify(self, request: HttpRequest, queryset: QuerySet[Backup]) -> HttpResponse:
        filenames = [backup.filename for backup in queryset]
        return self._lead_to(request, lambda: actions.request_verification(_actor(request), filenames))

    @admin.action(permissions=["protect"], description="Protect selected backups")
    def protect(self, request: HttpRequest, queryset: QuerySet[Backup]) -> None:
        self._protect(request, queryset, protected=True)

    @admin.action(permissions=["protect"], description="Unprotect selected backups")
    def unprotect(self, request: HttpRequest, queryset: QuerySet[Backup]) -> None:
        self._protect(request, queryset, protected=False)

    @admin.action(permissions=["download"], description="Download the selected backup")
    def download(self, request: HttpRequest, queryset: QuerySet[Backup]) -> HttpResponse | None:
        chosen = self._only_one(request, queryset, "downloaded")
        return HttpResponseRedirect(reverse("download-backup", args=[chosen])) if chosen else None

    def _only_one(self, request: HttpRequest, queryset: QuerySet[Backup], what: str) -> str | None:
        chosen = list(queryset[:2])
        if len(chosen) == 1:
            return chosen[0].filename
        self.message_user(request, f"One backup at a time can be {what}; please select one.", messages.ERROR)
        return None

    @admin.action(permissions=["delete"], description="Delete selected backups")
    def delete_selected(self, _request: HttpRequest, queryset: QuerySet[Backup]) -> HttpResponse:
        return _page_to_delete([backup.filename for backup in queryset])

    def _protect(self, request: HttpRequest, backups: QuerySet[Backup], *, protected: bool) -> None:
        """Change one after another; a refusal stops none of the others."""
        done = 0
        for backup in list(backups):
            try:
                actions.change_backup(_actor(request), backup.filename, protected=protected)
                done += 1
            except TvarrBackupError as problem:
                self.message_user(request, str(problem), messages.ERROR)
        refresh_index()
        if done:
            words = "protected" if protected else "no longer protected"
            self.message_user(request, f"{done} {'backup is' if done == 1 else 'backups are'} {words}.")

    def _lead_to(self, request: HttpRequest, start: Callable[[], Operation]) -> HttpResponse:
        try:
            operation = start()
        except TvarrBackupError as problem:
            self.message_user(request, str(problem), messages.ERROR)
            return HttpResponseRedirect(_list_url(Backup))
        if not worker_seems_alive():
            self.message_user(request, _WAITING.for_page(), messages.WARNING)
        return HttpResponseRedirect(reverse("admin:operations_operation_change", args=[operation.pk]))


def _data(backup: Backup) -> dict[str, Any]:
    """What the files say of a backup now."""
    try:
        return backup_as_data(find_backup(backup_folder(), backup.filename))
    except (BackupBroken, BackupNotFound):
        return {}


def _unknown_date(backup: Backup) -> str | None:
    """What is known of the date of one that has none; `None` where its metadata cannot be read."""
    try:
        return unknown_date(find_backup(backup_folder(), backup.filename).sidecar)
    except (BackupBroken, BackupNotFound):
        return None


def _protection(backup: Backup) -> str:
    if not backup.protected or backup.protected_until is None:
        return "protected" if backup.protected else ""
    return f"protected until {timezone.localtime(backup.protected_until):%Y-%m-%d %H:%M %Z}"


def _page_to_delete(filenames: list[str]) -> HttpResponse:
    return HttpResponseRedirect(f"{reverse('delete-backups')}?{urlencode({'name': filenames}, doseq=True)}")


def _list_url(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
