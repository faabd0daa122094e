"""Backups: the folder as it is now, and what can be done with it, in tvarr's shapes with members of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.http import HttpResponseBase
from django.urls import path, reverse
from django.utils.http import parse_etags
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import MultiPartParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tvarr_backup import conf
from tvarr_backup.api.errors import CONTENT_TYPE, problem
from tvarr_backup.api.operations import STARTED_EXAMPLE, StartedSerializer, started
from tvarr_backup.api.pagination import Pages
from tvarr_backup.api.queries import require_known_parameters
from tvarr_backup.api.renderers import VisibleJSONRenderer
from tvarr_backup.api.schedule import ScheduleSerializer, shown_schedule
from tvarr_backup.api.schema import RESTART_REQUIRED, ProblemSerializer, problems
from tvarr_backup.api.strict import Flag, StrictSerializer, Text, Word
from tvarr_backup.backups.backup_warnings import BackupWarningCode
from tvarr_backup.backups.catalogue import Backup, checked_note, find_backup, read_folder, require_files
from tvarr_backup.backups.names import BackupName, parse_name
from tvarr_backup.backups.sidecar import MAX_NOTE, BackupKind, CheckLevel, DateSource
from tvarr_backup.backups.versions import require_accepted
from tvarr_backup.errors import BackupNotFound, ConfirmationRequired
from tvarr_backup.operations.disk import backup_folder, folder_for_new_backup
from tvarr_backup.operations.models import BackupState, Operation, OperationKind, Origin
from tvarr_backup.operations.protection import change_backup
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.report import backup_as_data
from tvarr_backup.operations.restores import require_restorable_live
from tvarr_backup.operations.run import run_here
from tvarr_backup.operations.sightings import verdict_on
from tvarr_backup.portable.tvarr_memory import EVERYTHING, needs_reload
from tvarr_backup.quoting import quoted
from tvarr_backup.tasks import submit
from tvarr_backup.transfer.downloads import ARCHIVE_TYPE, RangeUnsatisfiable, download
from tvarr_backup.transfer.uploads import MEDIA_TYPE, FieldRefused, FormUnreadable, receive, take_in


class BackupPages(Pages):
    """All backups in one page, as tvarr's clients expect it, unless there are hundreds."""

    page_size = Pages.max_page_size

    def paginate_sequence(self, backups: Sequence[Backup], request: Request, view: APIView) -> list[Backup]:
        """Return those of the page that is asked for. Raises `NotFound` or `ValidationError`."""
        queryset: Any = backups  # Django's pages take any sequence
        return self.paginate_queryset(queryset, request, view) or []


# --- Shapes ----------------------------------------------------------------------------------------------------------

BACKUP_EXAMPLE: dict[str, Any] = {
    "filename": "tvarr-backup-2026-03-01T18-00-00.db.gz",
    "file_path": None,
    "file_size": 10_485_760,
    "state": "checked",
    "tvarr_version": "tvarr-backup 0.1.0",
    "database_size": 104_857_600,
    "compressed_size": 10_485_760,
    "checksum": "sha256:" + "9f" * 32,
    "created_at": "2026-03-01T18:00:00Z",
    "table_counts": {"filters": 12, "channels": 4711},
    "protected": False,
    "imported": False,
    "seq": 42,
    "kind": "manual",
    "note": "before the new provider",
    "protected_until": None,
    "database_checksum": "sha256:" + "5c" * 32,
    "schema": "tvarr 029",
    "sqlite_version": "3.45.1",
    "app_version": "0.1.0",
    "checked": {"level": "quick", "at": "2026-03-01T18:00:02Z", "problems": [], "warnings": [], "warning_details": []},
    "restored_from": "",
    "created_at_source": "metadata",
    "newest_row_at": None,
    "wal_missing": False,
    "accepted_code": [],
}


class WarningSerializer(serializers.Serializer[Any]):
    """A warning as data; members that its code does not need are empty, and `count` is 0."""

    code = serializers.ChoiceField(choices=[code.value for code in BackupWarningCode])
    table = serializers.CharField(allow_blank=True, help_text="`broken_references`: rows of this table.")
    referenced_table = serializers.CharField(allow_blank=True, help_text="`broken_references`: lack their row here.")
    count = serializers.IntegerField(help_text="`broken_references`: so many rows.")
    schema = serializers.CharField(allow_blank=True, help_text="`newer_schema`, `missing_columns`: of this schema.")
    newest_known = serializers.CharField(allow_blank=True, help_text="`newer_schema`: the newest that was known then.")
    names = serializers.ListField(
        child=serializers.CharField(), help_text="`missing_columns`: columns and tables; `code`: what it contains."
    )
    text = serializers.CharField(allow_blank=True, help_text="`irregular_schema`, `other`: the sentence itself.")


