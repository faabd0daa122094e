"""The schedule of backups and what is kept of them: `/backups/schedule`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tvarr_backup import conf
from tvarr_backup.api.permissions import BY_THE_ACTION
from tvarr_backup.api.schema import answer_example, problems, sent_example
from tvarr_backup.api.strict import OPTIONAL, Flag, StrictSerializer, Text, Whole
from tvarr_backup.api.views import StrictView
from tvarr_backup.operations import actions
from tvarr_backup.operations.models import (
    MOST_KEPT,
    OperationState,
    validate_cron,
    validate_max_age,
    validate_time_zone,
)
from tvarr_backup.operations.schedule import schedule_as_data

_RETENTION_REFUSED = (
    f"retention %(show_value).20s is not allowed; allowed are whole numbers from 1 to {MOST_KEPT}, 0 to keep all, or "
    "nothing for the environment's default."
)


class _ValuesSerializer(serializers.Serializer[Any]):
    enabled = serializers.BooleanField(help_text="Whether backups are made by themselves.")
    cron = serializers.CharField(help_text="Minute, hour, day of the month, month, day of the week.")
    retention = serializers.IntegerField(help_text="How many automatic backups are kept; 0: all.")
    timezone = serializers.CharField(help_text="In which `cron` is read.")
    max_age = serializers.CharField(help_text="Automatic backups older than this are removed; `none`: no limit.")


class ScheduleDefaultsSerializer(_ValuesSerializer):
    """What the environment says."""


class ScheduledRunSerializer(serializers.Serializer[Any]):
    """Something that was done by itself."""

    operation = serializers.CharField(help_text="Its `id`.")
    state = serializers.ChoiceField(choices=OperationState.values)
    due_at = serializers.DateTimeField(allow_null=True, help_text="The time that it is for.")
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    message = serializers.CharField(allow_blank=True, help_text="Why it failed, or what needs attention.")
    filename = serializers.CharField(allow_null=True, help_text="The backup that was made or checked.")


class ScheduleSerializer(_ValuesSerializer):
    """What is in force, and how it goes."""

    description = serializers.CharField(help_text="When backups are made, in a sentence.")
    next_runs = serializers.ListField(
        child=serializers.DateTimeField(), help_text="The next three times, in the time zone; none while it is off."
    )
    overdue_since = serializers.DateTimeField(
        allow_null=True, help_text="A time more than five minutes ago whose backup has not been begun."
    )
    last_run = ScheduledRunSerializer(allow_null=True, help_text="The last scheduled backup.")
    last_check = ScheduledRunSerializer(allow_null=True, help_text="The last nightly check of a backup.")
    problems = serializers.ListField(
        child=serializers.CharField(), help_text="What is stored and cannot be read; it counts as not set."
    )
    defaults = ScheduleDefaultsSerializer()


class ScheduleChangeSerializer(StrictSerializer):
    """What is left out stays as it is; `null` goes back to the environment's default."""

    enabled = Flag(**OPTIONAL)
    cron = Text(
        **OPTIONAL,
        validators=[validate_cron],
        help_text="Five fields, or six as tvarr writes them, of which the first, the second, must be 0.",
    )
    retention = Whole(
        **OPTIONAL,
        min_value=0,
        max_value=MOST_KEPT,
        error_messages={"min_value": _RETENTION_REFUSED, "max_value": _RETENTION_REFUSED},
        help_text="0 keeps all.",
    )
    timezone = Text(**OPTIONAL, validators=[validate_time_zone], help_text="Such as `Europe/Berlin`.")
    max_age = Text(
        **OPTIONAL,
        validators=[validate_max_age],
        help_text="Weeks, days and hours such as `30d`, `12h` or `1w2d`; `none` for no limit.",
    )


_DEFAULTS = {"enabled": True, "cron": "0 2 * * *", "retention": 7, "timezone": "UTC", "max_age": "none"}
_ANSWER = answer_example(
    "Every Sunday",
    {
        **_DEFAULTS,
        "cron": "30 4 * * SUN",
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
        "defaults": _DEFAULTS,
    },
    200,
)
_CHANGES = [
    sent_example("Every Sunday", {"cron": "30 4 * * SUN", "timezone": "Europe/Berlin"}),
    sent_example("Off", {"enabled": False}),
    sent_example("As the environment says", dict.fromkeys(_DEFAULTS)),
]


def schedule_for_api() -> dict[str, Any]:
    """Return what is in force and how it goes, without folders of the machine."""
    data = schedule_as_data()
    for run in (data["last_run"], data["last_check"]):
        if run is not None:
            run["message"] = run["message"].without_paths()
    return data


class ScheduleView(StrictView):
    """The schedule in force."""

    required_permissions = {"get": "operations.view_backupsettings", "put": BY_THE_ACTION}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Closed where tvarr's database is none that is backed up here."""
        super().initial(request, *args, **kwargs)
        conf.live_database()

    @extend_schema(
        summary="Show when backups are made by themselves",
        responses={200: ScheduleSerializer, **problems(400, 409)},
        examples=[_ANSWER],
    )
    def get(self, _request: Request) -> Response:
        """What is in force, whether it was set here or by the environment, with the next three times."""
        return Response(schedule_for_api())

    @extend_schema(
        summary="Change when backups are made by themselves",
        request=ScheduleChangeSerializer,
        responses={200: ScheduleSerializer, **problems(400, 409, 413, 415)},
        examples=[_ANSWER, *_CHANGES],
    )
    def put(self, _request: Request) -> Response:
        """Each member for itself: what is left out stays, `null` goes back to the environment's default.

        A smaller retention counts as agreement to the deletions that follow from it at the next clean-up.

        All that is sent is stored, or nothing is. Of two who change different members both succeed; of the same one, the
        later.
        """
        columns = dict(_columns(self.read_body(ScheduleChangeSerializer)))
        actions.change_settings(self.actor, columns, agreed=actions.AGREED_TO_ALL)
        return Response(schedule_for_api())


def _columns(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The columns of the settings that members stand for."""
    for name, value in values.items():
        if name == "enabled":
            yield name, value
        elif name == "retention":
            yield "keep", value or None
            yield "keep_all", value == 0
        else:
            yield {"timezone": "time_zone"}.get(name, name), value or ""
