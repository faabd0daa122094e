"""The pages of locations, and their actions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.paginator import Paginator
from django.db.models import Count, Max, Q, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from tvarr_backup import conf
from tvarr_backup.errors import (
    DeletionsUnconfirmed,
    IdentityInvalid,
    IdentityWrong,
    LocationBusy,
    LocationError,
    LocationNotFound,
    OperationRunning,
    RecipientInvalid,
    TvarrBackupError,
)
from tvarr_backup.locations.addresses import LocationKind
from tvarr_backup.locations.keys import Key
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.copying import plan_for
from tvarr_backup.operations.models import OPEN_STATES, Location, Operation, OperationKind, Origin
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.web.disks import are_on_one_disk
from tvarr_backup.web.location_forms import ChangedLocationForm, IdentityForm, NewLocationForm
from tvarr_backup.web.location_rows import (
    HostKey,
    LocationRow,
    RecoveryKit,
    describe_copies,
    local_backups,
    moment_of,
)
from tvarr_backup.web.operations import operation_context, operation_row
from tvarr_backup.web.refusals import refuse_on_page

_COPIES_ON_A_PAGE = 25
_OPERATIONS_SHOWN = 10
_RESULT_SHOWN_FOR = timedelta(hours=1)

_KINDS = (
    (LocationKind.FOLDER, "A mounted share or another disk"),
    (LocationKind.S3, "Amazon S3, or any service with its protocol"),
    (LocationKind.SFTP, "Any server with SSH, such as a NAS"),
    (LocationKind.WEBDAV, "Nextcloud, or another server with WebDAV"),
)


def _actor(request: HttpRequest) -> Actor:
    return Actor(request.user, Origin.WEB)


def _page_of(location: Location) -> HttpResponse:
    return HttpResponseRedirect(reverse("location", args=[location.name]))


# --- The list --------------------------------------------------------------------------------------------------------


@login_required
@permission_required(actions.MANAGE_LOCATIONS, raise_exception=True)
@require_GET
@refuse_on_page
def locations(request: HttpRequest) -> HttpResponse:
    """List locations with their states and copies."""
    reconcile()
    found = (
        actions.find_locations(_actor(request))
        .prefetch_related(None)
        .annotate(number=Count("copies"), size=Sum("copies__size"), newest=Max("copies__filename"))
        .order_by("name")
    )
    rows = [LocationRow(one, one.number, one.size or 0, moment_of(one.newest)) for one in found]
    context = {
        "rows": rows,
        "is_on_one_disk": are_on_one_disk(conf.backup_path(), conf.database_path(conf.tvarr_alias())),
    }
    return render(request, "web/locations.html", context)


# --- A location ------------------------------------------------------------------------------------------------------


@login_required
@permission_required(actions.MANAGE_LOCATIONS, raise_exception=True)
@require_GET
@refuse_on_page
def location(request: HttpRequest, location: str) -> HttpResponse:
    """Show a location: its state, its copies, and its operations."""
    reconcile()
    found, local = actions.find_location(_actor(request), location), local_backups()
    numbers = found.copies.aggregate(number=Count("pk"), size=Sum("size"), newest=Max("filename"))
    page = Paginator(found.copies.all(), _COPIES_ON_A_PAGE).get_page(request.GET.get("page"))
    plan = plan_for(found, local, datetime.now(UTC))
    context = {
        "row": LocationRow(found, numbers["number"], numbers["size"] or 0, moment_of(numbers["newest"])),
        "page": page,
        "copies": describe_copies(found, list(page), local),
        "to_copy": len(plan.to_copy),
        "to_delete": len(plan.to_delete),
        "damaged": found.copies.exclude(problem="").count(),
        "offered": HostKey(found.offered_host_key) if found.offered_host_key else None,
        "trusted": HostKey(found.options["host_key"]) if found.options.get("host_key") else None,
        "retention": _describe_retention(found),
        "rehearsal": found.rehearsals.first(),
        "is_rehearsable": found.is_ready and (not found.recipient or found.sealed_identity) and numbers["number"],
    }
    if request.user.has_perm("operations.view_operation"):
        context |= _operations_of(found, request)
    return render(request, "web/location.html", context)


def _operations_of(location: Location, request: HttpRequest) -> dict[str, Any]:
    """Return the context of its operations: the open one, or the user's newest result, and the latest ones."""
    key = str(location.pk)
    is_rehearsal_there = Q(kind=OperationKind.REHEARSE, arguments__location=key)
    rows = Operation.objects.filter(Q(location=key) | is_rehearsal_there).select_related("requested_by")
    latest = list(rows[:_OPERATIONS_SHOWN])
    names = {str(location.pk): ""}
    context: dict[str, Any] = {"history": [operation_row(one, lambda _filename: None, names) for one in latest]}
    newest = latest[0] if latest else None
    if newest is not None and newest.is_open:
        context |= operation_context(newest, request.user, lambda _filename: None) | {"subject": ""}
    elif newest is not None and newest.requested_by == request.user and newest.finished_at:
        is_recent = datetime.now(UTC) - newest.finished_at < _RESULT_SHOWN_FOR
        context["result"] = context["history"][0] if is_recent else None
    return context


