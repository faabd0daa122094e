"""The index of the API: its main addresses."""

from __future__ import annotations

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from tvarr_backup.api.schema import problems, response_example
from tvarr_backup.api.views import StrictView
from tvarr_backup.portable.kinds import KINDS

_NAMES = {
    "backups": "api-backup-list",
    "schedule": "api-schedule",
    "locations": "api-location-list",
    "receivers": "api-receiver-list",
    "operations": "api-operation-list",
    "status": "api-status",
    "imports": "api-import-list",
    "history": "api-history-list",
    **{kind.slug.value: f"api-{kind.url_slug}-list" for kind in KINDS.values()},
    "expressions": "api-expressions",
    "schema": "schema",
    "docs": "docs",
}
"""The names of the addresses in `urls`, by member."""

IndexSerializer = type(
    "IndexSerializer",
    (serializers.Serializer,),
    {**{member: serializers.CharField() for member in _NAMES}, "__doc__": "The main addresses."},
)
_EXAMPLE = {
    "backups": "/api/v1/backups",
    "schedule": "/api/v1/backups/schedule",
    "locations": "/api/v1/locations",
    "receivers": "/api/v1/receivers",
    "operations": "/api/v1/operations",
    "status": "/api/v1/status",
    "imports": "/api/v1/imports",
    "history": "/api/v1/configuration/history",
    **{kind.slug.value: f"/api/v1/{kind.url_slug}" for kind in KINDS.values()},
    "expressions": "/api/v1/expressions/validate",
    "schema": "/api/v1/schema",
    "docs": "/api/v1/docs",
}


class IndexView(StrictView):
    """The main addresses of the API, for every user."""

    permission_classes = [IsAuthenticated]

    @extend_schema(
        operation_id="index",
        summary="List the main addresses",
        responses={200: IndexSerializer, **problems(400)},
        examples=[response_example("The addresses", _EXAMPLE)],
    )
    def get(self, _request: Request) -> Response:
        """Paths on this server."""
        return Response({member: reverse(name) for member, name in _NAMES.items()})
