"""Expressions: what is wrong with one, what tvarr misunderstands in it, and its tree."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from tvarr_backup.api.schema import answer_example, problems, sent_example
from tvarr_backup.api.strict import StrictSerializer, Text
from tvarr_backup.api.views import StrictView
from tvarr_backup.expressions import Domain, check_expression, findings_as_json, read_domain, tree_as_json


@extend_schema_field({"type": "string", "enum": list(Domain)})
class _DomainText(Text):
    """tvarr's other spellings are taken too."""


class ExpressionSerializer(StrictSerializer):
    """An expression, and where it is to be used."""

    expression = Text(allow_blank=True, help_text="At most 1 MiB.")
    domain = _DomainText(allow_blank=True)


class ExpressionWarningSerializer(serializers.Serializer[Any]):
    """What tvarr does differently from what the text seems to say."""

    code = serializers.CharField()
    column = serializers.IntegerField(help_text="1 for the first character.")
    message = serializers.CharField()


class ExpressionProblemSerializer(ExpressionWarningSerializer):
    """Why tvarr could not run it."""

    found = serializers.CharField(allow_blank=True)
    expected = serializers.ListField(child=serializers.CharField())


class TreeSerializer(serializers.Serializer[Any]):
    """A comparison is `[field, operator, value]`, a group `{"AND": [...]}`, an action `[verb, target, value]`."""

    condition = serializers.JSONField()
    actions = serializers.ListField(child=serializers.JSONField())


class CheckSerializer(serializers.Serializer[Any]):
    """Either problems, or a tree and its warnings."""

    valid = serializers.BooleanField()
    problems = ExpressionProblemSerializer(many=True)
    warnings = ExpressionWarningSerializer(many=True)
    tree = TreeSerializer(allow_null=True)


def _answer(expression: str, domain: str) -> dict[str, Any]:
    check = check_expression(expression, read_domain(domain))
    return {**findings_as_json(check), "tree": None if check.tree is None else tree_as_json(check.tree)}


_EXAMPLE = {"expression": 'group_title equals "News"', "domain": "stream_filter"}


class ValidateView(StrictView):
    """For everybody who is signed in: it looks at nothing but the request."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(
        operation_id="expressions_validate",
        summary="Check an expression",
        request=ExpressionSerializer,
        responses={200: CheckSerializer, **problems(400, 413, 415)},
        examples=[
            sent_example("A filter", _EXAMPLE),
            answer_example("Valid", _answer(**_EXAMPLE)),
            answer_example("Invalid", _answer(**_EXAMPLE | {"expression": 'group_title equal "News"'})),
        ],
    )
    def post(self, _request: Request) -> Response:
        """An invalid expression is an answer, not a refusal."""
        return Response(_answer(**self.read_body(ExpressionSerializer)))
