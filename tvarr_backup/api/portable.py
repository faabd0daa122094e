"""Export and import of a kind, under our paths and under those that tvarr ships."""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import HttpResponseBase, StreamingHttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    PolymorphicProxySerializer,
    extend_schema,
    extend_schema_view,
)
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tvarr_backup.api import envelopes, examples
from tvarr_backup.api.parsers import KeptInMemory, RawJSON, require_body_within_limit
from tvarr_backup.api.queries import flag_parameter, require_known_parameters
from tvarr_backup.api.schema import problems
from tvarr_backup.errors import ImportBlocked, MemberInvalid, PlanStale
from tvarr_backup.fields import parse_ulid
from tvarr_backup.operations.imports import import_file
from tvarr_backup.operations.models import Origin
from tvarr_backup.portable.export import export_file_name, stream_export
from tvarr_backup.portable.kinds import KINDS, Kind
from tvarr_backup.portable.plan import plan_import
from tvarr_backup.portable.report import plan_as_data, plan_as_json, result_as_data
from tvarr_backup.portable.steps import Plan
from tvarr_backup.texts import escape_for_json

_MAX_FOUND = 1_000
_BLOCK_CHARACTERS = 2**16
_EXPORT = "access.export_configuration"
_IMPORT = "access.import_configuration"

# --- Exports ---------------------------------------------------------------------------------------------------------


class ExportView(APIView):
    """A file with rows of the kind: either those with some ids, or all that people have made."""

    kind: ClassVar[Kind]
    required_permissions: Mapping[str, str] = {"get": _EXPORT, "post": _EXPORT}

    def get(self, request: Request) -> StreamingHttpResponse:
        """For links and `curl`."""
        require_known_parameters(request, {"ids", "all"})
        chosen: dict[str, Any] = {"all": flag_parameter(request, "all")}
        if "ids" in request.query_params:
            chosen["ids"] = [text.strip() for text in request.query_params["ids"].split(",") if text.strip()]
        return self._download(chosen)

    def post(self, request: Request) -> StreamingHttpResponse:
        """For many ids."""
        require_known_parameters(request, ())
        return self._download(request.data)

    def _download(self, chosen: Any) -> StreamingHttpResponse:
        selection = envelopes.SelectionSerializer(data=chosen)
        selection.is_valid(raise_exception=True)
        return _download(self.kind, selection.validated_data.get("ids"))


class TvarrExportView(APIView):
    """The same with tvarr's meaning: no ids is everything, and what is not there is left out in silence."""

    kind: ClassVar[Kind]
    required_permissions: Mapping[str, str] = {"post": _EXPORT}

    def post(self, request: Request) -> StreamingHttpResponse:
        """As tvarr's clients ask."""
        require_known_parameters(request, ())
        selection = envelopes.TvarrSelectionSerializer(data=request.data)
        selection.is_valid(raise_exception=True)
        ids = _read_ids(selection.validated_data.get("ids") or [])
        everything = selection.validated_data.get("export_all", False) or not ids
        return _download(self.kind, None if everything else ids, what_is_there=True)


def _read_ids(texts: Collection[str]) -> set[str]:
    ids: set[str] = set()
    refused: dict[str, Any] = {}
    for index, text in enumerate(texts):
        try:
            ids.add(parse_ulid(text))
        except DjangoValidationError as problem:
            refused[str(index)] = [ErrorDetail(problem.messages[0], "invalid_ulid")]
    if refused:
        raise ValidationError({"ids": refused})
    return ids


def _download(kind: Kind, ids: Collection[str] | None, *, what_is_there: bool = False) -> StreamingHttpResponse:
    """The file as it is read from the database; what can be refused is refused before the first byte."""
    blocks = stream_export(kind, ids, what_is_there=what_is_there)
    name = export_file_name(kind, timezone.now())
    headers = {"Content-Type": "application/json", "Content-Disposition": f'attachment; filename="{name}"'}
    if blocks.warnings:
        headers["Export-Warnings"] = json.dumps(blocks.warnings)  # in ASCII, as headers must be
    return StreamingHttpResponse(blocks, headers=headers)


# --- Imports ---------------------------------------------------------------------------------------------------------


class TravelView(APIView):
    """A call whose body holds a file: at most 32 MiB, read as strictly as any file."""

    kind: ClassVar[Kind]
    place = "/export"
    """The JSON pointer to the file within the body."""
    parser_classes: Sequence[type[BaseParser]] = (RawJSON,)
    required_permissions: Mapping[str, str] = {"post": _IMPORT}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Before anything reads the body, be it for a form's CSRF token."""
        require_body_within_limit(request)
        request._request.upload_handlers = [KeptInMemory(request._request)]  # noqa: SLF001  # REST framework has no other way
        super().initial(request, *args, **kwargs)

    def handle_exception(self, exc: Exception) -> Response:
        """The refusal, with what is wrong in the file item by item, or with the plan as it is now."""
        response = super().handle_exception(exc)
        place = "/file" if envelopes.is_form(self.request) else self.place
        response.data |= _details(exc, place)
        return response


