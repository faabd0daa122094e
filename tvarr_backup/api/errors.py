"""Every refusal under `/api/` as `application/problem+json` (RFC 9457), with a stable code and no look behind the scenes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, ValidationError
from django.db import DatabaseError
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from tvarr_backup import errors

logger = logging.getLogger(__name__)

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
    (errors.BackupBusy, HTTPStatus.CONFLICT),
    (errors.BackupNotFound, HTTPStatus.NOT_FOUND),
    (errors.BackupBroken, HTTPStatus.CONFLICT),
    (errors.BackupProtected, HTTPStatus.CONFLICT),
    (errors.BackupForeign, HTTPStatus.CONFLICT),
    (errors.BackupUnsupported, HTTPStatus.CONFLICT),
    (errors.RestoreRefused, HTTPStatus.CONFLICT),
    (errors.OperationNotFound, HTTPStatus.NOT_FOUND),
    (errors.OperationEnded, HTTPStatus.CONFLICT),
    (errors.ArchiveTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (errors.UploadRefused, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.ArchiveDamaged, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.NoRoom, HTTPStatus.INSUFFICIENT_STORAGE),
    (errors.BackupFolderUnusable, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.DatabaseBusy, HTTPStatus.SERVICE_UNAVAILABLE),
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
        "detail": detail,
        "code": code,
        "errors": list(found),
        **members,
    }


def handle(exception: Exception, _context: Any) -> Response | None:
    """REST framework's exception handler; `None` leaves what is nobody's fault but ours to Django, which logs it."""
    found = _described(exception)
    if found is None:
        return None
    set_rollback()
    body, headers = found
    return Response(body, status=body["status"], headers=headers, content_type=CONTENT_TYPE)


def _described(exception: Exception) -> tuple[dict[str, Any], dict[str, str]] | None:
    if isinstance(exception, errors.TvarrBackupError):
        return _of_ours(exception), {}
    if isinstance(exception, ValidationError):
        exception = exceptions.ValidationError(exceptions.get_error_detail(exception))  # type: ignore[attr-defined]
    if isinstance(exception, Http404):
        exception = exceptions.NotFound()
    if isinstance(exception, PermissionDenied):
        exception = exceptions.PermissionDenied()
    if isinstance(exception, RequestDataTooBig):
        return problem(413, "request_too_large", "The request is larger than is allowed."), {}
    if isinstance(exception, DatabaseError):
        logger.error("A request failed because of the database: %s", exception)
        return problem(503, "database_unusable", "The database cannot be used just now; the log says why."), {}
    if not isinstance(exception, exceptions.APIException):
        return None
    return _of_framework(exception)


def _of_ours(exception: errors.TvarrBackupError) -> dict[str, Any]:
    status = next((status for kind, status in _STATUS if isinstance(exception, kind)), HTTPStatus.BAD_REQUEST)
    return problem(status, exception.code, str(exception))


def _of_framework(exception: exceptions.APIException) -> tuple[dict[str, Any], dict[str, str]]:
    headers = {}
    if getattr(exception, "auth_header", None):
        headers["WWW-Authenticate"] = exception.auth_header  # type: ignore[attr-defined]
    if getattr(exception, "wait", None):
        headers["Retry-After"] = f"{exception.wait:.0f}"  # type: ignore[attr-defined]
    if isinstance(exception, exceptions.ValidationError):
        found = list(_pointed(exception.get_full_details(), ""))
        detail = found[0]["detail"] if len(found) == 1 else f"{len(found)} things are wrong with the request."
        return problem(400, "invalid", detail, found), headers
    codes = exception.get_codes()
    return problem(exception.status_code, str(codes), str(exception.detail)), headers


def _pointed(details: Any, pointer: str) -> Iterator[dict[str, str]]:
    """Findings of serializers, as deep as they are, each with its JSON pointer (RFC 6901)."""
    if (
        isinstance(details, Mapping)
        and set(details) == {"message", "code"}
        and not isinstance(details["message"], dict)
    ):
        yield {"pointer": pointer, "code": str(details["code"]), "detail": str(details["message"])}
    elif isinstance(details, Mapping):
        for name, value in details.items():
            step = "" if name == "non_field_errors" else "/" + str(name).replace("~", "~0").replace("/", "~1")
            yield from _pointed(value, pointer + step)
    elif isinstance(details, list):
        leaves = all(isinstance(value, Mapping) and "message" in value for value in details)
        for number, value in enumerate(details):
            yield from _pointed(value, pointer if leaves else f"{pointer}/{number}")


# --- What no view of the API has answered ----------------------------------------------------------------------------


def is_api(request: HttpRequest) -> bool:
    """Whether the caller is a program that wants problems as JSON."""
    return request.path_info.startswith("/api/")


def answer(status: int, code: str, detail: str) -> JsonResponse:
    """A refusal outside of the framework."""
    return JsonResponse(problem(status, code, detail), status=status, content_type=CONTENT_TYPE)
