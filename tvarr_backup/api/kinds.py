"""The kinds, one by one and in lists: rules as in the models, deletion as in tvarr."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.http import Http404
from django.urls import URLPattern, path, reverse
from django.utils.text import capfirst
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from tvarr_backup.api import items, queries
from tvarr_backup.api.etags import etag_of, require_match
from tvarr_backup.api.permissions import TablePermissions
from tvarr_backup.api.schema import problems
from tvarr_backup.columns import require_columns
from tvarr_backup.fields import parse_ulid
from tvarr_backup.portable.kinds import KINDS, Kind
from tvarr_backup.portable.tvarr_memory import needs_reload
from tvarr_backup.tvarr_database import writing

RELOAD_HEADER = "Tvarr-Restart-Required"
"""Stands for the member `restart_required` in answers without a body."""


class KindViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Any]):
    """What the kinds have in common; `_viewset_of` makes the class of one."""

    kind: ClassVar[Kind]
    permission_classes = (TablePermissions,)
    filter_backends = (queries.Known, queries.Filters, queries.Search, queries.Ordering)
    lookup_url_kwarg = "id"
    ordering: ClassVar[Sequence[str]]
    ordering_words: ClassVar[Sequence[str]]
    address_name: ClassVar[str]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check rights first, then that the table has the columns of its rows."""
        super().initial(request, *args, **kwargs)
        require_columns(self.kind.model, adds_rows=self.action == "create", with_related=True)

    def create(self, request: Request) -> Response:
        """Validate and store a new row."""
        queries.require_known_parameters(request, ())
        serializer = self.get_serializer(data=request.data)
        with writing():
            serializer.is_valid(raise_exception=True)
            row = serializer.save()
        answer = self._answer_to_change(None, row, status.HTTP_201_CREATED)
        answer["Location"] = reverse(self.address_name, args=[row.pk])
        return answer

    def retrieve(self, request: Request, id: str) -> Response:  # noqa: A002  # the name in the address
        """One row, with the ETag by which a change can refer to it."""
        queries.require_known_parameters(request, ())
        return self._answer(self._row(id))

    def update(self, request: Request, id: str) -> Response:  # noqa: A002  # the name in the address
        """Replace: what is left out gets its default."""
        return self._change(request, id, partial=False)

    def partial_update(self, request: Request, id: str) -> Response:  # noqa: A002  # the name in the address
        """Change: what is left out stays."""
        return self._change(request, id, partial=True)

    def destroy(self, request: Request, id: str) -> Response:  # noqa: A002  # the name in the address
        """Delete as tvarr does."""
        queries.require_known_parameters(request, ())
        with writing():
            row = self._row(id)
            require_match(request, self.get_serializer(row).data)
            before = copy(row)
            row.delete()
        headers = {RELOAD_HEADER: "true"} if needs_reload([before]) else None
        return Response(status=status.HTTP_204_NO_CONTENT, headers=headers)

    def _change(self, request: Request, row_id: str, *, partial: bool) -> Response:
        queries.require_known_parameters(request, ())
        body = request.data  # read before the database is locked
        with writing():
            row = self._row(row_id)
            require_match(request, self.get_serializer(row).data)
            before = copy(row)
            serializer = self.get_serializer(row, data=body, partial=partial)
            serializer.is_valid(raise_exception=True)
            row = serializer.save()
        return self._answer_to_change(before, row)

    def _row(self, row_id: str) -> Any:
        try:
            return self.get_queryset().get(pk=parse_ulid(row_id))
        except (ValidationError, self.get_queryset().model.DoesNotExist) as problem:
            raise Http404 from problem

    def _answer(self, row: Any, code: int = status.HTTP_200_OK) -> Response:
        data = self.get_serializer(row).data
        return Response(data, code, headers={"ETag": etag_of(data)})

    def _answer_to_change(self, before: Any, row: Any, code: int = status.HTTP_200_OK) -> Response:
        """Answer with the row as it is now, and whether tvarr must reload. The ETag is that of the row alone."""
        answer = self._answer(row, code)
        is_changed = before is None or before.updated_at != row.updated_at
        answer.data["restart_required"] = is_changed and needs_reload([before, row])
        return answer


_IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="The ETag of what is to be changed; another one: 412."
)
_ETAG = OpenApiParameter(
    "ETag", str, OpenApiParameter.HEADER, response=[200, 201], description="Names this state of the row."
)
_RELOAD = OpenApiParameter(
    RELOAD_HEADER, str, OpenApiParameter.HEADER, response=[204], description="`true` as `restart_required` elsewhere."
)
_LOCATION = OpenApiParameter("Location", str, OpenApiParameter.HEADER, response=[201], description="Of the new row.")
_ID = OpenApiParameter("id", str, OpenApiParameter.PATH, description="The `id` of a row.")


def _described(kind: Kind, serializer: type[items.ItemSerializer]) -> Callable[[type[Any]], type[Any]]:
    """Describes the calls of one kind for the schema."""
    slug, tag, answer = kind.slug, kind.url_slug, items.changed(serializer)
    one, many = str(kind.model._meta.verbose_name), kind.label
    article = "an" if one.startswith(tuple("aeiou")) else "a"
    return extend_schema_view(
        list=extend_schema(
            operation_id=f"{slug}_list",
            summary=f"List {many}",
            tags=[tag],
            responses={200: serializer(many=True), **problems(400, 404)},
        ),
        create=extend_schema(
            operation_id=f"{slug}_create",
            summary=f"Add {article} {one}",
            tags=[tag],
            parameters=[_ETAG, _LOCATION],
            responses={201: answer, **problems(400, 413, 415)},
        ),
        retrieve=extend_schema(
            operation_id=f"{slug}_retrieve",
            summary=f"Show {article} {one}",
            tags=[tag],
            parameters=[_ID, _ETAG],
            responses={200: serializer, **problems(400, 404)},
        ),
        update=extend_schema(
            operation_id=f"{slug}_update",
            summary=f"Replace {article} {one}",
            description="What is left out gets its default. Columns that do not differ are not written.",
            tags=[tag],
            parameters=[_ID, _IF_MATCH, _ETAG],
            responses={200: answer, **problems(400, 404, 412, 413, 415)},
        ),
        partial_update=extend_schema(
            operation_id=f"{slug}_partial_update",
            summary=f"Change {article} {one}",
            description="What is left out stays as it is. Columns that do not differ are not written.",
            tags=[tag],
            parameters=[_ID, _IF_MATCH, _ETAG],
            responses={200: answer, **problems(400, 404, 412, 413, 415)},
        ),
        destroy=extend_schema(
            operation_id=f"{slug}_destroy",
            summary=f"Delete {article} {one}",
            description="As tvarr does it; refused while it is used, and for tvarr's own.",
            tags=[tag],
            parameters=[_ID, _IF_MATCH, _RELOAD],
            responses={204: OpenApiResponse(description="It is gone."), **problems(400, 404, 409, 412)},
        ),
    )


def _viewset_of(kind: Kind) -> type[KindViewSet]:
    columns = [column.name for column in kind.model._meta.concrete_fields]
    relations = [column.name for column in kind.model._meta.concrete_fields if column.is_relation]
    priority = ["priority"] if "priority" in columns else []
    serializer = items.serializer_of(kind)
    members = {
        "__doc__": f"{capfirst(kind.label)}.",
        "kind": kind,
        "address_name": f"api-{kind.model._meta.verbose_name}".replace(" ", "-"),
        "queryset": kind.model.objects.select_related(*relations),
        "serializer_class": serializer,
        "filterset_class": queries.filters_of(kind),
        "search_fields": [name for name in ("name", "description", "expression") if name in columns],
        "ordering": [*priority, "name"],
        "ordering_words": ["name", *priority, "created_at", "updated_at"],
    }
    return _described(kind, serializer)(type(f"{kind.model.__name__}ViewSet", (KindViewSet,), members))


_MANY: dict[str, Any] = {"get": "list", "post": "create"}
_ONE: dict[str, Any] = {"get": "retrieve", "put": "update", "patch": "partial_update", "delete": "destroy"}


def _patterns(viewset: type[KindViewSet]) -> list[URLPattern]:
    slug, name = viewset.kind.url_slug, viewset.address_name
    return [
        path(slug, viewset.as_view(_MANY), name=f"{name}s"),
        path(f"{slug}/<str:id>", viewset.as_view(_ONE), name=name),
    ]


urlpatterns: list[URLPattern] = [pattern for kind in KINDS.values() for pattern in _patterns(_viewset_of(kind))]
