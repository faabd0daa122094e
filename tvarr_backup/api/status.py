"""The state of all checks: `/status`."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tvarr_backup.api.schema import problems, response_example
from tvarr_backup.api.views import StrictView
from tvarr_backup.operations.health import Health, HealthState, Subject, check_health, health_as_data

STATES = [str(state) for state in HealthState]
VIEW_HEALTH = {"get": ("operations.view_backup", "operations.view_operation")}
"""The permissions that the state of all checks requires, by method."""


def describe_health(health: Health) -> dict[str, Any]:
    """Return all checks as JSON data, without paths of this server."""
    data = health_as_data(health)
    for check in data["checks"]:
        check["message"] = check["message"].without_paths()
    return data


class HealthCheckSerializer(serializers.Serializer[Any]):
    """A check."""

    name = serializers.ChoiceField(choices=Subject.values)
    state = serializers.ChoiceField(choices=STATES)
    message = serializers.CharField(help_text="Human-readable.")


class LastGoodBackupSerializer(serializers.Serializer[Any]):
    """The newest backup of the live database that passed its last verification."""

    filename = serializers.CharField()
    kind = serializers.CharField()
    created_at = serializers.DateTimeField()


class LastRehearsalSerializer(serializers.Serializer[Any]):
    """The last rehearsal of a restore, in one place."""

    location = serializers.CharField(allow_null=True, help_text="Name of the location; null for the backup folder.")
    filename = serializers.CharField()
    ended_at = serializers.DateTimeField()
    seconds = serializers.FloatField()
    error_code = serializers.CharField(allow_blank=True, help_text="Empty if it succeeded.")


class RunningOperationSerializer(serializers.Serializer[Any]):
    """The operation that is running."""

    id = serializers.CharField()
    kind = serializers.CharField()
    phase = serializers.CharField(allow_blank=True)
    percent = serializers.IntegerField(allow_null=True)
    started_at = serializers.DateTimeField(allow_null=True)


class FreeBytesSerializer(serializers.Serializer[Any]):
    """Free space in bytes, next to the backups and next to tvarr's database."""

    backup_folder = serializers.IntegerField(allow_null=True)
    tvarr_database = serializers.IntegerField(allow_null=True)


class StatusSerializer(serializers.Serializer[Any]):
    """The state of all checks."""

    state = serializers.ChoiceField(
        choices=STATES,
        help_text="The worst state of all checks. `sick` means failing: backups are not being made.",
    )
    checks = HealthCheckSerializer(many=True)
    last_good_backup = LastGoodBackupSerializer(allow_null=True)
    last_rehearsals = LastRehearsalSerializer(many=True)
    may_be_old_seconds = serializers.IntegerField(
        allow_null=True, help_text="How old the last good backup may be, or null while no backup is expected."
    )
    next_run = serializers.DateTimeField(
        allow_null=True, help_text="When the next automatic backup is due, or was due if it has not started."
    )
    overdue = serializers.BooleanField()
    running_operation = RunningOperationSerializer(allow_null=True)
    queued_operations = serializers.IntegerField()
    queued_since = serializers.DateTimeField(allow_null=True)
    free_bytes = FreeBytesSerializer()


_EXAMPLE = {
    "state": "ok",
    "checks": [{"name": "worker", "state": "ok", "message": "A worker has reported within the last minute."}],
    "last_good_backup": {
        "filename": "tvarr-backup-2026-11-02T02-00-00.db.gz",
        "kind": "scheduled",
        "created_at": "2026-11-02T02:00:00+00:00",
    },
    "last_rehearsals": [
        {
            "location": None,
            "filename": "tvarr-backup-2026-11-02T02-00-00.db.gz",
            "ended_at": "2026-11-02T04:10:12+00:00",
            "seconds": 12.4,
            "error_code": "",
        }
    ],
    "may_be_old_seconds": 172800,
    "next_run": "2026-11-03T02:00:00+00:00",
    "overdue": False,
    "running_operation": None,
    "queued_operations": 0,
    "queued_since": None,
    "free_bytes": {"backup_folder": 78_000_000_000, "tvarr_database": 78_000_000_000},
}


class StatusView(StrictView):
    """The state of all checks."""

    required_permissions = VIEW_HEALTH

    @extend_schema(
        operation_id="status_retrieve",
        summary="Show the state of all checks",
        responses={200: StatusSerializer, **problems(400)},
        examples=[response_example("Everything is OK", _EXAMPLE)],
    )
    def get(self, _request: Request) -> Response:
        """The same as `/readyz`, but with the status 200 in each state, for programs that hide other answers."""
        return Response(describe_health(check_health()))
