"""The page that undoes an import: what would happen to each row, and a choice for rows that have changed since."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from tvarr_backup.errors import ImportNotFound, PlanStale, TvarrBackupError
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.models import ImportRecord, Origin
from tvarr_backup.portable.envelope import BUNDLE
from tvarr_backup.portable.undo import KEPT_BECAUSE, UndoPlan
from tvarr_backup.web import labels
from tvarr_backup.web.htmx import HtmxRequest

_MOST_LISTED = 200


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def undo(request: HtmxRequest, applied: str) -> HttpResponse:
    """Show what an undo would do. A POST undoes the import, and redirects to the result."""
    actor = Actor(request.user, Origin.WEB)
    try:
        found = actions.find_undoable(actor, applied)
    except ImportNotFound as problem:
        raise Http404 from problem
    here = reverse("import-undo", args=[found.pk])
    try:
        if request.method != "POST":
            return render(request, "web/import_undo.html", _context(found, actions.preview_undo(actor, found)))
        given = request.POST.getlist("include"), request.POST.get("fingerprint")
        done = actions.undo_import(actor, found, *given)
        here = reverse("import-preview", args=[done.record_id]) if done.record_id else reverse("history")
    except TvarrBackupError as problem:
        messages.error(request, problem.sentence.for_page())
        if not isinstance(problem, PlanStale):
            here = reverse("import-preview", args=[found.pk])
    return HttpResponseRedirect(here)


def _context(record: ImportRecord, plan: UndoPlan) -> dict[str, Any]:
    groups = []
    for action, title in labels.UNDO_ACTIONS.items():
        steps = plan.with_action(action)
        lines = [
            {
                "id": step.change.row_id,
                "name": step.change.name,
                "kind": step.change.kind.model._meta.verbose_name if record.kind == BUNDLE else "",
                "reason": KEPT_BECAUSE[step.reason] if step.reason else "",
                "may_be_included": step.may_be_included,
            }
            for step in steps[:_MOST_LISTED]
        ]
        if lines:
            groups.append({"action": action, "title": title, "lines": lines, "more": max(0, len(steps) - _MOST_LISTED)})
    return {
        "record": record,
        "subject": labels.import_title(record),
        "plan": plan,
        "groups": groups,
        "can_include": any(step.may_be_included for step in plan.steps),
    }
