"""Every refusal under `/api/` as `application/problem+json` (RFC 9457), with a stable code and no look behind the scenes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, RequestDataTooBig, ValidationError
from django.db import Error, IntegrityError
from django.http import Http404, HttpRequest, JsonResponse, UnreadablePostError
from rest_framework import exceptions
from rest_framework.fields import get_error_detail
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import APIView, set_rollback

from tvarr_backup import conf, errors
from tvarr_backup.api.renderers import VisibleJSONRenderer
from tvarr_backup.operations.failures import explain_failure
from tvarr_backup.operations.report import refused_code
from tvarr_backup.repeats import Repeats
from tvarr_backup.texts import escape_hidden

logger = structlog.stdlib.get_logger(__name__)

CONTENT_TYPE = "application/problem+json"

# The first class that fits; what is in none of them is the request's fault (400).
_STATUS: Sequence[tuple[type[errors.TvarrBackupError], HTTPStatus]] = (
    (errors.SystemRowReadOnly, HTTPStatus.FORBIDDEN),
    (errors.ItemInUse, HTTPStatus.CONFLICT),
    (errors.ItemNotFound, HTTPStatus.NOT_FOUND),
    (errors.SystemRowSelected, HTTPStatus.NOT_FOUND),
    (errors.KindUnknown, HTTPStatus.NOT_FOUND),
    (errors.RowUnreadable, HTTPStatus.CONFLICT),
    (errors.FileTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (errors.MemberInvalid, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.PlanStale, HTTPStatus.CONFLICT),
    (errors.ImportRefused, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.PreconditionFailed, HTTPStatus.PRECONDITION_FAILED),
    (errors.LengthRequired, HTTPStatus.LENGTH_REQUIRED),
    (errors.UploadTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (errors.BackupBusy, HTTPStatus.CONFLICT),
    (errors.BackupNotFound, HTTPStatus.NOT_FOUND),
    (errors.BackupBroken, HTTPStatus.CONFLICT),
    (errors.BackupProtected, HTTPStatus.CONFLICT),
    (errors.UnprotectDenied, HTTPStatus.FORBIDDEN),
    (errors.BackupForeign, HTTPStatus.CONFLICT),
    (errors.BackupUnsupported, HTTPStatus.CONFLICT),
    (errors.RestoreRefused, HTTPStatus.CONFLICT),
    (errors.OperationNotFound, HTTPStatus.NOT_FOUND),
    (errors.OperationEnded, HTTPStatus.CONFLICT),
    (errors.OperationForeign, HTTPStatus.CONFLICT),
    (errors.ArchiveTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (errors.ExaminationTooCostly, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.CodeNotAccepted, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.AcceptCodeDenied, HTTPStatus.FORBIDDEN),
    (errors.UploadRefused, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.ArchiveDamaged, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.NoRoom, HTTPStatus.INSUFFICIENT_STORAGE),
    (errors.BackupFolderUnusable, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.OperationCancelled, HTTPStatus.CONFLICT),
    (errors.OperationInterrupted, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.OperationTimedOut, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.CopyFailed, HTTPStatus.INTERNAL_SERVER_ERROR),
    (errors.RestoreFailed, HTTPStatus.INTERNAL_SERVER_ERROR),
    (errors.InternalError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (errors.DatabaseBusy, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.QueueUnreachable, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.DatabaseUnusable, HTTPStatus.SERVICE_UNAVAILABLE),
)


def problem(
    status: int, code: str, detail: str, found: Sequence[Mapping[str, str]] = (), **members: Any
) -> dict[str, Any]:
    """The body of a refusal: `errors` name what is wrong by JSON pointer; `members` are further ones of this refusal."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": escape_hidden(detail, keep="\n"),
        "code": code,
        "errors": [{**each, "detail": escape_hidden(each["detail"])} for each in found],
        **members,
    }


def handle(exception: Exception, context: Mapping[str, Any]) -> Response | None:
    """REST framework's exception handler; `None` leaves what is nobody's fault but ours to Django, which logs it."""
    found = _described(exception, context)
    if found is None:
        return None
    set_rollback()
    body, headers = found
    # Whatever the call answers with otherwise, and whatever its caller takes: a problem is JSON.
    context["request"].accepted_renderer = VisibleJSONRenderer()
    context["request"].accepted_media_type = VisibleJSONRenderer.media_type
    return Response(body, status=body["status"], headers=headers, content_type=CONTENT_TYPE)


