"""The calls about backups."""

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
    MessageSerializer,
    NothingSerializer,
    ProtectionSerializer,
    RestoreSerializer,
    RestoreStartedSerializer,
    UploadFieldsSerializer,
    UploadFormSerializer,
)
from tvarr_backup.api.errors import CONTENT_TYPE, problem
from tvarr_backup.api.operations import STARTED_EXAMPLE, StartedSerializer, started
from tvarr_backup.api.permissions import BY_THE_ACTION
from tvarr_backup.api.queries import PAGE_PARAMETERS
from tvarr_backup.api.renderers import VisibleJSONRenderer
from tvarr_backup.api.schedule import schedule_for_api
from tvarr_backup.api.schema import answer_example, header, problems, sent_example
from tvarr_backup.api.strict import StrictSerializer
from tvarr_backup.api.views import StrictView
from tvarr_backup.backups.catalogue import Backup, find_backup, read_folder
from tvarr_backup.errors import ConfirmationRequired, TvarrBackupError
from tvarr_backup.etags import expected_etags
from tvarr_backup.operations import actions
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.models import Operation
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.report import backup_as_data
from tvarr_backup.operations.sightings import verdict_on
from tvarr_backup.portable.tvarr_memory import EVERYTHING, needs_reload
from tvarr_backup.transfer.downloads import ARCHIVE_TYPE, RangeUnsatisfiable, download
from tvarr_backup.transfer.uploads import MEDIA_TYPE, FieldRefused, FormUnreadable, add_upload, receive

# --- For the schema ---------------------------------------------------------------------------------------------------

_FILENAME = OpenApiParameter("filename", str, OpenApiParameter.PATH, description="The whole name of the archive.")
_LOCATION = header("Location", "Where to look.", 201, 202)
_IF_MATCH = header("If-Match", "The `ETag` of the metadata that the change is based on.")
_ETAG = header("ETag", "Another one after every change.", 200)
_RANGES = [
    header("Range", "One range of bytes, such as `bytes=1000-`."),
    header("If-Range", "The ETag that the first part came with."),
    header("If-None-Match", "Answered with 304 where it is known."),
]
_ARCHIVE_RESPONSES: dict[Any, Any] = {
    (200, ARCHIVE_TYPE): OpenApiTypes.BINARY,
    (206, ARCHIVE_TYPE): OpenApiTypes.BINARY,
    304: OpenApiResponse(description="The archive is known already."),
}
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
_MOST_ON_PAGE = BackupPages.max_page_size
_BACKUP = answer_example("A backup", BACKUP_EXAMPLE)
_STARTED = answer_example("It is under way", STARTED_EXAMPLE, 202)
_NOTHING = sent_example("Nothing", {})
_UPLOAD = {"file": "(the archive)", "meta": "(its .meta.json)", "note": "from the old machine"}
_LIST = {
    "count": 1,
    "next": None,
    "previous": None,
    "backups": [BACKUP_EXAMPLE],
    "broken": [],
    "broken_count": 0,
    "backup_directory": None,
    "schedule": {"enabled": True, "cron": "0 2 * * *", "retention": 7},
}


def _busy(*statuses: int) -> dict[tuple[int, str], OpenApiResponse]:
    return problems(*statuses, 409, conflict=BusySerializer)


# --- The calls --------------------------------------------------------------------------------------------------------


class ArchiveRenderer(VisibleJSONRenderer):
    """Lets an archive be asked for by its media type; problems are JSON all the same."""

    media_type = ARCHIVE_TYPE
    format = "gz"


