"""What expressions match: our own call, and tvarr's calls for testing filters and rules, with its members."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tvarr_backup.api.expressions import ExpressionProblemSerializer, ExpressionSerializer, ExpressionWarningSerializer
from tvarr_backup.api.permissions import CHECKED_BY_ACTION
from tvarr_backup.api.queries import flag_parameter
from tvarr_backup.api.schema import problems, request_example, response_example
from tvarr_backup.api.strict import (
    OPTIONAL,
    Choice,
    Flag,
    Integer,
    StrictSerializer,
    Text,
    TextList,
    TextMap,
    field_error,
)
from tvarr_backup.api.views import StrictView
from tvarr_backup.errors import EvaluationTooSlow, ExpressionTooLarge
from tvarr_backup.expressions import Domain, InvalidExpression, check_expression, findings_as_json, read_domain
from tvarr_backup.expressions.combination_warnings import CombinationCode
from tvarr_backup.expressions.domains import RowKind
from tvarr_backup.expressions.explain import Verdict
from tvarr_backup.expressions.failures import FailureCode
from tvarr_backup.expressions.limits import Limit
from tvarr_backup.fields import is_ulid
from tvarr_backup.matches.report import count_as_data, describe_failure, explained_as_data
from tvarr_backup.matches.results import Stop
from tvarr_backup.models import Channel, SourceType
from tvarr_backup.operations import actions

MOST_SAMPLED = 200
_MOST_LISTED = 1000
_SECONDS = 30
"""Longest time of a count. After that, it covers only the first rows."""
_INT64 = 2**63

# --- Our own call ----------------------------------------------------------------------------------------------------


class MatchesSerializer(ExpressionSerializer):
    """An expression, its domain, and what to say about its matches."""

    limit = Integer(min_value=0, max_value=MOST_SAMPLED, default=20, help_text="Rows in each sample.")
    priority = Integer(
        min_value=-_INT64,
        max_value=_INT64 - 1,
        default=0,
        help_text="Of a mapping rule, which sees what earlier rules wrote.",
    )
    explain = Text(**OPTIONAL, help_text="The id or the name of a row to explain: a channel, a programme or a player.")


class RowSerializer(serializers.Serializer[Any]):
    """A channel or programme, or a player without an id of its own."""

    id = serializers.CharField()
    name = serializers.CharField(allow_blank=True)


class RowsSerializer(serializers.Serializer[Any]):
    """The rows that were evaluated. `ids_end_below` is set if programmes were sampled by the end of their ids."""

    subject = serializers.ChoiceField([each.value for each in RowKind])
    in_database = serializers.IntegerField()
    evaluated = serializers.IntegerField()
    ids_end_below = serializers.CharField(allow_null=True)
    not_utf8 = serializers.IntegerField(help_text="Rows with a text that is not UTF-8.")


class RowValueSerializer(serializers.Serializer[Any]):
    """A column that a rule changes."""

    column = serializers.CharField()
    before = serializers.CharField(allow_blank=True)
    after = serializers.CharField(allow_blank=True)


class ChangedRowSerializer(RowSerializer):
    """A row that a rule changes."""

    values = RowValueSerializer(many=True)


class FailureSerializer(serializers.Serializer[Any]):
    """An error at run time."""

    code = serializers.CharField(help_text=f"One of {', '.join(FailureCode)}.")
    message = serializers.CharField()
    count = serializers.IntegerField()
    example = RowSerializer()


class HintSerializer(serializers.Serializer[Any]):
    """What a user should look at."""

    code = serializers.CharField(help_text=f"One of {', '.join(CombinationCode)}.")
    message = serializers.CharField()
    facts = serializers.DictField()


class StopSerializer(serializers.Serializer[Any]):
    """Why the count is not complete."""

    code = serializers.CharField(help_text=f"One of {', '.join(Stop)}.")
    message = serializers.CharField()


class ExplainedSerializer(serializers.Serializer[Any]):
    """Why a row matches or not."""

    row = RowSerializer()
    values = serializers.DictField(
        child=serializers.CharField(allow_blank=True), help_text="The texts it sees, by column."
    )
    matches = serializers.BooleanField(allow_null=True, help_text="Null if it fails.")
    tree = serializers.JSONField(
        help_text=f"Each part of the condition with its `verdict` ({', '.join(Verdict)}), and `members` or a comparison."
    )
    changes = RowValueSerializer(many=True)
    settings = serializers.DictField(child=serializers.CharField(), help_text="What a client detection rule assigns.")
    error = serializers.CharField(allow_null=True, help_text="The code of a failure.")


class CountSerializer(serializers.Serializer[Any]):
    """What an expression matches."""

    valid = serializers.BooleanField()
    problems = ExpressionProblemSerializer(many=True)
    warnings = ExpressionWarningSerializer(many=True)
    rows = RowsSerializer()
    evaluated = serializers.IntegerField()
    matched = serializers.IntegerField()
    failed = serializers.IntegerField()
    changed = serializers.IntegerField(help_text="Rows that a rule would change.")
    sample = RowSerializer(many=True)
    changes = ChangedRowSerializer(many=True)
    failures = FailureSerializer(many=True)
    hints = HintSerializer(many=True)
    is_blank = serializers.BooleanField(help_text="Whether tvarr skips it.")
    stop = StopSerializer(allow_null=True)
    explained = ExplainedSerializer(allow_null=True)


_COUNTED = {
    "valid": True,
    "problems": [],
    "warnings": [],
    "rows": {"subject": "channels", "in_database": 30_000, "evaluated": 30_000, "ids_end_below": None, "not_utf8": 0},
    "evaluated": 30_000,
    "matched": 412,
    "failed": 0,
    "changed": 0,
    "sample": [{"id": "01KAEHXEGJ5GMS392SP1ZYMK59", "name": "Harbour News"}],
    "changes": [],
    "failures": [],
    "hints": [],
    "is_blank": False,
    "stop": None,
    "explained": None,
}


class MatchesView(StrictView):
    """Count what an expression matches in tvarr's database."""

    required_permissions = {"post": CHECKED_BY_ACTION}

    @extend_schema(
        operation_id="expressions_test",
        summary="Count what an expression matches",
        description="Filters see channels after the mapping rules. The answer is 200 for an invalid expression too.",
        request=MatchesSerializer,
        responses={200: CountSerializer, **problems(400, 404, 413, 415)},
        examples=[
            request_example("A filter", {"expression": 'group_title equals "News"', "domain": "stream_filter"}),
            response_example("Counted", _COUNTED),
        ],
    )
    def post(self, _request: Request) -> Response:
        sent = self.read_body(MatchesSerializer)
        text, domain = sent["expression"], read_domain(sent["domain"])
        check = check_expression(text, domain)
        options = {"size": sent["limit"], "priority": sent["priority"], "limit": Limit(_SECONDS)}
        count = actions.try_expression(self.actor, text, domain, **options)
        data = count_as_data(count)
        del data["problem"]
        explained = None
        if sent.get("explain") is not None and count.matches.problem is None:
            found = actions.explain_expression(
                self.actor, text, domain, sent["explain"], priority=sent["priority"], limit=options["limit"]
            )
            explained = explained_as_data(found)
        return Response({**findings_as_json(check), **data, "explained": explained})