class CheckedSerializer(serializers.Serializer[Any]):
    """The last check of a backup, in sentences."""

    level = serializers.ChoiceField(choices=[level.value for level in CheckLevel])
    at = serializers.DateTimeField(allow_null=True, help_text="Null where the metadata name no possible time.")
    problems = serializers.ListField(child=serializers.CharField(), help_text="With any, it cannot be relied on.")
    warnings = serializers.ListField(
        child=serializers.CharField(),
        help_text="The backup is usable. What was so in the live database, or what may be missing in a file from elsewhere.",
    )
    warning_details = serializers.ListField(
        child=WarningSerializer(), help_text="What `warnings` say, as data, in the same order."
    )


class BackupSerializer(serializers.Serializer[Any]):
    """A complete backup. Sizes are bytes, times UTC, checksums `sha256:` and 64 hexadecimal digits."""

    filename = serializers.CharField()
    file_path = serializers.CharField(allow_null=True, help_text="Told to administrators only.")
    file_size = serializers.IntegerField(help_text="Of the archive.")
    state = serializers.ChoiceField(choices=[state.value for state in BackupState if state != BackupState.BROKEN])
    tvarr_version = serializers.CharField(allow_blank=True, help_text="What made it.")
    database_size = serializers.IntegerField()
    compressed_size = serializers.IntegerField(help_text="As `file_size`.")
    checksum = serializers.CharField(help_text="Of the archive; its ETag.")
    created_at = serializers.DateTimeField(help_text="As `created_at_source` says, perhaps not when it was made.")
    table_counts = serializers.DictField(child=serializers.IntegerField(), help_text="Live rows by table.")
    protected = serializers.BooleanField(help_text="Neither clean-ups nor a deletion touch it.")
    imported = serializers.BooleanField(help_text="Taken in from elsewhere.")
    seq = serializers.IntegerField(help_text="Higher is newer, whatever the clock says.")
    kind = serializers.ChoiceField(choices=[kind.value for kind in BackupKind])
    note = serializers.CharField(allow_blank=True)
    protected_until = serializers.DateTimeField(
        allow_null=True, help_text="Of a copy made before a restore: then it counts as an automatic backup."
    )
    database_checksum = serializers.CharField(allow_blank=True)
    schema = serializers.CharField(allow_blank=True, help_text="The state of the tables.")
    sqlite_version = serializers.CharField(allow_blank=True)
    app_version = serializers.CharField(allow_blank=True)
    checked = CheckedSerializer(allow_null=True)
    restored_from = serializers.CharField(allow_blank=True, help_text="Of a copy made before a restore: that backup.")
    created_at_source = serializers.ChoiceField(
        choices=[source.value for source in DateSource],
        help_text="Where `created_at` comes from: the backup's `metadata` or, where these name no possible time, the `name` of "
        "the file say when it was made. With "
        "`newest_row` and `arrival` that is unknown, and it is the time of the newest row, or of the upload.",
    )
    newest_row_at = serializers.DateTimeField(
        allow_null=True, help_text="The newest change in a file from elsewhere, where its rows tell."
    )
    wal_missing = serializers.BooleanField(
        help_text="A copy of a database in WAL mode that came without its -wal: the newest changes may be missing."
    )
    accepted_code = serializers.ListField(
        child=serializers.CharField(),
        help_text="Views, triggers and virtual tables that a user accepted in a file from elsewhere.",
    )


class BrokenSerializer(serializers.Serializer[Any]):
    """A file with a backup's name that is none. Only a deletion removes it."""

    filename = serializers.CharField()
    reason = serializers.CharField()


class BackupListSerializer(serializers.Serializer[Any]):
    """A page of the backup folder, the newest backup first."""

    count = serializers.IntegerField(help_text="Of all backups.")
    next = serializers.URLField(allow_null=True, help_text="Of the next page.")
    previous = serializers.URLField(allow_null=True)
    backups = BackupSerializer(many=True)
    broken = BrokenSerializer(many=True, help_text=f"At most {BackupPages.max_page_size}.")
    broken_count = serializers.IntegerField(help_text="Of all broken ones.")
    backup_directory = serializers.CharField(allow_null=True, help_text="Told to administrators only.")
    schedule = ScheduleSerializer()


