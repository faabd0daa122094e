"""Export and import of the kinds, with our paths and with tvarr's."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
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
from tvarr_backup.api.permissions import CHECKED_BY_ACTION
from tvarr_backup.api.queries import flag_parameter
from tvarr_backup.api.schema import header, problems, request_example, response_example
from tvarr_backup.api.views import StrictView
from tvarr_backup.errors import ImportBlocked, MemberInvalid, PlanStale
from tvarr_backup.operations import actions
from tvarr_backup.portable.answers import Answers
from tvarr_backup.portable.bundles import BundlePlan, plan_bundle, split_answers
from tvarr_backup.portable.export import Export
from tvarr_backup.portable.export_findings import list_warnings
from tvarr_backup.portable.kinds import KINDS, Kind
from tvarr_backup.portable.plan import plan_import
from tvarr_backup.portable.report import (
    bundle_plan_as_data,
    bundle_result_as_data,
    plan_as_data,
    plan_as_json,
    result_as_data,
)
from tvarr_backup.portable.steps import Plan
from tvarr_backup.texts import escape_for_json
from tvarr_backup.transfer.exports import bundle_response, export_response
from tvarr_backup.transfer.in_memory import KeepInMemory

_MAX_ERRORS = 1_000
_MOST_IN_HEADER = 5
"""Findings about items in a header. Proxies refuse headers above 4 KiB."""
_BLOCK_CHARACTERS = 2**16

_WARNINGS = "A JSON list of messages about items that were left out, are invalid, or may contain credentials. Absent if there are none."

# --- Exports ---------------------------------------------------------------------------------------------------------


class ExportView(StrictView):
    """Export items by id, or all except built-in ones."""

    kind: ClassVar[Kind]
    required_permissions = {"get": CHECKED_BY_ACTION, "post": CHECKED_BY_ACTION}
    parameters = {"get": {"ids", "all"}}

    def get(self, request: Request) -> StreamingHttpResponse:
        selection: dict[str, Any] = {"all": flag_parameter(request, "all")}
        if "ids" in request.query_params:
            selection["ids"] = [text.strip() for text in request.query_params["ids"].split(",") if text.strip()]
        return self._export(selection)

    def post(self, request: Request) -> StreamingHttpResponse:
        return self._export(request.data)

    def _export(self, selection: Any) -> StreamingHttpResponse:
        ids = self.read(envelopes.SelectionSerializer, selection).get("ids")
        return _build_download(self.kind, actions.export_items(self.actor, self.kind, ids))


class TvarrExportView(StrictView):
    """Export as tvarr does: all items if there are no ids, and without an error for ids that do not exist."""

    kind: ClassVar[Kind]
    required_permissions = {"post": CHECKED_BY_ACTION}

    def post(self, request: Request) -> StreamingHttpResponse:
        selection = self.read(envelopes.TvarrSelectionSerializer, request.data)
        ids = None if selection.get("export_all") else selection.get("ids") or None
        return _build_download(self.kind, actions.export_items(self.actor, self.kind, ids, skip_missing=True))


def _build_download(kind: Kind, export: Export) -> StreamingHttpResponse:
    return _with_warnings(export_response(kind, export), export)


def _with_warnings(response: StreamingHttpResponse, export: Export) -> StreamingHttpResponse:
    if warnings := [*export.warnings, *list_warnings(export.check_rows(), _MOST_IN_HEADER)]:
        response["Export-Warnings"] = json.dumps(warnings)  # ASCII, as in all headers
    return response


# --- Imports ---------------------------------------------------------------------------------------------------------


class ImportBodyView(StrictView):
    """A call with an export in its body, of at most 32 MiB."""

    place = "/export"
    """JSON pointer to the export in the body."""
    parser_classes: Sequence[type[BaseParser]] = (RawJSON,)
    required_permissions = {"post": CHECKED_BY_ACTION}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Limit the body before anything reads it, such as the CSRF check of a form, and check the user before it is parsed."""
        require_body_within_limit(request)
        request._request.upload_handlers = [KeepInMemory(request._request)]  # noqa: SLF001  # the framework has no other way
        super().initial(request, *args, **kwargs)
        if request.method == "POST":
            actions.prepare_import(self.actor)

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        place = "/file" if envelopes.is_form(self.request) else self.place
        response.data |= _build_details(exc, place)
        return response


def _build_details(error: Exception, place: str) -> dict[str, Any]:
    """Return additional members: errors in the file, or the new plan."""
    if isinstance(error, MemberInvalid):
        return {
            "errors": [
                {"pointer": f"{place}{pointer}", "code": error.code, "detail": sentence}
                for pointer, sentence in error.found
            ]
        }
    if isinstance(error, ImportBlocked) and isinstance(error.plan, Plan):
        found = [
            {
                "pointer": f"{place}/items/{step.position - 1}/{problem.field}",
                "code": problem.code,
                "detail": problem.message,
            }
            for step in error.plan.blocked
            for problem in step.problems
        ]
        return {"errors": found[:_MAX_ERRORS]}
    if isinstance(error, ImportBlocked) and isinstance(error.plan, BundlePlan):
        found = [
            {
                "pointer": f"{place}/sections/{kind.slug}/{step.position - 1}/{problem.field}",
                "code": problem.code,
                "detail": problem.message,
            }
            for kind, step in error.plan.blocked
            for problem in step.problems
        ]
        return {"errors": found[:_MAX_ERRORS]}
    if isinstance(error, PlanStale) and isinstance(error.plan, Plan):
        return {"plan": plan_as_data(error.plan)}
    if isinstance(error, PlanStale) and isinstance(error.plan, BundlePlan):
        return {"plan": bundle_plan_as_data(error.plan)}
    return {}


