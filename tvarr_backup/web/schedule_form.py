"""The form of the schedule: times as people choose them, to and from the columns of the settings."""

from __future__ import annotations

import json
from datetime import time
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from tvarr_backup.cron import ALLOWED_CRONS, ALLOWED_ZONES, LONGEST_CRON, LONGEST_ZONE, parse_cron, parse_zone
from tvarr_backup.durations import ALLOWED_DURATIONS, format_duration, parse_duration
from tvarr_backup.operations.models import MOST_KEPT, NO_AGE_LIMIT, BackupSettings
from tvarr_backup.quoting import cut, quoted
from tvarr_backup.web.forms import Styled
from tvarr_backup.web.times import DAYS, HOURS, Often, Times, cron_of, times_of

_OFTEN = [
    (Often.DAY, "Every day"),
    (Often.WEEK, "Every week"),
    (Often.HOURS, "Every few hours"),
    (Often.CRON, "At other times (cron)"),
]
_LONGEST_SHOWN = 500
_WHOLE = f"“%(value)s” is not allowed; allowed are whole numbers from 1 to {MOST_KEPT}."


def values_of(stored: BackupSettings) -> dict[str, Any]:
    """What is in force, by the columns of the settings; `keep` is `None` only where nobody has ever said a number."""
    policy, timetable = stored.policy(), stored.timetable()
    return {
        "enabled": stored.is_scheduled(),
        "cron": timetable.cron,
        "time_zone": timetable.zone.key,
        "keep": policy.keep or stored.keep or BackupSettings().policy().keep,
        "keep_all": stored.keep_all,
        "max_age": stored.max_age or (format_duration(policy.max_age) if policy.max_age else NO_AGE_LIMIT),
    }


class ScheduleForm(Styled, forms.Form):
    """What does not belong to the choice that was made is not judged.

    `shown` has what was in force when the page was made: only what was changed since is stored, so that of two who
    change different things neither undoes the other's work, and what nobody touches goes on following the environment.
    """

    enabled = forms.BooleanField(label="Make backups by themselves", required=False)
    often = forms.ChoiceField(label="How often", choices=_OFTEN, widget=forms.RadioSelect)
    day = forms.ChoiceField(label="Day of the week", choices=DAYS, required=False)
    hours = forms.TypedChoiceField(
        label="Every how many hours",
        choices=[(str(hours), "every hour" if hours == 1 else f"every {hours} hours") for hours in HOURS],
        coerce=int,
        required=False,
    )
    at = forms.CharField(
        label="Time",
        max_length=8,
        required=False,
        widget=forms.TextInput(attrs={"type": "time"}),
        help_text="Of several times a day, the first.",
    )
    cron = forms.CharField(
        label="Cron",
        max_length=LONGEST_CRON,
        required=False,
        help_text="Minute, hour, day of the month, month, day of the week; such as 0 2 * * 1,4.",
    )
    time_zone = forms.CharField(
        max_length=LONGEST_ZONE,
        widget=forms.TextInput(attrs={"list": "zones", "autocomplete": "off"}),
        help_text="Such as Europe/Berlin.",
    )
    keeping = forms.ChoiceField(
        label="What is kept",
        choices=[("newest", "The newest"), ("all", "Keep all")],
        widget=forms.RadioSelect,
    )
    keep = forms.CharField(
        label="How many of the automatic backups",
        max_length=20,
        required=False,
        widget=forms.NumberInput(attrs={"min": 1, "max": MOST_KEPT}),
    )
    max_age = forms.CharField(
        label="Also remove those that are older than",
        max_length=20,
        required=False,
        help_text="Such as 30d, 12h or 1w2d. Empty: however old.",
    )
    shown = forms.CharField(widget=forms.HiddenInput, required=False)

    @classmethod
    def of(cls, stored: BackupSettings) -> ScheduleForm:
        """With what is in force."""
        values = values_of(stored)
        times = times_of(values["cron"])
        initial = values | {
            "often": times.often,
            "day": times.day,
            "hours": str(times.hours),
            "at": f"{times.at:%H:%M}",
            "keeping": "all" if values["keep_all"] else "newest",
            "max_age": "" if values["max_age"] == NO_AGE_LIMIT else values["max_age"],
            "shown": json.dumps(values),
        }
        return cls(initial=initial)

    def changes(self) -> dict[str, Any]:
        """The columns with another value than was shown; the form is valid."""
        given = self.cleaned_data
        values = {
            "enabled": given["enabled"],
            "cron": given["cron"],
            "time_zone": given["time_zone"],
            "keep_all": given["keeping"] == "all",
            "max_age": given["max_age"] or NO_AGE_LIMIT,
        }
        if not values["keep_all"]:
            values["keep"] = given["keep"]
        shown = _read(given["shown"])
        return {name: value for name, value in values.items() if name not in shown or shown[name] != value}

    def clean_time_zone(self) -> str:
        name = self.cleaned_data["time_zone"]
        try:
            return parse_zone(name).key
        except ValueError:
            raise ValidationError(f"{quoted(name)} is not allowed; allowed are {ALLOWED_ZONES}.") from None

    def clean_max_age(self) -> str:
        text: str = self.cleaned_data["max_age"]
        try:
            if text and text != NO_AGE_LIMIT:
                parse_duration(text)
        except ValueError:
            raise ValidationError(
                f"{quoted(text)} is not allowed; allowed are {ALLOWED_DURATIONS} (1h to 9999w), or nothing for no limit."
            ) from None
        return text

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if given.get("keeping") == "newest" and "keep" in given:
            self._clean_keep(given["keep"])
        often = given.get("often")
        if often == Often.CRON:
            self._clean_cron(given.get("cron", ""))
        elif often and not self._needed_is_missing(often):
            self._clean_times(Often(often))
        return given

    def _needed_is_missing(self, often: str) -> bool:
        for name, choice in (("day", Often.WEEK), ("hours", Often.HOURS)):
            if often == choice and not self.cleaned_data.get(name):
                if name not in self.errors:
                    self.add_error(name, "Choose one.")
                return True
        return False

    def _clean_times(self, often: Often) -> None:
        given = self.cleaned_data
        text = given.get("at", "")
        try:
            at = time.fromisoformat(text if len(text) in (5, 8) else "-")
        except ValueError:
            self.add_error("at", f"{quoted(text)} is not allowed; allowed are times from 00:00 to 23:59.")
            return
        chosen = cron_of(Times(often, at, day=given.get("day") or "SUN", hours=given.get("hours") or HOURS[0]))
        given["cron"] = _as_it_was_written(chosen, _read(given.get("shown", "")).get("cron"))

    def _clean_cron(self, text: str) -> None:
        try:
            self.cleaned_data["cron"] = parse_cron(text)
        except ValueError:
            self.add_error("cron", f"{quoted(text)} is not allowed; allowed are {ALLOWED_CRONS}.")

    def _clean_keep(self, text: str) -> None:
        if text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_KEPT:
            self.cleaned_data["keep"] = int(text)
        else:
            self.add_error("keep", ValidationError(_WHOLE, params={"value": cut(text)}))


def _as_it_was_written(cron: str, shown: Any) -> str:
    """One time can be written in several ways; whoever has not changed it keeps theirs."""
    try:
        return str(shown) if cron_of(times_of(parse_cron(str(shown)))) == cron else cron
    except ValueError:
        return cron


def _read(text: str) -> dict[str, Any]:
    """What was shown; nothing where somebody has spoiled it, and then all that is sent counts as changed."""
    try:
        values = json.loads(text[:_LONGEST_SHOWN])
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
