"""The index of the API."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("address", ["/api/v1", "/api/v1/"])
def test_it_leads_to_the_main_addresses(administrator: APIClient, address: str) -> None:
    index = administrator.get(address).json()
    assert index["backups"] == "/api/v1/backups"
    assert index["filters"] == "/api/v1/filters"
    for name in index.keys() - {"expressions"}:
        assert administrator.get(index[name]).status_code == 200, name
    assert administrator.post(index["expressions"], {}).status_code == 400


def test_it_requires_a_user(client: APIClient) -> None:
    assert client.get("/api/v1/").status_code == 401