def _stream_plan(plan: Plan) -> StreamingHttpResponse:
    """Send a plan in blocks, so that the whole answer is never in memory."""
    return StreamingHttpResponse(_iterate_blocks(plan), content_type="application/json")


def _iterate_blocks(plan: Plan) -> Iterator[bytes]:
    block = io.StringIO()
    for piece in plan_as_json(plan):
        block.write(piece)
        if block.tell() >= _BLOCK_CHARACTERS:
            yield escape_for_json(block.getvalue()).encode()
            block = io.StringIO()
    yield escape_for_json(block.getvalue()).encode()


class ImportView(ImportBodyView):
    """Import a file, or preview the import with `?preview=true`."""

    kind: ClassVar[Kind]
    parser_classes: Sequence[type[BaseParser]] = (RawJSON, MultiPartParser)
    parameters = {"post": {"preview"}}
    like_tvarr = False

    def post(self, request: Request) -> HttpResponseBase:
        """Either all items are imported or none."""
        parsed = envelopes.read_import(request, self.kind)
        if flag_parameter(request, "preview"):
            return _stream_plan(plan_import(parsed.envelope, parsed.answers))
        answers = replace(parsed.answers, like_tvarr=self.like_tvarr)
        result = actions.import_items(
            self.actor, parsed.envelope, answers, parsed.fingerprint, file_name=parsed.file_name
        )
        return Response(result_as_data(result, like_tvarr=self.like_tvarr))


class TvarrImportView(ImportView):
    """Import a file with tvarr's path."""

    parser_classes = (RawJSON,)
    parameters = {}
    like_tvarr = True


class TvarrPreviewView(ImportBodyView):
    """Preview an import. The body is the file."""

    kind: ClassVar[Kind]
    place = ""

    def post(self, request: Request) -> HttpResponseBase:
        return _stream_plan(plan_import(envelopes.read_file(request, self.kind), Answers(like_tvarr=True)))


class BundleImportView(ImportBodyView):
    """Import a file with several kinds, or preview the import with `?preview=true`."""

    parser_classes: Sequence[type[BaseParser]] = (RawJSON, MultiPartParser)
    parameters = {"post": {"preview"}}

    @extend_schema(
        operation_id="bundle_import",
        summary="Import a bundle, or preview the import",
        description="Items of several kinds, all of them or none. An answer to `filters/#1` or `filters/NAME` is for one kind, any "
        "other for each kind that has such an item.",
        tags=["bundle"],
        request={
            "application/json": envelopes.BundleImportSerializer,
            "multipart/form-data": envelopes.ImportFormSerializer,
        },
        parameters=[OpenApiParameter("preview", bool, description="`true` to store nothing.")],
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
            **problems(400, 409, 413, 415, 422, conflict=envelopes.StaleBundlePlanSerializer),
        },
        examples=[request_example("A bundle and answers", examples.bundle_import_example())],
    )
    def post(self, request: Request) -> Response:
        parsed = envelopes.read_bundle_import(request)
        answers = split_answers(parsed.bundle, parsed.answers)
        if flag_parameter(request, "preview"):
            return Response(bundle_plan_as_data(plan_bundle(parsed.bundle, answers)))
        done = actions.import_bundle(self.actor, parsed.bundle, answers, parsed.fingerprint, file_name=parsed.file_name)
        return Response(bundle_result_as_data(done))


class BundleExportView(StrictView):
    """Export several kinds in one file."""

    required_permissions = {"post": CHECKED_BY_ACTION}

    @extend_schema(
        operation_id="bundle_export",
        summary="Export items of several kinds in one file",
        tags=["bundle"],
        request=envelopes.BundleSelectionSerializer,
        parameters=[
            header("Content-Disposition", "`attachment` and a file name.", 200),
            header("Export-Warnings", _WARNINGS, 200),
        ],
        responses={
            200: OpenApiResponse(
                envelopes.BundleFileSerializer,
                description="The bundle.",
                examples=[response_example("A bundle", examples.bundle_example())],
            ),
            **problems(400, 404, 409, 413, 415),
        },
        examples=[request_example("All filters and profiles", {"filters": None, "encoding_profiles": None})],
    )
    def post(self, request: Request) -> StreamingHttpResponse:
        sent = self.read(envelopes.BundleSelectionSerializer, request.data)
        selection = {kind: sent[str(kind.slug)] for kind in KINDS.values() if str(kind.slug) in sent}
        export = actions.export_bundle(self.actor, selection, with_profiles=sent["with_profiles"])
        return _with_warnings(bundle_response(export), export)