# --- tvarr's calls ---------------------------------------------------------------------------------------------------

_REFUSALS = (InvalidExpression, ExpressionTooLarge, EvaluationTooSlow)


class FilterTestSerializer(StrictSerializer):
    """A filter to test, as tvarr's client sends it."""

    source_type = Choice(SourceType.choices)
    filter_expression = Text()
    is_inverse = Flag(default=False)
    source_id = Text(required=False, allow_blank=True, allow_null=True)


class ListedChannelSerializer(serializers.Serializer[Any]):
    """A channel with tvarr's members. Empty texts and a number of 0 are left out, as in tvarr."""

    id = serializers.CharField()
    source_id = serializers.CharField()
    ext_id = serializers.CharField(required=False)
    tvg_id = serializers.CharField(required=False)
    tvg_name = serializers.CharField(required=False)
    tvg_logo = serializers.CharField(required=False)
    group_title = serializers.CharField(required=False)
    channel_name = serializers.CharField(allow_blank=True)
    channel_number = serializers.IntegerField(required=False)
    stream_url = serializers.CharField(allow_blank=True)
    stream_type = serializers.CharField(required=False)
    language = serializers.CharField(required=False)
    country = serializers.CharField(required=False)
    is_adult = serializers.BooleanField()


class FilterTestResultSerializer(serializers.Serializer[Any]):
    """tvarr's answer. Channels and pages only with `include_channels`."""

    success = serializers.BooleanField()
    matched_count = serializers.IntegerField()
    total_channels = serializers.IntegerField()
    error = serializers.CharField(required=False)
    channels = ListedChannelSerializer(many=True, required=False)
    page = serializers.IntegerField(required=False)
    total_pages = serializers.IntegerField(required=False)
    has_more = serializers.BooleanField(required=False)