class CreateSerializer(StrictSerializer):
    """What may be said of a new backup."""

    note = Text(required=False, default="", allow_blank=True, help_text=f"One line, at most {MAX_NOTE} characters.")
    accept_folder = Flag(
        required=False,
        default=False,
        help_text="Use the backup folder as it is, although the disk of the last backup is not mounted there "
        "(`backup_folder_unmounted`).",
    )


class ChangeSerializer(StrictSerializer):
    """What is to be changed; what is left out stays as it is."""

    protected = Flag(required=False)
    note = Text(required=False, allow_blank=True, help_text=f"One line, at most {MAX_NOTE} characters.")


class ProtectionSerializer(StrictSerializer):
    """Whether a backup is kept from clean-ups and from deletion."""

    protected = Flag()


class UploadFieldsSerializer(StrictSerializer):
    """What a form with a file may have beside it."""

    note = Text(required=False, default="", allow_blank=True, help_text="One line; without it, that of `meta` counts.")
    accept_broken_references = Word(
        choices=["true", "false"],
        required=False,
        default="false",
        help_text="Take it in also with rows that refer to rows which are not there.",
    )
    accept_code = Word(
        choices=["true", "false"],
        required=False,
        default="false",
        help_text="Accept views, triggers and virtual tables, which SQLite runs when the database is used after a restore. "
        "It requires the right to restore backups (`accept_code_denied`). A file that contains some is refused without it, "
        "with the code `code_not_accepted` and their SQL in `refused_code`.",
    )


class UploadFormSerializer(UploadFieldsSerializer):
    """The form of an upload, for the schema."""

    file = serializers.FileField(help_text="A backup of ours or of tvarr's, or a plain copy of a database.")
    meta = serializers.FileField(required=False, help_text="The `.meta.json` that lies beside a `.db.gz`.")
    wal = serializers.FileField(
        required=False, help_text="The `-wal` file next to a plain copy of a database; its changes are applied."
    )


class RestoreSerializer(StrictSerializer):
    """What a restore may need to be confirmed."""

    accept_newer = Flag(
        required=False, default=False, help_text="Restore also a schema that is newer than every one known here."
    )
    accept_code = Flag(
        required=False,
        default=False,
        help_text="Accept views, triggers and virtual tables in a backup from elsewhere. Without it such a restore fails with "
        "the code `code_not_accepted`, and the result of the operation has their SQL in `refused_code`.",
    )
    offline = Flag(
        required=False,
        default=False,
        help_text="Replace a damaged, empty or missing database file. It confirms that tvarr is stopped. Such a file is "
        "refused without it, with the code `offline_restore_required`.",
    )


class NothingSerializer(StrictSerializer):
    """No member is known."""


class RestoreStartedSerializer(StartedSerializer):
    """A restore is under way."""

    restart_required = serializers.BooleanField(help_text=RESTART_REQUIRED)
    facts = serializers.ListField(
        child=serializers.CharField(),
        help_text="What to know where the backup has another schema than tvarr's database now; often empty.",
    )


class MessageSerializer(serializers.Serializer[Any]):
    """It is done."""

    message = serializers.CharField()


class BusySerializer(ProblemSerializer):
    """A refusal (RFC 9457), perhaps because of another operation."""

    operation = serializers.CharField(
        required=False, allow_null=True, help_text="With `operation_running`: the one that is in the way."
    )


