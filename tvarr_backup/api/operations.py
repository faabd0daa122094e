"""Operations: how what was asked for is going, how it ended, and asking for its end."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from django.urls import reverse
from django_filters import MultipleChoiceFilter
from django_filters.rest_framework import DjangoFilterBackend, FilterSet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from tvarr_backup.api.permissions import BY_THE_ACTION
from tvarr_backup.api.queries import PAGE_PARAMETERS
from tvarr_backup.api.schema import answer_example, problems
from tvarr_backup.api.views import StrictView
from tvarr_backup.operations import actions
from tvarr_backup.operations.models import Operation, OperationKind, OperationState
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.track import find_operation

OPERATION_EXAMPLE: dict[str, Any] = {
    "id": "01JQ4Z6V9M3N8W5X2Y7T1K0CDE",
    "kind": "backup",
    "state": "running",
    "phase": "pack",
    "done_bytes": 73_400_320,
    "total_bytes": 104_857_600,
    "percent": 78,
    "message": "",
    "result": None,
    "error_code": "",
    "error": "",
    "requested_by": "keeper",
    "origin": "api",
    "created_at": "2026-03-01T18:00:00.120000Z",
    "started_at": "2026-03-01T18:00:00.900000Z",
    "finished_at": None,
    "cancel_requested": False,
}


@extend_schema_field({"type": ["object", "null"], "additionalProperties": True})
class _Result(serializers.JSONField):
    pass


class OperationSerializer(serializers.ModelSerializer[Operation]):
    """Something that takes time. `succeeded`, `attention`, `failed`, `cancelled` and `interrupted` are final."""

    id = serializers.CharField(read_only=True)
    percent = serializers.IntegerField(
        read_only=True,
        allow_null=True,
        help_text="Share of the whole operation that is done, 0 to 100. It never goes back, and is 100 only when the "
        "operation has succeeded; null until it starts. (`done_bytes` and `total_bytes` are those of the present phase.)",
    )
    message = serializers.SerializerMethodField(help_text="For people; a sentence a line.")
    result = _Result(read_only=True, help_text="What came of it; its members depend on the kind.")
    error = serializers.SerializerMethodField(help_text="Why it failed, in a sentence.")
    requested_by = serializers.SlugRelatedField[Any](slug_field="username", read_only=True, allow_null=True)
    created_at = serializers.DateTimeField(read_only=True, default_timezone=UTC)
    started_at = serializers.DateTimeField(read_only=True, allow_null=True, default_timezone=UTC)
    finished_at = serializers.DateTimeField(read_only=True, allow_null=True, default_timezone=UTC)

    class Meta:
        model = Operation
        fields = tuple(OPERATION_EXAMPLE)
        read_only_fields = fields

    @extend_schema_field(str)
    def get_message(self, operation: Operation) -> str:
        return operation.sentence("message").without_paths()

    @extend_schema_field(str)
    def get_error(self, operation: Operation) -> str:
        return operation.sentence("error").without_paths()


class StartedSerializer(serializers.Serializer[Any]):
    """What was asked for is under way."""

    message = serializers.CharField()
    status = serializers.ChoiceField(choices=["started"])
    operation = OperationSerializer()


STARTED_EXAMPLE = {
    "message": "The backup will be made; look at the operation for how it goes.",
    "status": "started",
    "operation": OPERATION_EXAMPLE
    | {"state": "queued", "phase": "", "done_bytes": 0, "total_bytes": None, "percent": None, "started_at": None},
}


def started(operation: Operation, message: str) -> Response:
    """202, with the address at which to look how it goes."""
    data = {"message": message, "status": "started", "operation": OperationSerializer(operation).data}
    address = reverse("api-operation-detail", args=[operation.pk])
    return Response(data, status.HTTP_202_ACCEPTED, headers={"Location": address})


class OperationFilter(FilterSet):  # type: ignore[misc]  # it has no types
    """Each may be given several times."""

    kind = MultipleChoiceFilter(choices=OperationKind.choices)
    state = MultipleChoiceFilter(choices=OperationState.choices)


_ID = OpenApiParameter("operation_id", str, OpenApiParameter.PATH, description="The `id` of an operation.")
_EXAMPLE = answer_example("A backup that is being packed", OPERATION_EXAMPLE)


class OperationViewSet(StrictView, mixins.ListModelMixin, viewsets.GenericViewSet[Operation]):
    """Operations, and asking for their end."""

    queryset = Operation.objects.select_related("requested_by")
    serializer_class = OperationSerializer
    filter_backends = (DjangoFilterBackend,)
    filterset_class = OperationFilter
    lookup_url_kwarg = "operation_id"
    required_permissions = {
        "list": "operations.view_operation",
        "retrieve": "operations.view_operation",
        "cancel": BY_THE_ACTION,
    }
    parameters = {"list": {*OperationFilter.base_filters, *PAGE_PARAMETERS}}

    @extend_schema(
        summary="List the operations, the latest first",
        responses={200: OperationSerializer(many=True), **problems(400, 404)},
        examples=[_EXAMPLE],
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """All operations, the latest first."""
        reconcile()
        return super().list(request, *args, **kwargs)

    @extend_schema(
        summary="Look how an operation is going",
        parameters=[_ID],
        responses={200: OperationSerializer, **problems(400, 404)},
        examples=[_EXAMPLE],
    )
    def retrieve(self, _request: Request, operation_id: str) -> Response:
        """One operation."""
        reconcile()
        return Response(OperationSerializer(find_operation(operation_id)).data)

    @extend_schema(
        operation_id="operations_cancel",
        summary="Cancel an operation",
        description="One that waits is cancelled at once. One that runs is asked to end: it does so within seconds, or "
        "succeeds, if that is nearer; look at it again. Whoever may ask for an operation may cancel it.",
        parameters=[_ID],
        request=None,
        responses={200: OperationSerializer, **problems(400, 404, 409)},
        examples=[_EXAMPLE],
    )
    @action(detail=True, methods=["post"])
    def cancel(self, _request: Request, operation_id: str) -> Response:
        return Response(OperationSerializer(actions.cancel_operation(self.actor, operation_id)).data)
