"""The page of the backups."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from tvarr_backup import conf
from tvarr_backup.backups.catalogue import checked_note, read_folder
from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.operations.models import OperationKind, Origin
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.tasks import submit


@login_required
@permission_required("operations.view_backup", raise_exception=True)
@require_GET
def backups(request: HttpRequest) -> HttpResponse:
    """All backups, the newest first."""
    reconcile()
    listing = read_folder(conf.backup_folder())
    return render(request, "web/backups.html", {"listing": listing})


@login_required
@permission_required("operations.create_backup", raise_exception=True)
@require_POST
def create(request: HttpRequest) -> HttpResponse:
    """Ask the worker for a backup, and show how it goes."""
    try:
        note = checked_note(request.POST.get("note", ""))
        made = submit(OperationKind.BACKUP, requested_by=request.user, origin=Origin.WEB, arguments={"note": note})
    except TvarrBackupError as problem:
        messages.error(request, str(problem))
        return HttpResponseRedirect(reverse("home"))
    return HttpResponseRedirect(reverse("operation", args=[made.pk]))