def _describe_retention(location: Location) -> str:
    if location.keep is None:
        text = "all automatic backups"
    else:
        periods = [f"{number} {period}" for period, number in location.policy().periods.items() if number]
        text = f"the newest {location.keep} automatic backups"
        text += f", plus {', '.join(periods)}" if periods else ""
    return f"{text}, at most {location.max_age} old" if location.max_age else text


@login_required
@require_POST
@refuse_on_page
def test(request: HttpRequest, location: str) -> HttpResponse:
    return _start(request, location, lambda: actions.request_location_test(_actor(request), location))


@login_required
@require_POST
@refuse_on_page
def copy(request: HttpRequest, location: str) -> HttpResponse:
    accept_empty = request.POST.get("accept_empty") == "true"
    return _start(
        request, location, lambda: actions.request_copies(_actor(request), location, accept_empty=accept_empty)
    )


@login_required
@require_POST
@refuse_on_page
def check(request: HttpRequest, location: str) -> HttpResponse:
    return _start(request, location, lambda: actions.request_copy_check(_actor(request), location))


@login_required
@require_POST
@refuse_on_page
def rehearse(request: HttpRequest, location: str) -> HttpResponse:
    return _start(request, location, lambda: actions.request_rehearsal(_actor(request), location=location))


def _start(request: HttpRequest, location: str, start: Callable[[], Operation]) -> HttpResponse:
    """Start an operation, which the page of the location shows. A second click changes nothing."""
    try:
        start()
    except LocationNotFound:
        raise
    except TvarrBackupError as problem:
        is_repeated = isinstance(problem, OperationRunning) and problem.is_repeated
        if not is_repeated and not (isinstance(problem, LocationBusy) and _has_own(request, location)):
            messages.error(request, problem.sentence.for_page())
    return HttpResponseRedirect(reverse("location", args=[location]))


def _has_own(request: HttpRequest, location: str) -> bool:
    """Return whether the user's own operation of a location is open."""
    key = str(actions.find_location(_actor(request), location).pk)
    return Operation.objects.filter(state__in=OPEN_STATES, location=key, requested_by=request.user.pk).exists()


@login_required
@require_POST
@refuse_on_page
def pause(request: HttpRequest, location: str) -> HttpResponse:
    """Pause a location, or resume it."""
    is_enabled = request.POST.get("enabled") == "true"
    found = actions.change_location(_actor(request), location, {}, is_enabled=is_enabled)
    messages.success(request, "Location resumed." if is_enabled else "Location paused. Nothing is copied there.")
    return _page_of(found)


@login_required
@require_POST
@refuse_on_page
def host_key(request: HttpRequest, location: str) -> HttpResponse:
    """Accept the host key that the page showed."""
    found = actions.confirm_host_key(_actor(request), location, request.POST.get("host_key", ""))
    messages.success(request, "Host key confirmed. Test the location again.")
    return _page_of(found)


# --- Adding, changing, removing --------------------------------------------------------------------------------------