# --- Addresses and their descriptions --------------------------------------------------------------------------------

_FILE_HEADERS = [
    header("Content-Disposition", "`attachment` and a file name.", 200),
    header("Export-Warnings", _WARNINGS, 200),
]
_SELECTION = [
    OpenApiParameter("ids", str, description="Ids, separated by commas. Use POST for hundreds."),
    OpenApiParameter("all", bool, description="`true` for all items except built-in ones."),
]
_SOME = request_example("Selected items", {"ids": [examples.EXAMPLE_ID]})


def _patterns(kind: Kind) -> list[URLPattern]:
    tag, label = kind.url_slug, kind.label
    tvarr = "tvarr's own path. Its clients work unchanged."
    equal_names = f"{tvarr} If a name is in the file twice, the first item counts, and the others are conflicts that can be skipped or renamed."
    given = envelopes.build_file_serializer(kind, for_import=True)
    body = envelopes.build_import_serializer(kind, given)
    answers = request_example("A file and answers", examples.import_example(kind))
    import_problems = problems(400, 409, 413, 415, 422, conflict=envelopes.StalePlanSerializer)
    file = OpenApiResponse(
        envelopes.build_file_serializer(kind, for_import=False),
        description="The export.",
        examples=[response_example("A file", examples.file_example(kind))],
    )
    views = {
        f"{tag}/export": _view(
            ExportView,
            kind,
            get=extend_schema(
                operation_id=f"{kind.slug}_export_link",
                summary=f"Export {label} with a link",
                parameters=[*_SELECTION, *_FILE_HEADERS],
                responses={200: file, **problems(400, 404, 409)},
            ),
            post=extend_schema(
                operation_id=f"{kind.slug}_export",
                summary=f"Export {label}",
                request=envelopes.SelectionSerializer,
                parameters=_FILE_HEADERS,
                responses={200: file, **problems(400, 404, 409, 413, 415)},
                examples=[_SOME, request_example("All items", {"all": True})],
            ),
        ),
        f"{tag}/import": _view(
            ImportView,
            kind,
            post=extend_schema(
                operation_id=f"{kind.slug}_import",
                summary=f"Import {label}, or preview the import",
                request={"application/json": body, "multipart/form-data": envelopes.ImportFormSerializer},
                parameters=[OpenApiParameter("preview", bool, description="`true` to store nothing.")],
                responses={200: _plan_or_result(kind), **import_problems},
                examples=[answers],
            ),
        ),
        f"export/{tag}": _view(
            TvarrExportView,
            kind,
            post=extend_schema(
                operation_id=f"tvarr_export_{kind.slug}",
                summary=f"Export {label} as tvarr does",
                description=f"{tvarr} Ids of missing and built-in items are ignored.",
                tags=["tvarr"],
                request=envelopes.TvarrSelectionSerializer,
                parameters=_FILE_HEADERS,
                responses={200: file, **problems(400, 409, 413, 415)},
                examples=[_SOME, request_example("All items", {"export_all": True})],
            ),
        ),
        f"import/{tag}/preview": _view(
            TvarrPreviewView,
            kind,
            post=extend_schema(
                operation_id=f"tvarr_preview_{kind.slug}",
                summary=f"Preview an import of {label} as tvarr does",
                description=equal_names,
                tags=["tvarr"],
                request={"application/json": given},
                responses={200: envelopes.PlanSerializer, **problems(400, 413, 415, 422)},
                examples=[
                    request_example("A file", examples.file_example(kind)),
                    response_example("A changed item", examples.plan_example(kind)),
                ],
            ),
        ),
        f"import/{tag}": _view(
            TvarrImportView,
            kind,
            post=extend_schema(
                operation_id=f"tvarr_import_{kind.slug}",
                summary=f"Import {label} as tvarr does",
                description=f"{equal_names} `skipped` contains the unchanged items.",
                tags=["tvarr"],
                request={"application/json": body},
                responses={200: envelopes.ResultSerializer, **import_problems},
                examples=[answers, response_example("Renamed", examples.result_example(kind, like_tvarr=True))],
            ),
        ),
    }
    return [path(route, view) for route, view in views.items()]


def _view(base: type[StrictView], kind: Kind, **described: Any) -> Any:
    view: Any = type(f"{kind.model.__name__}{base.__name__}", (base,), {"kind": kind, "__doc__": base.__doc__})
    return extend_schema_view(**described)(view).as_view()


def _plan_or_result(kind: Kind) -> OpenApiResponse:
    either = PolymorphicProxySerializer(
        component_name="PlanOrResult",
        serializers=[envelopes.PlanSerializer, envelopes.ResultSerializer],
        resource_type_field_name=None,
    )
    answers = [
        response_example("A preview", examples.plan_example(kind)),
        response_example("An import", examples.result_example(kind)),
    ]
    return OpenApiResponse(either, description="The plan of a preview, or the result of an import.", examples=answers)


urlpatterns: list[URLPattern] = [
    path("bundle/export", BundleExportView.as_view()),
    path("bundle/import", BundleImportView.as_view()),
    *(pattern for kind in KINDS.values() for pattern in _patterns(kind)),
]
