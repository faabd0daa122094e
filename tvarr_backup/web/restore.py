"""The restore page: what one gets, what happens, what is lost; and the button that says it."""

from __future__ import annotations

import sqlite3
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
from tvarr_backup.backups.examine import live_rows
from tvarr_backup.backups.restore import look_before_restore
from tvarr_backup.errors import BackupNotFound, BackupUnsupported, TvarrBackupError
from tvarr_backup.operations.models import OperationKind
from tvarr_backup.operations.report import state_of
from tvarr_backup.portable.tvarr_memory import EVERYTHING, RELOAD_ADVICE, needs_reload
from tvarr_backup.schema import RequiredSchema
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
    folder, required, live = conf.backup_folder(), conf.required_schema(), conf.live_database()
    found = find_backup(folder, filename)
    blocked = ""
    try:
        look_before_restore(live, folder, filename, required)
    except (BackupNotFound, BackupUnsupported):
        raise
    except TvarrBackupError as problem:
        blocked = str(problem)
    here = reverse("restore", args=[found.filename])
    if request.method == "POST" and not blocked:
        return ask(request, OperationKind.RESTORE, here, filename=found.filename)
    if request.method == "POST":
        return render(request, *_page(found, required, blocked), status=HTTPStatus.CONFLICT)
    return frame_first(request, _PAGE, lambda: _page(found, required, blocked), {"sidecar": found.sidecar})


def _page(found: Backup, required: RequiredSchema, blocked: str) -> Content:
    return _PAGE, {
        "row": Row(found, state_of(found.sidecar, required)),
        "sidecar": found.sidecar,
        "button": f"Replace with the backup of {short_moment(found.sidecar.created_at)}",
        "blocked": blocked,
        "updates": _updates(found, required),
        "lost": _lost(found.sidecar.created_at, datetime.now(UTC)),
        "changes": changes(_rows_now(), found.sidecar.table_counts),
        "reload_advice": RELOAD_ADVICE if needs_reload(EVERYTHING) else "",
    }


def _rows_now() -> dict[str, int]:
    """None where the live database cannot be read, which a restore may mend."""
    try:
        return live_rows(conf.live_database())
    except sqlite3.Error:
        return {}


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
