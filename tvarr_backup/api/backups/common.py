"""What the addresses of backups have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tvarr_backup.api.backups.serializers import BACKUP_EXAMPLE, BusySerializer
from tvarr_backup.api.operations import STARTED_EXAMPLE
from tvarr_backup.api.permissions import Required
from tvarr_backup.api.queries import require_known_parameters
from tvarr_backup.api.schema import problems
from tvarr_backup.api.strict import StrictSerializer
from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.models import Origin
from tvarr_backup.operations.report import backup_as_data


def busy(*statuses: int) -> dict[tuple[int, str], OpenApiResponse]:
    return problems(*statuses) | problems(409, serializer=BusySerializer)


FILENAME = OpenApiParameter("filename", str, OpenApiParameter.PATH, description="The whole name of the archive.")
LOCATION = OpenApiParameter("Location", str, OpenApiParameter.HEADER, response=[201, 202], description="Where to look.")
BACKUP = OpenApiExample("A backup", BACKUP_EXAMPLE, response_only=True)
STARTED = OpenApiExample("It is under way", STARTED_EXAMPLE, response_only=True, status_codes=["202"])
NOTHING = OpenApiExample("Nothing", {}, request_only=True)


def shown(backup: Backup | Mapping[str, Any], request: Request, folder: Path, **known: Any) -> dict[str, Any]:
    """The metadata of a backup for this person."""
    data = backup_as_data(backup, **known) if isinstance(backup, Backup) else dict(backup)
    return {**data, "file_path": str(folder / data["filename"]) if is_administrator(request) else None}


def actor_of(request: Request) -> Actor:
    """Return the user of a request as an actor."""
    return Actor(request.user, Origin.API)


def is_administrator(request: Request) -> bool:
    """Return whether folders of the machine are shown to the user."""
    return actor_of(request).is_administrator


class BackupView(APIView):
    """What the addresses of backups have in common."""

    required_permissions: Required = {}
    parameters: Mapping[str, frozenset[str]] = {}
    """What may follow the `?`, by method."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        method = (request.method or "").lower().replace("head", "get")
        if hasattr(self, method):  # any other method is refused as such
            require_known_parameters(request, self.parameters.get(method, frozenset()))

    def answer(self, backup: Backup, folder: Path) -> Response:
        """The metadata, with the mark by which a change can refer to it."""
        return Response(shown(backup, self.request, folder), headers={"ETag": f'"{backup.etag}"'})


def checked(serializer: type[StrictSerializer], request: Request) -> dict[str, Any]:
    checked = serializer(data=request.data)
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)