@login_required
@permission_required(actions.MANAGE_LOCATIONS, raise_exception=True)
@require_http_methods(["GET", "POST"])
@refuse_on_page
@never_cache
def add(request: HttpRequest) -> HttpResponse:
    """Choose a kind, and fill in its form. A new key is shown in the answer, and only there."""
    kind = request.GET.get("kind", "")
    if kind not in set(LocationKind):
        return render(request, "web/location_kinds.html", {"kinds": _KINDS})
    new = Location(kind=kind)
    form = NewLocationForm(new, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        added = _add(request, LocationKind(kind), form)
        if added is not None:
            return added
    return render(request, "web/location_add.html", {"form": form, "kind": LocationKind(kind)})


def _add(request: HttpRequest, kind: LocationKind, form: NewLocationForm) -> HttpResponse | None:
    """Add a location, and return the next page, or None if there are errors, which the form has then."""
    name, encryption, actor = form.cleaned_data["name"], form.cleaned_data["encryption"], _actor(request)
    try:
        if encryption == "new":
            return _show_kit(
                request, *actions.add_location_with_key(actor, name, kind, form.options(), **form.retention())
            )
        columns = form.retention()
        if encryption == "recipient":
            columns |= {"recipient": form.cleaned_data["recipient"], "is_key_saved": True}
        added = actions.add_location(actor, name, kind, form.options(), **columns)
    except RecipientInvalid as problem:
        form.add_error("recipient", problem.sentence.for_page())
        return None
    except LocationError as problem:
        form.add_error(None, problem.sentence.for_page())
        return None
    messages.success(request, "Location added. Test it to start copying.")
    return _page_of(added)


@login_required
@permission_required(actions.MANAGE_LOCATIONS, raise_exception=True)
@require_http_methods(["GET", "POST"])
@refuse_on_page
@never_cache
def change(request: HttpRequest, location: str) -> HttpResponse:
    """Change the name, options and retention. Secret fields are empty, and keep what is stored."""
    found = actions.find_location(_actor(request), location)
    form = ChangedLocationForm(found, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        columns = form.retention() | {"name": form.cleaned_data["name"]}
        try:
            agreed = form.cleaned_data["agreed"]
            changed = actions.change_location(_actor(request), location, form.options(), agreed=agreed, **columns)
        except DeletionsUnconfirmed as problem:
            form.deletions = problem.filenames
        except LocationError as problem:
            form.add_error(None, problem.sentence.for_page())
        else:
            is_tested = changed.tested_at is not None
            messages.success(request, "Location saved." if is_tested else "Location saved. Test it to go on copying.")
            return _page_of(changed)
    return render(request, "web/location_change.html", {"form": form, "location": found, "name": location})


@login_required
@permission_required(actions.MANAGE_LOCATIONS, raise_exception=True)
@require_http_methods(["GET", "POST"])
@refuse_on_page
def remove(request: HttpRequest, location: str) -> HttpResponse:
    """Say what stays. A POST removes the location."""
    if request.method == "POST":
        actions.remove_location(_actor(request), location)
        messages.success(request, f"Location {location} removed. Its copies are still there.")
        return HttpResponseRedirect(reverse("locations"))
    found = actions.find_location(_actor(request), location)
    return render(request, "web/location_remove.html", {"location": found, "copies": found.copies.count()})


# --- Keys ------------------------------------------------------------------------------------------------------------


@login_required
@permission_required(actions.MANAGE_LOCATIONS, raise_exception=True)
@require_http_methods(["GET", "POST"])
@refuse_on_page
@never_cache
def key(request: HttpRequest, location: str) -> HttpResponse:
    """Make a key, whose recovery kit is shown in the answer and only there, or confirm that it was saved."""
    found = actions.find_location(_actor(request), location)
    if "make" in request.POST:
        made = actions.new_location_key(_actor(request), location)
        found.refresh_from_db()
        return _show_kit(request, found, made)
    form = IdentityForm(found.recipient, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            actions.confirm_location_key(_actor(request), location, form.cleaned_data["identity"])
        except (IdentityInvalid, IdentityWrong) as problem:
            form.add_error("identity", problem.sentence.for_page())
        else:
            messages.success(request, "Recovery key confirmed.")
            return _page_of(found)
    has_encrypted = found.copies.filter(is_encrypted=True).exists()
    return render(
        request, "web/location_key.html", {"location": found, "form": form, "has_encrypted_copies": has_encrypted}
    )


@login_required
@permission_required(actions.MANAGE_LOCATIONS, raise_exception=True)
@require_http_methods(["GET", "POST"])
@refuse_on_page
@never_cache
def identity(request: HttpRequest, location: str) -> HttpResponse:
    """Store the identity of a location for rehearsals, or forget it. It is never shown."""
    found = actions.find_location(_actor(request), location)
    if "forget" in request.POST:
        actions.forget_rehearsal_identity(_actor(request), location)
        messages.success(request, "Identity deleted from this machine. Its copies are no longer rehearsed.")
        return _page_of(found)
    form = IdentityForm(found.recipient, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            actions.store_rehearsal_identity(_actor(request), location, form.cleaned_data["identity"])
        except (IdentityInvalid, IdentityWrong) as problem:
            form.add_error("identity", problem.sentence.for_page())
        else:
            messages.success(request, "Identity stored. Copies in this location are rehearsed from now on.")
            return _page_of(found)
    return render(request, "web/location_identity.html", {"location": found, "form": form})


def _show_kit(request: HttpRequest, location: Location, key: Key) -> HttpResponse:
    context = {"location": location, "kit": RecoveryKit.of(location, key), "form": IdentityForm(key.recipient)}
    return render(request, "web/location_kit.html", context)
