"""The Backups page, the page of a backup, and their actions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from tvarr_backup import conf
from tvarr_backup.backups.catalogue import Broken, Listing, find_backup, read_folder
from tvarr_backup.backups.retention import (
    KeptReason,
    expired,
    expired_after_backup,
    find_rules,
    rules_keeping,
    why_kept,
)
from tvarr_backup.backups.sidecar import MAX_NOTE
from tvarr_backup.errors import BackupNotFound, OperationRunning, PreconditionFailed, TvarrBackupError
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.health import check_health
from tvarr_backup.operations.kinds import KINDS
from tvarr_backup.operations.locations import find_copies
from tvarr_backup.operations.models import (
    KIND_LABELS,
    KINDS_BESIDE,
    BackupSettings,
    BackupState,
    Operation,
    OperationKind,
    Origin,
)
from tvarr_backup.operations.observe import count_live_rows
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.report import state_of
from tvarr_backup.transfer.downloads import RangeUnsatisfiable, download
from tvarr_backup.web import charts
from tvarr_backup.web.labels import BackupRow, describe_fate, describe_periods, table_changes
from tvarr_backup.web.operations import DISMISSED, lead_to, operation_context
from tvarr_backup.web.refusals import refuse_on_page
from tvarr_backup.web.status import status_of

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_ACTIONS = ("create", "restore", "download", "verify", "protect", "delete")
_ROWS_ON_A_PAGE = 25
_RESULT_SHOWN_FOR = timedelta(days=1)


def _actor(request: HttpRequest) -> Actor:
    return Actor(request.user, Origin.WEB)


@login_required
@permission_required("operations.view_backup", raise_exception=True)
@require_GET
@refuse_on_page
def backups(request: HttpRequest) -> HttpResponse:
    """List backups, newest first, and show the current operation."""
    reconcile()
    health, actor, now = check_health(), _actor(request), datetime.now(UTC)
    observation = health.observation
    listing = observation.folder.listing or Listing((), (), ())
    stored = observation.records and observation.records.settings
    counts = Counter(backup.sidecar.kind for backup in listing.backups)
    kind = request.GET.get("kind", "")
    kind = kind if kind in counts else ""
    found = [backup for backup in listing.backups if kind in ("", backup.sidecar.kind)]
    page = Paginator(found, _ROWS_ON_A_PAGE).get_page(request.GET.get("page"))
    deletions = {backup.filename for backup in expired(listing.backups, stored.policy(), now)} if stored else set()
    rules = find_rules(listing.backups, stored.policy(), now) if stored else {}
    required = conf.required_schema()
    has_locations = observation.records is not None and observation.records.locations
    copies = find_copies([backup.filename for backup in page]) if has_locations else {}
    rows = [
        BackupRow(
            backup,
            state_of(backup.sidecar, required),
            copies=copies.get(backup.filename, ()),
            will_be_deleted=backup.filename in deletions,
            kept=describe_periods(rules.get(backup.filename, [])),
            may_change_protection=actions.may_unprotect(actor, backup.sidecar, now),
        )
        for backup in page
    ]
    next_deletions = expired_after_backup(listing.backups, stored.policy(), now) if stored else []
    ended = charts.ended_backups(now - timedelta(days=charts.DAYS)) if actor.may("operations.view_operation") else []
    context = {
        "page": page,
        "rows": rows,
        "next_deletions": [backup.filename for backup in next_deletions],
        "next_deletions_size": sum(backup.sidecar.compressed_size for backup in next_deletions),
        "days": charts.recent_days(listing.backups, ended, now),
        "kinds": [(each.value, label, counts[each]) for each, label in KIND_LABELS.items() if counts[each]],
        "kind": kind,
        "listing": listing,
        "status": status_of(health, with_folder=actor.is_administrator),
        "alerts": actions.find_alerts(actor) if actor.may(actions.MANAGE_RECEIVERS) else [],
        "max_note": MAX_NOTE,
        "may": {action: actor.may(f"operations.{action}_backup") for action in _ACTIONS},
        "query": f"kind={kind}&" if kind else "",
    }
    if operation := _operation_to_show(request, observation.open_operations):
        by_name = {backup.filename: backup for backup in listing.backups}
        context |= operation_context(operation, request.user, by_name.get)
    return render(request, "web/backups.html", context)


def _operation_to_show(request: HttpRequest, open_operations: Sequence[Operation]) -> Operation | None:
    """Return an open operation, or else the user's newest result until it is dismissed.

    The progress bar shows those of locations, so that a copy does not hide the result of a backup.
    """
    if not request.user.has_perm("operations.view_operation"):
        return None
    in_line = [operation for operation in open_operations if not operation.is_beside]
    if in_line:
        return in_line[-1]
    since = datetime.now(UTC) - _RESULT_SHOWN_FOR
    own = Operation.objects.filter(requested_by=request.user.pk, origin=Origin.WEB, finished_at__gt=since)
    newest = own.exclude(kind__in=(*KINDS_BESIDE, OperationKind.DELETE)).first()
    if newest is None or newest.pk <= request.session.get(DISMISSED, ""):
        return None
    newest.requested_by = cast("User", request.user)  # already loaded
    return newest


@login_required
@require_POST
@refuse_on_page
def create(request: HttpRequest) -> HttpResponse:
    """Start a backup, which the list shows."""
    actor, note = _actor(request), request.POST.get("note", "")
    try:
        actions.request_backup(actor, note=note, accept_folder=request.POST.get("accept_folder") == "true")
    except TvarrBackupError as problem:
        if not (isinstance(problem, OperationRunning) and problem.is_repeated):
            messages.error(request, problem.sentence.for_page())
    else:
        if not actor.may("operations.view_operation"):
            messages.success(request, "Backup started.")
    return HttpResponseRedirect(reverse("home"))


@login_required
@permission_required("operations.view_backup", raise_exception=True)
@require_GET
@refuse_on_page
def chart(request: HttpRequest) -> HttpResponse:
    """Show the sizes of backups, and the free space after them, as charts and as a table."""
    points = charts.backup_points(read_folder(backup_folder()).backups)
    free = [(point.at, point.free) for point in points if point.free is not None]
    drawn = (
        charts.draw_chart("Size of backups", [(point.at, point.size) for point in points]),
        charts.draw_chart("Free space after a backup", free),
    )
    context = {"charts": [one for one in drawn if one], "points": points[::-1]}
    return render(request, "web/chart.html", context)


@login_required
@permission_required("operations.view_backup", raise_exception=True)
@require_GET
@refuse_on_page
def backup(request: HttpRequest, filename: str) -> HttpResponse:
    """Show a backup, with its row counts next to the current ones."""
    folder, now = backup_folder(), datetime.now(UTC)
    found = find_backup(folder, filename)
    policy, listed = BackupSettings.load().policy(), cache(lambda: read_folder(folder).backups)
    reason = why_kept(found, listed, policy, now)
    rules = rules_keeping(found, listed(), policy, now) if reason is KeptReason.WITHIN_LIMITS else []
    live_rows, unreadable = count_live_rows()
    row = BackupRow(
        found,
        state_of(found.sidecar, conf.required_schema()),
        copies=find_copies([filename]).get(filename, ()),
        will_be_deleted=reason is None,
        may_change_protection=actions.may_unprotect(_actor(request), found.sidecar, now),
    )
    context = {
        "row": row,
        "changes": table_changes(live_rows, found.sidecar.table_counts),
        "unreadable": unreadable,
        "fate": describe_fate(reason, rules, policy),
        "max_note": MAX_NOTE,
    }
    return render(request, "web/backup.html", context)


@login_required
@require_POST
@refuse_on_page
def note(request: HttpRequest, filename: str) -> HttpResponse:
    """Change the note, unless the backup has been changed since the page was loaded."""
    return _change(request, filename, "Note saved.", note=request.POST.get("note", "").strip())


@login_required
@require_POST
@refuse_on_page
def protect(request: HttpRequest, filename: str) -> HttpResponse:
    protected = request.POST.get("protected") == "true"
    done = "Backup protected. It cannot be deleted." if protected else "Backup unprotected. It can be deleted."
    return _change(request, filename, done, protected=protected)


def _change(request: HttpRequest, filename: str, done: str, **changes: Any) -> HttpResponse:
    etag = request.POST.get("etag")
    try:
        actions.change_backup(_actor(request), filename, only_if=[etag] if etag else None, **changes)
        messages.success(request, done)
    except BackupNotFound as problem:
        messages.error(request, problem.sentence.for_page())
        return HttpResponseRedirect(reverse("home"))
    except TvarrBackupError as problem:
        if isinstance(problem, PreconditionFailed) and _has_values(filename, changes):  # the form was sent twice
            messages.success(request, done)
        else:
            messages.error(request, problem.sentence.for_page())
    return HttpResponseRedirect(reverse("backup", args=[filename]))


def _has_values(filename: str, values: dict[str, Any]) -> bool:
    sidecar = find_backup(backup_folder(), filename).sidecar
    return all(getattr(sidecar, name) == value for name, value in values.items())


@login_required
@require_POST
@refuse_on_page
def verify(request: HttpRequest, filename: str) -> HttpResponse:
    return lead_to(
        request,
        lambda: actions.request_verification(_actor(request), [filename]),
        reverse("backup", args=[filename]),
    )


@login_required
@require_POST
@refuse_on_page
def rehearse(request: HttpRequest, filename: str) -> HttpResponse:
    return lead_to(
        request,
        lambda: actions.request_rehearsal(_actor(request), filename),
        reverse("backup", args=[filename]),
    )


@login_required
@require_http_methods(["GET", "HEAD"])
@refuse_on_page
def send(request: HttpRequest, filename: str) -> HttpResponseBase:
    backup = actions.find_archive(_actor(request), filename)
    try:
        return download(request, backup_folder(), backup)
    except RangeUnsatisfiable as refused:
        return HttpResponse(str(refused), status=416, headers={"Content-Range": refused.content_range})


@dataclass(frozen=True)
class Selected:
    """A backup that is selected for deletion. It may be a broken one."""

    filename: str
    row: BackupRow | None = None
    broken: Broken | None = None

    @property
    def is_protected(self) -> bool:
        return self.row is not None and self.row.is_protected


@login_required
@permission_required(KINDS[OperationKind.DELETE].permission, raise_exception=True)
@require_http_methods(["GET", "POST"])
@refuse_on_page
def delete(request: HttpRequest) -> HttpResponse:
    """List the selected backups. A POST deletes them."""
    if request.method == "POST":
        return _delete(request)
    reconcile()
    names, required = set(request.GET.getlist("name")), conf.required_schema()
    listing = read_folder(backup_folder())
    rows = [BackupRow(backup, state_of(backup.sidecar, required)) for backup in listing.backups]
    selected = [Selected(row.backup.filename, row=row) for row in rows if row.backup.filename in names]
    selected += [Selected(one.filename, broken=one) for one in listing.broken if one.filename in names]
    deletable = [one for one in selected if not one.is_protected]
    good = {row.backup.filename for row in rows if row.state is BackupState.CHECKED}
    context = {
        "selected": selected,
        "deletable": deletable,
        "gone": sorted(names - {one.filename for one in selected}),
        "includes_last_good": bool(good) and good <= {one.filename for one in deletable},
    }
    return render(request, "web/delete.html", context)


def _delete(request: HttpRequest) -> HttpResponse:
    done = actions.delete_backups(_actor(request), request.POST.getlist("name"))
    for filename, problem in done.refused:
        if isinstance(problem, BackupNotFound):
            messages.info(request, f"{filename} was already deleted.")
        else:
            messages.error(request, problem.sentence.for_page())
    if done.deleted:
        number = len(done.deleted)
        messages.success(request, f"{done.deleted[0]} deleted." if number == 1 else f"{number} backups deleted.")
    return HttpResponseRedirect(reverse("home"))