def _busy(*statuses: int) -> dict[tuple[int, str], OpenApiResponse]:
    return problems(*statuses) | problems(409, serializer=BusySerializer)


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
_FILENAME = OpenApiParameter("filename", str, OpenApiParameter.PATH, description="The whole name of the archive.")
_IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="The `ETag` of the metadata that the change is based on."
)
_ETAG = OpenApiParameter(
    "ETag", str, OpenApiParameter.HEADER, response=[200], description="Another one after every change."
)
_LOCATION = OpenApiParameter(
    "Location", str, OpenApiParameter.HEADER, response=[201, 202], description="Where to look."
)
_RANGES = [
    OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="One range of bytes, such as `bytes=1000-`."),
    OpenApiParameter("If-Range", str, OpenApiParameter.HEADER, description="The ETag that the first part came with."),
    OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER, description="Answered with 304 where it is known."),
]
_BACKUP = OpenApiExample("A backup", BACKUP_EXAMPLE, response_only=True)
_STARTED = OpenApiExample("It is under way", STARTED_EXAMPLE, response_only=True, status_codes=["202"])
_NOTHING = OpenApiExample("Nothing", {}, request_only=True)
_UPLOAD = OpenApiExample(
    "A file with its description",
    {"file": "(the archive)", "meta": "(its .meta.json)", "note": "from the old machine"},
    request_only=True,
    media_type="multipart/form-data",
)
_ARCHIVE_RESPONSES: dict[Any, Any] = {
    (200, ARCHIVE_TYPE): OpenApiTypes.BINARY,
    (206, ARCHIVE_TYPE): OpenApiTypes.BINARY,
    304: OpenApiResponse(description="The archive is known already."),
}

# --- What all have in common -----------------------------------------------------------------------------------------


def shown(backup: Backup | Mapping[str, Any], request: Request, folder: Path, **known: Any) -> dict[str, Any]:
    """The metadata of a backup for this person."""
    data = backup_as_data(backup, **known) if isinstance(backup, Backup) else dict(backup)
    return {**data, "file_path": str(folder / data["filename"]) if _is_administrator(request) else None}


def _is_administrator(request: Request) -> bool:
    """Whether folders of the machine are this person's business."""
    return request.user.has_perm("operations.restore_backup")


class _BackupView(APIView):
    """What the addresses of backups have in common."""

    required_permissions: Mapping[str, str] = {}
    parameters: Mapping[str, frozenset[str]] = {}
    """What may follow the `?`, by method."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        method = (request.method or "").lower().replace("head", "get")
        if hasattr(self, method):  # any other method is refused as such
            require_known_parameters(request, self.parameters.get(method, frozenset()))

    def answer(self, backup: Backup, folder: Path) -> Response:
        """The metadata, with the mark by which a change can refer to it."""
        return Response(shown(backup, self.request, folder), headers={"ETag": f'"{backup.mark}"'})


def _name(filename: str) -> BackupName:
    """The parts of the name, before the disk is touched; raises `BackupNotFound` for what is no backup's name."""
    name = parse_name(filename)
    if name is None:
        raise BackupNotFound(f"There is no backup {quoted(filename)}.")
    return name


def _only_if(request: Request) -> list[str] | None:
    """The marks that `If-Match` names; `None` where it is not sent, or is `*`."""
    header = request.headers.get("If-Match")
    tags = ["*"] if header is None else parse_etags(header)
    return None if tags == ["*"] else [tag.strip('"') for tag in tags if not tag.startswith("W/")]


def _checked(serializer: type[StrictSerializer], request: Request) -> dict[str, Any]:
    checked = serializer(data=request.data)
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)


# --- The folder ------------------------------------------------------------------------------------------------------


class BackupList(_BackupView):
    """All backups, and a new one."""

    required_permissions = {"get": "operations.view_backup", "post": "operations.create_backup"}
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
                "backup_directory": str(folder) if _is_administrator(request) else None,
                "schedule": shown_schedule(),
            }
        )

    @extend_schema(
        operation_id="backups_create",
        summary="Make a backup",
        description="The worker makes it; look at the operation for how it goes.",
        tags=["backups"],
        parameters=[_LOCATION],
        request=CreateSerializer,
        responses={202: StartedSerializer, **_busy(400, 413, 415)},
        examples=[OpenApiExample("With a note", {"note": "before the new provider"}, request_only=True), _STARTED],
    )
    def post(self, request: Request) -> Response:
        checked = _checked(CreateSerializer, request)
        arguments = {"note": checked_note(checked["note"]), "accept_folder": checked["accept_folder"]}
        operation = submit(OperationKind.BACKUP, requested_by=request.user, origin=Origin.API, arguments=arguments)
        return started(operation, "The backup will be made; look at the operation for how it goes.")