def _described(exception: Exception, context: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]] | None:
    if isinstance(exception, errors.TvarrBackupError):
        return _of_ours(exception), {}
    if isinstance(exception, ValidationError):
        exception = exceptions.ValidationError(get_error_detail(exception))
    if isinstance(exception, Http404):
        exception = exceptions.NotFound()
    if isinstance(exception, PermissionDenied):
        exception = exceptions.PermissionDenied()
    if isinstance(exception, RequestDataTooBig):
        return problem(413, "request_too_large", "The request is larger than is allowed."), {}
    if isinstance(exception, UnreadablePostError):
        return problem(400, "body_incomplete", "The request broke off."), {}
    if isinstance(exception, (Error, sqlite3.Error)):
        return _of_database(exception)
    if not isinstance(exception, exceptions.APIException):
        return None
    return _of_framework(exception, context)


def _of_database(exception: Exception) -> tuple[dict[str, Any], dict[str, str]] | None:
    """What others did to the database or the disk is told apart from statements of ours that are wrong."""
    if isinstance(exception, IntegrityError):
        logger.error("request.failed", reason="The database refused it.", exc_info=exception)
        return problem(409, "conflict", "Somebody else has changed the same things just now; look at them again."), {}
    explained = explain_failure(exception)
    if explained is None:
        return None
    reason = conf.in_a_line(exception)
    if _repeats.is_due(reason):
        logger.error("request.failed", reason=reason, exc_info=exception)
    return _of_ours(explained), {}


_repeats = Repeats()


def status_of(kind: type[errors.TvarrBackupError]) -> HTTPStatus:
    """The status that a failure of ours is answered with."""
    return next((status for base, status in _STATUS if issubclass(kind, base)), HTTPStatus.BAD_REQUEST)


def _of_ours(exception: errors.TvarrBackupError) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if isinstance(exception, errors.OperationRunning):
        members = {"operation": exception.operation or None}
    elif isinstance(exception, errors.CodeNotAccepted):
        members = refused_code(exception)
    return problem(status_of(type(exception)), exception.code, exception.sentence.without_paths(), **members)


def _of_framework(
    exception: exceptions.APIException, context: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    headers = {}
    if getattr(exception, "auth_header", None):
        headers["WWW-Authenticate"] = exception.auth_header  # type: ignore[attr-defined]
    if getattr(exception, "wait", None):
        headers["Retry-After"] = f"{exception.wait:.0f}"  # type: ignore[attr-defined]
    if isinstance(exception, exceptions.ValidationError):
        found = list(_pointed(exception.detail, ""))
        detail = found[0]["detail"] if len(found) == 1 else f"{len(found)} things are wrong with the request."
        return problem(400, "invalid", detail, found), headers
    detail = _in_our_words(exception, context["view"])
    return problem(exception.status_code, str(exception.get_codes()), detail), headers


def _in_our_words(exception: exceptions.APIException, view: APIView) -> str:
    """The framework's own sentences repeat what was sent, and do not say what is allowed."""
    if isinstance(exception, exceptions.MethodNotAllowed):
        return f"This method is not known here; allowed are {', '.join(view.allowed_methods)}."
    if isinstance(exception, exceptions.UnsupportedMediaType):
        allowed = dict.fromkeys(str(parser.media_type) for parser in view.get_parsers())
        return f"The body is of a type that is not taken here; allowed is {' or '.join(allowed)}."
    if isinstance(exception, exceptions.NotAcceptable):
        answers = dict.fromkeys(str(renderer.media_type) for renderer in view.get_renderers())
        return f"This call answers with {' or '.join(answers)}, which the Accept header excludes."
    return str(exception.detail)


def _pointed(details: Any, pointer: str) -> Iterator[dict[str, str]]:
    """Findings of serializers, as deep as they are, each with its JSON pointer (RFC 6901)."""
    if isinstance(details, Mapping):
        for name, value in details.items():
            whole = name in {api_settings.NON_FIELD_ERRORS_KEY, NON_FIELD_ERRORS}
            step = "" if whole else "/" + str(name).replace("~", "~0").replace("/", "~1")
            yield from _pointed(value, pointer + step)
    elif isinstance(details, list):
        leaves = all(isinstance(value, exceptions.ErrorDetail) for value in details)
        for number, value in enumerate(details):
            yield from _pointed(value, pointer if leaves else f"{pointer}/{number}")
    else:
        yield {"pointer": pointer, "code": str(details.code), "detail": str(details)}


# --- What no view of the API has answered ----------------------------------------------------------------------------


_OTHERS_FOR_PROGRAMS = ("/healthz", "/readyz", "/metrics")


def is_api(request: HttpRequest) -> bool:
    """Whether the caller is a program that wants problems as JSON."""
    path = request.path_info.removesuffix("/")
    return path == "/api" or path.startswith("/api/") or path in _OTHERS_FOR_PROGRAMS


def answer(status: int, code: str, detail: str) -> JsonResponse:
    """A refusal outside of the framework."""
    return JsonResponse(problem(status, code, detail), status=status, content_type=CONTENT_TYPE)
