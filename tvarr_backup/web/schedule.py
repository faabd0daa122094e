"""The settings: when backups are made by themselves, and how many of them are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from tvarr_backup import conf
from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.operations.models import BackupSettings, Operation, Origin
from tvarr_backup.operations.run import doomed_by
from tvarr_backup.operations.schedule import change_settings, describe, next_runs
from tvarr_backup.web.refusals import of_backups
from tvarr_backup.web.schedule_form import ScheduleForm, values_of

_FROM_ENVIRONMENT: dict[str, Any] = {
    "enabled": None,
    "cron": "",
    "time_zone": "",
    "keep": None,
    "keep_all": False,
    "max_age": "",
}
_NOT_SENT_AGAIN = ("agreed", "csrfmiddlewaretoken", "look")


@dataclass(frozen=True)
class Outlook:
    """What settings, stored or not, lead to."""

    sentence: str
    next_runs: list[datetime]
    doomed: list[Backup]
    """What the next clean-up would remove by them, and would not by those that are stored."""
    problem: str = ""

    @property
    def size(self) -> int:
        return sum(backup.sidecar.compressed_size for backup in self.doomed)

    @property
    def mark(self) -> str:
        """Stands for what would be removed: whoever agrees to it has seen just this."""
        return hashlib.sha256("\n".join(backup.filename for backup in self.doomed).encode()).hexdigest()


@login_required
@permission_required("operations.view_backupsettings", raise_exception=True)
@require_http_methods(["GET", "POST"])
@of_backups
def schedule(request: HttpRequest) -> HttpResponse:
    """The page. A POST stores what was changed on it; where that would remove backups, it asks first."""
    conf.live_database()  # there is no schedule where no backups can be made
    if request.method == "GET":
        return _page(request)
    _require_change(request)
    form = ScheduleForm(request.POST)
    if not form.is_valid():
        return _page(request, form)
    if "look" in request.POST:
        return _page(request, form, outlook(form.changes()))
    return _store(request, form.changes(), reverse("settings"))


@login_required
@permission_required("operations.change_backupsettings", raise_exception=True)
@require_GET
def preview(request: HttpRequest) -> HttpResponse:
    """What the form, as it is filled in now, would lead to: a part of the page."""
    form = ScheduleForm(request.GET)
    found = outlook(form.changes()) if form.is_valid() else None
    return render(request, "web/_outlook.html", {"outlook": found, "form": form})


@login_required
@permission_required("operations.change_backupsettings", raise_exception=True)
@require_POST
@of_backups
def reset(request: HttpRequest) -> HttpResponse:
    """Go by the environment again."""
    conf.live_database()
    return _store(request, _FROM_ENVIRONMENT, reverse("reset-settings"))


def outlook(changes: Mapping[str, Any]) -> Outlook:
    """What the stored settings with these changes lead to; the changes are what a form has allowed."""
    stored = BackupSettings.load()
    for name, value in changes.items():
        setattr(stored, name, value)
    try:
        return replace(_times(stored), doomed=doomed_by(stored))
    except TvarrBackupError as problem:
        return replace(_times(stored), problem=str(problem))


def _times(stored: BackupSettings) -> Outlook:
    """Without a look at the backups: by what is stored, nothing goes that would not go anyway."""
    return Outlook(describe(stored), next_runs(stored, datetime.now(UTC)), doomed=[])


def _store(request: HttpRequest, changes: Mapping[str, Any], address: str) -> HttpResponse:
    """Store them, unless backups would go that nobody has agreed to let go."""
    found = outlook(changes)
    if found.doomed and request.POST.get("agreed") != found.mark:
        sent = [(name, value) for name, value in request.POST.items() if name not in _NOT_SENT_AGAIN]
        return render(request, "web/settings_confirm.html", {"outlook": found, "sent": sent, "address": address})
    try:
        change_settings(changes)
    except ValidationError as problem:
        messages.error(request, " ".join(problem.messages))
    else:
        messages.success(request, f"Saved. {describe(BackupSettings.load())}." if changes else "Nothing was changed.")
    return HttpResponseRedirect(reverse("settings"))


def _page(request: HttpRequest, form: ScheduleForm | None = None, found: Outlook | None = None) -> HttpResponse:
    stored = BackupSettings.load()
    if form is None:
        form, found = ScheduleForm.of(stored), _times(stored)
    context = {
        "form": form,
        "outlook": found,
        "values": values_of(stored),
        "from_environment": _from_environment(stored),
        "environment": _environment(),
        "zones": _zones(),
        "last_run": Operation.objects.filter(origin=Origin.SCHEDULE).first(),
    }
    return render(request, "web/settings.html", context)


@cache
def _zones() -> SafeString:
    """Options of a list; looking them up takes the time of several pages, and rendering them that of one."""
    return format_html_join("", '<option value="{}">', ((zone,) for zone in sorted(available_timezones())))


def _require_change(request: HttpRequest) -> None:
    if not request.user.has_perm("operations.change_backupsettings"):
        raise PermissionDenied


def _from_environment(stored: BackupSettings) -> dict[str, str]:
    """Which of the settings are the environment's, by field, with the variable that says so."""
    silent = {
        "enabled": ("TVARR_BACKUP_SCHEDULE_ENABLED", stored.enabled is None),
        "often": ("TVARR_BACKUP_SCHEDULE_CRON", not stored.cron),
        "time_zone": ("TZ", not stored.time_zone),
        "keeping": ("TVARR_BACKUP_SCHEDULE_RETENTION", stored.keep is None and not stored.keep_all),
        "max_age": ("TVARR_BACKUP_SCHEDULE_MAX_AGE", not stored.max_age),
    }
    return {name: variable for name, (variable, is_silent) in silent.items() if is_silent}


def _environment() -> list[tuple[str, str, str]]:
    """What only the environment sets: words, value, variable."""
    return [
        ("Backups lie in", str(settings.BACKUP_DIRECTORY), "TVARR_BACKUP_DIRECTORY"),
        ("The database of tvarr is", str(conf.database_path(conf.tvarr_alias())), "TVARR_DATABASE_DSN"),
        ("Everything of our own lies in", str(settings.STORAGE_BASE_DIR), "TVARR_STORAGE_BASE_DIR"),
        ("Times are shown in", settings.TIME_ZONE, "TZ"),
    ]
