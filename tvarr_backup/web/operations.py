"""The page of an operation, the progress bar, and the history."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import trigger_client_event

from tvarr_backup import program
from tvarr_backup.backups.catalogue import Backup, find_backup
from tvarr_backup.errors import EventNotFound, OperationRunning, TvarrBackupError
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.heartbeat import worker_seems_alive
from tvarr_backup.operations.history import changes_of, split_renamed
from tvarr_backup.operations.imports import find_undos, may_open_import
from tvarr_backup.operations.models import HistoryEvent, ImportRecord, ImportState, Operation, OperationKind, Origin
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.report import code_refused_in
from tvarr_backup.portable.tvarr_memory import RELOAD_ADVICE
from tvarr_backup.web import labels
from tvarr_backup.web.htmx import HtmxRequest
from tvarr_backup.web.labels import list_changes
from tvarr_backup.web.refusals import buttons_for

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

_ROWS_ON_A_PAGE = 25
_ENDED = "operation-ended"
DISMISSED = "dismissed_operation"
"""Session key: the newest operation whose result, like those of older ones, is hidden on the Backups page."""

Find = Callable[[str], Backup | None]
"""Find an existing backup by its file name, which may be empty."""


def lead_to(request: HttpRequest, start: Callable[[], Operation], back: str) -> HttpResponse:
    """Start an operation and redirect to it, or back with an error message."""
    try:
        started = start()
    except TvarrBackupError as problem:
        return not_started(request, problem, back)
    return HttpResponseRedirect(reverse("operation", args=[started.pk]))


def not_started(request: HttpRequest, problem: TvarrBackupError, back: str) -> HttpResponse:
    """Redirect back with an error message. A second click redirects to the operation of the first."""
    if isinstance(problem, OperationRunning) and problem.is_repeated:
        return HttpResponseRedirect(reverse("operation", args=[problem.operation]))
    messages.error(request, problem.sentence.for_page())
    return HttpResponseRedirect(back)


@login_required
@permission_required("operations.view_operation", raise_exception=True)
@require_GET
def bar(request: HttpRequest) -> HttpResponse:
    """Render the progress bar, which pages load each second. Send an event when no operation is open."""
    response = render(request, "web/_bar.html")
    if not Operation.open_ones():
        trigger_client_event(response, _ENDED)
    return response


@login_required
@permission_required("operations.view_operation", raise_exception=True)
@require_GET
def operation(request: HtmxRequest, pk: str) -> HttpResponse:
    """Show the progress or the result of an operation. htmx loads only that part of the page."""
    reconcile()
    found = get_object_or_404(Operation.objects.select_related("requested_by"), pk=pk)
    is_part = request.htmx.target == "operation"
    context = operation_context(found, request.user, finder())
    response = render(request, "web/_operation.html" if is_part else "web/operation.html", context)
    if is_part and not found.is_open:
        trigger_client_event(response, _ENDED)
    return response


def operation_context(operation: Operation, user: User | AnonymousUser, find: Find) -> dict[str, Any]:
    context = {
        "operation": operation,
        "title": labels.operation_title(operation),
        "subject": labels.operation_subject(operation),
        "location_name": _find_location(operation, user),
    }
    if operation.is_open:
        return context | {
            "worker_is_silent": not worker_seems_alive(),
            "program": program.NAME,
            "steps": labels.operation_steps(operation),
            "may_cancel": actions.may_cancel(Actor(user, Origin.WEB), operation),
        }
    result, code = operation.result or {}, code_refused_in(operation)
    safety, removed = find(_safety_backup(operation)), result.get("removed") or ()
    event = _find_event(result.get("event"), user)
    return context | {
        "level": labels.operation_level(operation),
        "details": labels.operation_details(operation),
        "buttons": buttons_for(operation.outcome.advice),
        "ended_at_step": "" if result else labels.step_reached(operation),
        "verified": result.get("verified") or (),
        "changes": labels.table_changes(result["before"], result["after"]) if result.get("before") else [],
        "event": event,
        "configuration_changes": list_changes(split_renamed(changes_of([event])[event.pk])) if event else [],
        "set_aside": [Path(path).name for path in result.get("set_aside") or ()],
        "removed": removed if len(removed) > labels.NAMED_AT_MOST else (),
        "made": find((result.get("backup") or {}).get("filename") or ""),
        "safety": safety,
        "facts": " ".join(result.get("facts") or ()),
        "may_start_tvarr": bool(operation.arguments.get("offline")),
        "reload_advice": RELOAD_ADVICE if result.get("restart_required") else "",
        "undo": _undo(safety),
        "code": code,
        "accept_at": _accept_at(operation) if code else "",
    }


def _find_location(operation: Operation, user: User | AnonymousUser) -> str:
    """Return the name of an operation's location. Empty if there is none that the user may see."""
    may_see = operation.location_key and user.has_perm(actions.MANAGE_LOCATIONS)
    return labels.location_names().get(operation.location_key, "") if may_see else ""


