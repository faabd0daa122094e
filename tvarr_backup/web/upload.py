"""The page that takes in a backup from elsewhere."""

from __future__ import annotations

from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import RequestDataTooBig, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods
from django_htmx.http import HttpResponseClientRedirect

from tvarr_backup import program
from tvarr_backup.backups.sidecar import MAX_NOTE
from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.kinds import KINDS
from tvarr_backup.operations.models import Operation, OperationKind, Origin
from tvarr_backup.operations.report import code_refused_in
from tvarr_backup.transfer.uploads import Body, FieldRefused, FormUnreadable, add_upload, receive
from tvarr_backup.web.accepted import accepted_in
from tvarr_backup.web.htmx import HtmxRequest
from tvarr_backup.web.refusals import of_backups

_TOKEN = "csrfmiddlewaretoken"  # noqa: S105  # the field's name


@csrf_exempt
@login_required
@permission_required(KINDS[OperationKind.ADOPT].permission, raise_exception=True)
@require_http_methods(["GET", "POST"])
@of_backups
def upload(request: HtmxRequest) -> HttpResponse:
    """The form; or what was sent with it, from the connection straight into the backup folder.

    Django would read all of a form before it looks for the token. Here that is in a header, or it is the form's first
    field, and nothing behind that is read before it has been found right.
    """
    if request.method == "POST":
        body = Body(request)
        token = "" if "X-CSRFToken" in request.headers else body.first_field(_TOKEN)
        request.POST = QueryDict(urlencode({_TOKEN: token}))
        return _receive(request, body)
    folder = backup_folder()
    context = {
        "limit": settings.UPLOAD_BYTES,
        "folder": folder,
        "max_note": MAX_NOTE,
        "program": program.NAME,
        "code": code_refused_in(_refused(request)),
    }
    return render(request, "web/upload.html", context)


@csrf_protect
def _receive(request: HtmxRequest, body: Body) -> HttpResponse:
    begun: list[Operation] = []
    actor = Actor(request.user, Origin.WEB)
    try:
        with receive(request, actor, body) as received:
            add_upload(
                received,
                actor,
                note=received.fields.get("note", ""),
                accept_broken_references=received.fields.get("accept_broken_references") == "true",
                accept_code=accepted_in(received.fields),
                on_begin=begun.append,
            )
    except (TvarrBackupError, FieldRefused, FormUnreadable, RequestDataTooBig) as problem:
        body.discard_rest()
        if not begun:
            messages.error(request, _sentence(problem))
            return _lead(request, reverse("upload"))
    return _lead(request, reverse("operation", args=[begun[-1].pk]))


def _refused(request: HttpRequest) -> Operation | None:
    """The upload whose code the user has read and wants to accept."""
    try:
        return Operation.objects.filter(pk=request.GET.get("refused"), kind=OperationKind.ADOPT).first()
    except ValidationError:  # not an id
        return None


def _sentence(problem: Exception) -> str:
    if isinstance(problem, FieldRefused) and problem.name == "file":
        return "No file was chosen, so nothing was taken in. Choose one."
    if isinstance(problem, RequestDataTooBig):
        return "The form has more text beside the file than it may have; nothing was taken in."
    return problem.sentence.for_page() if isinstance(problem, TvarrBackupError) else str(problem)


def _lead(request: HtmxRequest, address: str) -> HttpResponse:
    """Where a script has sent the form, it is the page that has to go there."""
    return HttpResponseClientRedirect(address) if request.htmx else HttpResponseRedirect(address)
