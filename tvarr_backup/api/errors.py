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

_CLASSES: Mapping[HTTPStatus, Sequence[type[errors.TvarrBackupError]]] = {
    HTTPStatus.FORBIDDEN: (errors.AcceptCodeDenied, errors.SystemRowReadOnly, errors.UnprotectDenied),
    HTTPStatus.NOT_FOUND: (
        errors.BackupNotFound,
        errors.ItemNotFound,
        errors.KindUnknown,
        errors.OperationNotFound,
        errors.SystemRowSelected,
    ),
    HTTPStatus.CONFLICT: (
        errors.BackupBroken,
        errors.BackupBusy,
        errors.BackupForeign,
        errors.BackupProtected,
        errors.BackupUnsupported,
        errors.ItemInUse,
        errors.OperationCancelled,
        errors.OperationEnded,
        errors.OperationForeign,
        errors.PlanStale,
        errors.RestoreRefused,
        errors.RowUnreadable,
    ),
    HTTPStatus.LENGTH_REQUIRED: (errors.LengthRequired,),
    HTTPStatus.PRECONDITION_FAILED: (errors.PreconditionFailed,),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (errors.ArchiveTooLarge, errors.FileTooLarge, errors.UploadTooLarge),
    HTTPStatus.UNPROCESSABLE_ENTITY: (
        errors.ArchiveDamaged,
        errors.CodeNotAccepted,
        errors.ExaminationTooCostly,
        errors.ImportRefused,
        errors.MemberInvalid,
        errors.UploadRefused,
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: (errors.CopyFailed, errors.InternalError, errors.RestoreFailed),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        errors.BackupFolderUnusable,
        errors.DatabaseBusy,
        errors.DatabaseUnusable,
        errors.OperationInterrupted,
        errors.OperationTimedOut,
        errors.QueueUnreachable,
    ),
    HTTPStatus.INSUFFICIENT_STORAGE: (errors.NoRoom,),
}
"""What a class and its subclasses are answered with; what is in none of them is the request's fault (400)."""
_STATUS = {kind: status for status, kinds in _CLASSES.items() for kind in kinds}


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
    body = _body_of(exception, context["view"])
    if body is None:
        return None
    set_rollback()
    # Whatever the call answers with otherwise, and whatever its caller takes: a problem is JSON.
    context["request"].accepted_renderer = VisibleJSONRenderer()
    context["request"].accepted_media_type = VisibleJSONRenderer.media_type
    return Response(body, status=body["status"], headers=_headers_of(exception), content_type=CONTENT_TYPE)


def _headers_of(exception: Exception) -> dict[str, str]:
    """Return what REST framework's exceptions ask for: how to sign in, or when to try again."""
    headers = {"WWW-Authenticate": getattr(exception, "auth_header", None)}
    if getattr(exception, "wait", None):
        headers["Retry-After"] = f"{exception.wait:.0f}"  # type: ignore[attr-defined]
    return {name: value for name, value in headers.items() if value}


def _body_of(exception: Exception, view: APIView) -> dict[str, Any] | None:
    if isinstance(exception, errors.TvarrBackupError):
        return _of_ours(exception)
    if isinstance(exception, ValidationError):
        exception = exceptions.ValidationError(get_error_detail(exception))
    if isinstance(exception, Http404):
        exception = exceptions.NotFound()
    if isinstance(exception, PermissionDenied):
        exception = exceptions.PermissionDenied()
    if isinstance(exception, RequestDataTooBig):
        return problem(413, "request_too_large", "The request is larger than is allowed.")
    if isinstance(exception, UnreadablePostError):
        return problem(400, "body_incomplete", "The request broke off.")
    if isinstance(exception, (Error, sqlite3.Error)):
        return _of_database(exception)
    return _of_framework(exception, view) if isinstance(exception, exceptions.APIException) else None


def _of_database(exception: Exception) -> dict[str, Any] | None:
    """What others did to the database or the disk is told apart from statements of ours that are wrong."""
    if isinstance(exception, IntegrityError):
        logger.error("request.failed", reason="The database refused it.", exc_info=exception)
        return problem(409, "conflict", "Somebody else has changed the same things just now; look at them again.")
    explained = explain_failure(exception)
    if explained is None:
        return None
    reason = conf.in_a_line(exception)
    if _repeats.is_due(reason):
        logger.error("request.failed", reason=reason, exc_info=exception)
    return _of_ours(explained)


_repeats = Repeats()


def status_of(kind: type[errors.TvarrBackupError]) -> HTTPStatus:
    """Return the status that a failure of ours is answered with: that of the class, or of its nearest base."""
    return next((_STATUS[base] for base in kind.__mro__ if base in _STATUS), HTTPStatus.BAD_REQUEST)


def _of_ours(exception: errors.TvarrBackupError) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if isinstance(exception, errors.OperationRunning):
        members = {"operation": exception.operation or None}
    elif isinstance(exception, errors.CodeNotAccepted):
        members = refused_code(exception)
    return problem(status_of(type(exception)), exception.code, exception.sentence.without_paths(), **members)


def _of_framework(exception: exceptions.APIException, view: APIView) -> dict[str, Any]:
    if isinstance(exception, exceptions.ValidationError):
        found = list(_pointed(exception.detail, ""))
        detail = found[0]["detail"] if len(found) == 1 else f"{len(found)} things are wrong with the request."
        return problem(400, "invalid", detail, found)
    return problem(exception.status_code, str(exception.get_codes()), _in_our_words(exception, view))


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
