"""Show and change the schedule and retention: `/backups/schedule`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tvarr_backup import conf
from tvarr_backup.api.permissions import CHECKED_BY_ACTION
from tvarr_backup.api.schema import problems, request_example, response_example
from tvarr_backup.api.strict import OPTIONAL, Flag, Integer, StrictSerializer, Text
from tvarr_backup.api.views import StrictView
from tvarr_backup.backups.retention import Period
from tvarr_backup.cron import has_ignored_seconds, with_seconds, without_seconds
from tvarr_backup.operations import actions
from tvarr_backup.operations.models import (
    MOST_KEPT,
    OperationState,
    validate_cron,
    validate_max_age,
    validate_rehearsal_interval,
    validate_time_zone,
)
from tvarr_backup.operations.schedule import schedule_as_data

_SECONDS_IGNORED = "Backups start at whole minutes, so the seconds are ignored."
_INVALID_NUMBER = f"Expected a number from 0 to {MOST_KEPT}, or null, got %(show_value).20s."
_INVALID_RETENTION = f"Expected a number from 1 to {MOST_KEPT}, 0 to keep all, or null, got %(show_value).20s."


class _ValuesSerializer(serializers.Serializer[Any]):
    enabled = serializers.BooleanField(help_text="Whether automatic backups are made.")
    cron = serializers.CharField(
        help_text="Second (always `0`), minute, hour, day of the month, month, day of the week, as tvarr's clients expect."
    )
    retention = serializers.IntegerField(help_text="Number of automatic backups to keep; 0 keeps all.")
    timezone = serializers.CharField(help_text="Time zone of `cron`.")
    max_age = serializers.CharField(
        help_text="Delete automatic backups that are older, such as `30d`; `none` for no limit."
    )
    rehearsal_interval = serializers.CharField(
        help_text="How often a restore is rehearsed, such as `1w`; `none` for no rehearsals."
    )
    retention_daily = serializers.IntegerField(
        help_text="Also keep the newest good automatic backup of each of the last days in `timezone`: this many, without days that have none."
    )
    retention_weekly = serializers.IntegerField(
        help_text="Also keep one for each of this many weeks, which begin on Monday."
    )
    retention_monthly = serializers.IntegerField(help_text="Also keep one for each of this many months.")
    retention_yearly = serializers.IntegerField(help_text="Also keep one for each of this many years.")


class ScheduleDefaultsSerializer(_ValuesSerializer):
    """Values set in the environment."""


class ScheduledRunSerializer(serializers.Serializer[Any]):
    """An automatic backup or verification."""

    operation = serializers.CharField(help_text="Its `id`.")
    state = serializers.ChoiceField(choices=OperationState.values)
    due_at = serializers.DateTimeField(allow_null=True, help_text="The scheduled time.")
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    message = serializers.CharField(allow_blank=True, help_text="Human-readable reason of a failure or warning.")
    filename = serializers.CharField(allow_null=True, help_text="The backup that was made or verified.")


class ScheduleSerializer(_ValuesSerializer):
    """The present schedule and retention, and the last runs."""

    description = serializers.CharField(help_text="Human-readable schedule.")
    next_runs = serializers.ListField(
        child=serializers.DateTimeField(), help_text="The next three times; empty while the schedule is off."
    )
    overdue_since = serializers.DateTimeField(
        allow_null=True,
        help_text="When a backup was due, if that is more than five minutes ago and it has not started.",
    )
    last_run = ScheduledRunSerializer(allow_null=True, help_text="The last automatic backup.")
    last_check = ScheduledRunSerializer(allow_null=True, help_text="The last nightly verification.")
    problems = serializers.ListField(child=serializers.CharField(), help_text="Stored settings that are ignored.")
    notes = serializers.ListField(
        child=serializers.CharField(), help_text="Messages about a change, such as that seconds are ignored."
    )
    defaults = ScheduleDefaultsSerializer()


class _Cron(Text):
    """Five fields, or six, of which the first is dropped."""

    def to_internal_value(self, data: Any) -> str:
        return without_seconds(super().to_internal_value(data))


def _number_of_period() -> Integer:
    return Integer(
        **OPTIONAL,
        min_value=0,
        max_value=MOST_KEPT,
        error_messages={"min_value": _INVALID_NUMBER, "max_value": _INVALID_NUMBER},
        help_text="0 keeps none by this rule.",
    )


class ScheduleChangeSerializer(StrictSerializer):
    """Changes. Members that are left out stay as they are; `null` resets a member to its default."""

    enabled = Flag(**OPTIONAL)
    cron = _Cron(
        **OPTIONAL,
        validators=[validate_cron],
        help_text="Five fields, or tvarr's six. Backups start at whole minutes: other seconds than `0` are ignored, and `notes` says so.",
    )
    retention = Integer(
        **OPTIONAL,
        min_value=0,
        max_value=MOST_KEPT,
        error_messages={"min_value": _INVALID_RETENTION, "max_value": _INVALID_RETENTION},
        help_text="0 keeps all.",
    )
    timezone = Text(**OPTIONAL, validators=[validate_time_zone], help_text="Such as `Europe/Berlin`.")
    max_age = Text(
        **OPTIONAL,
        validators=[validate_max_age],
        help_text="A duration such as `30d`, `12h` or `1w2d`; `none` for no limit.",
    )
    rehearsal_interval = Text(
        **OPTIONAL,
        validators=[validate_rehearsal_interval],
        help_text="A duration of at least a day such as `1w`; `none` for no rehearsals.",
    )
    retention_daily = _number_of_period()
    retention_weekly = _number_of_period()
    retention_monthly = _number_of_period()
    retention_yearly = _number_of_period()


_PERIODS = {f"retention_{period}": str(period) for period in Period}
"""The columns of the settings by their members."""
_DEFAULTS = {
    "enabled": True,
    "cron": "0 0 2 * * *",
    "retention": 7,
    "timezone": "UTC",
    "max_age": "none",
    "rehearsal_interval": "7d",
    **dict.fromkeys(_PERIODS, 0),
}
_ANSWER = response_example(
    "Every Sunday",
    {
        **_DEFAULTS,
        "cron": "0 30 4 * * SUN",
        "timezone": "Europe/Berlin",
        "description": "Every Sunday at 04:30 (Europe/Berlin)",
        "next_runs": ["2026-03-22T04:30:00+01:00", "2026-03-29T04:30:00+02:00", "2026-04-05T04:30:00+02:00"],
        "overdue_since": None,
        "last_run": {
            "operation": "01JQ4Z6V9M3N8W5X2Y7T1K0CDE",
            "state": "succeeded",
            "due_at": "2026-03-15T03:30:00+00:00",
            "started_at": "2026-03-15T03:30:21.204000+00:00",
            "finished_at": "2026-03-15T03:30:23.911000+00:00",
            "message": "",
            "filename": "tvarr-backup-2026-03-15T03-30-21.db.gz",
        },
        "last_check": None,
        "problems": [],
        "notes": [],
        "defaults": _DEFAULTS,
    },
    200,
)
_CHANGES = [
    request_example("Every Sunday", {"cron": "30 4 * * SUN", "timezone": "Europe/Berlin"}),
    request_example(
        "Daily, weekly and monthly backups",
        {"retention": 7, "retention_daily": 7, "retention_weekly": 4, "retention_monthly": 12},
    ),
    request_example("Off", {"enabled": False}),
    request_example("Reset to defaults", dict.fromkeys(_DEFAULTS)),
]


def schedule_for_api(*notes: str) -> dict[str, Any]:
    """Return the schedule for an answer, without paths in messages and with crons like tvarr's."""
    data = schedule_as_data()
    data |= {"notes": list(notes), "defaults": data.pop("defaults")}
    for values in (data, data["defaults"]):
        values["cron"] = with_seconds(values["cron"])
    for run in (data["last_run"], data["last_check"]):
        if run is not None:
            run["message"] = run["message"].without_paths()
    return data


