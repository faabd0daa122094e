"""The backups: all of them, one of them, and what is done to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from tvarr_backup import conf
from tvarr_backup.backups.catalogue import (
    Backup,
    Broken,
    Listing,
    find_backup,
    read_folder,
)
from tvarr_backup.backups.retention import expired, why_kept
from tvarr_backup.backups.sidecar import MAX_NOTE
from tvarr_backup.errors import BackupNotFound, PreconditionFailed, TvarrBackupError
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.health import check_health
from tvarr_backup.operations.kinds import KINDS
from tvarr_backup.operations.models import (
    KIND_LABELS,
    BackupSettings,
    BackupState,
    Operation,
    OperationKind,
    Origin,
)
from tvarr_backup.operations.observe import count_live_rows
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.report import state_of
from tvarr_backup.schema import RequiredSchema
from tvarr_backup.transfer.downloads import RangeUnsatisfiable, download
from tvarr_backup.web.operations import DISMISSED, lead_to, shown
from tvarr_backup.web.refusals import of_backups
from tvarr_backup.web.status import status_of
from tvarr_backup.web.words import FATES, Row, changes

if TYPE_CHECKING:
    from django.contrib.auth.models import User

A_PAGE = 25
_RESULT_SHOWN_FOR = timedelta(days=1)


class May(NamedTuple):
    """What somebody may do with backups."""

    create: bool
    restore: bool
    download: bool
    verify: bool
    protect: bool
    delete: bool


def _actor(request: HttpRequest) -> Actor:
    return Actor(request.user, Origin.WEB)


def _may(request: HttpRequest) -> May:
    names = ("create", "restore", "download", "verify", "protect", "delete")
    return May(**{name: request.user.has_perm(f"operations.{name}_backup") for name in names})


@login_required
@permission_required("operations.view_backup", raise_exception=True)
@require_GET
@of_backups
def backups(request: HttpRequest) -> HttpResponse:
    """All backups, the newest first, and what is under way."""
    reconcile()
    health = check_health()
    seen, now = health.observation, datetime.now(UTC)
    listing, stored = seen.folder.listing or Listing((), (), ()), seen.records and seen.records.settings
    chosen = request.GET.get("kind", "")
    counts = Counter(backup.sidecar.kind for backup in listing.backups)
    found = [backup for backup in listing.backups if chosen not in counts or backup.sidecar.kind == chosen]
    page = Paginator(found, A_PAGE).get_page(request.GET.get("page"))
    operation = _operation_to_show(request, seen.open_operations)
    doomed = {gone.filename for gone in expired(listing.backups, stored.policy(), now)} if stored else set()
    required = conf.required_schema()
    rows = [
        Row(
            backup,
            state_of(backup.sidecar, required),
            is_doomed=backup.filename in doomed,
            may_change_protection=actions.may_unprotect(_actor(request), backup.sidecar, now),
        )
        for backup in page
    ]
    context = {
        "page": page,
        "rows": rows,
        "kinds": [(kind.value, label, counts[kind]) for kind, label in KIND_LABELS.items() if counts[kind]],
        "kind": chosen if chosen in counts else "",
        "listing": listing,
        "status": status_of(health, tells_folder=_actor(request).is_administrator),
        "max_note": MAX_NOTE,
        "may": _may(request),
        "query": f"kind={chosen}" if chosen in counts else "",
    }
    context |= shown(operation, request.user) if operation else {}
    return render(request, "web/backups.html", context)


def _row(backup: Backup, required: RequiredSchema) -> Row:
    return Row(backup, state_of(backup.sidecar, required))


def _operation_to_show(request: HttpRequest, under_way: Sequence[Operation]) -> Operation | None:
    """What is under way, or else how the newest of one's own ended, until that is dismissed."""
    if not request.user.has_perm("operations.view_operation"):
        return None
    if under_way:
        return under_way[-1]
    since = datetime.now(UTC) - _RESULT_SHOWN_FOR
    own = Operation.objects.filter(requested_by=request.user.pk, origin=Origin.WEB, finished_at__gt=since)
    newest = own.exclude(kind=OperationKind.DELETE).first()
    if newest is None or newest.pk <= request.session.get(DISMISSED, ""):
        return None
    newest.requested_by = cast("User", request.user)  # known already
    return newest


@login_required
@require_POST
@of_backups
def create(request: HttpRequest) -> HttpResponse:
    """Ask the worker for a backup, and show how it goes."""
    note, accept_folder = request.POST.get("note", ""), request.POST.get("accept_folder") == "true"
    return lead_to(
        request,
        lambda: actions.request_backup(_actor(request), note=note, accept_folder=accept_folder),
        reverse("home"),
    )


# --- One -------------------------------------------------------------------------------------------------------------