class FilterTestView(StrictView):
    """tvarr's test of a filter."""

    required_permissions = {"post": CHECKED_BY_ACTION}
    parameters = {"post": frozenset({"include_channels", "page", "limit"})}

    @extend_schema(
        operation_id="filters_test",
        summary="Test a filter, as tvarr does",
        description="Counts channels as they are in the database, before the mapping rules. Rows on which the expression fails do "
        "not count. The answer is 200 for an invalid expression too. Listing channels requires the right to download backups, "
        "because their addresses contain credentials.",
        tags=["filters"],
        request=FilterTestSerializer,
        parameters=[
            OpenApiParameter("include_channels", bool, description="`true` to list the channels."),
            OpenApiParameter("page", int, description="From 1."),
            OpenApiParameter("limit", int, description=f"Channels of a page, 200 by default, at most {_MOST_LISTED}."),
        ],
        responses={200: FilterTestResultSerializer, **problems(400, 413, 415)},
        examples=[
            request_example(
                "A filter",
                {"source_type": "stream", "filter_expression": 'group_title equals "News"', "is_inverse": False},
            ),
            response_example("Counted", {"success": True, "matched_count": 120, "total_channels": 3000}),
        ],
    )
    def post(self, request: Request) -> Response:
        """Test a filter on one source, or on all stream sources."""
        sent = self.read_body(FilterTestSerializer)
        is_listed = flag_parameter(request, "include_channels")
        page, limit = _number(request, "page", 1, 2**31), _number(request, "limit", 200, _MOST_LISTED)
        is_stream = sent["source_type"] == SourceType.STREAM
        sources = [sent["source_id"]] if sent.get("source_id") else None
        if sources and not is_ulid(sources[0].upper()):
            return _failed_filter("Expected the id of a source.")
        if sources is None and not is_stream:
            return _failed_filter("Expected the id of a guide source.")
        first = (page - 1) * limit
        try:
            count = actions.count_stored_matches(
                self.actor,
                sent["filter_expression"],
                Domain.STREAM_FILTER if is_stream else Domain.EPG_FILTER,
                sources and [sources[0].upper()],
                is_inverse=sent["is_inverse"],
                listed=range(first, first + limit) if is_listed else range(0),
            )
        except _REFUSALS as refused:
            return _failed_filter(str(refused))
        answer: dict[str, Any] = {"success": True, "matched_count": count.matched, "total_channels": count.total}
        if is_listed:
            pages = ceil(count.matched / limit)
            channels = list(_channels(count.ids)) if is_stream else []
            answer |= {"channels": channels, "page": page, "total_pages": pages, "has_more": page < pages}
        return Response(answer)


def _failed_filter(reason: str) -> Response:
    return Response({"success": False, "matched_count": 0, "total_channels": 0, "error": reason})


