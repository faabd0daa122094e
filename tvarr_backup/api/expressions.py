"""Check expressions: problems, warnings, and the parsed tree."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from tvarr_backup.api.schema import problems, request_example, response_example
from tvarr_backup.api.strict import StrictSerializer, Text
from tvarr_backup.api.views import StrictView
from tvarr_backup.expressions import Domain, check_expression, findings_as_json, read_domain, tree_as_json


@extend_schema_field({"type": "string", "enum": list(Domain)})
class _DomainText(Text):
    """Checked by `read_domain`, which also accepts tvarr's other spellings."""


class ExpressionSerializer(StrictSerializer):
    """An expression and its domain."""

    expression = Text(allow_blank=True, help_text="At most 1 MiB.")
    domain = _DomainText(allow_blank=True)


class ExpressionWarningSerializer(serializers.Serializer[Any]):
    """A part of the expression that tvarr understands differently."""

    code = serializers.CharField()
    column = serializers.IntegerField(help_text="Position of the character, from 1.")
    message = serializers.CharField()


class ExpressionProblemSerializer(ExpressionWarningSerializer):
    """An error that keeps tvarr from using the expression."""

    found = serializers.CharField(allow_blank=True)
    expected = serializers.ListField(child=serializers.CharField())


class TreeSerializer(serializers.Serializer[Any]):
    """A comparison is `[field, operator, value]`, a group `{"AND": [...]}`, an action `[verb, target, value]`."""

    condition = serializers.JSONField()
    actions = serializers.ListField(child=serializers.JSONField())


class CheckSerializer(serializers.Serializer[Any]):
    """Problems, or the tree and warnings."""

    valid = serializers.BooleanField()
    problems = ExpressionProblemSerializer(many=True)
    warnings = ExpressionWarningSerializer(many=True)
    tree = TreeSerializer(allow_null=True)


def _check(expression: str, domain: str) -> dict[str, Any]:
    check = check_expression(expression, read_domain(domain))
    return {**findings_as_json(check), "tree": None if check.tree is None else tree_as_json(check.tree)}


_EXAMPLE = {"expression": 'group_title equals "News"', "domain": "stream_filter"}


class ValidateView(StrictView):
    """Check an expression without using a database. Every user may do this."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(
        operation_id="expressions_validate",
        summary="Check an expression",
        request=ExpressionSerializer,
        responses={200: CheckSerializer, **problems(400, 413, 415)},
        examples=[
            request_example("A filter", _EXAMPLE),
            response_example("Valid", _check(**_EXAMPLE)),
            response_example("Invalid", _check(**_EXAMPLE | {"expression": 'group_title equal "News"'})),
        ],
    )
    def post(self, _request: Request) -> Response:
        """The answer is 200 for an invalid expression too."""
        return Response(_check(**self.read_body(ExpressionSerializer)))
