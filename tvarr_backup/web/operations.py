"""Operations: the one that is under way, how one ended, and the history of all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import trigger_client_event

from tvarr_backup.backups.catalogue import Backup, find_backup
from tvarr_backup.errors import OperationRunning, TvarrBackupError
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.heartbeat import worker_seems_alive
from tvarr_backup.operations.models import ImportRecord, ImportState, Operation, OperationKind, Origin
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.report import code_refused_in
from tvarr_backup.portable.tvarr_memory import RELOAD_ADVICE
from tvarr_backup.web import words
from tvarr_backup.web.advice import buttons_for
from tvarr_backup.web.htmx import HtmxRequest

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

_A_PAGE = 25
_ENDED = "operation-ended"
"""The event that pages listen to."""
DISMISSED = "dismissed_operation"
"""In the session: results up to this operation are not shown on the page of the backups any more."""


def lead_to(request: HttpRequest, start: Callable[[], Operation], back: str) -> HttpResponse:
    """Start an operation and lead to it, or back with the reason against it."""
    try:
        started = start()
    except TvarrBackupError as problem:
        return not_started(request, problem, back)
    return HttpResponseRedirect(reverse("operation", args=[started.pk]))


def not_started(request: HttpRequest, problem: TvarrBackupError, back: str) -> HttpResponse:
    """Lead back with the reason; a second click leads to what the first has started."""
    if isinstance(problem, OperationRunning) and problem.is_repeated:
        return HttpResponseRedirect(reverse("operation", args=[problem.operation]))
    messages.error(request, problem.sentence.for_page())
    return HttpResponseRedirect(back)


@login_required
@permission_required("operations.view_operation", raise_exception=True)
@require_GET
def bar(request: HttpRequest) -> HttpResponse:
    """The thin bar, for those that look again each second; when nothing runs any more, the page is told."""
    response = render(request, "web/_bar.html")
    if not Operation.open_ones():
        trigger_client_event(response, _ENDED)
    return response


@login_required
@permission_required("operations.view_operation", raise_exception=True)
@require_GET
def operation(request: HtmxRequest, pk: str) -> HttpResponse:
    """How one goes, or how it ended: as a page, or its middle alone for whoever looks again."""
    reconcile()
    found = get_object_or_404(Operation.objects.select_related("requested_by"), pk=pk)
    if request.htmx.target != "operation":
        return render(request, "web/operation.html", shown(found, request.user))
    response = render(request, "web/_operation.html", shown(found, request.user))
    if not found.is_open:
        trigger_client_event(response, _ENDED)
    return response


def shown(operation: Operation, user: User | AnonymousUser) -> dict[str, Any]:
    """What `web/_operation.html` shows of one to a user."""
    result = operation.result or {}
    context = {
        "operation": operation,
        "title": words.title(operation),
        "level": words.level(operation),
        "told": words.told(operation),
        "buttons": buttons_for(operation.outcome.advice),
        "subject": words.subject(operation),
        "worker_is_silent": operation.is_open and not worker_seems_alive(),
    }
    if operation.is_open:
        return context | {
            "steps": words.steps(operation),
            "may_cancel": actions.may_cancel(Actor(user, Origin.WEB), operation),
        }
    safety = _found(_copy_of_before(operation))
    return context | {
        "ended_at_step": "" if operation.result else words.step_reached(operation),
        "checks": list(words.checks(operation)),
        "changes": words.changes(result["before"], result["after"]) if result.get("before") else [],
        "set_aside": [Path(path).name for path in result.get("set_aside") or ()],
        "made": _found((result.get("backup") or {}).get("filename")),
        "safety": safety,
        "facts": " ".join(result.get("facts") or ()),
        "may_start_tvarr": bool(operation.arguments.get("offline")),
        "reload_advice": RELOAD_ADVICE if result.get("restart_required") else "",
        "undo": _undo(safety),
        "code": code_refused_in(operation),
        "accept_at": _accept_at(operation),
    }


def _accept_at(operation: Operation) -> str:
    """The page on which the code that was refused can be accepted."""
    if operation.kind == OperationKind.ADOPT:
        return f"{reverse('upload')}?refused={operation.pk}"
    return reverse("restore", args=[operation.arguments["filename"]]) if code_refused_in(operation) else ""


def _copy_of_before(operation: Operation) -> str | None:
    return ((operation.result or {}).get("pre_restore_backup") or {}).get("filename")


def _undo(safety: Backup | None) -> str:
    """The backup that takes a restore back; empty where there is none, or it is a copy of what was damaged."""
    return safety.filename if safety and not safety.sidecar.problems else ""


def _found(filename: str | None) -> Backup | None:
    """A backup that is still there."""
    try:
        return find_backup(backup_folder(), filename) if filename else None
    except TvarrBackupError:
        return None


@login_required
@require_POST
def cancel(request: HttpRequest, pk: str) -> HttpResponse:
    """Cancel an operation."""
    try:
        asked = actions.cancel_operation(Actor(request.user, Origin.WEB), pk)
        messages.info(request, "It was asked to end." if asked.is_open else "It is cancelled.")
    except TvarrBackupError as problem:
        messages.error(request, problem.sentence.for_page())
    return HttpResponseRedirect(reverse("operation", args=[pk]))


@login_required
@require_POST
def dismiss(request: HttpRequest, pk: str) -> HttpResponse:
    """Show the result on the page of the backups no more, nor that of an older one."""
    request.session[DISMISSED] = max(pk, request.session.get(DISMISSED, ""))
    return HttpResponseRedirect(reverse("home"))


@dataclass(frozen=True)
class Entry:
    """A row of the history: an operation or an import. `address` and `undo` are empty where there is no such page."""

    at: datetime
    kind: str
    subject: str
    who: str
    title: str
    level: str
    told: str
    address: str = ""
    undo: str = ""


@login_required
@permission_required("operations.view_operation", raise_exception=True)
@require_GET
def history(request: HttpRequest) -> HttpResponse:
    """What was done, by whom, and how it went, the newest first: operations, and imports among them."""
    reconcile()
    may_restore = request.user.has_perm("operations.restore_backup")
    undo = cache(lambda filename: _undo(_found(filename))) if may_restore else lambda _filename: ""
    operations, imports = (
        Operation.objects.order_by(),
        ImportRecord.objects.filter(state=ImportState.APPLIED).order_by(),
    )
    both = operations.values_list("created_at", "pk").union(imports.values_list("finished_at", "pk"), all=True)
    page = Paginator(both.order_by("-created_at", "-id"), _A_PAGE).get_page(request.GET.get("page"))
    keys = [key for _, key in page]
    found = {one.pk: _entry(one, undo) for one in operations.select_related("requested_by").filter(pk__in=keys)}
    shown = imports.select_related("requested_by").defer("result").filter(pk__in=keys)
    found |= {one.pk: _entry_of_import(one) for one in shown}
    entries = [found[key] for key in keys if key in found]
    return render(request, "web/history.html", {"page": page, "entries": entries})


def _entry_of_import(record: ImportRecord) -> Entry:
    return Entry(
        at=record.finished_at or record.created_at,
        kind="Import",
        subject=record.file_name,
        who=str(record.requested_by or record.get_origin_display()),
        title=words.title_of_import(record),
        level="success",
        told=words.told_of_import(record),
    )


def _entry(found: Operation, undo: Callable[[str | None], str]) -> Entry:
    """A row of the history; `undo` is asked whether the copy of before a restore can be gone back to."""
    safety = undo(_copy_of_before(found))
    return Entry(
        at=found.created_at,
        kind=found.get_kind_display(),
        subject=words.subject(found),
        who=str(found.requested_by or found.get_origin_display()),
        title=words.title(found),
        level=words.level(found),
        told=words.told(found),
        address=reverse("operation", args=[found.pk]),
        undo=reverse("restore", args=[safety]) if safety else "",
    )