def _number(request: Request, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    if text.isascii() and text.isdigit() and len(text) < 11 and 1 <= int(text) <= most:
        return int(text)
    raise field_error(name, f"Expected a whole number from 1 to {most}.", "invalid")


def _channels(ids: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield channels with tvarr's members, which are left out if they are empty."""
    found = Channel.objects.in_bulk(list(ids))
    for channel in (found[row_id] for row_id in ids if row_id in found):
        members = {name: getattr(channel, name) for name in _MEMBERS}
        yield {name: value for name, value in members.items() if value or name in _ALWAYS}


_ALWAYS = ("id", "source_id", "channel_name", "stream_url", "is_adult")
_MEMBERS = (
    *("id", "source_id", "ext_id", "tvg_id", "tvg_name", "tvg_logo", "group_title", "channel_name", "channel_number"),
    *("stream_url", "stream_type", "language", "country", "is_adult"),
)


class MappingRuleTestSerializer(StrictSerializer):
    """A mapping rule to test, as tvarr's client sends it."""

    source_ids = TextList(allow_empty=False, max_length=1000)
    source_type = Choice(SourceType.choices)
    expression = Text()


class MappingRuleTestResultSerializer(serializers.Serializer[Any]):
    """tvarr's answer."""

    success = serializers.BooleanField()
    message = serializers.CharField(allow_blank=True)
    affected_channels = serializers.IntegerField()
    total_channels = serializers.IntegerField()


class MappingRuleTestView(StrictView):
    """tvarr's test of a mapping rule."""

    required_permissions = {"post": CHECKED_BY_ACTION}

    @extend_schema(
        operation_id="data_mapping_test",
        summary="Test a mapping rule, as tvarr does",
        description="Counts the rows that match, with the names and the comparisons of filters, which ignore case, unlike a mapping "
        "rule. `/expressions/test` counts what the rule would change. The answer is 200 for an invalid expression too.",
        tags=["data-mapping-rules"],
        request=MappingRuleTestSerializer,
        responses={200: MappingRuleTestResultSerializer, **problems(400, 413, 415)},
        examples=[
            request_example(
                "A rule",
                {
                    "source_ids": ["01KAEHXEGJ5GMS392SP1ZYMK50"],
                    "source_type": "stream",
                    "expression": 'group_title equals "News" SET group_title = "World"',
                },
            ),
            response_example(
                "Counted",
                {
                    "success": True,
                    "message": "The expression would affect 120 of 3,000 rows.",
                    "affected_channels": 120,
                    "total_channels": 3000,
                },
            ),
        ],
    )
    def post(self, _request: Request) -> Response:
        """Test a rule on some sources. Ids that are not valid are ignored, as in tvarr."""
        sent = self.read_body(MappingRuleTestSerializer)
        domain = Domain.STREAM_MAPPING if sent["source_type"] == SourceType.STREAM else Domain.EPG_MAPPING
        sources = dict.fromkeys(source.upper() for source in sent["source_ids"] if is_ulid(source.upper()))
        try:
            count = actions.count_stored_matches(self.actor, sent["expression"], domain, list(sources))
        except _REFUSALS as refused:
            return Response({"success": False, "message": str(refused), "affected_channels": 0, "total_channels": 0})
        message = f"The expression would affect {count.matched:,} of {count.total:,} rows." if count.total else ""
        return Response(
            {"success": True, "message": message, "affected_channels": count.matched, "total_channels": count.total}
        )


class ClientRuleTestSerializer(StrictSerializer):
    """A client detection rule to test, as tvarr's client sends it."""

    expression = Text()
    user_agent = Text(allow_blank=True)
    headers = TextMap(required=False, allow_null=True)


class ClientRuleTestResultSerializer(serializers.Serializer[Any]):
    """tvarr's answer."""

    matches = serializers.BooleanField()
    error = serializers.CharField(required=False)


class ClientRuleTestView(StrictView):
    """tvarr's test of a client detection rule."""

    required_permissions = {"post": CHECKED_BY_ACTION}

    @extend_schema(
        operation_id="client_detection_rules_test",
        summary="Test a client detection rule, as tvarr does",
        description="The request has only these headers, and comes from 127.0.0.1. The answer is 200 for an invalid expression too.",
        tags=["client-detection-rules"],
        request=ClientRuleTestSerializer,
        responses={200: ClientRuleTestResultSerializer, **problems(400, 413, 415)},
        examples=[
            request_example(
                "A rule",
                {
                    "expression": '@dynamic(request.headers):user-agent contains "VLC"',
                    "user_agent": "VLC/3.0.20 LibVLC/3.0.20",
                },
            ),
            response_example("It matches", {"matches": True}),
        ],
    )
    def post(self, _request: Request) -> Response:
        """Test a rule on a user agent and other headers, which win over it."""
        sent = self.read_body(ClientRuleTestSerializer)
        headers = {"user-agent": sent["user_agent"]} if sent["user_agent"] else {}
        headers |= {name.lower(): value for name, value in (sent.get("headers") or {}).items()}
        try:
            outcome = actions.match_request(self.actor, sent["expression"], headers)
        except _REFUSALS as refused:
            return Response({"matches": False, "error": str(refused)})
        if outcome.error is not None:
            return Response({"matches": False, "error": describe_failure(outcome.error)})
        return Response({"matches": bool(outcome.matches)})
