"""The upload page: add a backup from elsewhere."""

from __future__ import annotations

from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import RequestDataTooBig, ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from tvarr_backup import program
from tvarr_backup.backups.sidecar import MAX_NOTE
from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.kinds import KINDS
from tvarr_backup.operations.models import Operation, OperationKind, Origin
from tvarr_backup.operations.report import code_refused_in
from tvarr_backup.transfer.uploads import Body, FieldRefused, FormUnreadable, add_upload, receive
from tvarr_backup.web.forms import accepted_code
from tvarr_backup.web.htmx import HtmxRequest, redirect
from tvarr_backup.web.refusals import refuse_on_page

_TOKEN = "csrfmiddlewaretoken"  # noqa: S105  # the field's name


@csrf_exempt
@login_required
@permission_required(KINDS[OperationKind.ADOPT].permission, raise_exception=True)
@require_http_methods(["GET", "POST"])
@refuse_on_page
def upload(request: HtmxRequest) -> HttpResponse:
    """Show the form. A POST is received from the connection straight into the backup folder.

    Django would read the whole form before it checks the token. Here the token is in a header or in the form's first
    field, and is checked before anything else is read.
    """
    if request.method == "POST":
        body = Body(request)
        token = "" if "X-CSRFToken" in request.headers else body.first_field(_TOKEN)
        request.POST = QueryDict(urlencode({_TOKEN: token}))
        return _receive(request, body)
    backup_folder()  # raises an error if the folder cannot be used
    context = {
        "limit": settings.UPLOAD_BYTES,
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
                accept_code=accepted_code(received.fields),
                on_begin=begun.append,
            )
    except (TvarrBackupError, FieldRefused, FormUnreadable, RequestDataTooBig) as problem:
        body.discard_rest()
        if not begun:
            messages.error(request, _sentence(problem))
            return redirect(request, reverse("upload"))
    return redirect(request, reverse("operation", args=[begun[-1].pk]))


def _refused(request: HttpRequest) -> Operation | None:
    """Return the refused upload whose code the page shows, so that the user can accept it."""
    refused = request.GET.get("refused")
    try:
        return Operation.objects.filter(pk=refused, kind=OperationKind.ADOPT).first() if refused else None
    except ValidationError:  # not an id
        return None


def _sentence(problem: Exception) -> str:
    if isinstance(problem, FieldRefused) and problem.name == "file":
        return "No file was selected. Nothing was saved. Select a file."
    if isinstance(problem, RequestDataTooBig):
        return "The text in the form is too long. Nothing was saved. Shorten the note."
    return problem.sentence.for_page() if isinstance(problem, TvarrBackupError) else str(problem)
