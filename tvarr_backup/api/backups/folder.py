"""The backup folder: all backups, a new one, and one from elsewhere."""

from __future__ import annotations

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from tvarr_backup import conf
from tvarr_backup.api.backups.common import (
    BACKUP,
    LOCATION,
    STARTED,
    BackupView,
    actor_of,
    busy,
    checked,
    is_administrator,
    shown,
)
from tvarr_backup.api.backups.serializers import (
    BACKUP_EXAMPLE,
    BackupListSerializer,
    BackupPages,
    BackupSerializer,
    CreateSerializer,
    UploadFieldsSerializer,
    UploadFormSerializer,
)
from tvarr_backup.api.operations import StartedSerializer, started
from tvarr_backup.api.permissions import BY_THE_ACTION
from tvarr_backup.api.schedule import shown_schedule
from tvarr_backup.api.schema import problems
from tvarr_backup.backups.catalogue import read_folder
from tvarr_backup.operations import actions
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.models import Operation
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.transfer.uploads import MEDIA_TYPE, FieldRefused, FormUnreadable, add_upload, receive

_UPLOAD = OpenApiExample(
    "A file with its description",
    {"file": "(the archive)", "meta": "(its .meta.json)", "note": "from the old machine"},
    request_only=True,
    media_type="multipart/form-data",
)


class BackupList(BackupView):
    """All backups, and a new one."""

    required_permissions = {"get": "operations.view_backup", "post": BY_THE_ACTION}
    parameters = {"get": frozenset({"page", "page_size"})}

    @extend_schema(
        operation_id="backups_list",
        summary="List the backups, the newest first",
        description=f"At most {BackupPages.max_page_size} at a time; `next` is the address of older ones.",
        tags=["backups"],
        parameters=[
            OpenApiParameter("page", int, description="From 1."),
            OpenApiParameter(
                "page_size", int, description=f"From 1 to {BackupPages.max_page_size}, which is the default."
            ),
        ],
        responses={200: BackupListSerializer, **problems(400, 404, 409)},
        examples=[
            OpenApiExample(
                "One backup",
                {
                    "count": 1,
                    "next": None,
                    "previous": None,
                    "backups": [BACKUP_EXAMPLE],
                    "broken": [],
                    "broken_count": 0,
                    "backup_directory": None,
                    "schedule": {"enabled": True, "cron": "0 2 * * *", "retention": 7},
                },
                response_only=True,
            )
        ],
    )
    def get(self, request: Request) -> Response:
        reconcile()
        folder, required = backup_folder(), conf.required_schema()
        listing, pages = read_folder(folder), BackupPages()
        on_page = pages.paginate_sequence(listing.backups, request, self)
        broken = listing.broken[: BackupPages.max_page_size]
        return Response(
            {
                "count": len(listing.backups),
                "next": pages.get_next_link(),
                "previous": pages.get_previous_link(),
                "backups": [shown(backup, request, folder, required=required) for backup in on_page],
                "broken": [{"filename": one.filename, "reason": one.reason} for one in broken],
                "broken_count": len(listing.broken),
                "backup_directory": str(folder) if is_administrator(request) else None,
                "schedule": shown_schedule(),
            }
        )

    @extend_schema(
        operation_id="backups_create",
        summary="Make a backup",
        description="The worker makes it; look at the operation for how it goes.",
        tags=["backups"],
        parameters=[LOCATION],
        request=CreateSerializer,
        responses={202: StartedSerializer, **busy(400, 413, 415)},
        examples=[OpenApiExample("With a note", {"note": "before the new provider"}, request_only=True), STARTED],
    )
    def post(self, request: Request) -> Response:
        operation = actions.request_backup(actor_of(request), **checked(CreateSerializer, request))
        return started(operation, "The backup will be made; look at the operation for how it goes.")


class BackupUpload(BackupView):
    """A backup from elsewhere."""

    parser_classes = (MultiPartParser,)  # says what is taken; the form is read by `receive` alone
    required_permissions = {"post": BY_THE_ACTION}

    @extend_schema(
        operation_id="backups_upload",
        summary="Take in a backup from elsewhere",
        description="What the file is, its content says: a `.db.gz` of ours or of tvarr's, a `.tar.gz` of tvarr's, or a "
        "plain copy of a database. It is checked completely. The new backup is marked as imported and protected.",
        tags=["backups"],
        parameters=[LOCATION],
        request={"multipart/form-data": UploadFormSerializer},
        responses={201: BackupSerializer, **busy(400, 411, 413, 415, 422, 507)},
        examples=[_UPLOAD, BACKUP],
    )
    def post(self, request: Request) -> Response:
        made = (_take_in(request).result or {})["backup"]
        address = reverse("api-backup", args=[made["filename"]])
        return Response(shown(made, request, backup_folder()), status.HTTP_201_CREATED, headers={"Location": address})


def _take_in(request: Request) -> Operation:
    asked = request._request  # noqa: SLF001  # the framework's name of Django's request
    actor = actor_of(request)
    try:
        with receive(asked, actor) as upload:
            fields = UploadFieldsSerializer(data=upload.fields)
            fields.is_valid(raise_exception=True)
            return add_upload(
                upload,
                actor,
                note=fields.validated_data["note"],
                accept_broken_references=fields.validated_data["accept_broken_references"] == "true",
                accept_code=fields.validated_data["accept_code"] == "true",
            )
    except FormUnreadable as unreadable:
        if asked.content_type != MEDIA_TYPE:
            raise UnsupportedMediaType((asked.content_type or "")[:80]) from unreadable
        raise ParseError(str(unreadable)) from unreadable
    except FieldRefused as refused:
        detail = serializers.ErrorDetail(str(refused), code=refused.code)
        raise serializers.ValidationError({refused.name: detail}) from refused