class ScheduleView(StrictView):
    """The schedule."""

    required_permissions = {"get": "operations.view_backupsettings", "put": CHECKED_BY_ACTION}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise `BackupUnsupported` if tvarr's database is not SQLite."""
        super().initial(request, *args, **kwargs)
        conf.live_database()

    @extend_schema(
        summary="Show the schedule", responses={200: ScheduleSerializer, **problems(400, 409)}, examples=[_ANSWER]
    )
    def get(self, _request: Request) -> Response:
        """The present values, whether they were saved here or set in the environment."""
        return Response(schedule_for_api())

    @extend_schema(
        summary="Change the schedule",
        request=ScheduleChangeSerializer,
        responses={200: ScheduleSerializer, **problems(400, 409, 413, 415)},
        examples=[_ANSWER, *_CHANGES],
    )
    def put(self, _request: Request) -> Response:
        """Members that are left out stay as they are. `null` resets a member to its default.

        Either all changes are stored or none. With a smaller retention, the next cleanup deletes backups without asking again.
        """
        columns = dict(_map_columns(self.read_body(ScheduleChangeSerializer)))
        actions.change_settings(self.actor, columns, agreed=actions.AGREED_TO_ALL)
        ignored = has_ignored_seconds(str(self.request.data.get("cron") or ""))
        return Response(schedule_for_api(*([_SECONDS_IGNORED] if ignored else [])))


def _map_columns(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if name == "enabled":
            yield name, value
        elif name == "retention":
            yield "keep", value or None
            yield "keep_all", value == 0
        elif name in _PERIODS:
            yield _PERIODS[name], value
        else:
            yield {"timezone": "time_zone"}.get(name, name), value or ""
