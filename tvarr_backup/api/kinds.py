"""List, add, show, change and delete items of the four kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, ClassVar

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.http import Http404
from django.urls import reverse
from django.utils.text import capfirst
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from tvarr_backup.api import items, queries
from tvarr_backup.api.permissions import TablePermissions
from tvarr_backup.api.schema import header, problems
from tvarr_backup.api.views import StrictView
from tvarr_backup.columns import require_columns
from tvarr_backup.etags import etag_of, require_match
from tvarr_backup.fields import parse_ulid
from tvarr_backup.operations.history import record_edit
from tvarr_backup.portable.kinds import KINDS, Kind
from tvarr_backup.portable.tvarr_memory import needs_reload
from tvarr_backup.tvarr_database import write_transaction

RELOAD_HEADER = "Tvarr-Restart-Required"
"""The member `restart_required` of answers without a body."""


class KindViewSet(StrictView, mixins.ListModelMixin, mixins.UpdateModelMixin, viewsets.GenericViewSet[Any]):
    """Base of the viewsets of the kinds, which `_build_viewset` creates."""

    kind: ClassVar[Kind]
    permission_classes = (TablePermissions,)
    filter_backends = (queries.Filters, queries.Search, queries.Ordering)
    lookup_url_kwarg = "id"
    ordering: ClassVar[Sequence[str]]
    ordering_fields: ClassVar[Sequence[str]]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check permissions first, then that the table has all columns."""
        super().initial(request, *args, **kwargs)
        require_columns(self.kind.model, adds_rows=self.action == "create", with_related=True)

    def get_object(self) -> Any:
        try:
            return self.get_queryset().get(pk=parse_ulid(self.kwargs["id"]))
        except (ValidationError, ObjectDoesNotExist) as problem:
            raise Http404 from problem

    def create(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        with write_transaction():
            serializer.is_valid(raise_exception=True)
            row = serializer.save()
        answer = self._answer_to_change(None, row, status.HTTP_201_CREATED)
        answer["Location"] = reverse(f"{self.basename}-detail", args=[row.pk])
        return answer

    def retrieve(self, _request: Request, **_: Any) -> Response:
        return self._answer(self.get_object())

    def update(self, request: Request, *, partial: bool = False, **_: Any) -> Response:
        body = request.data  # receives the body before the database is locked
        with write_transaction():
            row = self._require_expected_row()
            before = copy(row)
            serializer = self.get_serializer(row, data=body, partial=partial)
            serializer.is_valid(raise_exception=True)
            row = serializer.save()
        return self._answer_to_change(before, row)

    def destroy(self, _request: Request, **_: Any) -> Response:
        with write_transaction():
            row = self._require_expected_row()
            before = copy(row)
            row.delete()
        self._record_edit(row)
        headers = {RELOAD_HEADER: "true"} if needs_reload([before]) else None
        return Response(status=status.HTTP_204_NO_CONTENT, headers=headers)

    def _record_edit(self, row: Any) -> None:
        record_edit(self.actor, {self.kind.slug: [row.pk]})

    def _require_expected_row(self) -> Any:
        """Return the row. Raises `Http404`, or `PreconditionFailed` if `If-Match` expects another version."""
        row = self.get_object()
        etag = etag_of(self.get_serializer(row).data)
        require_match(self.request, etag, "It has changed since you read it. Nothing was changed. Read it again.")
        return row

    def _answer(self, row: Any, code: int = status.HTTP_200_OK) -> Response:
        data = self.get_serializer(row).data
        return Response(data, code, headers={"ETag": etag_of(data)})

    def _answer_to_change(self, before: Any, row: Any, code: int = status.HTTP_200_OK) -> Response:
        """Answer with the row and whether tvarr must reload it. The ETag is that of the row alone."""
        answer = self._answer(row, code)
        is_changed = before is None or before.updated_at != row.updated_at
        if is_changed:
            self._record_edit(row)
        answer.data["restart_required"] = is_changed and needs_reload([before, row])
        return answer


_IF_MATCH = header("If-Match", "The ETag of the item. If it has changed since, the answer is 412.")
_ETAG = header("ETag", "The version of the item.", 200, 201)
_RELOAD = header(RELOAD_HEADER, "`true` if tvarr must reload, like `restart_required`.", 204)
_LOCATION = header("Location", "The address of the new item.", 201)
_ID = OpenApiParameter("id", str, OpenApiParameter.PATH, description="The `id` of an item.")


def _describe_calls(kind: Kind, serializer: type[items.ItemSerializer]) -> Callable[[type[Any]], type[Any]]:
    """Return a decorator that describes the calls of a kind in the OpenAPI document."""
    answer, name = items.build_change_serializer(serializer), str(kind.model._meta.verbose_name)
    one = f"{'an' if name.startswith(tuple('aeiou')) else 'a'} {name}"
    return extend_schema_view(
        list=extend_schema(summary=f"List {kind.label}", responses={200: serializer(many=True), **problems(400, 404)}),
        create=extend_schema(
            summary=f"Add {one}",
            description="Members that are left out get their defaults.",
            parameters=[_ETAG, _LOCATION],
            responses={201: answer, **problems(400, 413, 415)},
        ),
        retrieve=extend_schema(
            summary=f"Show {one}", parameters=[_ID, _ETAG], responses={200: serializer, **problems(400, 404)}
        ),
        update=extend_schema(
            summary=f"Replace {one}",
            description="Members that are left out get their defaults. Only columns that differ are written.",
            parameters=[_ID, _IF_MATCH, _ETAG],
            responses={200: answer, **problems(400, 404, 412, 413, 415)},
        ),
        partial_update=extend_schema(
            summary=f"Change {one}",
            description="Members that are left out stay as they are. Only columns that differ are written.",
            parameters=[_ID, _IF_MATCH, _ETAG],
            responses={200: answer, **problems(400, 404, 412, 413, 415)},
        ),
        destroy=extend_schema(
            summary=f"Delete {one}",
            description="A built-in item, or one that something else needs, is refused.",
            parameters=[_ID, _IF_MATCH, _RELOAD],
            responses={204: OpenApiResponse(description="The item is deleted."), **problems(400, 404, 409, 412)},
        ),
    )


def _build_viewset(kind: Kind) -> type[KindViewSet]:
    columns = [column.name for column in kind.model._meta.concrete_fields]
    relations = [column.name for column in kind.model._meta.concrete_fields if column.is_relation]
    priority = ["priority"] if "priority" in columns else []
    serializer, filterset = items.build_serializer(kind), queries.build_filters(kind)
    members = {
        "__doc__": f"{capfirst(kind.label)}.",
        "kind": kind,
        "queryset": kind.model.objects.select_related(*relations),
        "serializer_class": serializer,
        "filterset_class": filterset,
        "parameters": {"list": {*filterset.base_filters, *queries.PAGE_PARAMETERS, "search", "ordering"}},
        "search_fields": [name for name in ("name", "description", "expression") if name in columns],
        "ordering": [*priority, "name"],
        "ordering_fields": ["name", *priority, "created_at", "updated_at"],
    }
    return _describe_calls(kind, serializer)(type(f"{kind.model.__name__}ViewSet", (KindViewSet,), members))


VIEWSETS = [_build_viewset(kind) for kind in KINDS.values()]
