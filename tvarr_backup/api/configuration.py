"""Show the history of the configuration, compare states of it, and take items back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from io import BytesIO
from typing import Any

from django.urls import path
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, PolymorphicProxySerializer, extend_schema
from rest_framework import generics, serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from tvarr_backup.api import envelopes, examples
from tvarr_backup.api.envelopes import SLUGS
from tvarr_backup.api.permissions import CHECKED_BY_ACTION
from tvarr_backup.api.queries import PAGE_PARAMETERS, flag_parameter, kinds_parameter
from tvarr_backup.api.schema import header, problems, request_example, response_example
from tvarr_backup.api.strict import OPTIONAL, Choice, StrictSerializer, Text, TextList
from tvarr_backup.api.views import StrictView
from tvarr_backup.errors import ImportRefused
from tvarr_backup.operations import actions
from tvarr_backup.operations.history_report import changes_to_list, event_as_data, version_as_data
from tvarr_backup.operations.models import HistoryEvent, HistoryEventKind, ItemVersion, Origin
from tvarr_backup.operations.states import NOW
from tvarr_backup.portable.answers import Resolution
from tvarr_backup.portable.bundles import BundlePlan, plan_bundle, split_answers
from tvarr_backup.portable.comparison_report import comparison_as_data
from tvarr_backup.portable.envelope import read_bundle
from tvarr_backup.portable.export import MAX_IDS
from tvarr_backup.portable.kinds import KINDS, Slug, kind_named
from tvarr_backup.portable.report import bundle_plan_as_data, bundle_result_as_data
from tvarr_backup.portable.states import ChangeType, State, compare_states

# --- History ---------------------------------------------------------------------------------------------------------

_EVENT_EXAMPLE: dict[str, Any] = {
    "id": 12,
    "at": "2026-03-01T18:00:00.120000Z",
    "event": "edit",
    "origin": "web",
    "user": "keeper",
    "subject": None,
    "changes": [
        {
            "kind": "filters",
            "id": examples.EXAMPLE_ID,
            "name": "Harbour News",
            "source_type": "stream",
            "change": "changed",
            "fields": [{"field": "action", "before": "include", "after": "exclude"}],
        }
    ],
}
_VERSION_EXAMPLE: dict[str, Any] = {
    "at": _EVENT_EXAMPLE["at"],
    "event_id": _EVENT_EXAMPLE["id"],
    "event": "edit",
    "origin": "web",
    "user": "keeper",
    "values": examples.item_example(KINDS[Slug.FILTERS]),
}
_FROM_OUTSIDE = "`null` for changes that were made outside this program."


class ChangedFieldSerializer(serializers.Serializer[Any]):
    """A member that has another value."""

    field = serializers.CharField()
    before = serializers.JSONField(help_text="Any JSON value.")
    after = serializers.JSONField(help_text="Any JSON value.")


class ItemChangeSerializer(serializers.Serializer[Any]):
    """A change of an item."""

    kind = serializers.ChoiceField(choices=SLUGS)
    id = serializers.CharField()
    name = serializers.CharField(allow_blank=True)
    source_type = serializers.CharField(allow_null=True, help_text="`stream` or `epg`; null for kinds without one.")
    change = serializers.ChoiceField(choices=[change.value for change in ChangeType])
    fields = ChangedFieldSerializer(many=True)  # type: ignore[assignment]  # a field of that name; the property is of the base


class EventSerializer(serializers.Serializer[Any]):
    """Changes that were made or noticed together. A `baseline` is the start of the history, and lists no changes."""

    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    event = serializers.ChoiceField(choices=HistoryEventKind.choices)
    origin = serializers.ChoiceField(choices=Origin.choices, allow_null=True, help_text=_FROM_OUTSIDE)
    user = serializers.CharField(allow_null=True)
    subject = serializers.CharField(
        allow_null=True, help_text="The id of the import (`import`, `undo`), or the name of the backup (`restore`)."
    )
    changes = ItemChangeSerializer(many=True)


class VersionSerializer(serializers.Serializer[Any]):
    """An item after an event."""

    at = serializers.DateTimeField()
    event_id = serializers.IntegerField()
    event = serializers.ChoiceField(choices=HistoryEventKind.choices)
    origin = serializers.ChoiceField(choices=Origin.choices, allow_null=True, help_text=_FROM_OUTSIDE)
    user = serializers.CharField(allow_null=True)
    values = serializers.DictField(allow_null=True, help_text="All members of the item. `null` if it was deleted.")


_KIND = OpenApiParameter(
    "kind",
    str,
    many=True,
    enum=SLUGS,
    description="Only items of this kind. May be repeated. The default is all kinds.",
)
_EVENT_ID = OpenApiParameter("event_id", int, OpenApiParameter.PATH, description="The `id` of an event.")
_EVENT = response_example("A change on a page", _EVENT_EXAMPLE)


class HistoryViewSet(StrictView, viewsets.GenericViewSet[HistoryEvent]):
    """The history of the configuration."""

    queryset = HistoryEvent.objects.none()
    serializer_class = EventSerializer
    filter_backends = ()
    lookup_url_kwarg = "event_id"
    lookup_value_converter = "int"
    required_permissions = {"list": CHECKED_BY_ACTION, "retrieve": CHECKED_BY_ACTION}
    parameters = {"list": {"kind", *PAGE_PARAMETERS}}

    @extend_schema(
        operation_id="configuration_history",
        summary="List changes of the configuration, newest first",
        description="Changes that tvarr or other programs make are noticed by a worker within half a minute.",
        parameters=[_KIND],
        responses={200: EventSerializer(many=True), **problems(400, 404)},
        examples=[_EVENT],
    )
    def list(self, request: Request) -> Response:
        kinds = kinds_parameter(request)
        events = actions.find_events(self.actor, kinds if "kind" in request.query_params else None)
        on_page = self.paginate_queryset(events) or []
        changes = changes_to_list(on_page, kinds)
        return self.get_paginated_response([event_as_data(event, changes.get(event.pk, ())) for event in on_page])

    @extend_schema(
        operation_id="configuration_history_show",
        summary="Show an event of the history",
        parameters=[_EVENT_ID],
        responses={200: EventSerializer, **problems(400, 404)},
        examples=[_EVENT],
    )
    def retrieve(self, _request: Request, event_id: int) -> Response:
        event = actions.find_event(self.actor, event_id)
        return Response(event_as_data(event, changes_to_list([event], KINDS).get(event.pk, ())))


class VersionsView(StrictView, generics.GenericAPIView[ItemVersion]):
    """The versions of an item."""

    queryset = ItemVersion.objects.none()
    serializer_class = VersionSerializer
    filter_backends = ()
    required_permissions = {"get": CHECKED_BY_ACTION}
    parameters = {"get": PAGE_PARAMETERS}

    @extend_schema(
        operation_id="configuration_versions",
        summary="List the versions of an item, newest first",
        parameters=[
            OpenApiParameter("kind", str, OpenApiParameter.PATH, enum=SLUGS, description="The kind of the item."),
            OpenApiParameter("item_id", str, OpenApiParameter.PATH, description="The id of the item."),
        ],
        responses={200: VersionSerializer(many=True), **problems(400, 404)},
        examples=[response_example("A filter", _VERSION_EXAMPLE)],
    )
    def get(self, _request: Request, kind: str, item_id: str) -> Response:
        versions: Any = actions.find_versions(self.actor, kind_named(kind), item_id)  # Django's pages take any sequence
        return self.get_paginated_response(
            [version_as_data(version) for version in self.paginate_queryset(versions) or []]
        )


# --- Comparisons -----------------------------------------------------------------------------------------------------

_STATE = (
    "`now`, a backup (its file name, the start of it, `latest` or `latest~1`), a time such as `2026-11-24` or "
    "`2026-11-24T18:00:00Z`, or `import:ID` (right after that import)"
)
_NOTHING: dict[str, Any] = {"added": [], "removed": [], "changed": []}
_COMPARISON_EXAMPLE = {
    **dict.fromkeys(SLUGS, _NOTHING),
    "filters": _NOTHING | {"removed": ["Quay"], "changed": [{"name": "Harbour News", "fields": ["action"]}]},
}
_ComparisonParameters: type[StrictSerializer] = type(
    "ComparisonParametersSerializer", (StrictSerializer,), {"from": Text(), "to": Text(default=NOW)}
)


class ChangedItemSerializer(serializers.Serializer[Any]):
    """An item that both states have, and the members that differ."""

    name = serializers.CharField(allow_blank=True)
    fields = serializers.ListField(child=serializers.CharField())  # type: ignore[assignment]  # a field of that name; the property is of the base


class KindComparisonSerializer(serializers.Serializer[Any]):
    """The items of one kind that differ."""

    added = serializers.ListField(child=serializers.CharField(allow_blank=True))
    removed = serializers.ListField(child=serializers.CharField(allow_blank=True))
    changed = ChangedItemSerializer(many=True)


ComparisonSerializer = type(
    "ComparisonSerializer",
    (serializers.Serializer,),
    {
        **{slug: KindComparisonSerializer() for slug in SLUGS},
        "__doc__": "The items that differ between two states, by kind.",
    },
)
_WARNINGS = header(
    "State-Warnings", "A JSON list of messages about items that were left out. Absent if there are none.", 200
)


def _with_warnings(response: Response, *states: State) -> Response:
    if warnings := _unique(warning for state in states for warning in state.warnings):
        response["State-Warnings"] = json.dumps(warnings)  # ASCII, as in all headers
    return response


def _unique(warnings: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(map(str, warnings)))


class ComparisonView(StrictView):
    """A comparison of two states of the configuration."""

    required_permissions = {"get": CHECKED_BY_ACTION}
    parameters = {"get": {"from", "to", "kind"}}

    @extend_schema(
        operation_id="configuration_diff",
        summary="Compare two states of the configuration",
        description=f"A state is {_STATE}. Two items are the same item if they have the same kind, name and source type.",
        parameters=[
            OpenApiParameter("from", str, required=True, description="The earlier state."),
            OpenApiParameter("to", str, description="The later state. The default is `now`."),
            _KIND,
            _WARNINGS,
        ],
        responses={200: ComparisonSerializer, **problems(400, 404, 409)},
        examples=[response_example("A removed filter and a changed one", _COMPARISON_EXAMPLE)],
    )
    def get(self, request: Request) -> Response:
        kinds, given = kinds_parameter(request), request.query_params
        named = self.read(_ComparisonParameters, {name: given[name] for name in ("from", "to") if name in given})
        before, after = (actions.read_state(self.actor, named[name]).state for name in ("from", "to"))
        found = compare_states(before.only(kinds), after.only(kinds))
        return _with_warnings(Response(comparison_as_data(found)), before, after)


# --- Taking ----------------------------------------------------------------------------------------------------------

TakeSerializer: type[StrictSerializer] = type(
    "TakeSerializer",
    (envelopes.AnswersSerializer,),
    {
        "from": Text(help_text=f"The state: {_STATE}."),
        "kinds": TextList(
            **OPTIONAL, child=Choice(choices=SLUGS), help_text="The kinds to take. Null or empty for all kinds."
        ),
        "items": TextList(
            **OPTIONAL,
            max_length=MAX_IDS,
            help_text="The items to take: `NAME`, `epg:NAME`, `filters/NAME` or `filters/epg:NAME`. Null or empty for all.",
        ),
        "__doc__": "A state, the items to take from it, and answers to the preview. `bulk_resolution` is `overwrite` by default.",
    },
)
_TAKE_EXAMPLE = {"from": "latest", "items": ["filters/Harbour News"]}


class TakeView(StrictView):
    """Import items of a state, or preview the import with `?preview=true`."""

    required_permissions = {"post": CHECKED_BY_ACTION}
    parameters = {"post": {"preview"}}

    def handle_exception(self, exc: Exception) -> Response:
        """Add the plan to a refusal: its items have their problems, and there is no file in which errors have a place."""
        response = super().handle_exception(exc)
        if isinstance(exc, ImportRefused) and isinstance(exc.plan, BundlePlan):
            response.data["plan"] = bundle_plan_as_data(exc.plan)
        return response

    @extend_schema(
        operation_id="configuration_take",
        summary="Take items of a state, or preview this",
        description="An import of items as they were: all of them or none. Changed items are overwritten unless there is another "
        "answer. Encoding profiles that the items need and that do not exist are taken as well.",
        request=TakeSerializer,
        parameters=[OpenApiParameter("preview", bool, description="`true` to store nothing."), _WARNINGS],
        responses={
            200: OpenApiResponse(
                PolymorphicProxySerializer(
                    component_name="BundlePlanOrResult",
                    serializers=[envelopes.BundlePlanSerializer, envelopes.BundleResultSerializer],
                    resource_type_field_name=None,
                ),
                description="The plan of a preview, or the result of an import.",
                examples=[
                    response_example("A preview", examples.bundle_plan_example()),
                    response_example("An import", examples.bundle_result_example()),
                ],
            ),
            **problems(
                *(400, 404, 409, 413, 415, 422),
                conflict=envelopes.StaleBundlePlanSerializer,
                blocked=envelopes.StaleBundlePlanSerializer,
            ),
        },
        examples=[request_example("A filter of the newest backup", _TAKE_EXAMPLE)],
    )
    def post(self, request: Request) -> Response:
        sent = self.read_body(TakeSerializer)
        state = actions.read_state(self.actor, sent["from"]).state
        kinds = [slug for slug in KINDS if slug in (sent.get("kinds") or KINDS)]
        bundle = read_bundle(BytesIO(actions.take_items(self.actor, state, sent.get("items") or (), kinds)))
        answers = split_answers(bundle, envelopes.build_answers(sent, bulk=Resolution.OVERWRITE))
        if flag_parameter(request, "preview"):
            return _with_warnings(Response(bundle_plan_as_data(plan_bundle(bundle, answers))), state)
        done = actions.import_bundle(self.actor, bundle, answers, sent.get("fingerprint"), file_name=sent["from"])
        return _with_warnings(Response(bundle_result_as_data(done)), state)


urlpatterns = [
    path("configuration/items/<str:kind>/<str:item_id>", VersionsView.as_view(), name="api-versions"),
    path("configuration/diff", ComparisonView.as_view(), name="api-comparison"),
    path("configuration/take", TakeView.as_view(), name="api-take"),
]
