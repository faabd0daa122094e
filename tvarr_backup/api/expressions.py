"""Expressions: what is wrong with one, what tvarr misunderstands in it, and its tree."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tvarr_backup.api.queries import require_known_parameters
from tvarr_backup.api.schema import problems
from tvarr_backup.api.strict import StrictSerializer, Text
from tvarr_backup.expressions import Domain, check_expression, findings_as_json, read_domain, tree_as_json


@extend_schema_field({"type": "string", "enum": list(Domain)})
class _DomainText(Text):
    """tvarr's other spellings are taken too."""


class ExpressionSerializer(StrictSerializer):
    """An expression, and where it is to be used."""

    expression = Text(allow_blank=True, help_text="At most 1 MiB.")
    domain = _DomainText(allow_blank=True)


class ExpressionProblemSerializer(serializers.Serializer[Any]):
    """Why tvarr could not run it."""

    code = serializers.CharField()
    column = serializers.IntegerField(help_text="1 for the first character.")
    message = serializers.CharField()
    found = serializers.CharField(allow_blank=True)
    expected = serializers.ListField(child=serializers.CharField())


class ExpressionWarningSerializer(serializers.Serializer[Any]):
    """What tvarr does differently from what the text seems to say."""

    code = serializers.CharField()
    column = serializers.IntegerField(help_text="1 for the first character.")
    message = serializers.CharField()


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


_VALID = {
    "valid": True,
    "problems": [],
    "warnings": [],
    "tree": {"condition": ["group_title", "equals", "News"], "actions": []},
}
_INVALID = {
    "valid": False,
    "problems": [
        {
            "code": "unexpected",
            "column": 13,
            "message": "Expected an operator such as contains, matches or =, but found `equal`. Did you mean equals?",
            "found": "equal",
            "expected": ["an operator such as contains, matches or ="],
        }
    ],
    "warnings": [],
    "tree": None,
}


class ValidateView(APIView):
    """For everybody who is signed in: it looks at nothing but the request."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(
        operation_id="expressions_validate",
        summary="Check an expression",
        tags=["expressions"],
        request=ExpressionSerializer,
        responses={200: CheckSerializer, **problems(400, 413, 415)},
        examples=[
            OpenApiExample(
                "A filter", {"expression": 'group_title equals "News"', "domain": "stream_filter"}, request_only=True
            ),
            OpenApiExample("Valid", _VALID, response_only=True),
            OpenApiExample("Invalid", _INVALID, response_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        """An invalid expression is an answer, not a refusal."""
        require_known_parameters(request, ())
        asked = ExpressionSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        check = check_expression(asked.validated_data["expression"], read_domain(asked.validated_data["domain"]))
        return Response({**findings_as_json(check), "tree": None if check.tree is None else tree_as_json(check.tree)})


urlpatterns: list[URLPattern] = [path("expressions/validate", ValidateView.as_view(), name="api-expressions-validate")]