@login_required
@permission_required("operations.view_backup", raise_exception=True)
@require_GET
@of_backups
def backup(request: HttpRequest, filename: str) -> HttpResponse:
    """What is known of one, beside what is live now."""
    folder, now = backup_folder(), datetime.now(UTC)
    found = find_backup(folder, filename)
    kept = why_kept(found, lambda: read_folder(folder).backups, BackupSettings.load().policy(), now)
    rows, unreadable = count_live_rows()
    context = {
        "row": _row(found, conf.required_schema()),
        "backup": found,
        "sidecar": found.sidecar,
        "changes": changes(rows, found.sidecar.table_counts),
        "unreadable": unreadable,
        "fate": FATES[kept],
        "is_doomed": kept is None,
        "may_change_protection": actions.may_unprotect(_actor(request), found.sidecar, now),
        "max_note": MAX_NOTE,
    }
    return render(request, "web/backup.html", context)


@login_required
@require_POST
@of_backups
def note(request: HttpRequest, filename: str) -> HttpResponse:
    """Another note, unless somebody else has changed the backup since the page was shown."""
    return _change(request, filename, "The note is changed.", note=request.POST.get("note", "").strip())


@login_required
@require_POST
@of_backups
def protect(request: HttpRequest, filename: str) -> HttpResponse:
    """Set or lift the protection."""
    protected = request.POST.get("protected") == "true"
    words = (
        "is protected: neither clean-ups nor a deletion touch it"
        if protected
        else "is no longer protected: clean-ups may remove it, and it can be deleted"
    )
    return _change(request, filename, f"{filename} {words}.", protected=protected)


def _change(request: HttpRequest, filename: str, done: str, **what: Any) -> HttpResponse:
    mark = request.POST.get("mark")
    try:
        actions.change_backup(_actor(request), filename, only_if=[mark] if mark else None, **what)
        messages.success(request, done)
    except BackupNotFound as problem:
        messages.error(request, problem.sentence.for_page())
        return HttpResponseRedirect(reverse("home"))
    except PreconditionFailed as problem:
        if _is_so(filename, what):  # the form was sent twice
            messages.success(request, done)
        else:
            messages.error(request, problem.sentence.for_page())
    except TvarrBackupError as problem:
        messages.error(request, problem.sentence.for_page())
    return HttpResponseRedirect(reverse("backup", args=[filename]))


def _is_so(filename: str, what: Mapping[str, Any]) -> bool:
    sidecar = find_backup(backup_folder(), filename).sidecar
    return all(getattr(sidecar, name) == value for name, value in what.items())


@login_required
@require_POST
@of_backups
def verify(request: HttpRequest, filename: str) -> HttpResponse:
    """Ask the worker for a complete check."""
    return lead_to(
        request,
        lambda: actions.request_verification(_actor(request), [filename]),
        reverse("backup", args=[filename]),
    )


@login_required
@require_http_methods(["GET", "HEAD"])
@of_backups
def send(request: HttpRequest, filename: str) -> HttpResponseBase:
    """The archive, or a range of it."""
    backup = actions.find_archive(_actor(request), filename)
    try:
        return download(request, backup_folder(), backup)
    except RangeUnsatisfiable as refused:
        return HttpResponse(str(refused), status=416, headers={"Content-Range": refused.content_range})


# --- Deleting --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Doomed:
    """What somebody has chosen to delete: a backup with what is known of it, or what is broken."""

    filename: str
    row: Row | None = None
    broken: Broken | None = None

    @property
    def is_protected(self) -> bool:
        return self.row is not None and self.row.is_protected


@login_required
@permission_required(KINDS[OperationKind.DELETE].permission, raise_exception=True)
@require_http_methods(["GET", "POST"])
@of_backups
def delete(request: HttpRequest) -> HttpResponse:
    """Name what was chosen, and delete it when that is confirmed."""
    if request.method == "POST":
        return _delete(request)
    reconcile()
    names, required = request.GET.getlist("name"), conf.required_schema()
    listing = read_folder(backup_folder())
    chosen = _chosen(listing, names, required)
    going = [one for one in chosen if not one.is_protected]
    context = {
        "chosen": chosen,
        "going": going,
        "gone": sorted(set(names) - {one.filename for one in chosen}),
        "takes_last_good": _takes_last_good(listing, going, required),
    }
    return render(request, "web/delete.html", context)


def _chosen(listing: Listing, names: list[str], required: RequiredSchema) -> list[Doomed]:
    wanted = set(names)
    backups = [
        Doomed(backup.filename, row=_row(backup, required)) for backup in listing.backups if backup.filename in wanted
    ]
    return backups + [Doomed(one.filename, broken=one) for one in listing.broken if one.filename in wanted]


def _takes_last_good(listing: Listing, going: list[Doomed], required: RequiredSchema) -> bool:
    """Whether there would be no checked backup left."""
    good = {backup.filename for backup in listing.backups if state_of(backup.sidecar, required) is BackupState.CHECKED}
    return bool(good) and good <= {one.filename for one in going}


def _delete(request: HttpRequest) -> HttpResponse:
    done = actions.delete_backups(_actor(request), request.POST.getlist("name"))
    for filename, problem in done.refused:
        if isinstance(problem, BackupNotFound):
            messages.info(request, f"{filename} was gone already.")
        else:
            messages.error(request, problem.sentence.for_page())
    if done.deleted:
        number = len(done.deleted)
        words = f"{done.deleted[0]} is deleted." if number == 1 else f"{number} backups are deleted."
        messages.success(request, words)
    return HttpResponseRedirect(reverse("home"))
