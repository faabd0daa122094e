"""Error answers of the API as `application/problem+json` (RFC 9457), with stable codes and without internals."""

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
from tvarr_backup.operations.actions import fingerprint_of_deletions
from tvarr_backup.operations.failures import explain_failure
from tvarr_backup.operations.report import refused_code
from tvarr_backup.repeats import Repeats
from tvarr_backup.texts import escape_hidden

logger = structlog.stdlib.get_logger(__name__)
_repeats = Repeats()

CONTENT_TYPE = "application/problem+json"

_CLASSES: Mapping[HTTPStatus, Sequence[type[errors.TvarrBackupError]]] = {
    HTTPStatus.FORBIDDEN: (
        errors.AcceptCodeDenied,
        errors.ProxyUserRefused,
        errors.ScopeExceeded,
        errors.ScopeTooWide,
        errors.SystemRowReadOnly,
        errors.UnprotectDenied,
    ),
    HTTPStatus.NOT_FOUND: (
        errors.BackupNotFound,
        errors.EventNotFound,
        errors.ImportNotFound,
        errors.ItemNotFound,
        errors.RowNotFound,
        errors.KindUnknown,
        errors.LocationNotFound,
        errors.MessageNotFound,
        errors.OperationNotFound,
        errors.ReceiverNotFound,
        errors.StateNotFound,
        errors.SystemRowSelected,
    ),
    HTTPStatus.CONFLICT: (
        errors.BackupAmbiguous,
        errors.BackupBroken,
        errors.BackupBusy,
        errors.BackupForeign,
        errors.BackupPresent,
        errors.BackupProtected,
        errors.BackupUnsupported,
        errors.ItemInUse,
        errors.LocationBusy,
        errors.LocationNotReady,
        errors.ObjectDamaged,
        errors.ObjectExists,
        errors.ObjectMissing,
        errors.OperationCancelled,
        errors.OperationEnded,
        errors.OperationForeign,
        errors.PlanStale,
        errors.ReceiverReadOnly,
        errors.ReceiverSecretsLost,
        errors.RehearsalFailed,
        errors.RestoreRefused,
        errors.RowUnreadable,
        errors.SecretsLost,
        errors.StateUnavailable,
        errors.UndoRefused,
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
        errors.EvaluationTooSlow,
        errors.LocationDenied,
        errors.LocationFailed,
        errors.LocationFull,
        errors.LocationReadOnly,
        errors.LocationRedirected,
        errors.LocationUnmarked,
        errors.LocationUnreachable,
        errors.LocationUnsupported,
        errors.LocationUntrusted,
        errors.OperationInterrupted,
        errors.OperationTimedOut,
        errors.QueueUnreachable,
        errors.ReceiverFailed,
        errors.ScratchUnusable,
    ),
    HTTPStatus.INSUFFICIENT_STORAGE: (errors.NoRoom,),
}
"""The status of each class and its subclasses. All others are 400."""
_STATUS = {kind: status for status, kinds in _CLASSES.items() for kind in kinds}


def problem(
    status: int, code: str, detail: str, errors: Sequence[Mapping[str, str]] = (), **members: Any
) -> dict[str, Any]:
    """Return the body of an error answer. `errors` has a JSON pointer each; `members` are additional."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": escape_hidden(detail, keep="\n"),
        "code": code,
        "errors": [{**each, "detail": escape_hidden(each["detail"])} for each in errors],
        **members,
    }


def handle(exception: Exception, context: Mapping[str, Any]) -> Response | None:
    """Return the answer to an exception, or None for a bug, which Django logs and answers."""
    if _is_outside_scope(exception, context["request"]):
        exception = errors.ScopeExceeded(
            'This token has the scope "{scope}", which does not include this call. Use a token with another scope.',
            scope=context["request"].user.scope.label,
        )
    body = _build_body(exception, context["view"])
    if body is None:
        return None
    set_rollback()
    # A problem is JSON, whatever the call otherwise answers and whatever its caller accepts.
    context["request"].accepted_renderer = VisibleJSONRenderer()
    context["request"].accepted_media_type = VisibleJSONRenderer.media_type
    return Response(body, status=body["status"], headers=_build_headers(exception), content_type=CONTENT_TYPE)


def _is_outside_scope(exception: Exception, request: Any) -> bool:
    """Return whether a permission is missing because of the token's scope."""
    is_denied = isinstance(exception, PermissionDenied) or (
        isinstance(exception, exceptions.PermissionDenied) and exception.get_codes() == "permission_denied"
    )
    return is_denied and getattr(request.user, "is_outside_scope", False)


def _build_headers(exception: Exception) -> dict[str, str]:
    """Return how to sign in, and when to try again."""
    headers = {"WWW-Authenticate": getattr(exception, "auth_header", None)}
    if getattr(exception, "wait", None):
        headers["Retry-After"] = f"{exception.wait:.0f}"  # type: ignore[attr-defined]
    return {name: value for name, value in headers.items() if value}


