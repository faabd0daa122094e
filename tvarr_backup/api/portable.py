"""Export and import of a kind, under our paths and under those that tvarr ships."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from django.http import HttpResponseBase, StreamingHttpResponse
from django.urls import URLPattern, path
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    PolymorphicProxySerializer,
    extend_schema,
    extend_schema_view,
)
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from tvarr_backup.api import envelopes, examples
from tvarr_backup.api.parsers import RawJSON, require_body_within_limit
from tvarr_backup.api.permissions import BY_THE_ACTION
from tvarr_backup.api.queries import flag_parameter
from tvarr_backup.api.schema import answer_example, header, problems, sent_example
from tvarr_backup.api.views import StrictView
from tvarr_backup.errors import ImportBlocked, MemberInvalid, PlanStale
from tvarr_backup.operations import actions
from tvarr_backup.portable.export import Export
from tvarr_backup.portable.kinds import KINDS, Kind
from tvarr_backup.portable.plan import plan_import
from tvarr_backup.portable.report import plan_as_data, plan_as_json, result_as_data
from tvarr_backup.portable.steps import Plan
from tvarr_backup.texts import escape_for_json
from tvarr_backup.transfer.exports import export_response
from tvarr_backup.transfer.in_memory import KeepInMemory

_MAX_FOUND = 1_000
_BLOCK_CHARACTERS = 2**16

# --- Exports ---------------------------------------------------------------------------------------------------------


class ExportView(StrictView):
    """A file with rows of the kind: either those with some ids, or all that people have made."""

    kind: ClassVar[Kind]
    required_permissions = {"get": BY_THE_ACTION, "post": BY_THE_ACTION}
    parameters = {"get": {"ids", "all"}}

    def get(self, request: Request) -> StreamingHttpResponse:
        """For links and `curl`."""
        selection: dict[str, Any] = {"all": flag_parameter(request, "all")}
        if "ids" in request.query_params:
            selection["ids"] = [text.strip() for text in request.query_params["ids"].split(",") if text.strip()]
        return self._export(selection)

    def post(self, request: Request) -> StreamingHttpResponse:
        """For many ids."""
        return self._export(request.data)

    def _export(self, selection: Any) -> StreamingHttpResponse:
        ids = self.read(envelopes.SelectionSerializer, selection).get("ids")
        return _file_of(self.kind, actions.export_items(self.actor, self.kind, ids))


class TvarrExportView(StrictView):
    """The same with tvarr's meaning: no ids is everything, and what is not there is left out in silence."""

    kind: ClassVar[Kind]
    required_permissions = {"post": BY_THE_ACTION}

    def post(self, request: Request) -> StreamingHttpResponse:
        """As tvarr's clients ask."""
        selection = self.read(envelopes.TvarrSelectionSerializer, request.data)
        ids = None if selection.get("export_all") else selection.get("ids") or None
        return _file_of(self.kind, actions.export_items(self.actor, self.kind, ids, skip_missing=True))


def _file_of(kind: Kind, export: Export) -> StreamingHttpResponse:
    response = export_response(kind, export)
    if export.warnings:
        response["Export-Warnings"] = json.dumps(export.warnings)  # in ASCII, as headers must be
    return response


# --- Imports ---------------------------------------------------------------------------------------------------------


class TravelView(StrictView):
    """A call whose body holds a file: at most 32 MiB, read as strictly as any file."""

    kind: ClassVar[Kind]
    place = "/export"
    """The JSON pointer to the file within the body."""
    parser_classes: Sequence[type[BaseParser]] = (RawJSON,)
    required_permissions = {"post": BY_THE_ACTION}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Limit the body before anything reads it, be it for a form's CSRF token, and check the user before it is parsed."""
        require_body_within_limit(request)
        request._request.upload_handlers = [KeepInMemory(request._request)]  # noqa: SLF001  # REST framework has no other way
        super().initial(request, *args, **kwargs)
        if request.method == "POST":
            actions.prepare_import(self.actor)

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
                {"pointer": f"{place}{pointer}", "code": refusal.code, "detail": sentence}
                for pointer, sentence in refusal.found
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


def _plan_answer(plan: Plan) -> StreamingHttpResponse:
    """Send a plan in blocks, so that the answer is never in memory as a whole."""
    return StreamingHttpResponse(_blocks(plan), content_type="application/json")


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

    parser_classes: Sequence[type[BaseParser]] = (RawJSON, MultiPartParser)
    parameters = {"post": {"preview"}}

    def post(self, request: Request) -> HttpResponseBase:
        """All of it or nothing."""
        asked = envelopes.read_import(request, self.kind)
        if flag_parameter(request, "preview"):
            return _plan_answer(plan_import(asked.envelope, asked.answers))
        done = actions.import_items(
            self.actor, asked.envelope, asked.answers, asked.fingerprint, file_name=asked.file_name
        )
        return Response(result_as_data(done))


class TvarrImportView(ImportView):
    """An import as tvarr's clients ask for it."""

    parser_classes = (RawJSON,)
    parameters = {}


