"""The settings page: schedule and retention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import ValidationError
from django.forms.models import model_to_dict
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from tvarr_backup import conf
from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.errors import DeletionsUnconfirmed, TvarrBackupError
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.cleanup import find_new_deletions
from tvarr_backup.operations.models import BackupSettings, Operation, Origin
from tvarr_backup.operations.schedule import describe, describe_retention, next_runs
from tvarr_backup.web.forms import ScheduleForm
from tvarr_backup.web.refusals import refuse_on_page

_NOT_SENT_AGAIN = ("agreed", "csrfmiddlewaretoken", "preview")


@dataclass(frozen=True)
class Outlook:
    sentence: str
    next_runs: list[datetime]
    deletions: list[Backup]
    """Backups that the next cleanup would delete with these settings, but not with the stored ones."""
    problem: str = ""

    @property
    def size(self) -> int:
        return sum(backup.sidecar.compressed_size for backup in self.deletions)

    @property
    def agreement(self) -> str:
        """The code that confirms exactly these deletions."""
        return actions.fingerprint_of_deletions(backup.filename for backup in self.deletions)


@login_required
@permission_required("operations.view_backupsettings", raise_exception=True)
@require_http_methods(["GET", "POST"])
@refuse_on_page
def schedule(request: HttpRequest) -> HttpResponse:
    """Show the settings. A POST stores changes, after a confirmation if cleanup would then delete backups."""
    conf.live_database()  # without a database file there are no backups to schedule
    if request.method == "GET":
        return _page(request)
    Actor(request.user, Origin.WEB).require(actions.CHANGE_SETTINGS)  # also for a form that is not valid
    form = ScheduleForm(request.POST)
    if not form.is_valid():
        return _page(request, form)
    if "preview" in request.POST:
        return _page(request, form, outlook(form.changes()))
    return _store(request, form.changes(), reverse("settings"))


@login_required
@permission_required(actions.CHANGE_SETTINGS, raise_exception=True)
@require_GET
def preview(request: HttpRequest) -> HttpResponse:
    """Render the effect of the form as it is filled in. A part of the page without valid fields shows their errors."""
    form = ScheduleForm(request.GET)
    found = outlook(form.changes()) if form.is_valid() else None
    return render(request, "web/_outlook.html", {"outlook": found, "form": form})


@login_required
@require_POST
@refuse_on_page
def reset(request: HttpRequest) -> HttpResponse:
    """Delete the stored settings, so that the environment applies."""
    return _store(request, model_to_dict(BackupSettings()), reverse("reset-settings"))


def outlook(changes: Mapping[str, Any]) -> Outlook:
    """Return the effect of the stored settings with these changes, which a form has validated."""
    stored = BackupSettings.load()
    for name, value in changes.items():
        setattr(stored, name, value)
    try:
        return replace(_times(stored), deletions=find_new_deletions(stored))
    except TvarrBackupError as problem:
        return replace(_times(stored), problem=problem.sentence.for_page())


def _times(stored: BackupSettings) -> Outlook:
    """Return the effect without deletions. Stored settings add none."""
    return Outlook(describe(stored), next_runs(stored, datetime.now(UTC)), deletions=[])


def _store(request: HttpRequest, changes: Mapping[str, Any], address: str) -> HttpResponse:
    """Store changes, or show the backups that cleanup would delete with them, and ask for confirmation."""
    try:
        actions.change_settings(Actor(request.user, Origin.WEB), changes, agreed=request.POST.get("agreed", ""))
    except DeletionsUnconfirmed:
        sent = [(name, value) for name, value in request.POST.items() if name not in _NOT_SENT_AGAIN]
        context = {"outlook": outlook(changes), "sent": sent, "address": address}
        return render(request, "web/settings_confirm.html", context)
    except ValidationError as problem:
        messages.error(request, " ".join(problem.messages))
    else:
        messages.success(
            request, f"Settings saved. {describe(BackupSettings.load())}." if changes else "Nothing was changed."
        )
    return HttpResponseRedirect(reverse("settings"))


def _page(request: HttpRequest, form: ScheduleForm | None = None, found: Outlook | None = None) -> HttpResponse:
    stored = BackupSettings.load()
    if form is None:
        form, found = ScheduleForm.of(stored), _times(stored)
    context = {
        "form": form,
        "outlook": found,
        "retention": describe_retention(stored),
        "from_environment": _from_environment(stored),
        "is_stored": model_to_dict(stored) != model_to_dict(BackupSettings()),
        "environment": _environment(),
        "zones": _zones(),
        "last_run": Operation.objects.filter(origin=Origin.SCHEDULE).first(),
    }
    return render(request, "web/settings.html", context)


@cache
def _zones() -> SafeString:
    """Return the options of the list of time zones. They are cached, because finding them is slow."""
    return format_html_join("", '<option value="{}">', ((zone,) for zone in sorted(available_timezones())))


def _from_environment(stored: BackupSettings) -> dict[str, str]:
    """Return the variable for each field whose value comes from a variable that is set."""
    variables = {
        "enabled": ("TVARR_BACKUP_SCHEDULE_ENABLED", stored.enabled is None),
        "often": ("TVARR_BACKUP_SCHEDULE_CRON", not stored.cron),
        "time_zone": ("TZ", not stored.time_zone),
        "keeping": ("TVARR_BACKUP_SCHEDULE_RETENTION", stored.keep is None and not stored.keep_all),
        "daily": ("TVARR_BACKUP_SCHEDULE_RETENTION_DAILY", stored.daily is None),
        "weekly": ("TVARR_BACKUP_SCHEDULE_RETENTION_WEEKLY", stored.weekly is None),
        "monthly": ("TVARR_BACKUP_SCHEDULE_RETENTION_MONTHLY", stored.monthly is None),
        "yearly": ("TVARR_BACKUP_SCHEDULE_RETENTION_YEARLY", stored.yearly is None),
        "max_age": ("TVARR_BACKUP_SCHEDULE_MAX_AGE", not stored.max_age),
        "rehearsal_interval": ("TVARR_BACKUP_REHEARSAL_INTERVAL", not stored.rehearsal_interval),
    }
    return {
        name: variable
        for name, (variable, is_unset) in variables.items()
        if is_unset and variable in settings.SET_VARIABLES
    }


def _environment() -> list[tuple[str, str, str]]:
    """Return label, value and variable of each setting that only the environment has."""
    return [
        ("Backup folder", str(settings.BACKUP_DIRECTORY), "TVARR_BACKUP_DIRECTORY"),
        ("tvarr's database", str(conf.database_path(conf.tvarr_alias())), "TVARR_DATABASE_DSN"),
        ("Storage folder", str(settings.STORAGE_BASE_DIR), "TVARR_STORAGE_BASE_DIR"),
        ("Time zone", settings.TIME_ZONE, "TZ"),
    ]
