"""Operations: the one that is under way, how one ended, and the history of all."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.operations.heartbeat import worker_seems_alive
from tvarr_backup.operations.models import Operation
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.track import cancel as cancel_operation

_A_PAGE = 50


@login_required
@require_GET
def bar(request: HttpRequest) -> HttpResponse:
    """The thin bar, for those that look again each second; when nothing runs any more, the page is told."""
    response = render(request, "web/_bar.html")
    if not Operation.objects.filter(finished_at=None).exists():
        response["HX-Trigger"] = "operation-ended"
    return response


@login_required
@permission_required("operations.view_operation", raise_exception=True)
@require_GET
def operation(request: HttpRequest, pk: str) -> HttpResponse:
    """How one goes, or how it ended: as a page, or its middle alone for whoever looks again."""
    reconcile()
    found = get_object_or_404(Operation.objects.select_related("requested_by"), pk=pk)
    is_fragment = request.headers.get("HX-Target") == "operation"
    shown = {"operation": found, "worker_is_silent": found.is_open and not worker_seems_alive()}
    return render(request, "web/_operation.html" if is_fragment else "web/operation.html", shown)


@login_required
@permission_required("operations.create_backup", raise_exception=True)
@require_POST
def cancel(request: HttpRequest, pk: str) -> HttpResponse:
    """Ask for its end."""
    try:
        asked = cancel_operation(pk)
        messages.info(request, "It was asked to end." if asked.is_open else "It is cancelled.")
    except TvarrBackupError as problem:
        messages.error(request, str(problem))
    return HttpResponseRedirect(reverse("operation", args=[pk]))


@login_required
@permission_required("operations.view_operation", raise_exception=True)
@require_GET
def history(request: HttpRequest) -> HttpResponse:
    """What was done, by whom, and how it went, the newest first."""
    reconcile()
    found = Paginator(Operation.objects.select_related("requested_by"), _A_PAGE)
    return render(request, "web/history.html", {"page": found.get_page(request.GET.get("page"))})
