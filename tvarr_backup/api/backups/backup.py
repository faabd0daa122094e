"""One backup: shown, changed, deleted, downloaded, verified and restored."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.http import HttpResponseBase
from django.utils.http import parse_etags
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from tvarr_backup.api.backups.common import (
    BACKUP,
    FILENAME,
    LOCATION,
    NOTHING,
    STARTED,
    BackupView,
    actor_of,
    busy,
    checked,
)
from tvarr_backup.api.backups.serializers import (
    BACKUP_EXAMPLE,
    BackupSerializer,
    ChangeSerializer,
    MessageSerializer,
    NothingSerializer,
    ProtectionSerializer,
    RestoreSerializer,
    RestoreStartedSerializer,
)
from tvarr_backup.api.errors import CONTENT_TYPE, problem
from tvarr_backup.api.operations import STARTED_EXAMPLE, StartedSerializer, started
from tvarr_backup.api.permissions import BY_THE_ACTION
from tvarr_backup.api.renderers import VisibleJSONRenderer
from tvarr_backup.api.schema import problems
from tvarr_backup.api.strict import StrictSerializer
from tvarr_backup.backups.catalogue import find_backup
from tvarr_backup.errors import ConfirmationRequired, TvarrBackupError
from tvarr_backup.operations import actions
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.sightings import verdict_on
from tvarr_backup.portable.tvarr_memory import EVERYTHING, needs_reload
from tvarr_backup.transfer.downloads import ARCHIVE_TYPE, RangeUnsatisfiable, download

# Of a PATCH the schema would say that every member may be left out.


# Of a PATCH the schema would say that every member may be left out.
_PROTECTION = {
    "type": "object",
    "properties": {"protected": {"type": "boolean"}},
    "required": ["protected"],
    "additionalProperties": False,
}
_UNPROTECTING = (
    "Lifting the protection of a safety backup (kind `pre_restore`) requires the right to delete backups: 403 "
    "`unprotect_denied` without it."
)
_IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="The `ETag` of the metadata that the change is based on."
)
_ETAG = OpenApiParameter(
    "ETag", str, OpenApiParameter.HEADER, response=[200], description="Another one after every change."
)
_RANGES = [
    OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="One range of bytes, such as `bytes=1000-`."),
    OpenApiParameter("If-Range", str, OpenApiParameter.HEADER, description="The ETag that the first part came with."),
    OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER, description="Answered with 304 where it is known."),
]
_ARCHIVE_RESPONSES: dict[Any, Any] = {
    (200, ARCHIVE_TYPE): OpenApiTypes.BINARY,
    (206, ARCHIVE_TYPE): OpenApiTypes.BINARY,
    304: OpenApiResponse(description="The archive is known already."),
}


class ArchiveRenderer(BaseRenderer):
    """Lets an archive be asked for by its media type; problems are JSON all the same."""

    media_type = ARCHIVE_TYPE
    format = "gz"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return bytes(VisibleJSONRenderer().render(data, accepted_media_type, renderer_context))


class BackupDetail(BackupView):
    """One backup: what is known of it, changed or removed."""

    renderer_classes = (VisibleJSONRenderer, ArchiveRenderer)
    required_permissions = {
        "get": "operations.view_backup",
        "patch": BY_THE_ACTION,
        "delete": BY_THE_ACTION,
    }

    @extend_schema(
        operation_id="backups_retrieve",
        summary="Show a backup, or receive its archive",
        description="With `Accept: application/gzip` it is as `GET /backups/{filename}/download`, and needs that permission.",
        tags=["backups"],
        parameters=[FILENAME, _ETAG, *_RANGES],
        responses={
            (200, "application/json"): BackupSerializer,
            **_ARCHIVE_RESPONSES,
            **problems(400, 404, 409, 412, 416),
        },
        examples=[OpenApiExample("A backup", BACKUP_EXAMPLE, response_only=True, media_type="application/json")],
    )
    def get(self, request: Request, filename: str) -> HttpResponseBase:
        if isinstance(request.accepted_renderer, ArchiveRenderer):
            if not request.user.has_perm("operations.download_backup"):
                self.permission_denied(request)
            return _download(request, filename)
        folder = backup_folder()
        return self.answer(find_backup(folder, filename), folder)

    @extend_schema(
        operation_id="backups_update",
        summary="Change the protection and the note of a backup",
        description=f"At once: only the description beside the archive is written. {_UNPROTECTING}",
        tags=["backups"],
        parameters=[FILENAME, _IF_MATCH, _ETAG],
        request=ChangeSerializer,
        responses={(200, "application/json"): BackupSerializer, **problems(400, 404, 409, 412, 413, 415, 507)},
        examples=[
            OpenApiExample("Keep it", {"protected": True, "note": "the last good one"}, request_only=True),
            OpenApiExample("A backup", BACKUP_EXAMPLE, response_only=True, media_type="application/json"),
        ],
    )
    def patch(self, request: Request, filename: str) -> Response:
        return _change(self, request, filename, ChangeSerializer)

    @extend_schema(
        operation_id="backups_destroy",
        summary="Delete a backup",
        description="For good. Also what is broken under a backup's name. A protected one is refused.",
        tags=["backups"],
        parameters=[FILENAME, _IF_MATCH],
        responses={(200, "application/json"): MessageSerializer, **busy(400, 404, 412)},
        examples=[
            OpenApiExample(
                "It is gone",
                {"message": f"{BACKUP_EXAMPLE['filename']} is deleted."},
                response_only=True,
                media_type="application/json",
            )
        ],
    )
    def delete(self, request: Request, filename: str) -> Response:
        actions.delete_backup(actor_of(request), filename, only_if=_only_if(request))
        return Response({"message": f"{filename} is deleted."})


class BackupProtection(BackupView):
    """tvarr's address for the protection alone."""

    required_permissions = {"patch": BY_THE_ACTION}

    @extend_schema(
        operation_id="backups_protect",
        summary="Set or lift the protection of a backup",
        description=_UNPROTECTING,
        tags=["backups"],
        parameters=[FILENAME, _IF_MATCH, _ETAG],
        request={"application/json": _PROTECTION},
        responses={200: BackupSerializer, **problems(400, 404, 409, 412, 413, 415, 507)},
        examples=[OpenApiExample("Keep it", {"protected": True}, request_only=True), BACKUP],
    )
    def patch(self, request: Request, filename: str) -> Response:
        return _change(self, request, filename, ProtectionSerializer)


