"""The Import pages: the form for a file, the preview, and the result."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from io import BytesIO
from typing import Any, Concatenate

from django.contrib import admin, messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.http import Http404, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import reswap, retarget

from tvarr_backup.errors import BackupNotExport, FileTooLarge, MemberInvalid, PageIncomplete, TvarrBackupError
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.imports import (
    OpenImport,
    change_choices,
    discard_import,
    expires_at,
    find_import,
    find_undos,
    keep_import,
    open_import,
    try_corrections,
    undoable_until,
)
from tvarr_backup.operations.models import ImportRecord, ImportState, Origin
from tvarr_backup.portable.bundles import join_files
from tvarr_backup.portable.envelope import BUNDLE, read_bundle
from tvarr_backup.portable.json_events import MAX_BYTES
from tvarr_backup.portable.kinds import kind_named
from tvarr_backup.portable.steps import ItemAction, ItemState
from tvarr_backup.transfer.in_memory import KeepInMemory
from tvarr_backup.web import labels
from tvarr_backup.web.htmx import HtmxRequest, redirect
from tvarr_backup.web.import_preview import ImportPreview, read_change, read_number
from tvarr_backup.web.matches import count_for_page, stop_when_left

_MOST_BYTES = MAX_BYTES + 2**16
_BLOCK = 2**20
_DONE = {
    ItemAction.CREATE: "Added",
    ItemAction.OVERWRITE: "Overwritten",
    ItemAction.RENAME: "Renamed",
    ItemAction.SKIP: "Skipped",
}


def _actor(request: HtmxRequest) -> Actor:
    return Actor(request.user, Origin.WEB)


@csrf_exempt
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: HtmxRequest) -> HttpResponse:
    """Show the form for a file. A POST stores the file and redirects to its preview.

    The token is checked after the permission, because Django reads the whole form to find it.
    """
    actions.prepare_import(_actor(request))
    if request.method != "POST":
        return _form(request)
    if int(request.META.get("CONTENT_LENGTH") or 0) > _MOST_BYTES:
        return _refuse_unread(
            request, FileTooLarge("The file is too large. The limit is {limit} MiB.", limit=MAX_BYTES // 2**20)
        )
    request.upload_handlers = [KeepInMemory(request)]
    try:
        return _keep(request)
    except (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent):
        return _refuse_unread(request, FileTooLarge("The text is too long. Save it as a file and select the file."))


def _refuse_unread(request: HtmxRequest, problem: FileTooLarge) -> HttpResponse:
    """Refuse a form after reading all of it, because a browser that is still sending shows no answer."""
    while request.read(_BLOCK):
        pass
    return _form(request, problem)


@csrf_protect
def _keep(request: HtmxRequest) -> HttpResponse:
    """Store the sent files, or the text, as one import."""
    sent = [(str(file.name), file.read()) for file in request.FILES.getlist("file")]
    text, file_name = request.POST.get("text", ""), ""
    try:
        if not sent and not text.strip():
            raise PageIncomplete("No file was selected and no text was pasted. Select an export file.")
        for file_name, content in sent if len(sent) > 1 else ():  # noqa: B007  # the name of the one that is refused
            read_bundle(BytesIO(content))
        file_name = ", ".join(name for name, _ in sent)
        content = join_files([content for _, content in sent]) if sent else text.encode()
        record = keep_import(content, file_name=file_name, user=request.user)
    except TvarrBackupError as problem:
        return _form(request, problem, file_name=file_name, text=text)
    return HttpResponseRedirect(_address(record))


def _form(
    request: HtmxRequest, problem: Exception | None = None, *, file_name: str = "", text: str = ""
) -> HttpResponse:
    """Render the form, and why the file or text cannot be imported."""
    sentences = problem.describe() if isinstance(problem, MemberInvalid) else [str(problem)] if problem else []
    context = {
        "sentences": list(sentences),
        "is_backup": isinstance(problem, BackupNotExport),
        "file_name": file_name,
        "text": text,
        "most_bytes": MAX_BYTES,
    }
    return render(request, "web/import.html", context)


def _of_an_import(
    view: Callable[[HtmxRequest, ImportRecord], HttpResponse],
) -> Callable[Concatenate[HtmxRequest, ...], HttpResponse]:
    """Decorate a view: give it the import of its address, or answer 404 if it does not exist for this user."""

    @wraps(view)
    def answer(request: HtmxRequest, record: str) -> HttpResponse:
        actions.prepare_import(_actor(request))
        try:
            found = find_import(record, request.user)
        except ImportRecord.DoesNotExist as problem:
            raise Http404 from problem
        try:
            return view(request, found)
        except ImportRecord.DoesNotExist:  # another request has applied or discarded it
            return _redirect_to(request, found)

    return login_required(answer)


def _of_a_pending_import(
    view: Callable[[HtmxRequest, OpenImport], HttpResponse],
) -> Callable[Concatenate[HtmxRequest, ...], HttpResponse]:
    """Decorate a view: give it the opened import of its address. If that fails, its page says why."""

    @wraps(view)
    def answer(request: HtmxRequest, record: ImportRecord) -> HttpResponse:
        try:
            if record.state == ImportState.PENDING:
                return view(request, open_import(record, _shown_kind(request)))
        except TvarrBackupError as problem:
            messages.error(request, f"{problem} Your choices are kept.")
        return _redirect_to(request, record)

    return _of_an_import(require_POST(answer))


@_of_an_import
@require_GET
def preview(request: HtmxRequest, record: ImportRecord) -> HttpResponse:
    """Show what an import would do, or the result after it."""
    if record.state == ImportState.APPLIED:
        return _result(request, record)
    if record.state == ImportState.DISCARDED:
        messages.info(request, "Import discarded. Nothing was imported.")
        return HttpResponseRedirect(reverse("import"))
    try:
        context = _context(request, open_import(record, _shown_kind(request)))
    except TvarrBackupError as problem:
        return _form(request, problem, file_name=record.file_name)
    is_part = request.htmx.target == "preview-items"
    return render(request, "web/_import_changed.html" if is_part else "web/import_preview.html", context)


@_of_an_import
@require_GET
@stop_when_left
def matches(request: HtmxRequest, record: ImportRecord) -> HttpResponse:
    """Count what the new and changed expressions match, with the choices so far. `?cancel` shows the part without counts."""
    if record.state != ImportState.PENDING:
        return _redirect_to(request, record)
    context: dict[str, Any] = {"record": record, "canceled": "cancel" in request.GET}
    if not context["canceled"]:
        try:
            plan = open_import(record).whole
            context |= count_for_page(
                request, lambda limit: actions.preview_matches(_actor(request), plan, limit=limit)
            )
        except TvarrBackupError as problem:
            context["problem"] = problem
    return render(request, "web/_import_matches.html" if request.htmx else "web/import_matches.html", context)


@_of_a_pending_import
def choose(request: HtmxRequest, opened: OpenImport) -> HttpResponse:
    before = opened.plan
    change = read_change(request.POST, opened.envelope)
    opened = change_choices(opened, change)
    target = request.htmx.target
    if not target:
        _show_problem(request, opened)
        return _redirect_to(request, opened.record)
    context = _context(request, opened)
    if target == "import-totals" and not (opened.newly_changed or opened.problem or change.corrections):
        context["rows"] = context["preview"].rows_that_differ(before)
        return render(request, "web/_import_totals.html", context)
    response = render(request, "web/_import_changed.html", context)
    return reswap(retarget(response, "#preview-items"), "outerHTML")


@_of_a_pending_import
def check(request: HtmxRequest, opened: OpenImport) -> HttpResponse:
    """Show the problems of an item as it is being corrected, without storing anything."""
    change = read_change(request.POST, opened.envelope)
    if not change.corrections:
        raise Http404
    row = ImportPreview(try_corrections(opened, change)).row_at(min(change.corrections))
    return render(request, "web/_import_found.html", {"row": row, "is_correction": True})


@_of_a_pending_import
def apply(request: HtmxRequest, opened: OpenImport) -> HttpResponse:
    """Import, with the changes of the form, if the result is what the button showed."""
    opened = change_choices(opened, read_change(request.POST, opened.envelope))
    _show_problem(request, opened)
    if not any(opened.all_newly_changed.values()) and not opened.problem:
        try:
            actions.import_pending(_actor(request), opened, request.POST.get("promise", ""))
        except TvarrBackupError:
            if ImportRecord.objects.filter(pk=opened.record.pk, state=ImportState.PENDING).exists():
                raise
    return _redirect_to(request, opened.record)


@_of_an_import
@require_POST
def discard(request: HtmxRequest, record: ImportRecord) -> HttpResponse:
    discard_import(record)
    return _redirect_to(request, record)


def _context(request: HtmxRequest, opened: OpenImport) -> dict[str, Any]:
    return {
        "preview": ImportPreview(opened, *_position(request)),
        "record": opened.record,
        "bundle": opened.bundle,
        "envelope": opened.envelope,
        "plan": opened.plan,
        "problem": opened.problem,
        "expires_at": expires_at(opened.record),
    }


def _shown_kind(request: HtmxRequest) -> str:
    return (request.POST or request.GET).get("kind", "")


def _position(request: HtmxRequest) -> tuple[str, int]:
    """Return the state and page of the items to show. Another state starts at its first page."""
    sent = request.POST or request.GET
    shows = sent.getlist("show")
    page = 1 if len(shows) > 1 else read_number(sent.get("page"), 1)
    return (shows[-1] if shows else ""), page


def _show_problem(request: HtmxRequest, opened: OpenImport) -> None:
    if opened.problem:
        messages.error(request, opened.problem)


def _redirect_to(request: HtmxRequest, record: ImportRecord) -> HttpResponse:
    """Redirect to the page of an import, with the rows that the user was viewing."""
    (show, page), kind = _position(request), _shown_kind(request)
    query = QueryDict(mutable=True)
    query.update({"kind": kind} if kind else {})
    query.update({"show": show} if show else {})
    query.update({"page": str(page)} if page > 1 else {})
    address = _address(record) + (f"?{query.urlencode()}" if query else "")
    return redirect(request, address)


def _address(record: ImportRecord) -> str:
    return reverse("import-preview", args=[record.pk])


def _result(request: HtmxRequest, record: ImportRecord) -> HttpResponse:
    result = json.loads(record.result) if record.result else {}
    done, undos = _undone if record.is_undo else _done, find_undos()
    context = {
        **result,
        "record": record,
        "title": labels.import_title(record),
        "details": labels.import_details(record),
        "lines": [
            {
                **line,
                "done": done(line),
                "url": _address_of_row(request, line.get("kind", record.kind), line["row_id"]),
                "one": kind_named(line["kind"]).model._meta.verbose_name if record.kind == BUNDLE else "",
            }
            for line in result.get("lines", [])
        ],
        "undoable_until": undoable_until(record, undos),
        "undone_by": undos.get(record.pk),
    }
    return render(request, "web/import_undone.html" if record.is_undo else "web/import_result.html", context)


def _address_of_row(request: HtmxRequest, kind: str, row_id: str | None) -> str:
    """Return the page of a row in the admin, or "" if the user may not see it."""
    model = kind_named(kind).model._meta
    may_view = admin.site.has_permission(request) and request.user.has_perm(
        f"{model.app_label}.view_{model.model_name}"
    )
    name = f"admin:{model.app_label}_{model.model_name}_change"
    return reverse(name, args=[row_id]) if may_view and row_id else ""


def _undone(line: dict[str, Any]) -> str:
    return labels.undo_line(line["action"], line["reason"])


def _done(line: dict[str, Any]) -> str:
    is_unchanged = line["action"] == ItemAction.SKIP and line["state"] == ItemState.IDENTICAL
    return "Unchanged" if is_unchanged else _DONE[ItemAction(line["action"])]
