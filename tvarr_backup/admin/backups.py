"""Backups in the admin: the contents of the backup folder, with actions on several backups."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from tvarr_backup.admin.visible import ReadOnlyAdmin
from tvarr_backup.backups.catalogue import find_backup
from tvarr_backup.backups.names import parse_name
from tvarr_backup.errors import BackupBroken, BackupNotFound, TvarrBackupError
from tvarr_backup.formatting import format_count, format_exact_time, format_size
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.index import refresh_index
from tvarr_backup.operations.kinds import KINDS
from tvarr_backup.operations.models import Backup, Operation, OperationKind, Origin
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.report import unknown_date


def _actor(request: HttpRequest) -> Actor:
    return Actor(request.user, Origin.WEB)


@admin.register(Backup)
class BackupAdmin(ReadOnlyAdmin):
    """An index of the backup folder, refreshed before it is listed. Rows link to the page of the backup."""

    list_display = ("created", "kind", "note", "size", "state", "protection")
    list_filter = ("kind", "state", "protected")
    search_fields = ("filename", "note")
    list_per_page = 50
    actions = ("verify", "restore", "protect", "unprotect", "download", "delete_selected")
    change_list_template = "admin/operations/backup/change_list.html"

    @admin.display(description="created", ordering="seq")
    def created(self, backup: Backup) -> datetime | str | None:
        if backup.created_at is not None:
            return backup.created_at
        try:
            return unknown_date(find_backup(backup_folder(), backup.filename).sidecar)
        except (BackupBroken, BackupNotFound):
            return None

    @admin.display(description="size", ordering="compressed_size")
    def size(self, backup: Backup) -> str:
        return format_size(backup.compressed_size) if backup.compressed_size is not None else "-"

    @admin.display(description="protected", ordering="protected")
    def protection(self, backup: Backup) -> str:
        if not backup.protected or backup.protected_until is None:
            return "protected" if backup.protected else ""
        return f"protected until {format_exact_time(backup.protected_until)}"

    def has_delete_permission(self, request: HttpRequest, _obj: Model | None = None) -> bool:
        return _actor(request).may(actions.DELETE)

    def has_verify_permission(self, request: HttpRequest) -> bool:
        return _actor(request).may(KINDS[OperationKind.VERIFY].permission)

    def has_protect_permission(self, request: HttpRequest) -> bool:
        return _actor(request).may(actions.PROTECT)

    def has_restore_permission(self, request: HttpRequest) -> bool:
        return _actor(request).may(actions.RESTORE)

    def has_download_permission(self, request: HttpRequest) -> bool:
        return _actor(request).may("operations.download_backup")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context: dict[str, Any] = {"title": "Backups", **(extra_context or {})}
        try:
            reconcile()
            foreign = refresh_index().foreign
            running = next(iter(Operation.open_ones()), None)
            context |= {"backup_folder": backup_folder(), "foreign": len(foreign), "running": running}
        except TvarrBackupError as problem:
            self.message_user(request, str(problem), messages.ERROR)
            if request.method == "POST":  # the index may be out of date
                return HttpResponseRedirect(request.path)
        return super().changelist_view(request, context)

    def change_view(self, request: HttpRequest, object_id: str, *_args: Any, **_named: Any) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        name = parse_name(unquote(object_id))
        if name is None:
            raise Http404
        return HttpResponseRedirect(reverse("backup", args=[name.filename]))

    def delete_view(self, request: HttpRequest, object_id: str, *_args: Any, **_named: Any) -> HttpResponse:
        """Redirect to the page that asks for confirmation."""
        if not self.has_delete_permission(request):
            raise PermissionDenied
        return _confirm_deletion([unquote(object_id)])

    @admin.action(permissions=["verify"], description="Verify selected backups")
    def verify(self, request: HttpRequest, queryset: QuerySet[Backup]) -> HttpResponse | None:
        try:
            started = actions.request_verification(_actor(request), [backup.filename for backup in queryset])
        except TvarrBackupError as problem:
            self.message_user(request, problem.sentence.for_page(), messages.ERROR)
            return None
        return HttpResponseRedirect(reverse("operation", args=[started.pk]))

    @admin.action(permissions=["restore"], description="Restore selected backup")
    def restore(self, request: HttpRequest, queryset: QuerySet[Backup]) -> HttpResponse | None:
        return self._redirect_to("restore", request, queryset)

    @admin.action(permissions=["download"], description="Download selected backup")
    def download(self, request: HttpRequest, queryset: QuerySet[Backup]) -> HttpResponse | None:
        return self._redirect_to("download-backup", request, queryset)

    def _redirect_to(self, page: str, request: HttpRequest, queryset: QuerySet[Backup]) -> HttpResponse | None:
        if queryset.count() == 1:
            return HttpResponseRedirect(reverse(page, args=[queryset.get().filename]))
        self.message_user(request, "Select exactly one backup.", messages.ERROR)
        return None

    @admin.action(permissions=["delete"], description="Delete selected backups")
    def delete_selected(self, _request: HttpRequest, queryset: QuerySet[Backup]) -> HttpResponse:
        return _confirm_deletion([backup.filename for backup in queryset])

    @admin.action(permissions=["protect"], description="Protect selected backups")
    def protect(self, request: HttpRequest, queryset: QuerySet[Backup]) -> None:
        self._protect(request, queryset, protected=True)

    @admin.action(permissions=["protect"], description="Unprotect selected backups")
    def unprotect(self, request: HttpRequest, queryset: QuerySet[Backup]) -> None:
        self._protect(request, queryset, protected=False)

    def _protect(self, request: HttpRequest, backups: QuerySet[Backup], *, protected: bool) -> None:
        """Change each backup. An error does not stop the others."""
        done = 0
        for backup in list(backups):
            try:
                actions.change_backup(_actor(request), backup.filename, protected=protected)
                done += 1
            except TvarrBackupError as problem:
                self.message_user(request, problem.sentence.for_page(), messages.ERROR)
        refresh_index()
        if done:
            outcome = "protected" if protected else "unprotected"
            self.message_user(request, f"{format_count(done, 'backup')} {outcome}.")


def _confirm_deletion(filenames: list[str]) -> HttpResponse:
    return HttpResponseRedirect(f"{reverse('delete-backups')}?{urlencode({'name': filenames}, doseq=True)}")