def _details(refusal: Exception, place: str) -> dict[str, Any]:
    if isinstance(refusal, MemberInvalid):
        return {
            "errors": [
                {"pointer": f"{place}{pointer}", "code": refusal.code, "detail": f"It {words}"}
                for pointer, words in refusal.found
            ]
        }
    if isinstance(refusal, ImportBlocked) and isinstance(refusal.plan, Plan):
        found = [
            {
                "pointer": f"{place}/items/{step.position - 1}/{problem.field}",
                "code": problem.code,
                "detail": problem.message,
            }
            for step in refusal.plan.blocked
            for problem in step.problems
        ]
        return {"errors": found[:_MAX_FOUND]}
    if isinstance(refusal, PlanStale) and isinstance(refusal.plan, Plan):
        return {"plan": plan_as_data(refusal.plan)}
    return {}


class PlanAnswer(StreamingHttpResponse):
    """A plan as it is sent, in blocks: its answer is never in memory as a whole. Whatever can be refused was before."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(_blocks(plan), content_type="application/json")


def _blocks(plan: Plan) -> Iterator[bytes]:
    block = io.StringIO()
    for piece in plan_as_json(plan):
        block.write(piece)
        if block.tell() >= _BLOCK_CHARACTERS:
            yield escape_for_json(block.getvalue()).encode()
            block = io.StringIO()
    yield escape_for_json(block.getvalue()).encode()


class ImportView(TravelView):
    """An import, or with `?preview=true` what it would do."""

    parser_classes = (RawJSON, MultiPartParser)

    def post(self, request: Request) -> HttpResponseBase:
        """All of it or nothing."""
        require_known_parameters(request, {"preview"})
        preview = flag_parameter(request, "preview")
        asked = envelopes.read_import(request, self.kind)
        if preview:
            return PlanAnswer(plan_import(asked.envelope, asked.answers))
        return _imported(request, asked)


def _imported(request: Request, asked: envelopes.ImportRequest) -> Response:
    done = import_file(
        asked.envelope,
        asked.answers,
        asked.fingerprint,
        requested_by=request.user,
        origin=Origin.API,
        file_name=asked.file_name,
    )
    return Response(result_as_data(done))


class TvarrImportView(TravelView):
    """An import as tvarr's clients ask for it."""

    def post(self, request: Request) -> Response:
        """All of it or nothing."""
        require_known_parameters(request, ())
        asked = envelopes.read_import(request, self.kind)
        return _imported(request, asked)


class TvarrPreviewView(TravelView):
    """What an import would do; the body is the file itself."""

    place = ""

    def post(self, request: Request) -> HttpResponseBase:
        """Nothing is stored."""
        require_known_parameters(request, ())
        return PlanAnswer(plan_import(envelopes.read_file(request, self.kind)))


# --- Addresses and their description ---------------------------------------------------------------------------------

_DISPOSITION = OpenApiParameter(
    "Content-Disposition", str, OpenApiParameter.HEADER, response=[200], description="`attachment` with a file name."
)
_WARNINGS = OpenApiParameter(
    "Export-Warnings",
    str,
    OpenApiParameter.HEADER,
    response=[200],
    description="A JSON list of sentences: what the file leaves out. Absent where it leaves out nothing.",
)