class BackupViewSet(StrictView, ViewSet):
    """Backups in the backup folder."""

    lookup_url_kwarg = "filename"
    required_permissions = {
        "list": "operations.view_backup",
        "create": BY_THE_ACTION,
        "upload": BY_THE_ACTION,
        "retrieve": "operations.view_backup",
        "partial_update": BY_THE_ACTION,
        "destroy": BY_THE_ACTION,
        "protection": BY_THE_ACTION,
        "download": BY_THE_ACTION,
        "verify": BY_THE_ACTION,
        "restore": BY_THE_ACTION,
    }
    parameters = {"list": PAGE_PARAMETERS, "restore": {"confirm"}}

    def get_renderers(self) -> Any:
        return [*super().get_renderers(), *([ArchiveRenderer()] if self.action == "retrieve" else [])]

    def perform_content_negotiation(self, request: Request, force: Any = False) -> Any:  # noqa: FBT002  # the framework's signature
        """Whatever a browser or a program says that it accepts, the address of a download answers with the archive."""
        if self.action == "download":
            return VisibleJSONRenderer(), VisibleJSONRenderer.media_type
        return super().perform_content_negotiation(request, force)

    @extend_schema(
        summary="List the backups, the newest first",
        description=f"At most {_MOST_ON_PAGE} at a time; `next` is the address of older ones.",
        parameters=[
            OpenApiParameter("page", int, description="From 1."),
            OpenApiParameter("page_size", int, description=f"From 1 to {_MOST_ON_PAGE}, which is the default."),
        ],
        responses={200: BackupListSerializer, **problems(400, 404, 409)},
        examples=[answer_example("One backup", _LIST)],
    )
    def list(self, request: Request) -> Response:
        reconcile()
        folder, required = backup_folder(), conf.required_schema()
        listing, pages = read_folder(folder), BackupPages()
        backups: Any = listing.backups  # Django's pages take any sequence
        on_page = pages.paginate_queryset(backups, request, self) or []
        broken = listing.broken[:_MOST_ON_PAGE]
        return Response(
            {
                "count": len(listing.backups),
                "next": pages.get_next_link(),
                "previous": pages.get_previous_link(),
                "backups": [self._data_of(backup_as_data(backup, required), folder) for backup in on_page],
                "broken": [{"filename": one.filename, "reason": one.reason} for one in broken],
                "broken_count": len(listing.broken),
                "backup_directory": str(folder) if self.actor.is_administrator else None,
                "schedule": schedule_for_api(),
            }
        )

    @extend_schema(
        summary="Make a backup",
        description="The worker makes it; look at the operation for how it goes.",
        parameters=[_LOCATION],
        request=CreateSerializer,
        responses={202: StartedSerializer, **_busy(400, 413, 415)},
        examples=[sent_example("With a note", {"note": "before the new provider"}), _STARTED],
    )
    def create(self, _request: Request) -> Response:
        operation = actions.request_backup(self.actor, **self.read_body(CreateSerializer))
        return started(operation, "The backup will be made; look at the operation for how it goes.")

    @extend_schema(
        operation_id="backups_upload",
        summary="Take in a backup from elsewhere",
        description="What the file is, its content says: a `.db.gz` of ours or of tvarr's, a `.tar.gz` of tvarr's, or a "
        "plain copy of a database. It is checked completely. The new backup is marked as imported and protected.",
        parameters=[_LOCATION],
        request={"multipart/form-data": UploadFormSerializer},
        responses={201: BackupSerializer, **_busy(400, 411, 413, 415, 422, 507)},
        examples=[sent_example("A file with its description", _UPLOAD, "multipart/form-data"), _BACKUP],
    )
    @action(detail=False, methods=["post"], parser_classes=(MultiPartParser,))  # `receive` alone reads the form
    def upload(self, _request: Request) -> Response:
        made = (self._take_in().result or {})["backup"]
        address = reverse("api-backup-detail", args=[made["filename"]])
        return Response(self._data_of(made, backup_folder()), status.HTTP_201_CREATED, headers={"Location": address})

    def _take_in(self) -> Operation:
        asked = self.request._request  # noqa: SLF001  # the framework's name of Django's request
        try:
            with receive(asked, self.actor) as upload:
                fields = self.read(UploadFieldsSerializer, upload.fields)
                return add_upload(
                    upload,
                    self.actor,
                    note=fields["note"],
                    accept_broken_references=fields["accept_broken_references"] == "true",
                    accept_code=fields["accept_code"] == "true",
                )
        except FormUnreadable as unreadable:
            if asked.content_type != MEDIA_TYPE:
                raise UnsupportedMediaType((asked.content_type or "")[:80]) from unreadable
            raise ParseError(str(unreadable)) from unreadable
        except FieldRefused as refused:
            detail = serializers.ErrorDetail(str(refused), code=refused.code)
            raise serializers.ValidationError({refused.name: detail}) from refused

    @extend_schema(
        summary="Show a backup, or receive its archive",
        description="With `Accept: application/gzip` it is as `GET /backups/{filename}/download`, and needs that permission.",
        parameters=[_FILENAME, _ETAG, *_RANGES],
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
        return self._answer(find_backup(folder, filename), folder)

    @extend_schema(
        operation_id="backups_update",
        summary="Change the protection and the note of a backup",
        description=f"At once: only the description beside the archive is written. {_UNPROTECTING}",
        parameters=[_FILENAME, _IF_MATCH, _ETAG],
        request=ChangeSerializer,
        responses={200: BackupSerializer, **problems(400, 404, 409, 412, 413, 415, 507)},
        examples=[sent_example("Keep it", {"protected": True, "note": "the last good one"}), _BACKUP],
    )
    def partial_update(self, _request: Request, filename: str) -> Response:
        return self._change(filename, ChangeSerializer)

    @extend_schema(
        summary="Delete a backup",
        description="For good. Also what is broken under a backup's name. A protected one is refused.",
        parameters=[_FILENAME, _IF_MATCH],
        responses={200: MessageSerializer, **_busy(400, 404, 412)},
        examples=[answer_example("It is gone", {"message": f"{BACKUP_EXAMPLE['filename']} is deleted."})],
    )
    def destroy(self, _request: Request, filename: str) -> Response:
        actions.delete_backup(self.actor, filename, only_if=self._only_if())
        return Response({"message": f"{filename} is deleted."})

    @extend_schema(
        operation_id="backups_protect",
        summary="Set or lift the protection of a backup",
        description=_UNPROTECTING,
        parameters=[_FILENAME, _IF_MATCH, _ETAG],
        request={"application/json": _PROTECTION},
        responses={200: BackupSerializer, **problems(400, 404, 409, 412, 413, 415, 507)},
        examples=[sent_example("Keep it", {"protected": True}), _BACKUP],
    )
    @action(detail=True, methods=["patch"])
    def protection(self, _request: Request, filename: str) -> Response:
        """tvarr's address for the protection alone."""
        return self._change(filename, ProtectionSerializer)

    def _change(self, filename: str, serializer: type[StrictSerializer]) -> Response:
        changes = self.read_body(serializer)
        changed = actions.change_backup(self.actor, filename, only_if=self._only_if(), **changes)
        return self._answer(changed, backup_folder())

    @extend_schema(
        operation_id="backups_download",
        summary="Receive the archive of a backup",
        description="With its length, its checksum as `ETag`, and ranges, so that what broke off can be resumed.",
        parameters=[_FILENAME, *_RANGES],
        responses={**_ARCHIVE_RESPONSES, **problems(400, 404, 409, 412, 416)},
    )
    @action(detail=True)
    def download(self, _request: Request, filename: str) -> HttpResponseBase:
        return self._archive(filename)

    def _archive(self, filename: str) -> HttpResponseBase:
        backup = actions.find_archive(self.actor, filename)
        try:
            return download(self.request._request, backup_folder(), backup)  # noqa: SLF001  # the framework's name of Django's request
        except RangeUnsatisfiable as refused:
            body = problem(416, "range_not_satisfiable", str(refused))
            headers = {"Content-Range": refused.content_range}
            return Response(body, 416, headers=headers, content_type=CONTENT_TYPE)

    @extend_schema(
        operation_id="backups_verify",
        summary="Check everything about a backup",
        description="The worker does it; the result of the operation lists every check.",
        parameters=[_FILENAME, _LOCATION],
        request=NothingSerializer,
        responses={202: StartedSerializer, **_busy(400, 404, 413, 415)},
        examples=[_NOTHING, _STARTED],
    )
    @action(detail=True, methods=["post"])
    def verify(self, _request: Request, filename: str) -> Response:
        self.read_body(NothingSerializer)
        operation = actions.request_verification(self.actor, [filename])
        return started(operation, f"{filename} will be checked; look at the operation for how it goes.")

    @extend_schema(
        operation_id="backups_restore",
        summary="Put the content of a backup into the live database",
        description="The worker does it, after a complete check, and keeps a copy of what was there: the result of the "
        "operation has `outcome`, the rows `before` and `after`, and that copy as `pre_restore_backup`. An offline restore "
        "sets the old files aside (`set_aside`), and has no such copy where the old file could not be read. `facts` says what "
        "tvarr will do with the database of another version.",
        parameters=[
            _FILENAME,
            _LOCATION,
            OpenApiParameter("confirm", str, required=True, enum=["true"], description="The word that it is meant."),
        ],
        request=RestoreSerializer,
        responses={202: RestoreStartedSerializer, **_busy(400, 404, 413, 415, 507)},
        examples=[
            _NOTHING,
            answer_example("It is under way", STARTED_EXAMPLE | {"restart_required": False, "facts": []}, 202),
        ],
    )
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, filename: str) -> Response:
        _require_confirmation(request)
        confirmed = self.read_body(RestoreSerializer)
        facts = _facts(filename)
        operation = actions.request_restore(self.actor, filename, **confirmed)
        answer = started(operation, f"{filename} will be restored; look at the operation for how it goes.")
        answer.data["restart_required"] = not confirmed["offline"] and needs_reload(EVERYTHING)
        answer.data["facts"] = facts
        return answer

    def _answer(self, backup: Backup, folder: Path) -> Response:
        """Answer with the metadata of a backup, and the ETag by which a change can refer to it."""
        return Response(self._data_of(backup_as_data(backup), folder), headers={"ETag": f'"{backup.etag}"'})

    def _data_of(self, backup: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Add to the metadata of a backup where it is; only administrators get that."""
        return {**backup, "file_path": str(folder / backup["filename"]) if self.actor.is_administrator else None}

    def _only_if(self) -> Collection[str] | None:
        """Return the states of a backup that `If-Match` allows, or None for any."""
        etags = expected_etags(self.request)
        return None if etags is None else [etag.strip('"') for etag in etags]


def _facts(filename: str) -> list[str]:
    """Return what to know of a restore across versions; nothing of a backup that cannot be restored."""
    with suppress(TvarrBackupError):
        return list(verdict_on(find_backup(backup_folder(), filename)).facts)
    return []


def _require_confirmation(request: Request) -> None:
    given = request.query_params.getlist("confirm")
    if given in ([], ["false"]):
        raise ConfirmationRequired("A restore replaces all that is in tvarr's database; say confirm=true to do it.")
    if given != ["true"]:
        raise serializers.ValidationError({"confirm": "Allowed is true."})
