"""What the schema says about every call alike: the body of a refusal, and the statuses it comes with."""

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
    "Whether a running tvarr must be made to reload: turn any client detection rule off and on in tvarr, or restart tvarr. "
    "It keeps client detection rules and their encoding profiles in memory."
)


class FoundSerializer(serializers.Serializer[Any]):
    """One thing that is wrong with a request."""

    pointer = serializers.CharField(allow_blank=True, help_text="JSON pointer (RFC 6901) into the request; empty: all.")
    code = serializers.CharField(help_text="A stable word.")
    detail = serializers.CharField(help_text="A sentence for people.")


class ProblemSerializer(serializers.Serializer[Any]):
    """A refusal (RFC 9457). Some have further members; each call names its own."""

    type = serializers.CharField(help_text="Always `about:blank`: `code` tells refusals apart.")
    title = serializers.CharField(help_text="The status in words.")
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="What is wrong, in a sentence.")
    code = serializers.CharField(help_text="A stable word; `docs/reference/errors.md` lists them.")
    errors = FoundSerializer(many=True)  # type: ignore[assignment]  # a field of that name; the property is of the base


# What every call may answer: nobody said who is asking, not allowed, asked in no way we can answer, too often, no database.
ALWAYS = (401, 403, 406, 429, 503)

_EXAMPLES = {
    400: ("invalid", "This field is required."),
    401: ("not_authenticated", "Authentication credentials were not provided."),
    403: ("permission_denied", "You do not have permission to perform this action."),
    404: ("not_found", "Not found."),
    406: ("not_acceptable", "Could not satisfy the request Accept header."),
    409: ("in_use", "'Living room' is used by a client detection rule."),
    412: ("precondition_failed", "It has been changed since it was read."),
    413: ("request_too_large", "The request is larger than is allowed."),
    415: ("unsupported_media_type", 'Unsupported media type "text/plain" in request.'),
    422: ("import_blocked", "Nothing was imported: 1 item is invalid."),
    429: ("throttled", "Request was throttled. Expected available in 1 second."),
    503: ("database_unusable", "The database cannot be used just now; the log says why."),
    507: ("no_room", "There is not enough room for this."),
}


def problems(
    *statuses: int, conflict: type[serializers.Serializer[Any]] = ProblemSerializer
) -> dict[tuple[int, str], OpenApiResponse]:
    """Return the refusals of a call for `extend_schema(responses={200: ..., **problems(404, 409)})`.

    What every call may answer (`ALWAYS`) is added. `conflict` is the body of a 409 that has members of its own.
    """
    return {
        (status, CONTENT_TYPE): OpenApiResponse(
            conflict if status == HTTPStatus.CONFLICT else ProblemSerializer,
            description=HTTPStatus(status).phrase,
            examples=[_example(status)],
        )
        for status in sorted({*ALWAYS, *statuses})
    }


def _example(status: int) -> OpenApiExample:
    code, detail = _EXAMPLES.get(status, (HTTPStatus(status).phrase.lower().replace(" ", "_"), "It was refused."))
    return OpenApiExample(
        HTTPStatus(status).phrase,
        value=problem(status, code, detail),
        media_type=CONTENT_TYPE,
        status_codes=[str(status)],
        response_only=True,
    )


def header(name: str, description: str, *statuses: int) -> OpenApiParameter:
    """Describe a header of requests, or of the answers with these statuses."""
    response = list(statuses) or False
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, response=response, description=description)


def sent_example(title: str, value: Any, media_type: str = "application/json") -> OpenApiExample:
    """Give an example of a body that is sent."""
    return OpenApiExample(title, value, request_only=True, media_type=media_type)


def answer_example(title: str, value: Any, *statuses: int) -> OpenApiExample:
    """Give an example of an answer in JSON, of these statuses or of all that are a success."""
    codes = [str(status) for status in statuses] or None
    return OpenApiExample(title, value, response_only=True, media_type="application/json", status_codes=codes)


class StrictRequest(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]  # its registry has no types
    """What a strict serializer refuses, the schema refuses too: further members."""

    target_class = StrictSerializer
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)  # type: ignore[no-untyped-call]  # noqa: SLF001  # as its own extensions do
        return {**schema, "additionalProperties": False} if direction == "request" else dict(schema)