class BackupUpload(_BackupView):
    """A backup from elsewhere."""

    parser_classes = (MultiPartParser,)  # says what is taken; the form is read by `receive` alone
    required_permissions = {"post": "operations.create_backup"}

    @extend_schema(
        operation_id="backups_upload",
        summary="Take in a backup from elsewhere",
        description="What the file is, its content says: a `.db.gz` of ours or of tvarr's, a `.tar.gz` of tvarr's, or a "
        "plain copy of a database. It is checked completely. The new backup is marked as imported and protected.",
        tags=["backups"],
        parameters=[_LOCATION],
        request={"multipart/form-data": UploadFormSerializer},
        responses={201: BackupSerializer, **_busy(400, 411, 413, 415, 422, 507)},
        examples=[_UPLOAD, _BACKUP],
    )
    def post(self, request: Request) -> Response:
        folder = folder_for_new_backup(accept_folder=False)
        operation = _take_in(request, folder)
        made = (operation.result or {})["backup"]
        address = reverse("api-backup", args=[made["filename"]])
        return Response(shown(made, request, folder), status.HTTP_201_CREATED, headers={"Location": address})


# --- One backup ------------------------------------------------------------------------------------------------------


class ArchiveRenderer(BaseRenderer):
    """Lets an archive be asked for by its media type; problems are JSON all the same."""

    media_type = ARCHIVE_TYPE
    format = "gz"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return bytes(VisibleJSONRenderer().render(data, accepted_media_type, renderer_context))


class BackupDetail(_BackupView):
    """One backup: what is known of it, changed or removed."""

    renderer_classes = (VisibleJSONRenderer, ArchiveRenderer)
    required_permissions = {
        "get": "operations.view_backup",
        "patch": "operations.protect_backup",
        "delete": "operations.delete_backup",
    }

    @extend_schema(
        operation_id="backups_retrieve",
        summary="Show a backup, or receive its archive",
        description="With `Accept: application/gzip` it is as `GET /backups/{filename}/download`, and needs that permission.",
        tags=["backups"],
        parameters=[_FILENAME, _ETAG, *_RANGES],
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
        name, folder = _name(filename), backup_folder()
        return self.answer(find_backup(folder, name.filename), folder)

    @extend_schema(
        operation_id="backups_update",
        summary="Change the protection and the note of a backup",
        description=f"At once: only the description beside the archive is written. {_UNPROTECTING}",
        tags=["backups"],
        parameters=[_FILENAME, _IF_MATCH, _ETAG],
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
        parameters=[_FILENAME, _IF_MATCH],
        responses={(200, "application/json"): MessageSerializer, **_busy(400, 404, 412)},
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
        name, folder = _name(filename), backup_folder()
        require_files(folder, name)
        run_here(
            OperationKind.DELETE,
            requested_by=request.user,
            origin=Origin.API,
            arguments={"filename": name.filename, "only_if": _only_if(request)},
        )
        return Response({"message": f"{name.filename} is deleted."})


class BackupProtection(_BackupView):
    """tvarr's address for the protection alone."""

    required_permissions = {"patch": "operations.protect_backup"}

    @extend_schema(
        operation_id="backups_protect",
        summary="Set or lift the protection of a backup",
        description=_UNPROTECTING,
        tags=["backups"],
        parameters=[_FILENAME, _IF_MATCH, _ETAG],
        request={"application/json": _PROTECTION},
        responses={200: BackupSerializer, **problems(400, 404, 409, 412, 413, 415, 507)},
        examples=[OpenApiExample("Keep it", {"protected": True}, request_only=True), _BACKUP],
    )
    def patch(self, request: Request, filename: str) -> Response:
        return _change(self, request, filename, ProtectionSerializer)


class BackupDownload(_BackupView):
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
        parameters=[_FILENAME, *_RANGES],
        responses={**_ARCHIVE_RESPONSES, **problems(400, 404, 409, 412, 416)},
    )
    def get(self, request: Request, filename: str) -> HttpResponseBase:
        return _download(request, filename)


class BackupVerify(_BackupView):
    """A complete check."""

    required_permissions = {"post": "operations.verify_backup"}

    @extend_schema(
        operation_id="backups_verify",
        summary="Check everything about a backup",
        description="The worker does it; the result of the operation lists every check.",
        tags=["backups"],
        parameters=[_FILENAME, _LOCATION],
        request=NothingSerializer,
        responses={202: StartedSerializer, **_busy(400, 404, 413, 415)},
        examples=[_NOTHING, _STARTED],
    )
    def post(self, request: Request, filename: str) -> Response:
        _checked(NothingSerializer, request)
        backup = find_backup(backup_folder(), _name(filename).filename)
        operation = submit(
            OperationKind.VERIFY,
            requested_by=request.user,
            origin=Origin.API,
            arguments={"filenames": [backup.filename]},
        )
        return started(operation, f"{backup.filename} will be checked; look at the operation for how it goes.")


class BackupRestore(_BackupView):
    """The content of a backup in the place of what is there."""

    required_permissions = {"post": "operations.restore_backup"}
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
            _FILENAME,
            _LOCATION,
            OpenApiParameter("confirm", str, required=True, enum=["true"], description="The word that it is meant."),
        ],
        request=RestoreSerializer,
        responses={202: RestoreStartedSerializer, **_busy(400, 404, 413, 415)},
        examples=[
            _NOTHING,
            OpenApiExample(
                "It is under way",
                STARTED_EXAMPLE | {"restart_required": False, "facts": []},
                response_only=True,
                status_codes=["202"],
            ),
        ],
    )
    def post(self, request: Request, filename: str) -> Response:
        name = _name(filename)
        _require_confirmation(request)
        confirmed = _checked(RestoreSerializer, request)
        accept_newer, offline = confirmed["accept_newer"], confirmed["offline"]
        backup = find_backup(backup_folder(), name.filename)
        require_restorable_live(backup.filename, offline=offline)
        verdict = verdict_on(backup)
        require_accepted(backup.filename, verdict, accept_newer=accept_newer)
        operation = submit(
            OperationKind.RESTORE,
            requested_by=request.user,
            origin=Origin.API,
            arguments={"filename": backup.filename} | {word: True for word, given in confirmed.items() if given},
        )
        answer = started(operation, f"{backup.filename} will be restored; look at the operation for how it goes.")
        answer.data["restart_required"] = not offline and needs_reload(EVERYTHING)
        answer.data["facts"] = list(verdict.facts)
        return answer


