"""Parts of the OpenAPI document that all calls share: error answers, headers and examples."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction, OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from tvarr_backup.api.errors import CONTENT_TYPE, problem
from tvarr_backup.api.strict import StrictSerializer

RESTART_REQUIRED = (
    "Whether tvarr must reload client detection rules and encoding profiles, which it keeps in memory: restart tvarr, or turn "
    "any client detection rule off and on."
)


class FieldErrorSerializer(serializers.Serializer[Any]):
    """An error in one part of the request."""

    pointer = serializers.CharField(
        allow_blank=True,
        help_text="JSON pointer (RFC 6901) into the body, or `/name` of a parameter. Empty for the whole body.",
    )
    code = serializers.CharField(help_text="Stable.")
    detail = serializers.CharField(help_text="Human-readable message.")


class ProblemSerializer(serializers.Serializer[Any]):
    """An error answer (RFC 9457). Some calls add members."""

    type = serializers.CharField(help_text="Always `about:blank`. Use `code` instead.")
    title = serializers.CharField(help_text="The name of the status.")
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="Human-readable message.")
    code = serializers.CharField(help_text="Stable. `docs/reference/errors.md` lists all codes.")
    errors = FieldErrorSerializer(many=True)  # type: ignore[assignment]  # a field of that name; the property is of the base


ALWAYS = (401, 403, 406, 429, 503)
"""Statuses of errors that every call may answer."""

_EXAMPLES = {
    400: ("invalid", "This field is required."),
    401: ("not_authenticated", "Authentication credentials were not provided."),
    403: ("permission_denied", "You do not have permission to perform this action."),
    404: ("not_found", "Not found."),
    406: ("not_acceptable", "Could not satisfy the request Accept header."),
    409: ("in_use", '"Living room" is used by a client detection rule.'),
    412: ("precondition_failed", "It has changed since you read it. Nothing was changed. Read it again."),
    413: ("request_too_large", "The body is too large."),
    415: ("unsupported_media_type", "Expected a body of type application/json."),
    422: ("import_blocked", "Nothing was imported: 1 item is invalid."),
    429: ("throttled", "Request was throttled. Expected available in 1 second."),
    503: ("database_unusable", "The database cannot be used. The log has the details."),
    507: ("no_room", "The disk is full."),
}


def problems(
    *statuses: int,
    conflict: type[serializers.Serializer[Any]] = ProblemSerializer,
    blocked: type[serializers.Serializer[Any]] = ProblemSerializer,
) -> dict[tuple[int, str], OpenApiResponse]:
    """Return error answers for `extend_schema(responses={200: ..., **problems(404, 409)})`; `ALWAYS` is added.

    `conflict` is the body of a 409 with additional members, `blocked` that of a 422.
    """
    bodies = {HTTPStatus.CONFLICT: conflict, HTTPStatus.UNPROCESSABLE_ENTITY: blocked}
    return {
        (status, CONTENT_TYPE): OpenApiResponse(
            bodies.get(HTTPStatus(status), ProblemSerializer),
            description=HTTPStatus(status).phrase,
            examples=[_example(status)],
        )
        for status in sorted({*ALWAYS, *statuses})
    }


def _example(status: int) -> OpenApiExample:
    code, detail = _EXAMPLES.get(
        status, (HTTPStatus(status).phrase.lower().replace(" ", "_"), "The request was refused.")
    )
    return OpenApiExample(
        HTTPStatus(status).phrase,
        value=problem(status, code, detail),
        media_type=CONTENT_TYPE,
        status_codes=[str(status)],
        response_only=True,
    )


def header(name: str, description: str, *statuses: int) -> OpenApiParameter:
    response = list(statuses) or False
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, response=response, description=description)


def request_example(title: str, value: Any, media_type: str = "application/json") -> OpenApiExample:
    return OpenApiExample(title, value, request_only=True, media_type=media_type)


def response_example(title: str, value: Any, *statuses: int) -> OpenApiExample:
    """Return an example of a JSON answer with these statuses, or with all successful ones."""
    codes = [str(status) for status in statuses] or None
    return OpenApiExample(title, value, response_only=True, media_type="application/json", status_codes=codes)


class StrictRequest(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]  # its registry has no types
    """Forbid additional members in the document, as strict serializers do."""

    target_class = StrictSerializer
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)  # type: ignore[no-untyped-call]  # noqa: SLF001  # as its own extensions do
        return {**schema, "additionalProperties": False} if direction == "request" else dict(schema)