def _find_event(key: int | None, user: User | AnonymousUser) -> HistoryEvent | None:
    """Return an event of the history, or None if there is none that the user may see."""
    try:
        return actions.find_event(Actor(user, Origin.WEB), key) if key else None
    except (PermissionDenied, EventNotFound):
        return None


def _accept_at(operation: Operation) -> str:
    """Return the page on which the refused code can be accepted."""
    if operation.kind == OperationKind.ADOPT:
        return f"{reverse('upload')}?refused={operation.pk}"
    return reverse("restore", args=[operation.arguments["filename"]])


def _safety_backup(operation: Operation) -> str:
    return ((operation.result or {}).get("pre_restore_backup") or {}).get("filename") or ""


def _undo(safety: Backup | None) -> str:
    """Return the backup that undoes a restore. Empty if there is none or its data was damaged."""
    return safety.filename if safety and not safety.sidecar.problems else ""


def finder() -> Find:
    """Return a function that finds backups, or none if the folder cannot be used. It checks the folder only once."""
    folder = cache(backup_folder)

    def find(filename: str) -> Backup | None:
        try:
            return find_backup(folder(), filename) if filename else None
        except TvarrBackupError:
            return None

    return find


@login_required
@require_POST
def cancel(request: HttpRequest, pk: str) -> HttpResponse:
    try:
        asked = actions.cancel_operation(Actor(request.user, Origin.WEB), pk)
        messages.info(request, "The operation is being canceled." if asked.is_open else "Operation canceled.")
    except TvarrBackupError as problem:
        messages.error(request, problem.sentence.for_page())
    return HttpResponseRedirect(reverse("operation", args=[pk]))


@login_required
@require_POST
def dismiss(request: HttpRequest, pk: str) -> HttpResponse:
    """Hide a result, and those of older operations, on the Backups page."""
    request.session[DISMISSED] = max(pk, request.session.get(DISMISSED, ""))
    return HttpResponseRedirect(reverse("home"))


@dataclass(frozen=True)
class HistoryRow:
    """An operation or an import. `address` and `undo` may be empty."""

    at: datetime
    kind: str
    subject: str
    user: str
    title: str
    level: str
    details: str
    address: str = ""
    undo: str = ""
    undo_label: str = "Undo restore"


@login_required
@permission_required("operations.view_operation", raise_exception=True)
@require_GET
def history(request: HttpRequest) -> HttpResponse:
    """List operations and imports, newest first."""
    reconcile()
    find = finder() if request.user.has_perm("operations.restore_backup") else lambda _filename: None
    operations = Operation.objects.order_by()
    imports = ImportRecord.objects.filter(state=ImportState.APPLIED).order_by()
    both = operations.values_list("created_at", "pk").union(imports.values_list("finished_at", "pk"), all=True)
    page = Paginator(both.order_by("-created_at", "-id"), _ROWS_ON_A_PAGE).get_page(request.GET.get("page"))
    keys = [key for _, key in page]
    listed = list(operations.select_related("requested_by").filter(pk__in=keys))
    names = labels.location_names() if any(one.location_key for one in listed) else {}
    found = {one.pk: operation_row(one, find, names) for one in listed}
    of_imports = [key for key in keys if key not in found]
    applied = imports.select_related("requested_by").defer("result", "log").filter(pk__in=of_imports)
    may_undo = of_imports and request.user.has_perm(actions.IMPORT)
    undoable = _find_undoable(of_imports) if may_undo else set()
    found |= {one.pk: _import_row(one, request.user, undoable) for one in applied}
    return render(request, "web/history.html", {"page": page, "rows": [found[key] for key in keys if key in found]})


def _find_undoable(keys: Collection[str]) -> set[str]:
    """Return the keys of the imports whose undo may be offered."""
    stored = ImportRecord.objects.filter(pk__in=keys, log_bytes__gt=0).values_list("pk", flat=True)
    return set(stored) - find_undos().keys()


def _import_row(record: ImportRecord, user: User | AnonymousUser, undoable: Collection[str]) -> HistoryRow:
    may_open = user.has_perm(actions.IMPORT) and may_open_import(record, user)
    return HistoryRow(
        at=record.finished_at or record.created_at,
        kind="Undo of an import" if record.is_undo else "Import",
        subject=record.file_name,
        user=str(record.requested_by or record.get_origin_display()),
        title=labels.import_title(record),
        level="success",
        details=labels.import_details(record),
        address=reverse("import-preview", args=[record.pk]) if may_open else "",
        undo=reverse("import-undo", args=[record.pk]) if may_open and record.pk in undoable else "",
        undo_label="Undo this undo" if record.is_undo else "Undo import",
    )


def operation_row(operation: Operation, find: Find, names: Mapping[str, str]) -> HistoryRow:
    undo = _undo(find(_safety_backup(operation)))
    return HistoryRow(
        at=operation.created_at,
        kind=operation.get_kind_display(),
        subject=labels.operation_subject(operation, names),
        user=str(operation.requested_by or operation.get_origin_display()),
        title=labels.operation_title(operation),
        level=labels.operation_level(operation),
        details=labels.operation_details(operation),
        address=reverse("operation", args=[operation.pk]),
        undo=reverse("restore", args=[undo]) if undo else "",
    )