def _build_body(exception: Exception, view: APIView) -> dict[str, Any] | None:
    if isinstance(exception, errors.TvarrBackupError):
        return _describe_own_error(exception)
    if isinstance(exception, ValidationError):
        exception = exceptions.ValidationError(get_error_detail(exception))
    if isinstance(exception, Http404):
        exception = exceptions.NotFound()
    if isinstance(exception, PermissionDenied):
        exception = exceptions.PermissionDenied()
    if isinstance(exception, RequestDataTooBig):
        return problem(413, "request_too_large", "The body is too large.")
    if isinstance(exception, UnreadablePostError):
        return problem(400, "body_incomplete", "The request ended early.")
    if isinstance(exception, (Error, sqlite3.Error)):
        return _describe_database_error(exception)
    return _describe_framework_error(exception, view) if isinstance(exception, exceptions.APIException) else None


def _describe_database_error(exception: Exception) -> dict[str, Any] | None:
    """Return the body for a conflict or an unusable database, or None for a wrong statement of ours."""
    if isinstance(exception, IntegrityError):
        logger.error("request.failed", reason="The database reported a conflict.", exc_info=exception)
        return problem(
            409, "conflict", "Another user changed the same data. Nothing was changed. Read it again, and retry."
        )
    explained = explain_failure(exception)
    if explained is None:
        return None
    reason = conf.in_a_line(exception)
    if _repeats.is_due(reason):
        logger.error("request.failed", reason=reason, exc_info=exception)
    return _describe_own_error(explained)


def status_of(kind: type[errors.TvarrBackupError]) -> HTTPStatus:
    """Return the status of an error class, or of its nearest base class."""
    return next((_STATUS[base] for base in kind.__mro__ if base in _STATUS), HTTPStatus.BAD_REQUEST)


def _describe_own_error(exception: errors.TvarrBackupError) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if isinstance(exception, errors.OperationRunning):
        members = {"operation": exception.operation or None}
    elif isinstance(exception, errors.BackupPresent):
        members = {"backup": exception.facts["existing"]}
    elif isinstance(exception, errors.CodeNotAccepted):
        members = refused_code(exception)
    elif isinstance(exception, errors.DeletionsUnconfirmed):
        names = exception.filenames
        members = {"deletions": list(names), "agreed": fingerprint_of_deletions(names)}
    return problem(status_of(type(exception)), exception.code, exception.sentence.without_paths(), **members)


def _describe_framework_error(exception: exceptions.APIException, view: APIView) -> dict[str, Any]:
    if isinstance(exception, exceptions.ValidationError):
        found = list(_list_errors(exception.detail, ""))
        detail = found[0]["detail"] if len(found) == 1 else f"The request has {len(found)} errors."
        return problem(400, "invalid", detail, found)
    return problem(exception.status_code, str(exception.get_codes()), _describe(exception, view))


def _describe(exception: exceptions.APIException, view: APIView) -> str:
    """Return a sentence that says what is expected and, unlike the framework's, does not repeat the request."""
    if isinstance(exception, exceptions.MethodNotAllowed):
        return f"Expected one of the methods {', '.join(view.allowed_methods)}."
    if isinstance(exception, exceptions.UnsupportedMediaType):
        expected = dict.fromkeys(str(parser.media_type) for parser in view.get_parsers())
        return f"Expected a body of type {' or '.join(expected)}."
    if isinstance(exception, exceptions.NotAcceptable):
        answers = dict.fromkeys(str(renderer.media_type) for renderer in view.get_renderers())
        return f"This call answers with {' or '.join(answers)}, which the Accept header excludes."
    return str(exception.detail)


def _list_errors(details: Any, pointer: str) -> Iterator[dict[str, str]]:
    """Yield the errors of nested serializers, each with its JSON pointer (RFC 6901)."""
    if isinstance(details, Mapping):
        for name, value in details.items():
            whole = name in {api_settings.NON_FIELD_ERRORS_KEY, NON_FIELD_ERRORS}
            step = "" if whole else "/" + str(name).replace("~", "~0").replace("/", "~1")
            yield from _list_errors(value, pointer + step)
    elif isinstance(details, list):
        leaves = all(isinstance(value, exceptions.ErrorDetail) for value in details)
        for number, value in enumerate(details):
            yield from _list_errors(value, pointer if leaves else f"{pointer}/{number}")
    else:
        yield {"pointer": pointer, "code": str(details.code), "detail": str(details)}


# --- Requests that reach no view of the API --------------------------------------------------------------------------

_MONITORING_PATHS = ("/healthz", "/readyz", "/metrics", "/status.svg")


def is_api(request: HttpRequest) -> bool:
    """Whether errors at this address are answered as JSON."""
    path = request.path_info.removesuffix("/")
    return path == "/api" or path.startswith("/api/") or path in _MONITORING_PATHS


def problem_response(status: int, code: str, detail: str) -> JsonResponse:
    """Return an error answer for a request that reached no view."""
    return JsonResponse(problem(status, code, detail), status=status, content_type=CONTENT_TYPE)