def _patterns(kind: Kind) -> list[URLPattern]:
    tag = kind.url_slug
    tvarr = f"The path that tvarr ships for its {kind.label}; its clients work unchanged."
    file, given = envelopes.export_serializer(kind), envelopes.given_serializer(kind)
    body = envelopes.import_serializer(kind, given)
    return [
        path(
            f"{tag}/export",
            _view(
                ExportView,
                kind,
                get=extend_schema(
                    operation_id=f"{kind.slug}_export_link",
                    summary=f"Export {kind.label}, as a link",
                    tags=[tag],
                    parameters=[
                        OpenApiParameter(
                            "ids", str, description="Ids, separated by commas; for some hundred, use POST."
                        ),
                        OpenApiParameter("all", bool, description="`true`: all that people have made."),
                        _DISPOSITION,
                        _WARNINGS,
                    ],
                    responses={200: _file(file, kind), **problems(400, 404, 409)},
                ),
                post=extend_schema(
                    operation_id=f"{kind.slug}_export",
                    summary=f"Export {kind.label}",
                    tags=[tag],
                    request=envelopes.SelectionSerializer,
                    parameters=[_DISPOSITION, _WARNINGS],
                    responses={200: _file(file, kind), **problems(400, 404, 409, 413, 415)},
                    examples=[
                        OpenApiExample("Some", {"ids": [examples.EXAMPLE_ID]}, request_only=True),
                        OpenApiExample("All", {"all": True}, request_only=True),
                    ],
                ),
            ),
        ),
        path(
            f"{tag}/import",
            _view(
                ImportView,
                kind,
                post=extend_schema(
                    operation_id=f"{kind.slug}_import",
                    summary=f"Import {kind.label}, or preview what an import would do",
                    tags=[tag],
                    request={"application/json": body, "multipart/form-data": envelopes.ImportFormSerializer},
                    parameters=[OpenApiParameter("preview", bool, description="`true`: nothing is stored.")],
                    responses={200: _plan_or_result(kind), **_import_problems()},
                    examples=[_import_example(kind)],
                ),
            ),
        ),
        path(
            f"export/{tag}",
            _view(
                TvarrExportView,
                kind,
                post=extend_schema(
                    operation_id=f"tvarr_export_{kind.slug}",
                    summary=f"Export {kind.label} as tvarr does",
                    description=f"{tvarr} Ids of what is not there, or is tvarr's own, are left out in silence.",
                    tags=["tvarr"],
                    request=envelopes.TvarrSelectionSerializer,
                    parameters=[_DISPOSITION, _WARNINGS],
                    responses={200: _file(file, kind), **problems(400, 409, 413, 415)},
                    examples=[
                        OpenApiExample("Some", {"ids": [examples.EXAMPLE_ID]}, request_only=True),
                        OpenApiExample("All", {"export_all": True}, request_only=True),
                    ],
                ),
            ),
        ),
        path(
            f"import/{tag}/preview",
            _view(
                TvarrPreviewView,
                kind,
                post=extend_schema(
                    operation_id=f"tvarr_preview_{kind.slug}",
                    summary=f"Preview an import of {kind.label} as tvarr does",
                    description=tvarr,
                    tags=["tvarr"],
                    request={"application/json": given},
                    responses={200: envelopes.PlanSerializer, **problems(400, 413, 415, 422)},
                    examples=[
                        OpenApiExample("A file", examples.file_example(kind), request_only=True),
                        OpenApiExample("The name is taken", examples.plan_example(kind), response_only=True),
                    ],
                ),
            ),
        ),
        path(
            f"import/{tag}",
            _view(
                TvarrImportView,
                kind,
                post=extend_schema(
                    operation_id=f"tvarr_import_{kind.slug}",
                    summary=f"Import {kind.label} as tvarr does",
                    description=tvarr,
                    tags=["tvarr"],
                    request={"application/json": body},
                    responses={200: envelopes.ResultSerializer, **_import_problems()},
                    examples=[
                        _import_example(kind),
                        OpenApiExample("Under another name", examples.result_example(kind), response_only=True),
                    ],
                ),
            ),
        ),
    ]


def _view(base: type[APIView], kind: Kind, **described: Any) -> Any:
    members = {"kind": kind, "__doc__": base.__doc__}
    view: Any = type(f"{kind.model.__name__}{base.__name__}", (base,), members)
    return extend_schema_view(**described)(view).as_view()


def _file(serializer: Any, kind: Kind) -> OpenApiResponse:
    example = OpenApiExample("A file", examples.file_example(kind), response_only=True)
    return OpenApiResponse(serializer, description="The file.", examples=[example])


def _plan_or_result(kind: Kind) -> OpenApiResponse:
    either = PolymorphicProxySerializer(
        component_name="PlanOrResult",
        serializers=[envelopes.PlanSerializer, envelopes.ResultSerializer],
        resource_type_field_name=None,
    )
    answers = [
        OpenApiExample("A preview", examples.plan_example(kind), response_only=True),
        OpenApiExample("An import", examples.result_example(kind), response_only=True),
    ]
    return OpenApiResponse(either, description="The plan of a preview, or the result of an import.", examples=answers)


def _import_problems() -> dict[tuple[int, str], OpenApiResponse]:
    return {
        **problems(400, 413, 415, 422),
        **{
            (409, media_type): response
            for (status, media_type), response in problems(409, serializer=envelopes.StalePlanSerializer).items()
            if status == 409
        },
    }


def _import_example(kind: Kind) -> OpenApiExample:
    return OpenApiExample(
        "A file and answers", examples.import_example(kind), request_only=True, media_type="application/json"
    )


urlpatterns: list[URLPattern] = [pattern for kind in KINDS.values() for pattern in _patterns(kind)]