class BackupDownload(BackupView):
    """The archive of a backup."""

    required_permissions = {"get": "operations.download_backup"}

    def perform_content_negotiation(self, request: Request, force: Any = False) -> Any:  # noqa: ARG002, FBT002  # the framework's signature
        """Whatever a browser or a program says that it accepts, here it is."""
        return VisibleJSONRenderer(), VisibleJSONRenderer.media_type

    @extend_schema(
        operation_id="backups_download",
        summary="Receive the archive of a backup",
        description="With its length, its checksum as `ETag`, and ranges, so that what broke off can be resumed.",
        tags=["backups"],
        parameters=[FILENAME, *_RANGES],
        responses={**_ARCHIVE_RESPONSES, **problems(400, 404, 409, 412, 416)},
    )
    def get(self, request: Request, filename: str) -> HttpResponseBase:
        return _download(request, filename)


class BackupVerify(BackupView):
    """A complete check."""

    required_permissions = {"post": BY_THE_ACTION}

    @extend_schema(
        operation_id="backups_verify",
        summary="Check everything about a backup",
        description="The worker does it; the result of the operation lists every check.",
        tags=["backups"],
        parameters=[FILENAME, LOCATION],
        request=NothingSerializer,
        responses={202: StartedSerializer, **busy(400, 404, 413, 415)},
        examples=[NOTHING, STARTED],
    )
    def post(self, request: Request, filename: str) -> Response:
        checked(NothingSerializer, request)
        operation = actions.request_verification(actor_of(request), [filename])
        return started(operation, f"{filename} will be checked; look at the operation for how it goes.")


class BackupRestore(BackupView):
    """The content of a backup in the place of what is there."""

    required_permissions = {"post": BY_THE_ACTION}
    parameters = {"post": frozenset({"confirm"})}

    @extend_schema(
        operation_id="backups_restore",
        summary="Put the content of a backup into the live database",
        description="The worker does it, after a complete check, and keeps a copy of what was there: the result of the "
        "operation has `outcome`, the rows `before` and `after`, and that copy as `pre_restore_backup`. An offline restore "
        "sets the old files aside (`set_aside`), and has no such copy where the old file could not be read. `facts` says what "
        "tvarr will do with the database of another version.",
        tags=["backups"],
        parameters=[
            FILENAME,
            LOCATION,
            OpenApiParameter("confirm", str, required=True, enum=["true"], description="The word that it is meant."),
        ],
        request=RestoreSerializer,
        responses={202: RestoreStartedSerializer, **busy(400, 404, 413, 415, 507)},
        examples=[
            NOTHING,
            OpenApiExample(
                "It is under way",
                STARTED_EXAMPLE | {"restart_required": False, "facts": []},
                response_only=True,
                status_codes=["202"],
            ),
        ],
    )
    def post(self, request: Request, filename: str) -> Response:
        _require_confirmation(request)
        confirmed = checked(RestoreSerializer, request)
        facts = _facts(filename)
        operation = actions.request_restore(actor_of(request), filename, **confirmed)
        answer = started(operation, f"{filename} will be restored; look at the operation for how it goes.")
        answer.data["restart_required"] = not confirmed["offline"] and needs_reload(EVERYTHING)
        answer.data["facts"] = facts
        return answer


def _facts(filename: str) -> list[str]:
    """Return what to know of a restore across versions; nothing of a backup that cannot be restored."""
    with suppress(TvarrBackupError):
        return list(verdict_on(find_backup(backup_folder(), filename)).facts)
    return []


def _change(view: BackupView, request: Request, filename: str, serializer: type[StrictSerializer]) -> Response:
    changes = checked(serializer, request)
    changed = actions.change_backup(actor_of(request), filename, only_if=_only_if(request), **changes)
    return view.answer(changed, backup_folder())


def _download(request: Request, filename: str) -> HttpResponseBase:
    folder = backup_folder()
    backup = find_backup(folder, filename)
    try:
        return download(request._request, folder, backup)  # noqa: SLF001  # the framework's name of Django's request
    except RangeUnsatisfiable as refused:
        body = problem(416, "range_not_satisfiable", str(refused))
        headers = {"Content-Range": refused.content_range}
        return Response(body, 416, headers=headers, content_type=CONTENT_TYPE)


def _require_confirmation(request: Request) -> None:
    given = request.query_params.getlist("confirm")
    if given in ([], ["false"]):
        raise ConfirmationRequired("A restore replaces all that is in tvarr's database; say confirm=true to do it.")
    if given != ["true"]:
        raise serializers.ValidationError({"confirm": "Allowed is true."})


def _only_if(request: Request) -> list[str] | None:
    """The marks that `If-Match` names; `None` where it is not sent, or is `*`."""
    header = request.headers.get("If-Match")
    tags = ["*"] if header is None else parse_etags(header)
    return None if tags == ["*"] else [tag.strip('"') for tag in tags if not tag.startswith("W/")]
