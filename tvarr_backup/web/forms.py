"""Forms of the pages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import time
from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.core.exceptions import ValidationError

from tvarr_backup.access.models import LONGEST_NAME
from tvarr_backup.access.scopes import DESCRIPTIONS, Scope
from tvarr_backup.backups.retention import Period
from tvarr_backup.cron import LONGEST_CRON, LONGEST_ZONE, parse_cron, parse_zone
from tvarr_backup.durations import format_duration, parse_duration
from tvarr_backup.operations.models import (
    MOST_KEPT,
    NO_AGE_LIMIT,
    NO_REHEARSALS,
    BackupSettings,
    validate_rehearsal_interval,
)
from tvarr_backup.operations.schedule import describe_rehearsal_interval
from tvarr_backup.quoting import quoted
from tvarr_backup.web.times import DAYS, HOURS, Often, Times, cron_of, times_of

_CLASSES: dict[type, str] = {
    forms.CheckboxInput: "form-check-input",
    forms.RadioSelect: "form-check-input",
    forms.Select: "form-select",
}


class Styled:
    fields: dict[str, forms.Field]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.style(self.fields.values())

    def style(self, fields: Iterable[forms.Field]) -> None:
        for field in fields:
            field.widget.attrs.setdefault("class", _CLASSES.get(type(field.widget), "form-control"))


class SignInForm(Styled, AuthenticationForm):
    """User name and password."""


class PasswordForm(Styled, PasswordChangeForm):
    """The old password, and the new one twice."""


class TokenForm(Styled, forms.Form):
    """A new token."""

    name = forms.CharField(max_length=LONGEST_NAME, help_text='Its purpose, such as "Harbour script".')
    lifetime = forms.CharField(
        required=False, max_length=20, help_text="Such as 30d or 1w2d. Leave empty for no limit."
    )
    scope = forms.TypedChoiceField(
        choices=[(scope, f"{scope.label}: {DESCRIPTIONS[scope]}") for scope in Scope],
        coerce=Scope,
        initial=Scope.READ,
        widget=forms.RadioSelect,
    )


_ACCEPTED = "accept_code_"


def accepted_code(fields: Mapping[str, str]) -> list[str]:
    """Return the identities of the code that a form accepts, whose SQL the page showed (`web/_code.html`)."""
    return sorted(
        name.removeprefix(_ACCEPTED) for name, value in fields.items() if name.startswith(_ACCEPTED) and value
    )


_OFTEN = [
    (Often.DAY, "Every day"),
    (Often.WEEK, "Every week"),
    (Often.HOURS, "Every few hours"),
    (Often.CRON, "Custom (cron)"),
]
_LONGEST_VALUES = 500
_RETENTION_FIELDS = ("keeping", "keep", *Period, "max_age")


def values_of(stored: BackupSettings) -> dict[str, Any]:
    """Return the current values by the columns of the settings. `keep` has a number even if all backups are kept."""
    policy, timetable = stored.policy(), stored.timetable()
    return {
        "enabled": stored.is_scheduled(),
        "cron": timetable.cron,
        "time_zone": timetable.zone.key,
        "keep": policy.keep or stored.keep or BackupSettings().policy().keep,
        "keep_all": stored.keep_all,
        **{str(period): number for period, number in policy.periods.items()},
        "max_age": stored.max_age or (format_duration(policy.max_age) if policy.max_age else NO_AGE_LIMIT),
        "rehearsal_interval": describe_rehearsal_interval(stored),
    }


def _number_of_period(label: str) -> forms.CharField:
    widget = forms.NumberInput(attrs={"min": 0, "max": MOST_KEPT})
    return forms.CharField(label=label, max_length=20, required=False, widget=widget)


class RetentionForm(Styled, forms.Form):
    """A retention. Without "The newest", numbers are not validated."""

    keeping = forms.ChoiceField(
        label="Retention",
        choices=[("newest", "The newest"), ("all", "Keep all")],
        widget=forms.RadioSelect,
    )
    keep = forms.CharField(
        label="Number of automatic backups",
        max_length=20,
        required=False,
        widget=forms.NumberInput(attrs={"min": 1, "max": MOST_KEPT}),
    )
    daily = _number_of_period("Days")
    weekly = _number_of_period("Weeks")
    monthly = _number_of_period("Months")
    yearly = _number_of_period("Years")
    max_age = forms.CharField(
        label="Maximum age",
        max_length=20,
        required=False,
        help_text="Such as 30d, 12h or 1w2d. Leave empty for no limit.",
    )

    @property
    def periods(self) -> list[forms.BoundField]:
        return [self[period] for period in Period]

    def clean_max_age(self) -> str:
        text: str = self.cleaned_data["max_age"]
        try:
            if text and text != NO_AGE_LIMIT:
                parse_duration(text)
        except ValueError:
            raise ValidationError(_expected('a duration from 1h to 9999w such as "30d" or "1w2d"', text)) from None
        return text

    def clean(self) -> dict[str, Any]:
        if self.cleaned_data.get("keeping") == "newest":
            self._clean_number("keep", least=1)
            for period in Period:
                self._clean_number(period, least=0, or_none=True)
        return self.cleaned_data

    def _clean_number(self, name: str, *, least: int, or_none: bool = False) -> None:
        text = self.cleaned_data.get(name)
        if text is None:  # refused already
            return
        if or_none and not text:
            self.cleaned_data[name] = None
        elif text.isascii() and text.isdigit() and least <= int(text) <= MOST_KEPT:
            self.cleaned_data[name] = int(text)
        else:
            self.add_error(name, _expected(f"a whole number from {least} to {MOST_KEPT}", text))


class ScheduleForm(RetentionForm):
    """Schedule and retention. Fields that the selected choice does not use are not validated.

    `before` has the values that the page showed. Only changes are stored, so that two users can change different
    settings, and unchanged settings still follow the environment.
    """

    enabled = forms.BooleanField(label="Automatic backups", required=False)
    often = forms.ChoiceField(label="How often", choices=_OFTEN, widget=forms.RadioSelect)
    day = forms.ChoiceField(label="Day of the week", choices=DAYS, required=False)
    hours = forms.TypedChoiceField(
        label="Interval",
        choices=[(str(hours), "every hour" if hours == 1 else f"every {hours} hours") for hours in HOURS],
        coerce=int,
        required=False,
    )
    at = forms.CharField(
        label="Time",
        max_length=8,
        required=False,
        widget=forms.TextInput(attrs={"type": "time"}),
        help_text="First run of the day.",
    )
    cron = forms.CharField(
        label="Cron",
        max_length=LONGEST_CRON,
        required=False,
        help_text="Minute, hour, day of the month, month and day of the week, such as 0 2 * * 1,4.",
    )
    time_zone = forms.CharField(
        max_length=LONGEST_ZONE,
        widget=forms.TextInput(attrs={"list": "zones", "autocomplete": "off"}),
        help_text="Such as Europe/Berlin.",
    )
    rehearsal_interval = forms.CharField(
        label="Rehearse a restore every",
        max_length=20,
        required=False,
        help_text="Such as 1w or 30d. Leave empty for no rehearsals.",
    )
    before = forms.CharField(widget=forms.HiddenInput, required=False)

    @classmethod
    def of(cls, stored: BackupSettings) -> ScheduleForm:
        values = values_of(stored)
        times = times_of(values["cron"])
        initial = values | {
            "often": times.often,
            "day": times.day,
            "hours": str(times.hours),
            "at": f"{times.at:%H:%M}",
            "keeping": "all" if values["keep_all"] else "newest",
            "max_age": "" if values["max_age"] == NO_AGE_LIMIT else values["max_age"],
            "rehearsal_interval": "" if values["rehearsal_interval"] == NO_REHEARSALS else values["rehearsal_interval"],
            "before": json.dumps(values),
        }
        return cls(initial=initial)

    @property
    def schedule_errors(self) -> list[str]:
        return [line for name in self.fields if name not in _RETENTION_FIELDS for line in self._errors_of(name)]

    @property
    def retention_errors(self) -> list[str]:
        return [line for name in _RETENTION_FIELDS for line in self._errors_of(name)]

    def _errors_of(self, name: str) -> list[str]:
        return [f"{self[name].label}: {error}" for error in self[name].errors]

    def changes(self) -> dict[str, Any]:
        given = self.cleaned_data
        values = {
            "enabled": given["enabled"],
            "cron": given["cron"],
            "time_zone": given["time_zone"],
            "keep_all": given["keeping"] == "all",
            "max_age": given["max_age"] or NO_AGE_LIMIT,
            "rehearsal_interval": given["rehearsal_interval"] or NO_REHEARSALS,
        }
        if not values["keep_all"]:
            values |= {name: given[name] for name in ("keep", *Period)}
        before = _read_values(given["before"])
        return {name: value for name, value in values.items() if name not in before or before[name] != value}

    def clean_rehearsal_interval(self) -> str:
        text: str = self.cleaned_data["rehearsal_interval"]
        if text:
            validate_rehearsal_interval(text)
        return text

    def clean_time_zone(self) -> str:
        name = self.cleaned_data["time_zone"]
        try:
            return parse_zone(name).key
        except ValueError:
            raise ValidationError(_expected('a time zone such as "Europe/Berlin"', name)) from None

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        often = given.get("often")
        needed = {Often.WEEK.value: "day", Often.HOURS.value: "hours"}.get(str(often))
        if often == Often.CRON:
            self._clean_cron(given.get("cron", ""))
        elif needed and not given.get(needed):
            if needed not in self.errors:
                self.add_error(needed, "Select one.")
        elif often:
            self._clean_times(Often(often))
        return given

    def _clean_times(self, often: Often) -> None:
        given = self.cleaned_data
        text = given.get("at", "")
        try:
            at = time.fromisoformat(text if len(text) in (5, 8) else "-")
        except ValueError:
            self.add_error("at", _expected("a time from 00:00 to 23:59", text))
            return
        cron = cron_of(Times(often, at, day=given.get("day") or "SUN", hours=given.get("hours") or HOURS[0]))
        given["cron"] = _keep_spelling(cron, _read_values(given.get("before", "")).get("cron"))

    def _clean_cron(self, text: str) -> None:
        try:
            self.cleaned_data["cron"] = parse_cron(text)
        except ValueError:
            self.add_error("cron", _expected('five cron fields that match some date, such as "0 2 * * 1,4"', text))


def _expected(what: str, text: str) -> str:
    return f"Expected {what}, got {quoted(text)}." if text else f"Expected {what}."


def _keep_spelling(cron: str, before: Any) -> str:
    """Return the previous cron fields if they mean the same times."""
    try:
        return str(before) if cron_of(times_of(parse_cron(str(before)))) == cron else cron
    except ValueError:
        return cron


def _read_values(text: str) -> dict[str, Any]:
    """Return the previous values, or nothing for a text that the page did not send. Then everything counts as changed."""
    try:
        values = json.loads(text[:_LONGEST_VALUES])
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
