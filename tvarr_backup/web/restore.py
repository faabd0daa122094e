"""The restore page: what one gets, what happens, what is lost; and the button that says it."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus

import humanize
from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from tvarr_backup import conf
from tvarr_backup.backups.catalogue import Backup, find_backup
from tvarr_backup.backups.restore import look_before_restore
from tvarr_backup.errors import BackupNotFound, BackupUnsupported, OfflineRestoreRequired, TvarrBackupError
from tvarr_backup.operations.models import OperationKind
from tvarr_backup.operations.report import state_of
from tvarr_backup.operations.restores import rows_now
from tvarr_backup.schema import RequiredSchema
from tvarr_backup.tvarr_database import newest_tvarr_migration
from tvarr_backup.web.frame import Content, frame_first
from tvarr_backup.web.operations import ask
from tvarr_backup.web.refusals import of_backups
from tvarr_backup.web.templatetags.shown import short_moment
from tvarr_backup.web.words import Row, changes

_PAGE = "web/restore.html"


@login_required
@permission_required("operations.restore_backup", raise_exception=True)
@require_http_methods(["GET", "POST"])
@of_backups
def restore(request: HttpRequest, filename: str) -> HttpResponseBase:
    """Tell what a restore would do, and ask the worker for it when that is confirmed."""
    required = conf.required_schema()
    found = find_backup(conf.backup_folder(), filename)
    damage, blocked = _obstacles(found, required)
    is_confirmed = not damage or request.POST.get("offline") == "true"
    here = reverse("restore", args=[found.filename])
    if request.method == "POST" and not blocked and is_confirmed:
        offline = {"offline": True} if damage else {}
        return ask(request, OperationKind.RESTORE, here, filename=found.filename, **offline)
    if request.method == "POST":
        return render(request, *_page(found, required, damage, blocked), status=HTTPStatus.CONFLICT)
    return frame_first(request, _PAGE, lambda: _page(found, required, damage, blocked), {"sidecar": found.sidecar})


def _obstacles(found: Backup, required: RequiredSchema) -> tuple[str, str]:
    """What is wrong with the live file where an offline restore has to replace it, and what stands in the way of it."""
    damage, folder, live = "", conf.backup_folder(), conf.live_database()
    try:
        try:
            look_before_restore(live, folder, found.filename, required)
        except OfflineRestoreRequired as problem:
            damage = problem.damage
            look_before_restore(live, folder, found.filename, required, offline=True)
    except (BackupNotFound, BackupUnsupported):
        raise
    except TvarrBackupError as problem:
        return damage, str(problem)
    return damage, ""


def _page(found: Backup, required: RequiredSchema, damage: str, blocked: str) -> Content:
    return _PAGE, {
        "row": Row(found, state_of(found.sidecar, required)),
        "sidecar": found.sidecar,
        "button": f"Replace with the backup of {short_moment(found.sidecar.created_at)}",
        "damage": damage,
        "live": conf.live_database().name,
        "blocked": blocked,
        "updates": _updates(found, required),
        "lost": _lost(found.sidecar.created_at, datetime.now(UTC)),
        "changes": changes(rows_now(), found.sidecar.table_counts),
        "is_attached": bool(newest_tvarr_migration(conf.live_database())),
    }


def _updates(backup: Backup, required: RequiredSchema) -> int:
    """How many of our migrations the backup's tables lack."""
    program, _, migration = backup.sidecar.schema.partition(" ")
    if program != "tvarr-backup":
        return 0
    return sum(name > migration for name in required.migrations)


def _lost(made: datetime, now: datetime) -> str:
    """What the live database will not have any more, in words."""
    if made > now:
        return f"everything that is not in the backup; its time, {short_moment(made)}, is still to come by this clock"
    return f"everything changed after {short_moment(made)}: {humanize.naturaldelta(now - made, months=False)}"