class TvarrPreviewView(TravelView):
    """What an import would do; the body is the file itself."""

    place = ""

    def post(self, request: Request) -> HttpResponseBase:
        """Nothing is stored."""
        return _plan_answer(plan_import(envelopes.read_file(request, self.kind)))


# --- Addresses and their description ---------------------------------------------------------------------------------

_FILE_HEADERS = [
    header("Content-Disposition", "`attachment` with a file name.", 200),
    header(
        "Export-Warnings",
        "A JSON list of sentences: what the file leaves out. Absent where it leaves out nothing.",
        200,
    ),
]
_SELECTED_BY = [
    OpenApiParameter("ids", str, description="Ids, separated by commas; for some hundred, use POST."),
    OpenApiParameter("all", bool, description="`true`: all that people have made."),
]
_SOME = sent_example("Some", {"ids": [examples.EXAMPLE_ID]})


def _patterns(kind: Kind) -> list[URLPattern]:
    tag, label = kind.url_slug, kind.label
    tvarr = f"The path that tvarr ships for its {label}; its clients work unchanged."
    given = envelopes.file_serializer(kind, is_read=True)
    body = envelopes.import_serializer(kind, given)
    answers = sent_example("A file and answers", examples.import_example(kind))
    refusals = problems(400, 409, 413, 415, 422, conflict=envelopes.StalePlanSerializer)
    file = OpenApiResponse(
        envelopes.file_serializer(kind, is_read=False),
        description="The file.",
        examples=[answer_example("A file", examples.file_example(kind))],
    )
    views = {
        f"{tag}/export": _view(
            ExportView,
            kind,
            get=extend_schema(
                operation_id=f"{kind.slug}_export_link",
                summary=f"Export {label}, as a link",
                parameters=[*_SELECTED_BY, *_FILE_HEADERS],
                responses={200: file, **problems(400, 404, 409)},
            ),
            post=extend_schema(
                operation_id=f"{kind.slug}_export",
                summary=f"Export {label}",
                request=envelopes.SelectionSerializer,
                parameters=_FILE_HEADERS,
                responses={200: file, **problems(400, 404, 409, 413, 415)},
                examples=[_SOME, sent_example("All", {"all": True})],
            ),
        ),
        f"{tag}/import": _view(
            ImportView,
            kind,
            post=extend_schema(
                operation_id=f"{kind.slug}_import",
                summary=f"Import {label}, or preview what an import would do",
                request={"application/json": body, "multipart/form-data": envelopes.ImportFormSerializer},
                parameters=[OpenApiParameter("preview", bool, description="`true`: nothing is stored.")],
                responses={200: _plan_or_result(kind), **refusals},
                examples=[answers],
            ),
        ),
        f"export/{tag}": _view(
            TvarrExportView,
            kind,
            post=extend_schema(
                operation_id=f"tvarr_export_{kind.slug}",
                summary=f"Export {label} as tvarr does",
                description=f"{tvarr} Ids of what is not there, or is tvarr's own, are left out in silence.",
                tags=["tvarr"],
                request=envelopes.TvarrSelectionSerializer,
                parameters=_FILE_HEADERS,
                responses={200: file, **problems(400, 409, 413, 415)},
                examples=[_SOME, sent_example("All", {"export_all": True})],
            ),
        ),
        f"import/{tag}/preview": _view(
            TvarrPreviewView,
            kind,
            post=extend_schema(
                operation_id=f"tvarr_preview_{kind.slug}",
                summary=f"Preview an import of {label} as tvarr does",
                description=tvarr,
                tags=["tvarr"],
                request={"application/json": given},
                responses={200: envelopes.PlanSerializer, **problems(400, 413, 415, 422)},
                examples=[
                    sent_example("A file", examples.file_example(kind)),
                    answer_example("The name is taken", examples.plan_example(kind)),
                ],
            ),
        ),
        f"import/{tag}": _view(
            TvarrImportView,
            kind,
            post=extend_schema(
                operation_id=f"tvarr_import_{kind.slug}",
                summary=f"Import {label} as tvarr does",
                description=tvarr,
                tags=["tvarr"],
                request={"application/json": body},
                responses={200: envelopes.ResultSerializer, **refusals},
                examples=[answers, answer_example("Under another name", examples.result_example(kind))],
            ),
        ),
    }
    return [path(route, view) for route, view in views.items()]


def _view(base: type[StrictView], kind: Kind, **described: Any) -> Any:
    """Return the view of a kind with its own description."""
    view: Any = type(f"{kind.model.__name__}{base.__name__}", (base,), {"kind": kind, "__doc__": base.__doc__})
    return extend_schema_view(**described)(view).as_view()


def _plan_or_result(kind: Kind) -> OpenApiResponse:
    either = PolymorphicProxySerializer(
        component_name="PlanOrResult",
        serializers=[envelopes.PlanSerializer, envelopes.ResultSerializer],
        resource_type_field_name=None,
    )
    answers = [
        answer_example("A preview", examples.plan_example(kind)),
        answer_example("An import", examples.result_example(kind)),
    ]
    return OpenApiResponse(either, description="The plan of a preview, or the result of an import.", examples=answers)


urlpatterns: list[URLPattern] = [pattern for kind in KINDS.values() for pattern in _patterns(kind)]
