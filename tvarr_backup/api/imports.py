"""List and undo imports."""

from __future__ import annotations

from typing import Any

from django.utils.functional import SimpleLazyObject
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from tvarr_backup.api.envelopes import SLUGS
from tvarr_backup.api.permissions import CHECKED_BY_ACTION
from tvarr_backup.api.queries import PAGE_PARAMETERS, flag_parameter
from tvarr_backup.api.schema import problems, request_example, response_example
from tvarr_backup.api.strict import StrictSerializer
from tvarr_backup.api.views import StrictView
from tvarr_backup.operations import actions
from tvarr_backup.operations.imports import find_undos, undoable_until
from tvarr_backup.operations.models import ImportRecord
from tvarr_backup.portable.report import undo_as_data
from tvarr_backup.portable.undo import KeptBecause, UndoAction

IMPORT_EXAMPLE: dict[str, Any] = {
    "id": "01JQ4Z6V9M3N8W5X2Y7T1K0CDE",
    "kind": "filters",
    "file_name": "filters.json",
    "is_undo": False,
    "undoes": None,
    "added": 3,
    "overwritten": 1,
    "renamed": 0,
    "removed": 0,
    "skipped": 2,
    "unchanged": 40,
    "requested_by": "keeper",
    "origin": "api",
    "finished_at": "2026-03-01T18:00:00.120000Z",
    "undoable_until": "2026-03-31T18:00:00.120000Z",
}
_UNDO_EXAMPLE = {
    "import_id": "01JQ53Q8V4C9T2M6R1X7Y0KDEF",
    "undoes": IMPORT_EXAMPLE["id"],
    "restart_required": False,
    "removed": 3,
    "put_back": 1,
    "added_back": 0,
    "kept": 0,
    "items": [
        {
            "kind": "filters",
            "id": "01JQ4Z6V9M3N8W5X2Y7T1K0AAA",
            "name": "Harbour News",
            "source_type": "stream",
            "action": "remove",
            "reason": None,
        }
    ],
    "fingerprint": "sha256:0d4e",
}


class ImportSerializer(serializers.ModelSerializer[ImportRecord]):
    """An import, or an undo of one (`is_undo`), which has put back `overwritten` and added back `added` items."""

    undoes = serializers.CharField(source="undoes_id", allow_null=True, read_only=True)
    renamed = serializers.IntegerField(source="copied", read_only=True)
    requested_by = serializers.CharField(allow_null=True, read_only=True)
    undoable_until = serializers.SerializerMethodField(
        help_text="When what undoing needs is deleted. `null` if the import cannot be undone."
    )

    class Meta:
        model = ImportRecord
        fields = list(IMPORT_EXAMPLE)
        read_only_fields = fields

    def get_undoable_until(self, record: ImportRecord) -> str | None:
        until = undoable_until(record, self.context["undos"])
        return None if until is None else serializers.DateTimeField().to_representation(until)


class UndoSerializer(StrictSerializer):
    """The items to undo although they have been changed since, by id, and the fingerprint of a preview."""

    include = serializers.ListField(child=serializers.CharField(), required=False)
    fingerprint = serializers.CharField(required=False, help_text="Refuse if anything has changed since that preview.")


class UndoneItemSerializer(serializers.Serializer[Any]):
    """What the undo did with an item, and why it was kept."""

    kind = serializers.ChoiceField(choices=SLUGS)
    id = serializers.CharField()
    name = serializers.CharField(allow_blank=True)
    source_type = serializers.CharField(allow_null=True)
    action = serializers.ChoiceField(choices=[action.value for action in UndoAction])
    reason = serializers.ChoiceField(choices=[reason.value for reason in KeptBecause], allow_null=True)


class UndoneSerializer(serializers.Serializer[Any]):
    """The result of an undo. With `preview=true`, `import_id` is `null`, and nothing has changed."""

    import_id = serializers.CharField(allow_null=True, help_text="The undo, which can be undone as well.")
    undoes = serializers.CharField()
    restart_required = serializers.BooleanField()
    removed = serializers.IntegerField()
    put_back = serializers.IntegerField()
    added_back = serializers.IntegerField()
    kept = serializers.IntegerField()
    items = UndoneItemSerializer(many=True)
    fingerprint = serializers.CharField()


_ID = OpenApiParameter("import_id", str, OpenApiParameter.PATH, description="The `id` of an import.")
_EXAMPLE = response_example("An import", IMPORT_EXAMPLE)


class ImportViewSet(StrictView, mixins.ListModelMixin, viewsets.GenericViewSet[ImportRecord]):
    """Imports that were applied: your own ones, or all for an administrator."""

    queryset = ImportRecord.objects.none()
    serializer_class = ImportSerializer
    filter_backends = ()
    lookup_url_kwarg = "import_id"
    required_permissions = {"list": CHECKED_BY_ACTION, "retrieve": CHECKED_BY_ACTION, "undo": CHECKED_BY_ACTION}
    parameters = {"list": PAGE_PARAMETERS, "undo": {"preview"}}

    def get_queryset(self) -> Any:
        return actions.find_imports(self.actor).select_related("requested_by").defer("result", "log")

    def get_serializer_context(self) -> dict[str, Any]:
        return super().get_serializer_context() | {"undos": SimpleLazyObject(find_undos)}

    @extend_schema(
        summary="List imports, newest first",
        responses={200: ImportSerializer(many=True), **problems(400, 404)},
        examples=[_EXAMPLE],
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)

    @extend_schema(
        summary="Show an import",
        parameters=[_ID],
        responses={200: ImportSerializer, **problems(400, 404)},
        examples=[_EXAMPLE],
    )
    def retrieve(self, _request: Request, import_id: str) -> Response:
        return Response(self.get_serializer(actions.find_import(self.actor, import_id)).data)

    @extend_schema(
        operation_id="imports_undo",
        summary="Undo an import, or preview the undo",
        description="Items that were created are removed, and items that were overwritten get back all that they had. Items "
        "that have been changed since are kept, unless they are in `include`. Items in use are always kept.",
        parameters=[_ID, OpenApiParameter("preview", bool, description="`true` to change nothing.")],
        request=UndoSerializer,
        responses={200: UndoneSerializer, **problems(400, 404, 409, 413, 415)},
        examples=[request_example("No options", {}), response_example("Undone", _UNDO_EXAMPLE)],
    )
    @action(detail=True, methods=["post"])
    def undo(self, request: Request, import_id: str) -> Response:
        record = actions.find_undoable(self.actor, import_id)
        sent = self.read(UndoSerializer, request.data)
        include, fingerprint = sent.get("include", ()), sent.get("fingerprint")
        data = {"import_id": None, "undoes": record.pk, "restart_required": False}
        if flag_parameter(request, "preview"):
            return Response(data | undo_as_data(actions.preview_undo(self.actor, record, include)))
        done = actions.undo_import(self.actor, record, include, fingerprint)
        data |= {"import_id": done.record_id or None, "restart_required": done.restart_required}
        return Response(data | undo_as_data(done.plan))
