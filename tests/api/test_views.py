"""Query parameters of all views."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from tests.factories import UserFactory
from tests.roles.enumerated import routes
from tvarr_backup.api.views import StrictView


def test_every_view_refuses_unknown_parameters() -> None:
    views = {view.cls for view in routes().values() if hasattr(view, "cls")}
    assert [view for view in views if not issubclass(view, StrictView)] == []


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["get", "put"])
def test_an_unknown_parameter_is_named(method: str) -> None:
    client = APIClient()
    client.force_login(UserFactory.create(is_superuser=True))
    response = getattr(client, method)("/api/v1/backups/schedule?dry_run=true")
    found = response.json()["errors"]
    assert response.status_code == 400
    assert [(each["pointer"], each["code"]) for each in found] == [("/dry_run", "unknown_parameter")]
