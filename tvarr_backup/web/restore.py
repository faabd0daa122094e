"""The restore page: the backup, the steps, and what will be lost."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import PermissionDenied
from django.db import Error
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from tvarr_backup import conf
from tvarr_backup.backups.catalogue import Backup, find_backup
from tvarr_backup.backups.sidecar import Sidecar
from tvarr_backup.errors import (
    BackupNotFound,
    BackupUnsupported,
    OfflineRestoreRequired,
    OperationRunning,
    QueueUnreachable,
    StateUnread,
    TvarrBackupError,
)
from tvarr_backup.formatting import format_duration, format_time
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.kinds import KINDS
from tvarr_backup.operations.models import OperationKind, Origin
from tvarr_backup.operations.report import code_refused_in, last_refusal, state_of
from tvarr_backup.operations.restores import require_restorable, rows_now
from tvarr_backup.operations.sightings import verdict_on
from tvarr_backup.operations.states import NOW
from tvarr_backup.portable.states import compare_states
from tvarr_backup.portable.tvarr_memory import EVERYTHING, RELOAD_ADVICE, needs_reload
from tvarr_backup.schema import RequiredSchema
from tvarr_backup.web.forms import accepted_code
from tvarr_backup.web.labels import BackupRow, format_made, list_changes, table_changes
from tvarr_backup.web.operations import not_started
from tvarr_backup.web.refusals import refuse_on_page


@login_required
@permission_required(KINDS[OperationKind.RESTORE].permission, raise_exception=True)
@require_http_methods(["GET", "POST"])
@refuse_on_page
def restore(request: HttpRequest, filename: str) -> HttpResponse:
    """Show what a restore would do. A POST starts it."""
    if request.method == "GET":  # the page has a checkbox for a newer schema
        found, obstacles = find_backup(backup_folder(), filename), _obstacles(filename, accept_newer=True)
        return render(request, "web/restore.html", _context(request, found, *obstacles))
    given: dict[str, Any] = {name: request.POST.get(name) == "true" for name in ("accept_newer", "offline")}
    given["accept_code"] = accepted_code(request.POST)
    try:
        started = actions.request_restore(Actor(request.user, Origin.WEB), filename, **given)
    except (OperationRunning, QueueUnreachable) as problem:
        return not_started(request, problem, reverse("restore", args=[filename]))
    except (BackupNotFound, BackupUnsupported):
        raise
    except TvarrBackupError as problem:
        damage, blocked = _obstacles(filename, accept_newer=given["accept_newer"])
        if not isinstance(problem, OfflineRestoreRequired):  # the page shows the damage
            blocked = problem.sentence.for_page()
        context = _context(request, find_backup(backup_folder(), filename), damage, blocked)
        return render(request, "web/restore.html", context, status=HTTPStatus.CONFLICT)
    return HttpResponseRedirect(reverse("operation", args=[started.pk]))


def _configuration_changes(request: HttpRequest, backup: Backup) -> dict[str, Any]:
    """Return what a restore changes in the configuration, or that the backup has to be read first."""
    actor = Actor(request.user, Origin.WEB)
    try:
        before, after = (actions.read_state(actor, name).state for name in (NOW, backup.filename))
    except StateUnread:
        return {"has_unread_configuration": True}
    except (PermissionDenied, TvarrBackupError, Error):
        return {}
    found = compare_states(before, after)
    return {"is_configuration_compared": True, "configuration_changes": list_changes(found)}


def _obstacles(filename: str, *, accept_newer: bool) -> tuple[str, str]:
    """Return the damage if only an offline restore is possible, and why a restore is refused; both may be empty."""
    damage = ""
    try:
        try:
            require_restorable(filename, accept_newer=accept_newer)
        except OfflineRestoreRequired as problem:
            damage = problem.damage
            require_restorable(filename, offline=True, accept_newer=accept_newer)
    except (BackupNotFound, BackupUnsupported):
        raise
    except TvarrBackupError as problem:
        return damage, problem.sentence.for_page()
    return damage, ""


def _context(request: HttpRequest, found: Backup, damage: str, blocked: str) -> dict[str, Any]:
    required = conf.required_schema()
    verdict = verdict_on(found, required)
    return {
        **({} if damage else _configuration_changes(request, found)),
        "facts": verdict.facts,
        "needs_accept_newer": verdict.needs_confirmation,
        "row": BackupRow(found, state_of(found.sidecar, required)),
        "button": f"Restore backup of {format_made(found.sidecar)}",
        "damage": damage,
        "live": conf.live_database().name,
        "blocked": blocked,
        "code": code_refused_in(last_refusal(found.filename)),
        "updates": _updates(found, required),
        "lost": _lost(found.sidecar, datetime.now(UTC)),
        "changes": table_changes(rows_now(), found.sidecar.table_counts),
        "reload_advice": RELOAD_ADVICE if needs_reload(EVERYTHING) else "",
    }


def _updates(backup: Backup, required: RequiredSchema) -> int:
    """Return how many of our migrations the backup lacks."""
    program, _, migration = backup.sidecar.schema.partition(" ")
    if program != "tvarr-backup":
        return 0
    return sum(name > migration for name in required.migrations)


def _lost(sidecar: Sidecar, now: datetime) -> str:
    """Return what tvarr's database will lose, since the latest change that the backup is known to have."""
    made = sidecar.known_at
    if made is None:
        changes = "All changes that are not in the backup, whose date is unknown,"
    elif made > now:
        changes = f"All changes that are not in the backup, whose date ({format_time(made)}) is in the future,"
    else:
        since = format_time(made) + ("" if sidecar.is_dated else ", the newest row in the backup")
        changes = f"{format_duration(now - made)} of changes (since {since})"
    return f"{changes[0].upper()}{changes[1:]} will be removed from tvarr's database."
