"""List, create, upload, show, change, delete, download, verify, read and restore backups."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.http import HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from tvarr_backup import conf
from tvarr_backup.api.backups.serializers import (
    BACKUP_EXAMPLE,
    BackupListSerializer,
    BackupPages,
    BackupSerializer,
    BusySerializer,
    ChangeSerializer,
    CreateSerializer,
    EmptySerializer,
    MessageSerializer,
    ProtectionSerializer,
    RestoreSerializer,
    RestoreStartedSerializer,
    UploadFieldsSerializer,
    UploadFormSerializer,
)
from tvarr_backup.api.errors import CONTENT_TYPE, problem
from tvarr_backup.api.operations import STARTED_EXAMPLE, StartedSerializer, build_started
from tvarr_backup.api.permissions import CHECKED_BY_ACTION
from tvarr_backup.api.queries import PAGE_PARAMETERS
from tvarr_backup.api.renderers import VisibleJSONRenderer
from tvarr_backup.api.schedule import schedule_for_api
from tvarr_backup.api.schema import header, problems, request_example, response_example
from tvarr_backup.api.strict import StrictSerializer
from tvarr_backup.api.views import StrictView
from tvarr_backup.backups.catalogue import Backup, find_backup, read_folder
from tvarr_backup.backups.lookup import find_name
from tvarr_backup.errors import ConfirmationRequired, TvarrBackupError
from tvarr_backup.etags import expected_etags
from tvarr_backup.operations import actions
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.models import Operation
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.report import backup_as_data
from tvarr_backup.operations.sightings import verdict_on
from tvarr_backup.portable.tvarr_memory import EVERYTHING, needs_reload
from tvarr_backup.quoting import quoted
from tvarr_backup.transfer.downloads import ARCHIVE_TYPE, RangeUnsatisfiable, download
from tvarr_backup.transfer.uploads import MEDIA_TYPE, FieldRefused, FormUnreadable, add_upload, receive

# --- Parts of the OpenAPI document -----------------------------------------------------------------------------------

_FILENAME = OpenApiParameter("filename", str, OpenApiParameter.PATH, description="The file name of the archive.")
_NAME = OpenApiParameter(
    "filename",
    str,
    OpenApiParameter.PATH,
    description="The file name of the archive, the start of it that no other name has, `latest`, or `latest~1` for the backup "
    "before the newest.",
)
_LOCATION = header("Location", "The address of the new backup or operation.", 201, 202)
_IF_MATCH = header("If-Match", "The `ETag` of the backup. If it has changed since, the answer is 412.")
_ETAG = header("ETag", "The version of the backup's metadata.", 200)
_RANGES = [
    header("Range", "A range of bytes, such as `bytes=1000-`."),
    header("If-Range", "The ETag of the parts received before."),
    header("If-None-Match", "An ETag that you have. If it is still valid, the answer is 304."),
]
_ARCHIVE_RESPONSES: dict[Any, Any] = {
    (200, ARCHIVE_TYPE): OpenApiTypes.BINARY,
    (206, ARCHIVE_TYPE): OpenApiTypes.BINARY,
    304: OpenApiResponse(description="The archive has not changed."),
}
# drf-spectacular describes all members of a PATCH as optional.
_PROTECTION = {
    "type": "object",
    "properties": {"protected": {"type": "boolean"}},
    "required": ["protected"],
    "additionalProperties": False,
}
_UNPROTECTING = (
    "Unprotecting a safety backup (kind `pre_restore`) requires the permission to delete backups (`unprotect_denied`)."
)
_MAX_PAGE_SIZE = BackupPages.max_page_size
_BACKUP = response_example("A backup", BACKUP_EXAMPLE)
_STARTED = response_example("Queued", STARTED_EXAMPLE, 202)
_EMPTY = request_example("No options", {})
_UPLOAD = {"file": "(the backup)", "note": "from the old machine"}
_LIST = {
    "count": 1,
    "next": None,
    "previous": None,
    "backups": [BACKUP_EXAMPLE],
    "broken": [],
    "broken_count": 0,
    "backup_directory": None,
    "schedule": {"enabled": True, "cron": "0 0 2 * * *", "retention": 7},
}


def _list_problems(*statuses: int) -> dict[tuple[int, str], OpenApiResponse]:
    return problems(*statuses, 409, conflict=BusySerializer)


# --- Calls -----------------------------------------------------------------------------------------------------------


class ArchiveRenderer(VisibleJSONRenderer):
    """Accept the media type of archives. Errors are JSON."""

    media_type = ARCHIVE_TYPE
    format = "gz"


class BackupViewSet(StrictView, ViewSet):
    """Backups in the backup folder."""

    lookup_url_kwarg = "filename"
    required_permissions = {
        "list": "operations.view_backup",
        "create": CHECKED_BY_ACTION,
        "upload": CHECKED_BY_ACTION,
        "retrieve": "operations.view_backup",
        "partial_update": CHECKED_BY_ACTION,
        "destroy": CHECKED_BY_ACTION,
        "protection": CHECKED_BY_ACTION,
        "download": CHECKED_BY_ACTION,
        "verify": CHECKED_BY_ACTION,
        "rehearse": CHECKED_BY_ACTION,
        "read_configuration": CHECKED_BY_ACTION,
        "restore": CHECKED_BY_ACTION,
    }
    parameters = {"list": PAGE_PARAMETERS, "restore": {"confirm"}}

    def get_renderers(self) -> Any:
        return [*super().get_renderers(), *([ArchiveRenderer()] if self.action == "retrieve" else [])]

    def perform_content_negotiation(self, request: Request, force: Any = False) -> Any:  # noqa: FBT002  # the framework's signature
        """Ignore the header `Accept` of downloads."""
        if self.action == "download":
            return VisibleJSONRenderer(), VisibleJSONRenderer.media_type
        return super().perform_content_negotiation(request, force)

    @extend_schema(
        summary="List backups, newest first",
        description=f"At most {_MAX_PAGE_SIZE} backups. `next` is the address of older ones.",
        parameters=[
            OpenApiParameter("page", int, description="Number of the page, from 1."),
            OpenApiParameter(
                "page_size", int, description=f"Backups per page. The default and maximum is {_MAX_PAGE_SIZE}."
            ),
        ],
        responses={200: BackupListSerializer, **problems(400, 404, 409)},
        examples=[response_example("One backup", _LIST)],
    )
    def list(self, request: Request) -> Response:
        reconcile()
        folder, required = backup_folder(), conf.required_schema()
        listing, pages = read_folder(folder), BackupPages()
        backups: Any = listing.backups  # Django's pages take any sequence
        on_page = pages.paginate_queryset(backups, request, self) or []
        broken = listing.broken[:_MAX_PAGE_SIZE]
        return Response(
            {
                "count": len(listing.backups),
                "next": pages.get_next_link(),
                "previous": pages.get_previous_link(),
                "backups": [self._add_path(backup_as_data(backup, required), folder) for backup in on_page],
                "broken": [{"filename": one.filename, "reason": one.reason} for one in broken],
                "broken_count": len(listing.broken),
                "backup_directory": str(folder) if self.actor.is_administrator else None,
                "schedule": schedule_for_api(),
            }
        )

    @extend_schema(
        summary="Create a backup",
        description="A worker creates it. Request the address of the operation until it has finished.",
        parameters=[_LOCATION],
        request=CreateSerializer,
        responses={202: StartedSerializer, **_list_problems(400, 413, 415)},
        examples=[request_example("With a note", {"note": "before the new provider"}), _STARTED],
    )
    def create(self, _request: Request) -> Response:
        operation = actions.request_backup(self.actor, **self.read_body(CreateSerializer))
        return build_started(operation, "The backup is queued. Its operation shows the progress.")

    @extend_schema(
        operation_id="backups_upload",
        summary="Upload a backup",
        description="Accepts one of our backups, one of tvarr's (`.db.gz` or `.tar.gz`), or a plain copy of a database. It is "
        "verified. A downloaded backup gets its note, version, date and protection back; other files become protected backups. "
        "Content that a backup has already is refused (`backup_present`).",
        parameters=[_LOCATION],
        request={"multipart/form-data": UploadFormSerializer},
        responses={201: BackupSerializer, **_list_problems(400, 411, 413, 415, 422, 507)},
        examples=[request_example("A backup with another note", _UPLOAD, "multipart/form-data"), _BACKUP],
    )
    @action(detail=False, methods=["post"], parser_classes=(MultiPartParser,))  # only `receive` reads the form
    def upload(self, _request: Request) -> Response:
        added = (self._receive_upload().result or {})["backup"]
        address = reverse("api-backup-detail", args=[added["filename"]])
        return Response(self._add_path(added, backup_folder()), status.HTTP_201_CREATED, headers={"Location": address})

    def _receive_upload(self) -> Operation:
        request = self.request._request  # noqa: SLF001  # the framework's name of Django's request
        try:
            with receive(request, self.actor) as upload:
                fields = self.read(UploadFieldsSerializer, upload.fields)
                return add_upload(
                    upload,
                    self.actor,
                    note=fields["note"],
                    accept_broken_references=fields["accept_broken_references"] == "true",
                    accept_code=fields["accept_code"] == "true",
                )
        except FormUnreadable as unreadable:
            if request.content_type != MEDIA_TYPE:
                raise UnsupportedMediaType((request.content_type or "")[:80]) from unreadable
            raise ParseError(str(unreadable)) from unreadable
        except FieldRefused as refused:
            detail = serializers.ErrorDetail(str(refused), code=refused.code)
            raise serializers.ValidationError({refused.name: detail}) from refused

    @extend_schema(
        summary="Show a backup, or download it",
        description="`Accept: application/gzip` downloads the archive, like `GET /backups/{filename}/download`.",
        parameters=[_NAME, _ETAG, *_RANGES],
        responses={
            (200, "application/json"): BackupSerializer,
            **_ARCHIVE_RESPONSES,
            **problems(400, 404, 409, 412, 416),
        },
        examples=[_BACKUP],
    )
    def retrieve(self, request: Request, filename: str) -> HttpResponseBase:
        if isinstance(request.accepted_renderer, ArchiveRenderer):
            return self._archive(filename)
        folder = backup_folder()
        return self._answer(find_backup(folder, find_name(folder, filename)), folder)

    @extend_schema(
        operation_id="backups_update",
        summary="Change the note and protection of a backup",
        description=_UNPROTECTING,
        parameters=[_NAME, _IF_MATCH, _ETAG],
        request=ChangeSerializer,
        responses={200: BackupSerializer, **problems(400, 404, 409, 412, 413, 415, 507)},
        examples=[request_example("Protect", {"protected": True, "note": "the last good one"}), _BACKUP],
    )
    def partial_update(self, _request: Request, filename: str) -> Response:
        return self._change(filename, ChangeSerializer)

    @extend_schema(
        summary="Delete a backup",
        description="Only a complete file name is accepted. A broken backup can be deleted too. A protected one is refused.",
        parameters=[_FILENAME, _IF_MATCH],
        responses={200: MessageSerializer, **_list_problems(400, 404, 412)},
        examples=[response_example("Deleted", {"message": f"{BACKUP_EXAMPLE['filename']} is deleted."})],
    )
    def destroy(self, _request: Request, filename: str) -> Response:
        actions.delete_backup(self.actor, filename, only_if=self._expected_versions())
        return Response({"message": f"{filename} is deleted."})

    @extend_schema(
        operation_id="backups_protect",
        summary="Protect or unprotect a backup",
        description=_UNPROTECTING,
        parameters=[_NAME, _IF_MATCH, _ETAG],
        request={"application/json": _PROTECTION},
        responses={200: BackupSerializer, **problems(400, 404, 409, 412, 413, 415, 507)},
        examples=[request_example("Protect", {"protected": True}), _BACKUP],
    )
    @action(detail=True, methods=["patch"])
    def protection(self, _request: Request, filename: str) -> Response:
        return self._change(filename, ProtectionSerializer)

    def _change(self, filename: str, serializer: type[StrictSerializer]) -> Response:
        changes = self.read_body(serializer)
        changed = actions.change_backup(self.actor, filename, only_if=self._expected_versions(), **changes)
        return self._answer(changed, backup_folder())

    @extend_schema(
        operation_id="backups_download",
        summary="Download a backup",
        description="The archive with its metadata in the gzip header. It contains the user names and passwords of stream "
        "sources. Ranges are supported, so an interrupted download can be resumed.",
        parameters=[_NAME, *_RANGES],
        responses={**_ARCHIVE_RESPONSES, **problems(400, 404, 409, 412, 416)},
    )
    @action(detail=True)
    def download(self, _request: Request, filename: str) -> HttpResponseBase:
        return self._archive(filename)

    def _archive(self, filename: str) -> HttpResponseBase:
        backup = actions.find_archive(self.actor, filename)
        try:
            return download(self.request._request, backup_folder(), backup)  # noqa: SLF001  # the framework's name of Django's request
        except RangeUnsatisfiable as error:
            body = problem(416, "range_not_satisfiable", str(error))
            headers = {"Content-Range": error.content_range}
            return Response(body, 416, headers=headers, content_type=CONTENT_TYPE)

    @extend_schema(
        operation_id="backups_verify",
        summary="Verify a backup",
        description="A worker verifies it. The result of the operation lists every check.",
        parameters=[_NAME, _LOCATION],
        request=EmptySerializer,
        responses={202: StartedSerializer, **_list_problems(400, 404, 413, 415)},
        examples=[_EMPTY, _STARTED],
    )
    @action(detail=True, methods=["post"])
    def verify(self, _request: Request, filename: str) -> Response:
        self.read_body(EmptySerializer)
        operation = actions.request_verification(self.actor, [filename])
        (name,) = operation.arguments["filenames"]
        return build_started(operation, f"The verification of {name} is queued. Its operation shows the progress.")

    @extend_schema(
        operation_id="backups_rehearse",
        summary="Rehearse the restore of a backup",
        description="A worker restores the backup into a scratch copy of the database, with the code of a real restore, while "
        "another program writes to it. Your data is not changed. `latest` names the newest backup.",
        parameters=[_NAME, _LOCATION],
        request=EmptySerializer,
        responses={202: StartedSerializer, **_list_problems(400, 404, 413, 415, 507)},
        examples=[_EMPTY, _STARTED],
    )
    @action(detail=True, methods=["post"])
    def rehearse(self, _request: Request, filename: str) -> Response:
        self.read_body(EmptySerializer)
        operation = actions.request_rehearsal(self.actor, filename)
        name = operation.arguments["filename"]
        return build_started(operation, f"The rehearsal of {name} is queued. Its operation shows the progress.")

    @extend_schema(
        operation_id="backups_read",
        summary="Read the configuration of a backup",
        description="Needed once for backups of earlier versions and of tvarr, before their configuration can be compared "
        "(`state_unread`). A worker reads it.",
        parameters=[_NAME, _LOCATION],
        request=EmptySerializer,
        responses={202: StartedSerializer, **_list_problems(400, 404, 413, 415)},
        examples=[_EMPTY, _STARTED],
    )
    @action(detail=True, methods=["post"], url_path="read")
    def read_configuration(self, _request: Request, filename: str) -> Response:
        self.read_body(EmptySerializer)
        operation = actions.request_reading(self.actor, filename)
        name = operation.arguments["filename"]
        return build_started(operation, f"The reading of {name} is queued. Its operation shows the progress.")

    @extend_schema(
        operation_id="backups_restore",
        summary="Restore a backup",
        description="A worker verifies the backup, saves the current data as a safety backup, and replaces the data. The result "
        "of the operation has the `outcome`, the numbers of rows `before` and `after`, and the safety backup as "
        "`pre_restore_backup`. An offline restore sets the old files aside (`set_aside`). It makes no safety backup if the old "
        "file cannot be read.",
        parameters=[
            _NAME,
            _LOCATION,
            OpenApiParameter("confirm", str, required=True, enum=["true"], description="Confirms the restore."),
        ],
        request=RestoreSerializer,
        responses={202: RestoreStartedSerializer, **_list_problems(400, 404, 413, 415, 507)},
        examples=[_EMPTY, response_example("Queued", STARTED_EXAMPLE | {"restart_required": False, "facts": []}, 202)],
    )
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, filename: str) -> Response:
        _require_confirmation(request)
        confirmed = self.read_body(RestoreSerializer)
        operation = actions.request_restore(self.actor, filename, **confirmed)
        name = operation.arguments["filename"]
        answer = build_started(operation, f"The restore of {name} is queued. Its operation shows the progress.")
        answer.data["restart_required"] = not confirmed["offline"] and needs_reload(EVERYTHING)
        answer.data["facts"] = _find_facts(name)
        return answer

    def _answer(self, backup: Backup, folder: Path) -> Response:
        """Answer with a backup and the ETag of its metadata."""
        return Response(self._add_path(backup_as_data(backup), folder), headers={"ETag": f'"{backup.etag}"'})

    def _add_path(self, backup: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Add the path of a backup, which only administrators see."""
        return {**backup, "file_path": str(folder / backup["filename"]) if self.actor.is_administrator else None}

    def _expected_versions(self) -> Collection[str] | None:
        """Return the versions of a backup that `If-Match` names, or None for any."""
        etags = expected_etags(self.request)
        return None if etags is None else [etag.strip('"') for etag in etags]


def _find_facts(filename: str) -> list[str]:
    """Return facts about a backup of another version; none if it cannot be restored."""
    with suppress(TvarrBackupError):
        return list(verdict_on(find_backup(backup_folder(), filename)).facts)
    return []


def _require_confirmation(request: Request) -> None:
    given = request.query_params.getlist("confirm")
    if given in ([], ["false"]):
        raise ConfirmationRequired("A restore replaces all data in tvarr's database. Send confirm=true to confirm it.")
    if given != ["true"]:
        raise serializers.ValidationError({"confirm": f'Expected "true", got {quoted(", ".join(given))}.'})
