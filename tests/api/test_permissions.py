"""Permissions that a view names: all are required, and without any only superusers have access."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory, force_authenticate
from rest_framework.views import APIView

from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

BOTH = ("operations.view_backup", "operations.view_operation")


def ask(required: Mapping[str, str | Sequence[str]], *permissions: str, **user: Any) -> int:
    """Return the status of a GET of a view that requires these permissions."""

    class View(APIView):
        required_permissions = required

        def get(self, _request: Request) -> Response:
            return Response()

    account = UserFactory.create(**{"is_superuser": False, "is_staff": False} | user)
    account.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    request = APIRequestFactory().get("/")
    force_authenticate(request, account)
    return int(View.as_view()(request).status_code)


@pytest.mark.parametrize("required", [{}, {"put": "operations.view_backup"}, {"get": ()}])
def test_a_view_without_permissions_is_for_superusers_only(required: dict[str, Any]) -> None:
    assert ask(required, "view_backup", "view_operation") == 403
    assert ask(required, is_superuser=True) == 200


def test_the_named_permission_is_enough() -> None:
    assert ask({"get": "operations.view_backup"}, "view_backup") == 200
    assert ask({"get": "operations.view_backup"}, "view_operation") == 403


def test_all_named_permissions_are_required() -> None:
    assert ask({"get": BOTH}, "view_backup", "view_operation") == 200
    assert ask({"get": BOTH}, "view_backup") == 403
