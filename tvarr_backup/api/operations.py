"""List, show and cancel operations."""

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

from tvarr_backup.api.permissions import CHECKED_BY_ACTION
from tvarr_backup.api.queries import PAGE_PARAMETERS
from tvarr_backup.api.schema import problems, response_example
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


class _SentenceField(serializers.CharField):
    def get_attribute(self, operation: Operation) -> str:
        return operation.sentence(self.field_name).without_paths()  # type: ignore[arg-type]  # one of its two names


class OperationSerializer(serializers.ModelSerializer[Operation]):
    """An operation. `succeeded`, `attention`, `failed`, `cancelled` and `interrupted` are final states."""

    id = serializers.CharField(read_only=True)
    percent = serializers.IntegerField(
        read_only=True,
        allow_null=True,
        help_text="Finished part of the whole operation; null until it starts, 100 when it has succeeded. (`done_bytes` and "
        "`total_bytes` describe the present phase.)",
    )
    message = _SentenceField(read_only=True, help_text="Human-readable, one sentence per line.")
    result = _Result(read_only=True, help_text="Its members depend on `kind`.")
    error = _SentenceField(read_only=True, help_text="Human-readable reason of a failure.")
    requested_by = serializers.SlugRelatedField[Any](slug_field="username", read_only=True, allow_null=True)
    created_at = serializers.DateTimeField(read_only=True, default_timezone=UTC)
    started_at = serializers.DateTimeField(read_only=True, allow_null=True, default_timezone=UTC)
    finished_at = serializers.DateTimeField(read_only=True, allow_null=True, default_timezone=UTC)

    class Meta:
        model = Operation
        fields = tuple(OPERATION_EXAMPLE)
        read_only_fields = fields


class StartedSerializer(serializers.Serializer[Any]):
    """The operation that was queued."""

    message = serializers.CharField()
    status = serializers.ChoiceField(choices=["started"])
    operation = OperationSerializer()


STARTED_EXAMPLE = {
    "message": "The backup is queued. Its operation shows the progress.",
    "status": "started",
    "operation": OPERATION_EXAMPLE
    | {"state": "queued", "phase": "", "done_bytes": 0, "total_bytes": None, "percent": None, "started_at": None},
}


def build_started(operation: Operation, message: str) -> Response:
    data = {"message": message, "status": "started", "operation": OperationSerializer(operation).data}
    address = reverse("api-operation-detail", args=[operation.pk])
    return Response(data, status.HTTP_202_ACCEPTED, headers={"Location": address})


class OperationFilter(FilterSet):  # type: ignore[misc]  # it has no types
    """Filters by kind and state, which may be repeated."""

    kind = MultipleChoiceFilter(choices=OperationKind.choices)
    state = MultipleChoiceFilter(choices=OperationState.choices)


_ID = OpenApiParameter("operation_id", str, OpenApiParameter.PATH, description="The `id` of an operation.")
_EXAMPLE = response_example("A running backup", OPERATION_EXAMPLE)


class OperationViewSet(StrictView, mixins.ListModelMixin, viewsets.GenericViewSet[Operation]):
    """Operations."""

    queryset = Operation.objects.select_related("requested_by")
    serializer_class = OperationSerializer
    filter_backends = (DjangoFilterBackend,)
    filterset_class = OperationFilter
    lookup_url_kwarg = "operation_id"
    required_permissions = {
        "list": "operations.view_operation",
        "retrieve": "operations.view_operation",
        "cancel": CHECKED_BY_ACTION,
    }
    parameters = {"list": {*OperationFilter.base_filters, *PAGE_PARAMETERS}}

    @extend_schema(
        summary="List operations, newest first",
        responses={200: OperationSerializer(many=True), **problems(400, 404)},
        examples=[_EXAMPLE],
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        reconcile()
        return super().list(request, *args, **kwargs)

    @extend_schema(
        summary="Show an operation",
        parameters=[_ID],
        responses={200: OperationSerializer, **problems(400, 404)},
        examples=[_EXAMPLE],
    )
    def retrieve(self, _request: Request, operation_id: str) -> Response:
        reconcile()
        return Response(OperationSerializer(find_operation(operation_id)).data)

    @extend_schema(
        operation_id="operations_cancel",
        summary="Cancel an operation",
        description="A queued operation is canceled immediately. A running one ends within seconds, or succeeds if it is almost "
        "done. A user who may start an operation of a kind may cancel any operation of that kind.",
        parameters=[_ID],
        request=None,
        responses={200: OperationSerializer, **problems(400, 404, 409)},
        examples=[_EXAMPLE],
    )
    @action(detail=True, methods=["post"])
    def cancel(self, _request: Request, operation_id: str) -> Response:
        return Response(OperationSerializer(actions.cancel_operation(self.actor, operation_id)).data)