def _change(view: _BackupView, request: Request, filename: str, serializer: type[StrictSerializer]) -> Response:
    name, folder = _name(filename), backup_folder()
    changes = _checked(serializer, request)
    return view.answer(change_backup(name.filename, user=request.user, only_if=_only_if(request), **changes), folder)


def _download(request: Request, filename: str) -> HttpResponseBase:
    folder = backup_folder()
    backup = find_backup(folder, _name(filename).filename)
    try:
        return download(request._request, folder, backup)  # noqa: SLF001  # the framework's name of Django's request
    except RangeUnsatisfiable as refused:
        body = problem(416, "range_not_satisfiable", str(refused))
        headers = {"Content-Range": refused.content_range}
        return Response(body, 416, headers=headers, content_type=CONTENT_TYPE)


def _take_in(request: Request, folder: Path) -> Operation:
    asked = request._request  # noqa: SLF001  # the framework's name of Django's request
    if asked.content_type != MEDIA_TYPE:
        raise UnsupportedMediaType((asked.content_type or "")[:80])
    try:
        with receive(asked, folder) as upload:
            checked = UploadFieldsSerializer(data=upload.fields)
            checked.is_valid(raise_exception=True)
            return take_in(
                upload,
                note=checked.validated_data["note"],
                accept_broken_references=checked.validated_data["accept_broken_references"] == "true",
                accept_code=checked.validated_data["accept_code"] == "true",
                requested_by=request.user,
                origin=Origin.API,
            )
    except FormUnreadable as unreadable:
        raise ParseError(str(unreadable)) from unreadable
    except FieldRefused as refused:
        detail = serializers.ErrorDetail(str(refused), code=refused.code)
        raise serializers.ValidationError({refused.name: detail}) from refused


def _require_confirmation(request: Request) -> None:
    given = request.query_params.getlist("confirm")
    if given in ([], ["false"]):
        raise ConfirmationRequired("A restore replaces all that is in tvarr's database; say confirm=true to do it.")
    if given != ["true"]:
        raise serializers.ValidationError({"confirm": "Allowed is true."})


urlpatterns = [
    path("backups", BackupList.as_view(), name="api-backups"),
    path("backups/upload", BackupUpload.as_view(), name="api-backup-upload"),
    path("backups/<str:filename>", BackupDetail.as_view(), name="api-backup"),
    path("backups/<str:filename>/protection", BackupProtection.as_view(), name="api-backup-protection"),
    path("backups/<str:filename>/download", BackupDownload.as_view(), name="api-backup-download"),
    path("backups/<str:filename>/verify", BackupVerify.as_view(), name="api-backup-verify"),
    path("backups/<str:filename>/restore", BackupRestore.as_view(), name="api-backup-restore"),
]
