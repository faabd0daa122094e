"""The service's addresses, and views that fail in ways in which ours should not."""

from __future__ import annotations

import sqlite3
from typing import Any

from django.core.exceptions import DisallowedHost, PermissionDenied, SuspiciousOperation, ValidationError
from django.db import DatabaseError, IntegrityError, OperationalError, ProgrammingError
from django.http import Http404, HttpResponse, UnreadablePostError
from django.urls import path
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config import urls
from tvarr_backup import errors

handler400, handler403, handler404, handler500 = urls.handler400, urls.handler403, urls.handler404, urls.handler500


def _locked() -> OperationalError:
    """Return what Django raises for a locked SQLite database."""
    cause, problem = sqlite3.OperationalError("database is locked"), OperationalError("database is locked")
    cause.sqlite_errorcode, problem.__cause__ = sqlite3.SQLITE_BUSY, cause
    return problem


RAISED: dict[str, Exception] = {
    "fault": RuntimeError("the secret of /var/lib/harbour"),
    "not-found": Http404("the secret of /var/lib/harbour"),
    "denied": PermissionDenied("the secret of /var/lib/harbour"),
    "suspicious": SuspiciousOperation("the secret of /var/lib/harbour"),
    "host": DisallowedHost("the secret of /var/lib/harbour"),
    "broken-off": UnreadablePostError("the secret of /var/lib/harbour"),
    "locked": _locked(),
    "damaged": DatabaseError("database disk image is malformed: /var/lib/harbour secret"),
    "twice": IntegrityError("UNIQUE constraint failed: filters.name secret /var/lib/harbour"),
    "wrong-query": ProgrammingError("near secret: syntax error /var/lib/harbour"),
    "invalid": ValidationError({"name": ["It is taken."], "a/b~c": ["It is odd."]}),
    "invalid-as-a-whole": ValidationError("They do not fit together.", code="do_not_fit"),
    "ours": errors.ItemInUse("Another item uses it."),
}


class Raises(APIView):
    """Raises the exception that its address names."""

    permission_classes = (IsAuthenticated,)

    def get(self, _request: Request, what: str) -> Response:
        raise RAISED[what]

    post = get


class Step(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=10)


class Steps(serializers.Serializer[Any]):
    title = serializers.CharField()
    steps = Step(many=True)
    tags = serializers.DictField(child=serializers.IntegerField(), required=False)


class Echo(APIView):
    """Returns the parsed body."""

    permission_classes = (IsAuthenticated,)

    def get(self, _request: Request) -> Response:
        return Response({})

    def post(self, request: Request) -> Response:
        return Response({"data": request.data})

    def put(self, request: Request) -> Response:
        steps = Steps(data=request.data)
        steps.is_valid(raise_exception=True)
        return Response(steps.data)


def outside(_request: Any) -> HttpResponse:
    """Fail outside of REST framework."""
    raise RuntimeError("the secret of /var/lib/harbour")


urlpatterns = [
    path("api/v1/odd/echo", Echo.as_view()),
    path("api/v1/odd/outside", outside),
    path("api/v1/odd/<what>", Raises.as_view()),
    path("outside", outside),
    *urls.urlpatterns,
]
